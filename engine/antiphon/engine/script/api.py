"""The names a script uses (DESIGN §4), for trusted files in process. Each works on the branch the script is in.

The floors above give meaning to roles and steps; `antiphon.workflows.script` is where a script imports all this from.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn, TypeAlias, TypeVar, cast, overload

from antiphon.engine import constructs, fanout
from antiphon.engine.amount import DIMENSIONS, SCALED, Amount, Dimension, from_nano
from antiphon.engine.asking import gate_before
from antiphon.engine.boundary import Item, one_branch
from antiphon.engine.branch import Branch, Phase, current_branch
from antiphon.engine.call import Call, Criterion, Critic
from antiphon.engine.carve import BudgetRefused, Keep
from antiphon.engine.errors import CallFailed, Stopped, UsageError
from antiphon.engine.fanout import FanOut
from antiphon.engine.limits import Limits
from antiphon.engine.outcome import Degraded, Failed, Missing, Outcome, Outcomes, OverBudget, Tally, Vote
from antiphon.engine.perform import perform
from antiphon.engine.script.given import (
    LimitsLike,
    Stage,
    amount_of,
    check_items,
    check_stage,
    choice_of,
    frames_of,
    item_of,
    limits_of,
    mark_of_call,
    options_of,
    plain,
    question_of,
    record_id,
    settings_of,
    staged,
    task_of,
    units_of,
    window_of,
    written,
)
from antiphon.engine.script.lazy import Lazy
from antiphon.engine.script.replanning import replan as replan
from antiphon.tracing.log import Json

T = TypeVar("T")
Context: TypeAlias = "Sequence[Any] | str"
Startable = Awaitable[T]
Calls = Iterable[Startable[T]] | AsyncIterable[Startable[T]]


# --- calls --------------------------------------------------------------------------------------------------------


@overload
def agent(
    task: str,
    *,
    output: type[T],
    role: str = ...,
    about: object = ...,
    covers: Sequence[str] = ...,
    context: Context = ...,
    model: str | None = ...,
    workspace: str | None = ...,
    until: Criterion | str | Critic | None = ...,
    limits: LimitsLike = ...,
    label: str | None = ...,
) -> Lazy[T]: ...
@overload
def agent(
    task: str,
    *,
    output: Mapping[str, Any] | str | None = ...,
    role: str = ...,
    about: object = ...,
    covers: Sequence[str] = ...,
    context: Context = ...,
    model: str | None = ...,
    workspace: str | None = ...,
    until: Criterion | str | Critic | None = ...,
    limits: LimitsLike = ...,
    label: str | None = ...,
) -> Lazy[Any]: ...
def agent(
    task: str,
    *extra: object,
    role: str = "worker",
    output: object = None,
    about: object = None,
    covers: Sequence[str] = (),
    context: Context = (),
    model: str | None = None,
    workspace: str | None = None,
    until: Criterion | str | Critic | None = None,
    limits: LimitsLike = None,
    label: str | None = None,
) -> Lazy[Any]:
    """A subagent's answer to `task`. Lazy: await it, or hand it to a fan-out.

    Args:
        task: what to do, in words.
        *extra: nothing; there to name the habit of passing options by position.
        role: which subagent.
        output: type of the value: a pydantic model, any type pydantic knows, a JSON Schema object, or a schema's name.
        about: the record judged (its id, or an object with an `id`).
        covers: the units this call answers for.
        context: frames for this call alone.
        model: which model answers; the role's own by default.
        workspace: where it works: None for nowhere, ``"read"`` for the project as it was when the run began, else a
            name: calls that give the same name work in the same tree, one after another.
        until: a completion criterion: a function of the value that returns True or what is still missing, a command
            (met when it exits with 0), or a `Critic`.
        limits: of this call; `wall_seconds` ends it `TimedOut`.
        label: what a person sees instead of the role.

    Raises:
        CallFailed: on await, when it ends without a value.
    """
    checked = task_of(task, extra)
    call = Call(
        sort="agent",
        name=role,
        task=checked,
        about=record_id(about),
        covers=units_of(covers),
        context=frames_of(context),
        output=output,
        limits=limits_of(limits),
        label=label,
        settings=settings_of(model=model, workspace=workspace),
        until=until,
    )
    return _leaf(f"agent({task[:40]!r})", call)


def step(name: str, args: Mapping[str, Any] | None = None, *, limits: LimitsLike = None) -> Lazy[Any]:
    """A declared host function (`steps` in the manifest), recorded: on resume its value replays."""
    task = plain(dict(args or {}), f"step({name!r})")
    return _leaf(f"step({name!r})", Call(sort="step", name=name, task=task, limits=limits_of(limits)))


def approve(question: str, details: Any = None) -> Lazy[bool]:
    """A person's yes or no. With nobody to ask, the run pauses and ``antiphon resume RUN --approve`` answers."""
    asked: dict[str, Json] = {"question": question, "details": plain(details, "approve()")}
    return _leaf(f"approve({question[:40]!r})", Call(sort="approval", name="approve", task=asked))


def choose(
    question: str, options: Sequence[T], *, role: str = "judge", model: str | None = None, context: Context = ()
) -> Lazy[T]:
    """One of the options, picked by a subagent. Lazy, recorded and replayed like any agent call.

    Args:
        question: what is to be decided, and by which criteria.
        options: what it may pick: texts or other plain values, each once, in an order that stays.
        role: which subagent picks. The manifest declares it, as it does for `agent`.
        model: which model answers; the role's own by default.
        context: frames for this call alone.

    Returns:
        The option, as it was given. An answer that is none of them is sent back a few times; then the call ends as
        `Failed` with category ``schema``.

    Raises:
        CallFailed: on await, when it ends without a value.
    """
    offered = options_of(options)
    call = Call(
        sort="agent",
        name=role,
        task=question_of(question, offered),
        context=frames_of(context),
        output=choice_of(offered),
        label=f"choose: {question[:80]}",
        settings=settings_of(model=model),
    )
    return _leaf(f"choose({question[:40]!r})", call)


def _leaf(what: str, call: Call) -> Lazy[Any]:
    # Partials, because ten thousand waiting calls hold one each, and a closure is twice as large.
    return Lazy(what, partial(_perform, call), leaf=True, mark=partial(mark_of_call, call))


def _perform(call: Call, branch: Branch) -> Awaitable[Any]:
    return perform(branch, call)


def workflow(name: str, args: Mapping[str, Any] | None = None, *, limits: LimitsLike = None) -> Lazy[Any]:
    """Another workflow, by path relative to this file, in a branch of its own, to the declared depth.

    Awaiting gives its value; when it degraded, the value too, and the branch around is `Degraded`.
    """
    given = plain(dict(args or {}), f"workflow({name!r})")

    def mark() -> str:
        return f"workflow {name} {written(given)}"

    async def start(branch: Branch) -> Any:
        nested = branch.run.host.get("workflow")
        if nested is None:
            raise UsageError("workflow() works only inside a workflow file")
        body, own = nested(branch, name, given)
        narrowed = own.narrowed_by(limits_of(limits) or Limits())
        item, segment = Item(body, mark=mark), branch.take_ordinal()
        outcome = await one_branch(branch, segment, item, construct="workflow", limits=narrowed)
        return _value_or_raise(branch, outcome)

    return Lazy(f"workflow({name!r})", start, mark=mark)


def _value_or_raise(branch: Branch, outcome: Outcome[Any]) -> Any:
    if isinstance(outcome, Degraded):
        branch.miss(outcome)
    elif not outcome.ok:
        raise CallFailed(outcome)
    return outcome.value


# --- fan-out ------------------------------------------------------------------------------------------------------


def parallel(
    calls: Calls[T],
    *,
    until: Callable[[list[Outcome[Any]]], bool] | None = None,
    concurrency: int | None = None,
    limits: LimitsLike = None,
    context: Context = (),
) -> Lazy[Outcomes[T]]:
    """Every call in a branch of its own; `Outcomes` in input order.

    Args:
        calls: un-awaited calls or coroutines. A plain iterable is read to its end before the first starts; an async
            iterable is pulled as the window moves.
        until: a function of the outcomes so far, in the order they ended; once true, the rest is cut off.
        concurrency: how many run at once.
        limits: of the whole fan-out.
        context: frames for every call.
    """
    asked = _asked("parallel", calls, until, concurrency, limits, context)
    return _fan_out(asked, lambda branch: constructs.parallel(branch, asked))


def pipeline(
    items: Iterable[Any] | AsyncIterable[Any],
    *stages: Stage,
    concurrency: int | None = None,
    limits: LimitsLike = None,
    context: Context = (),
) -> Lazy[Outcomes[Any]]:
    """Every item through every stage, with no barrier between stages; a stage takes one value and returns the next."""
    check_items(items, "pipeline")
    for stage in stages:
        check_stage(stage)
    asked = FanOut(
        construct="pipeline",
        items=items,
        make=lambda item: staged(item, stages),
        window=window_of(concurrency),
        limits=limits_of(limits),
        context=frames_of(context),
    )
    return _fan_out(asked, lambda branch: constructs.parallel(branch, asked))


def race(calls: Calls[T], *, limits: LimitsLike = None, context: Context = ()) -> Lazy[T]:
    """The value of the first call to succeed; the others are cancelled. Raises `CallFailed` when all fail."""
    asked = _asked("race", calls, None, None, limits, context)
    return _fan_out(asked, lambda branch: constructs.race(branch, asked))


def quorum(
    calls: Calls[Any], need: int, *, vote: Vote, limits: LimitsLike = None, context: Context = ()
) -> Lazy[Tally]:
    """Ask every call, count votes in input order: the side that reaches `need` first decides. All votes are kept.

    Args:
        calls: the voters.
        need: how many votes decide, at least 1.
        vote: ``vote(value) -> True | False | None``; None abstains, as does a failure of the infrastructure.
        limits: of all the voters together.
        context: frames for every voter.
    """
    if need < 1:
        raise UsageError(f"quorum needs at least one vote, not need={need}")
    asked = _asked("quorum", calls, None, None, limits, context)
    return _fan_out(asked, lambda branch: constructs.quorum(branch, asked, need, vote))


def branch(name: str, call: Startable[T], *, limits: LimitsLike = None, context: Context = ()) -> Lazy[Outcome[T]]:
    """One call in a branch of its own: its `Outcome`, whatever it is."""
    item = item_of(call, "branch")
    narrowed, frames = limits_of(limits), frames_of(context)

    async def start(around: Branch) -> Outcome[Any]:
        try:
            segment = around.take_name(name)
        except UsageError:
            item.discard()
            raise
        outcome = await one_branch(around, segment, item, limits=narrowed, context=frames)
        around.miss(outcome)
        return outcome

    return Lazy(f"branch({name!r})", start, mark=lambda: f"branch {name} {item.mark()}", drop=item.discard)


def _asked(
    construct: fanout.Construct,
    calls: Calls[Any],
    until: Callable[[list[Outcome[Any]]], bool] | None,
    concurrency: int | None,
    limits: LimitsLike,
    context: Context,
) -> FanOut:
    check_items(calls, construct)
    return FanOut(
        construct=construct,
        items=calls,
        make=lambda call: item_of(call, construct),
        until=until,
        window=window_of(concurrency),
        limits=limits_of(limits),
        context=frames_of(context),
    )


def _fan_out(asked: FanOut, start: Callable[[Branch], Awaitable[T]]) -> Lazy[T]:
    return Lazy(f"{asked.construct}(...)", start, mark=asked.mark, drop=asked.discard)


# --- the branch itself --------------------------------------------------------------------------------------------


def phase(title: str, *, reserve: LimitsLike = None) -> None:
    """What follows in this branch belongs to phase `title`, until the next.

    Args:
        title: one of the manifest's phases.
        reserve: what the phase keeps back from its fan-outs for the calls made directly in it, such as a last summary.
    """
    here = current_branch()
    run = here.run
    run.check()
    run.end_phase(here)
    span = run.span(here.path, f"phase {title} {here.take_phase()}")
    kept = _keep(here, amount_of(reserve)) if reserve is not None else None
    run.log.enqueue("phase.started", here.path, {"title": title, **run.span_fields(span, here.span)})
    here.phase = Phase(title, here, span, kept, around=here.phase, gate=gate_before(here, title))


def _keep(here: Branch, amount: Amount) -> Keep:
    """Keep the reserve of a phase. On a resume, what it was for may have been spent: then it keeps what is left."""
    run = here.run
    if run.journal.attempts:
        rooms = [here.account.remaining(dimension) for dimension in DIMENSIONS]
        pairs = zip(amount.counts(), rooms, strict=True)
        amount = Amount.of_counts(count if room is None else min(count, room) for count, room in pairs)
    try:
        return run.budget.keep(here.account, amount)
    except BudgetRefused as error:
        refusal = error.refusal
    if run.refused(refusal):
        raise Stopped
    scope, dimension, limit = refusal.path, refusal.dimension, refusal.limit
    raise CallFailed(OverBudget(path=here.path, reason=str(refusal), scope=scope, dimension=dimension, limit=limit))


def fail(reason: str, partial: Any = None) -> NoReturn:
    """End this branch without success: `Failed`, or `Degraded` with `partial` as its value."""
    here = current_branch()
    if partial is None:
        raise CallFailed(Failed(path=here.path, reason=reason, category="task"))
    raise CallFailed(
        Degraded(path=here.path, reason=reason, result=partial, missing=(Missing(here.path, "failed", reason),))
    )


def put(key: str, value: Any) -> None:
    """Set a value of the run's own state; recorded."""
    here = current_branch()
    here.run.check()
    kept = plain(value, f"put({key!r})")
    here.run.log.enqueue("state", here.path, {"key": key, "value": kept})
    here.run.set_state(key, kept, contested=here.concurrent)


def get(key: str, default: Any = None) -> Any:
    """A value of the run's own state. Where concurrent branches read or have written, it is recorded, and replays."""
    here = current_branch()
    run = here.run
    run.check()
    value = plain(run.state.get(key, default), f"get({key!r})")
    return here.decide(f"get {key}", value) if here.concurrent or key in run.contested else value


def log(text: str) -> None:
    """Put a note into the run's log; a terminal shows it."""
    here = current_branch()
    here.run.check()
    here.run.log.enqueue("note", here.path, {"text": str(text)[:10_000]})


def now() -> datetime:
    """The time of this branch's last event, UTC; the same on replay."""
    here = current_branch()
    here.run.check()
    return datetime.fromtimestamp(here.last_at, UTC)


def random() -> float:
    """A number in [0, 1), fixed by run, branch and how many were drawn before; the same on replay."""
    here = current_branch()
    here.run.check()
    return here.random()


class BudgetView:
    """What a script may read of the budget. Readings are recorded, and replay."""

    def used(self, kind: str = "usd") -> Decimal | int:
        """What this branch has used: usd and agent_seconds as Decimal, calls and tokens as whole numbers."""
        here = _dimension_checked(kind)
        count: int = here.decide(f"used {kind}", here.account.spent.count(cast(Dimension, kind)))
        return _in_units(kind, count)

    def remaining(self, kind: str = "usd") -> Decimal | int | None:
        """What could still be reserved here; None where no limit holds."""
        here = _dimension_checked(kind)
        count: int | None = here.decide(f"remaining {kind}", here.account.remaining(cast(Dimension, kind)))
        return None if count is None else _in_units(kind, count)


budget = BudgetView()


def _dimension_checked(kind: str) -> Branch:
    here = current_branch()
    here.run.check()
    if kind not in DIMENSIONS:
        raise UsageError(f"there is no budget dimension {kind!r}", advice=f"one of {', '.join(DIMENSIONS)}")
    return here


def _in_units(kind: str, count: int) -> Decimal | int:
    return from_nano(count) if kind in SCALED else count
