"""A branch: a place in the call tree. It is passed explicitly, so that a confined guest can use the same engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.engine.amount import Amount
from antiphon.engine.errors import UsageError
from antiphon.engine.outcome import Degraded, Missing, Outcome, Succeeded
from antiphon.tracing.log import Json

if TYPE_CHECKING:
    from antiphon.engine.account import Account
    from antiphon.engine.asking import PhaseGate
    from antiphon.engine.call import Call, Performer
    from antiphon.engine.carve import Keep
    from antiphon.engine.denial import Outside
    from antiphon.engine.run import Run

ROOT = "main"
_KEPT_MISSING = 1_000


@dataclass(slots=True)
class Phase:
    """What `phase(title)` opened: a title for what follows in this branch, and the reserve kept for its end.

    `around` is the phase that the branch was begun in, and is in again afterwards. `gate` stands before it, or nothing.
    """

    title: str
    branch: Branch
    span: str
    reserve: Keep | None = None
    around: Phase | None = None
    gate: PhaseGate | None = None


class Branch:
    """One place in the call tree.

    Attributes:
        run: the run it belongs to.
        path: its place, such as ``main/2/17``: ordinals from the root, fixed at admission.
        depth: how many branches are above it.
        account: where what it costs is metered.
        frames: pieces of context, root first.
        phase: the phase it is in, or None.
        concurrent: whether siblings run at the same time; what it reads of shared state is then a decision.
        last_at: time of the branch's last event, unix seconds.
        lent: where calls made here are paid from, if nothing else is free; None but below a call.
    """

    __slots__ = (
        "_names",
        "_ordinal",
        "_phases",
        "_randoms",
        "_readings",
        "account",
        "concurrent",
        "depth",
        "frames",
        "last_at",
        "lent",
        "missed",
        "missing",
        "path",
        "phase",
        "run",
        "span",
        "workflow",
    )

    def __init__(
        self,
        run: Run,
        path: str,
        *,
        account: Account,
        frames: tuple[Json, ...] = (),
        depth: int = 0,
        phase: Phase | None = None,
        concurrent: bool = False,
        last_at: float = 0.0,
        span: str = "",
        workflow: Workflow | None = None,
    ) -> None:
        self.run, self.path, self.account, self.frames = run, path, account, frames
        self.depth, self.phase, self.concurrent = depth, phase, concurrent
        self.last_at, self.span, self.workflow = last_at, span, workflow
        self.missing: list[Missing] = []
        self.missed = 0
        self.lent: Keep | None = None
        self._ordinal = 0
        self._readings: dict[str, int] | None = None
        self._randoms = 0
        self._phases = 0
        self._names: set[str] | None = None

    def child(
        self,
        segment: str,
        *,
        account: Account | None = None,
        context: tuple[Json, ...] = (),
        concurrent: bool | None = None,
    ) -> Branch:
        """A branch below this one. `segment` must not have been used here before (`take_ordinal`, `take_name`)."""
        path = f"{self.path}/{segment}"
        return Branch(
            self.run,
            path,
            account=account or self.account,
            frames=self.frames + context if context else self.frames,
            depth=self.depth + 1,
            phase=self.phase,
            concurrent=self.concurrent if concurrent is None else concurrent,
            last_at=self.last_at,
            span=self.run.span(path),
            workflow=self.workflow,
        )

    def take_ordinal(self) -> str:
        """The next free ordinal of this branch, as a path segment."""
        ordinal = self._ordinal
        self._ordinal = ordinal + 1
        return str(ordinal)

    def go_to(self, ordinal: int) -> None:
        """Let `ordinal` be the next free one: whoever numbers what happens here does so from records."""
        self._ordinal = ordinal

    def take_name(self, name: str) -> str:
        """`name` as a path segment; raises `UsageError` when it was used here before or cannot be one."""
        if not name or "/" in name or name.isdigit() or len(name) > 100:
            raise UsageError(f"branch name {name!r} must be 1 to 100 characters, not a number, without '/'")
        name = self.run.log.redact(name)
        names = self._names = self._names or set()
        if name in names:
            raise UsageError(
                f"branch name {name!r} is used twice in {self.path}", advice="give each branch its own name"
            )
        names.add(name)
        return name

    def take_phase(self) -> int:
        """How many phases this branch has begun before."""
        self._phases += 1
        return self._phases

    def parent_span(self) -> str:
        """The span that what happens here is a child of."""
        phase = self.phase
        return phase.span if phase is not None and phase.branch is self and phase.span else self.span

    def performer(self, sort: str) -> Performer | None:
        """What answers calls of this sort here."""
        own = self.workflow.performers.get(sort) if self.workflow is not None else None
        return own or self.run.performers.get(sort)

    def miss(self, outcome: Outcome[Any]) -> None:
        """Note that a nested branch did not wholly succeed: this branch can end no better than `Degraded`."""
        if isinstance(outcome, Succeeded):
            return
        self.missed += 1
        if isinstance(outcome, Degraded) and outcome.missing:
            self.missing.extend(outcome.missing[: max(0, _KEPT_MISSING - len(self.missing))])
        elif len(self.missing) < _KEPT_MISSING:
            self.missing.append(Missing(outcome.path, outcome.kind, outcome.reason))

    def lack(self, kind: str, reason: str) -> None:
        """Note something missing that no outcome stands for: a source not read to its end, an uncovered unit."""
        self.missed += 1
        if len(self.missing) < _KEPT_MISSING:
            self.missing.append(Missing(self.path, kind, reason))

    def ended_as(self, value: Any, item: object = None) -> Outcome[Any]:
        """The outcome of a branch whose body returned `value`."""
        if self.missed:
            reason = _reason(self.missing, self.missed)
            return Degraded(path=self.path, item=item, reason=reason, result=value, missing=tuple(self.missing))
        return Succeeded(path=self.path, item=item, result=value)

    def decide(self, decision: str, value: Json) -> Any:
        """Record a choice that depended on timing; on replay, the recorded one. Numbered within the branch, by name."""
        readings = self._readings = self._readings or {}
        ordinal = readings.get(decision, 0)
        readings[decision] = ordinal + 1
        return self.run.decide(self.path, decision, ordinal, value)

    def random(self) -> float:
        """A number in [0, 1), fixed by run, path and ordinal."""
        self._randoms += 1
        return Random(f"{self.run.seed}:{self.path}:{self._randoms}").random()

    def limit_of(self, scope: str, dimension: str) -> int | None:
        """The limit now in force at the account of `scope` on this branch's chain, or None."""
        found = (account for account in self.account.chain if account.path == scope)
        return next((account.limit_of(dimension) for account in found), None)

    def charge_history(self, cost: Amount) -> None:
        """Charge what an earlier attempt of the run spent here, below the root, whose total has it already."""
        if cost:
            self.account.claim(cost)


class Workflow(Protocol):
    """What the engine needs to know of the workflow that a branch belongs to."""

    @property
    def name(self) -> str:
        """The manifest's name."""
        ...

    @property
    def performers(self) -> Mapping[str, Performer]:
        """What answers the calls of this workflow; the run's own performers answer the rest."""
        ...

    @property
    def strict(self) -> bool:
        """Whether it is held to its manifest also where that is silent: a script that no person wrote."""
        ...

    def outside(self, call: Call) -> Outside | None:
        """Why a call is outside of what the manifest declares: a step, a role, a model; None if it is not."""
        ...


def _reason(missing: list[Missing], count: int) -> str:
    if not missing:
        return f"{count} nested branches did not succeed"
    first = missing[0]
    more = f", and {count - 1} more" if count > 1 else ""
    return f"{first.path} {first.kind}: {first.reason}{more}"[:500]


CURRENT: ContextVar[Branch] = ContextVar("antiphon_branch")


def current_branch() -> Branch:
    """The branch that the running script code is in. Raises `UsageError` outside a run."""
    try:
        return CURRENT.get()
    except LookupError:
        raise UsageError(
            "this works only inside a workflow's main",
            advice="put it in `async def main(...)` and `antiphon run FILE.py`",
        ) from None
