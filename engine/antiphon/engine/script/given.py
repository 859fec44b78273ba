"""What a script hands over, checked and copied: a habit that would go wrong gets a message that names the fix."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, cast

from antiphon.engine.amount import Amount
from antiphon.engine.boundary import Item
from antiphon.engine.branch import Branch
from antiphon.engine.call import Call
from antiphon.engine.errors import HabitError, UsageError
from antiphon.engine.limits import Limits
from antiphon.engine.output import SchemaMismatch, is_scalar, strict_json
from antiphon.engine.script.fingerprint import source_fingerprint
from antiphon.engine.script.lazy import Lazy
from antiphon.tracing.log import Json

LimitsLike = Limits | Mapping[str, object] | None
Stage = Callable[[Any], Any]
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


# --- items of a fan-out ---------------------------------------------------------------------------------------------


def check_items(items: object, construct: str) -> None:
    """Raise `HabitError` for what a fan-out cannot go over in an order that stays the same."""
    kind = type(items).__name__
    if isinstance(items, set | frozenset):
        raise HabitError(
            f"{construct}() was given a set, whose order changes from run to run", f"{construct}(sorted(...))"
        )
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable | AsyncIterable):
        raise HabitError(f"{construct}() takes an iterable of calls, not {kind}", f"{construct}([call, call])")


def item_of(call: object, construct: str) -> Item:
    """The planned branch of an un-awaited call or coroutine. Raises `HabitError` for anything else."""
    if isinstance(call, Lazy):
        return Item(call.begin, call.discard, value=None, leaf=call.leaf, mark=call.mark)
    if inspect.iscoroutine(call):
        coroutine = cast("Coroutine[Any, Any, Any]", call)
        return Item(lambda _branch: coroutine, coroutine.close, mark=lambda: _mark_of(coroutine))
    if callable(call):
        raise HabitError(
            f"{construct}() was given a function", "call it: agent(...) is lazy already, no lambda is needed"
        )
    raise HabitError(
        f"{construct}() was given {type(call).__name__}, which is no call",
        "hand it agent(...), step(...) or a coroutine, not awaited",
    )


def staged(item: Any, stages: tuple[Stage, ...]) -> Item:
    """The planned branch of one item of a pipeline."""

    async def through(_branch: Branch) -> Any:
        value = item
        for stage in stages:
            value = stage(value)
            if inspect.isawaitable(value):
                value = await value
        return value

    return Item(through, value=item, mark=lambda: written(item))


def check_stage(stage: object) -> None:
    """Raise `HabitError` for what is no stage: a stage is a function of one value."""
    if not callable(stage):
        raise HabitError(f"a stage must be a function, not {type(stage).__name__}", "pipeline(items, first, second)")
    try:
        parameters = list(inspect.signature(stage).parameters.values())
    except (TypeError, ValueError):
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    takes_one = len(needed) == 1 or (not needed and any(p.kind in (*kinds, p.VAR_POSITIONAL) for p in parameters))
    if not takes_one:
        name = getattr(stage, "__name__", "the stage")
        raise HabitError(
            f"stage {name} takes {len(needed)} parameters; a stage takes one value",
            "let each stage return all that the next one needs, for instance a tuple",
        )


# --- marks: what tells a changed item from an unchanged one -----------------------------------------------------------


def mark_of_call(call: Call) -> str:
    """What a call asks for, apart from its limits."""
    asked = [
        call.sort,
        call.name,
        call.task,
        call.about,
        call.covers,
        call.context,
        call.settings,
        call.output,
        call.until,
    ]
    return written(asked)


def _mark_of(coroutine: Coroutine[Any, Any, Any]) -> str:
    """The code of a coroutine that has not begun, and what it was called with."""
    frame = getattr(coroutine, "cr_frame", None)
    given = dict(frame.f_locals) if frame is not None else {}
    return f"{source_fingerprint(cast('Any', coroutine).cr_code)} {written(given)}"


def written(value: object) -> str:
    """A value as text that is the same in every process: JSON where it can be, no addresses elsewhere."""
    return json.dumps(value, default=_described, sort_keys=False, skipkeys=True)


def _described(value: object) -> str:
    if isinstance(value, Lazy):
        return value.mark()
    return _ADDRESS.sub("", repr(value))[:1000]


# --- values -----------------------------------------------------------------------------------------------------------


def plain(value: Any, what: str) -> Any:
    """A copy of a JSON value, so that nothing changes under whoever gets it. Raises `UsageError` for what is none."""
    if is_scalar(value):
        return value
    try:
        return json.loads(strict_json(value))
    except SchemaMismatch as mismatch:
        raise UsageError(
            f"{what}: {mismatch.problem}", advice="pass plain values: text, numbers, lists, objects"
        ) from None


def task_of(task: object, extra: tuple[object, ...]) -> str:
    """The task of an agent call: text, and nothing else by position."""
    if extra:
        raise HabitError(
            "agent() takes no object of options, and nothing but the task by position",
            "agent(task, role=..., output=...)",
        )
    if not isinstance(task, str):
        raise HabitError(f"agent() takes the task as text, not {type(task).__name__}", "agent('what to do', role=...)")
    return task


def limits_of(given: LimitsLike) -> Limits | None:
    """Limits as given, or read from an object."""
    if given is None or isinstance(given, Limits):
        return given
    if not isinstance(cast("object", given), Mapping):
        kind = type(given).__name__
        raise UsageError(f"limits= takes an object of limits, not {kind}", advice='limits={"usd": "1"}')
    return Limits.parse(given)


def amount_of(given: LimitsLike) -> Amount:
    """The amount that limits name."""
    limits = limits_of(given) or Limits()
    return Amount.of_counts(count or 0 for count in limits.ceilings())


def frames_of(context: object) -> tuple[Json, ...]:
    """Frames as the subagent will see them: plain JSON, copied."""
    if not context:
        return ()
    if isinstance(context, str):
        return (context,)
    if isinstance(context, Mapping) or not isinstance(context, Sequence):
        raise HabitError("context= takes frames, in order", "context=[{...}] with a list around it")
    return tuple(plain(frame, "context=") for frame in cast("Sequence[Json]", context))


def units_of(covers: Sequence[str]) -> tuple[str, ...]:
    """The units that a call covers."""
    if isinstance(covers, str):
        raise HabitError("covers= takes a list of units", f"covers=[{covers!r}]")
    if isinstance(covers, set | frozenset):
        raise HabitError("covers= was given a set, whose order changes from run to run", "covers=sorted(...)")
    units = tuple(covers)
    if not all(type(unit) is str for unit in units):
        raise UsageError("covers= takes the names of units, as text")
    return units


def record_id(about: object) -> str | None:
    """The id of the record that a call judges."""
    if about is None or isinstance(about, str):
        return about
    found = getattr(about, "id", None)
    if not isinstance(found, str):
        raise UsageError("about= takes a record, or a record's id", advice="hand it what claims() gave")
    return found


def settings_of(*, model: str | None = None, workspace: object = None) -> tuple[tuple[str, Json], ...]:
    """What else an agent's call says, besides its task and frames. Raises `UsageError` for no name of a workspace."""
    if workspace is not None and not (isinstance(workspace, str) and workspace):
        raise UsageError(
            f'workspace= takes None, "read" or a name, not {workspace!r:.80}',
            advice='agent(..., workspace="fix-1"): the same name is the same tree',
        )
    said: dict[str, Json] = {"model": model, "workspace": workspace}
    return tuple((name, value) for name, value in said.items() if value is not None)


def window_of(concurrency: int | None) -> int | None:
    """How many branches run at once."""
    if concurrency is not None and concurrency < 1:
        raise UsageError(f"concurrency must be at least 1, not {concurrency}")
    return concurrency


# --- choices ----------------------------------------------------------------------------------------------------------

MAX_OPTIONS = 1_000
"""How many options a choice may have."""


def options_of(options: object) -> list[Json]:
    """The options of a choice, as plain JSON. Raises `UsageError` for none, too many, or one that is there twice."""
    if isinstance(options, set | frozenset):
        raise HabitError("choose() was given a set, whose order changes from run to run", "choose(q, sorted(...))")
    kind = type(options).__name__
    if isinstance(options, str | bytes | Mapping) or not isinstance(options, Sequence):
        raise HabitError(f"choose() takes a list of options, not {kind}", "choose(q, ['a', 'b'])")
    offered = [plain(option, "choose()") for option in cast("Sequence[object]", options)]
    if not 1 <= len(offered) <= MAX_OPTIONS:
        raise UsageError(f"choose() takes 1 to {MAX_OPTIONS:,} options, not {len(offered)}")
    seen: set[str] = set()
    for option in offered:
        text = strict_json(_numbered(option))
        if text in seen:
            raise UsageError(f"choose() was given {text[:100]} twice: nobody could tell the two apart")
        seen.add(text)
    return offered


def choice_of(offered: Sequence[Json]) -> dict[str, Json]:
    """The JSON Schema of a choice; where all are texts it says so, because more providers hold answers to that."""
    texts: dict[str, Json] = {"type": "string"} if all(isinstance(option, str) for option in offered) else {}
    return {**texts, "enum": list(offered)}


def question_of(question: object, offered: Sequence[Json]) -> str:
    """The task of a choice: the question, and each option on a line of its own, as JSON."""
    if not isinstance(question, str) or not question.strip():
        raise HabitError("choose() takes a question, as text", "choose('Which one fits?', options)")
    lines = "\n".join(f"- {strict_json(option)}" for option in offered)
    return f"{question}\n\nAnswer with exactly one of these options, as it is written here:\n{lines}"


def _numbered(value: Json) -> Json:
    """The value with whole floats as integers and keys in order: JSON Schema takes 1 and 1.0 for the same."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_numbered(entry) for entry in value]
        case dict():
            return {name: _numbered(value[name]) for name in sorted(value)}
        case _:
            return value
