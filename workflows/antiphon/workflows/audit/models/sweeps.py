"""Sweep until dry: when another sweep is worth its cost, and what the sweeps came to. No call is made here.

A sweep is dry when everyone in it answered and nobody said anything new, by key. One in which an agent failed is not:
what it would have said is unknown. Sweeping also ends after a number of sweeps, or where the budget would not see the
next one through; how it ended is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, cast

from antiphon.subagents.records import FindingKey
from antiphon.workflows.report.document import many

End = Literal["dry", "most", "budget"]
MOST = 3
"""Sweeps, where nobody says another number."""
STATE = "sweeps"
"""The key under which a workflow keeps what its sweeps came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What one sweep came to.

    Attributes:
        number: from 1. framing: how its auditors looked. calls: how many.
        reported: findings. new: keys that no earlier sweep brought.
        failed: how many calls ended without an answer, by how they ended.
    """

    number: int
    framing: str
    calls: int
    reported: int = 0
    new: int = 0
    failed: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def dry(self) -> bool:
        """Whether everyone answered and nothing was new."""
        return not self.new and not sum(self.failed.values())

    def sentence(self) -> str:
        """The same in words."""
        said = f"sweep {self.number} ({self.framing}): {many(self.calls, 'call')}, {many(self.reported, 'finding')}"
        failures = ", ".join(f"{count} {how}" for how, count in sorted(self.failed.items()))
        return f"{said}, {self.new} new" + (f"; not dry, as calls failed: {failures}" if failures else "")


@dataclass(frozen=True, slots=True)
class Sweeping:
    """The sweeps so far. Immutable: each sweep gives the next state.

    Attributes:
        most: sweeps at most. known: every key that was found. done: the sweeps, in order. stopped: the budget's word.
    """

    most: int = MOST
    known: frozenset[FindingKey] = frozenset()
    done: tuple[Sweep, ...] = ()
    stopped: bool = False

    @property
    def end(self) -> End | None:
        """Why there is no other sweep; None while there is."""
        if self.done and self.done[-1].dry:
            return "dry"
        if len(self.done) >= self.most:
            return "most"
        return "budget" if self.stopped else None

    def after(self, framing: str, keys: Iterable[FindingKey], *, calls: int, failed: Iterable[str] = ()) -> Sweeping:
        """The state after one more sweep.

        Args:
            framing: how its auditors looked.
            keys: of all that it found, one for each finding.
            calls: how many auditors there were.
            failed: how each that gave no answer ended.
        """
        found = list(keys)
        new = frozenset(found) - self.known
        sweep = Sweep(
            number=len(self.done) + 1,
            framing=framing,
            calls=calls,
            reported=len(found),
            new=len(new),
            failed=dict(Counter(failed)),
        )
        return replace(self, known=self.known | new, done=(*self.done, sweep))

    def out_of_budget(self) -> Sweeping:
        """The same where the budget would not see another sweep through."""
        return replace(self, stopped=True)

    def to_json(self) -> dict[str, Any]:
        """What `sentences` reads back."""
        return {"end": self.end or "", "most": self.most, "done": [one.sentence() for one in self.done]}


@dataclass(frozen=True, slots=True)
class Means:
    """Money and subagents.

    Attributes:
        usd, agent_calls: how much; None where nothing limits it.
    """

    usd: Decimal | None = None
    agent_calls: int | None = None

    def less(self, other: Means) -> Means:
        """The difference, where both are known."""
        usd = None if self.usd is None or other.usd is None else self.usd - other.usd
        agents = None if self.agent_calls is None or other.agent_calls is None else self.agent_calls - other.agent_calls
        return Means(usd, agents)


def affords(last: Means, left: Means, *, calls: int, due: int) -> bool:
    """Whether what is left would see another sweep like the last through, and all that is due on what was found so far.

    So an audit keeps back what winding down takes: a sweep that would leave findings unjudged is not begun.

    Args:
        last: what the last sweep used.
        left: what may still be used.
        calls: auditors of a sweep.
        due: calls that are to come in any case, each taken to cost what an auditor's did.
    """
    share = Decimal(due) / Decimal(max(calls, 1))
    for used, room in ((last.usd, left.usd), (last.agent_calls, left.agent_calls)):
        if used is not None and room is not None and used * (1 + share) > room:
            return False
    return True


def sentences(state: object) -> tuple[str, ...]:
    """What a report says of the sweeps; nothing where there were none."""
    if not isinstance(state, dict):
        return ()
    told = cast("dict[str, Any]", state)
    end = {
        "dry": "the last sweep brought nothing new",
        "most": f"sweeping ended after {many(int(told.get('most', 0)), 'sweep')}, as many as were asked for, and not "
        "because nothing new was found",
        "budget": "sweeping ended because the budget would not have seen another sweep and its verification through, "
        "and not because nothing new was found",
    }.get(str(told.get("end")), "the sweeps did not end")
    return (f"Models audited in sweeps: {'; '.join(map(str, told.get('done', ())))}; {end}.",)
