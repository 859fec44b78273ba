"""What a run asks by itself: before the rest of a large fan-out (``--pilot``), and before another phase (``--gate``).

Both are approvals, calls like any other: recorded at a place of their own, replayed, answered by ``resume --approve``.
What a person is shown (outcomes, costs) is no part of such a call's content, so that it stays the same call.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio

from antiphon.engine.amount import DIMENSIONS, NANO, in_words
from antiphon.engine.branch import ROOT, Branch
from antiphon.engine.call import Call
from antiphon.engine.errors import CallFailed
from antiphon.engine.outcome import Denied, Outcome

if TYPE_CHECKING:
    from antiphon.engine.amount import Amount
    from antiphon.tracing.log import Json

PILOT: Final = "pilot"
"""The path segment, below a fan-out, of the question whether its rest may run."""
_TENTH: Final = NANO // 10  # of a second: what is said of the time that agents were active
_REASONS: Final = 3
_SHOWN: Final = 200
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")


async def begin(branch: Branch) -> None:
    """Wait until something may begin in a branch: the run goes on, and its phase was let through.

    Raises:
        CallFailed: a person did not let the phase begin; with a `Denied`.
        Stopped: as `Run.may_begin`.
    """
    await branch.run.may_begin()
    if branch.phase is not None and (gate := branch.phase.gate) is not None:
        await gate.passed(branch)


# --- phases -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class PhaseGate:
    """Stands before a phase: the first thing that begins in it, wherever that is, waits for a person's answer.

    Attributes:
        title: the phase's. open: the answer; None before there is one.
    """

    title: str
    open: bool | None = None
    _line: anyio.Lock = field(default_factory=anyio.Lock)

    async def passed(self, branch: Branch) -> None:
        """Return once a person let the phase begin. Raises `CallFailed` with a `Denied` if they did not."""
        if self.open is None:
            async with self._line:  # whoever comes at the same time waits for the same answer
                if self.open is None:
                    self.open = await self._answer(branch)
        if not self.open:
            raise CallFailed(Denied(path=branch.path, reason=f"the phase {self.title!r} was not approved"))

    async def _answer(self, branch: Branch) -> bool:
        run = branch.run
        path = f"{ROOT}/gate:{_segment(self.title)}"
        where = Branch(run, path, account=run.budget.root, workflow=branch.workflow, span=run.span(path))
        where.last_at = branch.last_at
        shown = [f"done so far: {_counts(run.calls_so_far) or 'nothing'}", f"spent: {_words(run.budget.root.spent)}"]
        return await _asked(where, f"Begin the phase {self.title!r}?", {"phase": self.title}, shown)


def gate_before(branch: Branch, title: str) -> PhaseGate | None:
    """What stands before a phase that begins in a branch: nothing before the run's first; once for each title."""
    run = branch.run
    if not run.settings.gate_phases:
        return None
    if title not in run.gates:
        run.gates[title] = PhaseGate(title) if run.gates else None
    return run.gates[title]


def _segment(title: str) -> str:
    import hashlib

    digest = hashlib.sha256(title.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_UNFIT.sub('-', title)[:40]}-{digest}"


# --- fan-outs -----------------------------------------------------------------------------------------------------


def pilot_of(around: Branch, path: str) -> int | None:
    """How many items of a fan-out run before its rest is asked about; None where none is.

    What is below an item of the rest of a fan-out was let through with that.

    Args:
        around: the branch that the fan-out is in.
        path: the fan-out's.
    """
    run = around.run
    size = run.settings.pilot
    if size is None:
        return None
    run.piloted.add(path)
    inside, segment = around.path, ""
    while inside:
        if segment.isdigit() and int(segment) >= size and inside in run.piloted:
            return None
        inside, _, segment = inside.rpartition("/")
    return size


@dataclass(frozen=True, slots=True)
class Tried:
    """What the first items of a fan-out came to.

    Attributes:
        construct: its name. items: how many there are; at least, where `complete` is false.
        outcomes: of those that ran. spent: by them.
    """

    construct: str
    items: int
    complete: bool
    outcomes: tuple[Outcome[Any], ...]
    spent: Amount

    def lines(self) -> Iterator[str]:
        """What a person is shown."""
        tried, rest = len(self.outcomes), self.items - len(self.outcomes)
        yield f"the first {tried:,}: {_counts(Counter(one.kind for one in self.outcomes))}"
        bad = [one for one in self.outcomes if not one.ok]
        for one in bad[:_REASONS]:
            yield f"  {one.path} {one.kind}: {' '.join(one.reason.split())[:_SHOWN]}"
        if len(bad) > _REASONS:
            yield f"  and {len(bad) - _REASONS:,} more that did not succeed"
        yield f"they cost: {_words(self.spent)}"
        least = "" if self.complete else "at least "
        yield f"at that rate the other {least}{rest:,} cost: {_words(self.spent, rest, tried)}"


async def go_on(fan: Branch, tried: Tried) -> bool:
    """Ask a person whether the rest of a fan-out may run, now that its first items have."""
    child = fan.child(PILOT)
    rest, least = tried.items - len(tried.outcomes), "" if tried.complete else "at least "
    question = f"Go on with the other {least}{rest:,} of {least}{tried.items:,} items of {tried.construct} {fan.path}?"
    content: dict[str, Json] = {"pilot": len(tried.outcomes), "items": tried.items, "construct": tried.construct}
    return await _asked(child, question, content, tried.lines())


async def _asked(where: Branch, question: str, content: dict[str, Json], shown: Iterable[str]) -> bool:
    from antiphon.engine.perform import settle_call  # which asks us first

    task: dict[str, Json] = {"question": question, "details": content}
    call = Call(sort="approval", name="approve", task=task, label=question[:80], shown="\n".join(shown))
    return (await settle_call(where, call)).value is True


def _counts(kinds: Counter[str]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())


def _words(amount: Amount, times: int = 1, of: int = 1) -> str:
    """An amount, or what many times a share of it come to, rounded up."""
    said: list[str] = []
    for name, count in zip(DIMENSIONS, amount.counts(), strict=True):
        whole = -(-count * times // max(1, of))
        told = whole // _TENTH * _TENTH if name == "agent_seconds" else whole
        said += [in_words(name, told)] if told else []
    return ", ".join(said) or "nothing"
