"""What a try does next: a pure function of its state. Whatever happens, it ends: `State.measure` only ever falls.

A try goes in rounds: somebody writes (the coder, later the refiner), the state is measured, a critic reads it. Before a
round there may be one recovery from what went wrong in the round before: back to a good state, a new plan, or another
environment. Rounds are counted, and so is every kind of recovery.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, assert_never

from antiphon.workflows.fix.moves import (
    Backtrack,
    Bounds,
    Broken,
    Cause,
    ChangeEnvironment,
    Check,
    Checked,
    Code,
    Criticise,
    End,
    Event,
    Measured,
    Read,
    Recovered,
    Recovery,
    Refine,
    Replan,
    Status,
    Step,
    Stopped,
    Wrote,
)

Stage = Literal["recover", "write", "check", "read", "over"]

_RANK: Final[dict[Stage, int]] = {"recover": 4, "write": 3, "check": 2, "read": 1, "over": 0}
_STAGES: Final = 5
_STALE: Final = 2
"""So many times in a row the same failures, and the plan is no good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a try stands.

    Attributes:
        start: the state of the code that it began from. left: what it may still do.
        stage: what is due. writing: how, at stage ``write``. recovery: which, at stage ``recover``.
        trail: every state that was measured, in order. stale: how often in a row the same failed.
        lessons: what went wrong, for whoever writes next. status, reason: how it ended.
    """

    start: str
    left: Bounds
    stage: Stage = "write"
    writing: Code | Refine = field(default_factory=Code)
    recovery: Recovery | None = None
    trail: tuple[Measured, ...] = ()
    stale: int = 0
    lessons: tuple[str, ...] = ()
    status: Status = "failed"
    reason: str = ""

    @property
    def measure(self) -> int:
        """Less after every event, and never below 0: so a try ends after at most this many events."""
        return 0 if self.stage == "over" else self.left.rounds * _STAGES + _RANK[self.stage]

    @property
    def best(self) -> Measured | None:
        """The best state so far; of equals the earlier one."""
        return max(self.trail, key=lambda one: one.worth, default=None)


def begin(start: str, bounds: Bounds, approach: str = "") -> State:
    """A try that begins at a state of the code; its first round is about to begin."""
    return State(start=start, left=replace(bounds, rounds=max(0, bounds.rounds - 1)), writing=Code(approach=approach))


def next_step(state: State) -> Step:
    """What to do now."""
    match state.stage:
        case "recover":
            assert state.recovery is not None
            return state.recovery
        case "write":
            return state.writing
        case "check":
            return Check()
        case "read":
            return Criticise()
        case "over":
            return End(state.status, state.reason, state.best)
        case _:
            assert_never(state.stage)


def after(state: State, event: Event) -> State:
    """The state after what happened. An event that was not due ends the try, so that nothing can go on for ever."""
    if state.stage == "over":
        return state
    match event:
        case Broken():
            return _over(state, "stopped", event.reason)
        case Stopped() if state.stage in ("recover", "write"):
            return _diagnosed(state, event.cause, event.evidence)
        case Recovered() if state.stage == "recover":
            return _recovered(state, event)
        case Wrote() if state.stage == "write":
            return replace(state, stage="check")
        case Checked() if state.stage == "check":
            return _checked(state, event)
        case Read() if state.stage == "read":
            return _read(state, event)
        case _:
            return _over(state, "stopped", f"{type(event).__name__} came when {state.stage} was due")


def _recovered(state: State, event: Recovered) -> State:
    if isinstance(state.recovery, ChangeEnvironment):
        return replace(state, stage="check", recovery=None)
    approach = event.approach or (state.recovery.approach if isinstance(state.recovery, Backtrack) else "")
    return replace(state, stage="write", recovery=None, writing=Code(state.lessons, approach))


def _checked(state: State, event: Checked) -> State:
    now = replace(event.measured, passed=False) if event.unrunnable else event.measured
    before = next((number for number, one in enumerate(state.trail, 1) if one.tree == now.tree), 0)
    stale = state.stale + 1 if state.trail and not now.passed and _alike(state.trail[-1], now) else 0
    state = replace(state, trail=(*state.trail, now), stale=stale)
    if event.unrunnable:
        return _diagnosed(state, "environment", event.unrunnable)
    if now.passed:
        return replace(state, stage="read")
    if now.tree == state.start:
        return _diagnosed(state, "wrong_reasoning", "nothing was changed")
    if before:
        return _diagnosed(state, "wrong_reasoning", f"the code is again what it was in round {before}, which failed")
    if stale >= _STALE:
        return _diagnosed(state, "bad_plan", f"{stale + 1} rounds in a row failed in the same way: {_told(now)}")
    return replace(state, stage="read")


def _alike(before: Measured, now: Measured) -> bool:
    return (before.failing, before.reasons) == (now.failing, now.reasons)


def _read(state: State, event: Read) -> State:
    now = replace(state.trail[-1], musts=event.musts)
    state = replace(state, trail=(*state.trail[:-1], now))
    if now.passed and not now.musts:
        said = "" if now.musts is not None else "no critic could read it"
        return _over(state, "objected" if said else "passed", said)
    if event.approach and not now.passed:
        return _diagnosed(
            state, "bad_plan", f"{_told(now)}; the critic would do otherwise: {event.approach}", event.approach
        )
    writing = Refine(now.musts or (), now.reasons)
    return _next_round(state, f"{_told(now)}", stage="write", writing=writing)


def _diagnosed(state: State, cause: Cause, evidence: str, approach: str = "") -> State:
    """Recover from what went wrong, as far as the bounds allow: each kind falls back on the next."""
    left, lessons = state.left, (*state.lessons, evidence)
    state = replace(state, lessons=lessons)
    if cause == "infeasible":
        return _over(state, "infeasible", evidence)
    if cause == "environment":
        if not left.environments:
            return _over(state, "environment", evidence)
        left = replace(left, environments=left.environments - 1)
        return _next_round(replace(state, left=left), evidence, recovery=ChangeEnvironment(evidence))
    if approach and left.backtracks:  # somebody has a plan already
        left = replace(left, backtracks=left.backtracks - 1)
        return _next_round(replace(state, left=left), evidence, recovery=Backtrack(state.start, evidence, approach))
    if cause == "wrong_reasoning" and left.backtracks:
        left = replace(left, backtracks=left.backtracks - 1)
        best = state.best
        tree = best.tree if best is not None and best.tree != state.trail[-1].tree else state.start
        return _next_round(replace(state, left=left), evidence, recovery=Backtrack(tree, evidence))
    if left.replans:
        left = replace(left, replans=left.replans - 1)
        return _next_round(replace(state, left=left), evidence, recovery=Replan(state.start, evidence))
    return _over(state, "failed", evidence)


def _next_round(
    state: State,
    why: str,
    *,
    stage: Stage = "recover",
    writing: Code | Refine | None = None,
    recovery: Recovery | None = None,
) -> State:
    """Begin the next round, or end for want of one."""
    if not state.left.rounds:
        return _over(state, "failed", f"no round is left; {why}")
    left = replace(state.left, rounds=state.left.rounds - 1)
    return replace(state, left=left, stage=stage, writing=writing or Code(), recovery=recovery)


def _over(state: State, status: Status, reason: str) -> State:
    """End it. What passed once is what it came to, however it went on."""
    best = state.best
    if best is not None and best.passed:
        status = "passed" if best.musts == () else "objected"
        reason = "" if status == "passed" else "; ".join(best.musts or ()) or reason
    return replace(state, stage="over", status=status, reason=reason, recovery=None)


def _told(measured: Measured) -> str:
    said = "; ".join(measured.reasons) or ("the critic objects" if measured.musts else "it failed")
    return said[:2_000]
