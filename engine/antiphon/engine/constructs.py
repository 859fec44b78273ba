"""What a script calls a fan-out by: parallel, race, quorum; each says which failures it absorbs."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, cast

from antiphon.engine.branch import Branch
from antiphon.engine.errors import CallFailed
from antiphon.engine.fanout import FanOut, fan_out
from antiphon.engine.outcome import Degraded, Failed, Outcome, Outcomes, Succeeded, Tally, TimedOut, Vote

AwaitedVote = Callable[[Any], Awaitable[bool | None]]
"""A vote that is asked of a confined script."""


async def parallel(branch: Branch, asked: FanOut) -> Outcomes[Any]:
    """Every item; what did not succeed makes the branch around it degraded, unless `until` cut it off."""
    outcomes = await fan_out(branch, asked)
    for outcome in outcomes:
        if not (asked.until is not None and outcome.kind in ("cancelled", "skipped")):
            branch.miss(outcome)
    return outcomes


async def race(branch: Branch, asked: FanOut) -> Any:
    """The first success; the losers are cancelled and absorbed. All failing is a failure."""
    asked.until = _first_success
    outcomes = await fan_out(branch, asked)
    winner = next((outcome for outcome in outcomes if outcome.ok), None)
    if winner is None:
        winner = next((outcome for outcome in outcomes if isinstance(outcome, Degraded)), None)
    if winner is None:
        raise CallFailed(_lost(branch, outcomes))
    branch.miss(winner)
    return winner.value


def _first_success(ended: list[Outcome[Any]]) -> bool:
    return ended[-1].ok


def _lost(branch: Branch, outcomes: Outcomes[Any]) -> Outcome[Any]:
    """A race that nobody won: over when its own deadline fired, else failed."""
    for outcome in outcomes:
        if isinstance(outcome, TimedOut) and outcome.path.startswith(f"{outcome.scope}/"):
            return TimedOut(path=branch.path, scope=outcome.scope, reason=outcome.reason)
    reasons = "; ".join(f"{outcome.kind}: {outcome.reason}" for outcome in outcomes)[:500]
    return Failed(path=branch.path, reason=f"no branch of the race succeeded ({reasons})", category="task")


async def quorum(branch: Branch, asked: FanOut, need: int, vote: Vote | AwaitedVote) -> Tally:
    """Every call votes; votes are admitted in item order, and the side that reaches `need` first decides.

    A failure of the infrastructure abstains, and a decided quorum absorbs it. Any other failure casts no vote either,
    and degrades the branch around. A vote that raises fails the quorum.
    """
    outcomes = await fan_out(branch, asked)
    votes = tuple([await _vote_of(outcome, vote) for outcome in outcomes])
    decided = _decided(votes, need)
    for outcome in outcomes:
        abstained = isinstance(outcome, Failed) and outcome.category == "infrastructure"
        if not (abstained and decided != "undecided"):
            branch.miss(outcome)
    return Tally(decided, votes, outcomes)


async def _vote_of(outcome: Outcome[Any], vote: Vote | AwaitedVote) -> bool | None:
    if not isinstance(outcome, Succeeded | Degraded):
        return None
    given = cast("object", vote(outcome.value))
    if inspect.isawaitable(given):
        given = await given
    if given is not None and not isinstance(given, bool):
        raise TypeError(f"vote() returned {given!r} for {outcome.path}; it must return True, False or None")
    return given


def _decided(votes: Iterable[bool | None], need: int) -> Literal["yes", "no", "undecided"]:
    yes = no = 0
    for vote in votes:
        yes, no = yes + (vote is True), no + (vote is False)
        if yes >= need:
            return "yes"
        if no >= need:
            return "no"
    return "undecided"
