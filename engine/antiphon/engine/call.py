"""A call: what a script asked for, and what answers it. What is lent to whoever answers is in `context`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from antiphon.engine.amount import Amount
from antiphon.engine.errors import UsageError
from antiphon.engine.limits import Limits
from antiphon.engine.output import OutputType, output_type
from antiphon.tracing.log import Json

if TYPE_CHECKING:
    from antiphon.engine.context import CallContext

Sort = Literal["agent", "step", "approval"]
AttemptSort = Literal["model", "tool", "process"]
Criterion = Callable[[Any], "bool | str"]


@dataclass(frozen=True, slots=True)
class Critic:
    """A completion criterion that another subagent judges: ``until=Critic("critic", "Does every step have a test?")``.

    It sees the frames of the branch, the task, and the value; not the conversation that led to it. It is admitted and
    recorded as a call of its own, below the one it judges, paid from what was carved out for it.

    Attributes:
        role: which subagent; another one than the judged. ask: what it is to look for.
        model: which model answers; the role's own by default.
    """

    role: str
    ask: str
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a script asked for, before it has a place.

    Attributes:
        sort: what kind of call; picks the performer.
        name: the role or step.
        task: the task text of an agent call, or the arguments of a step.
        about: id of the record judged, or None.
        covers: the units this call answers for.
        context: frames put on this call alone.
        output: the declared type of the value (see `output_type`), or None.
        limits: limits of this call; never part of its hash.
        label: what a person sees instead of the name.
        settings: whatever else is visible to the subagent (model, workspace).
        until: a completion criterion: a function of the value, a command, a critic; or None.
        shown: of an approval, what a person is shown besides the question; never part of its hash.
    """

    sort: Sort
    name: str
    task: Json
    about: str | None = None
    covers: tuple[str, ...] = ()
    context: tuple[Json, ...] = ()
    output: object = None
    limits: Limits | None = None
    label: str | None = None
    settings: tuple[tuple[str, Json], ...] = ()
    until: Criterion | str | Critic | None = None
    shown: str = ""

    def setting(self, name: str) -> str | None:
        """What it says of its model or its workspace; None where it says nothing."""
        said = dict(self.settings).get(name)
        return said if isinstance(said, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a performer says of a call before it is admitted.

    Attributes:
        visible: everything the subagent can see besides task, frames and schema: role, tools, versions, input hashes.
        floor: enough to finish and hand back; carved out before the call starts.
        output: the type of the value.
        idempotent: whether it may be repeated without asking, when a stop left it in flight.
        limits: what the subagent may use whoever calls it; the call's own limits can only narrow that.
    """

    visible: Mapping[str, Json]
    floor: Amount = field(default_factory=Amount)
    output: OutputType = field(default_factory=lambda: output_type(None))
    idempotent: bool = True
    limits: Limits | None = None


class Performer(Protocol):
    """Answers one sort of call. The floors above register performers with the run."""

    def prepare(self, call: Call) -> Prepared:
        """Say what the call will see and need. Raises `UsageError` when there is no such role or step."""
        ...

    async def perform(self, call: Call, context: CallContext) -> object:
        """Answer the call. Any exception but cancellation becomes its outcome."""
        ...


class Record(Protocol):
    """Anything a subagent produces for the synthesis: claims, evidence, coverage. The engine only carries it."""

    def to_json(self) -> dict[str, Json]:
        """The record's content."""
        ...


def call_hash(
    call: Call, prepared: Prepared, frames: tuple[Json, ...], redact: Callable[[str], str] | None = None
) -> str:
    """Hash of all that the call can see; limits, labels and paths are not among it.

    Source: DESIGN §5.4. Floats and text are hashed as JSON writes them; object keys are sorted. Secrets are taken out
    by `redact` first, so that nothing of them is in the hash and a new key repeats no call.
    """
    seen = [
        call.sort,
        call.name,
        call.task,
        call.about,
        call.covers,
        frames,
        call.settings,
        prepared.output.fingerprint,
        prepared.visible,
        _criterion(call.until),
    ]
    try:
        text = _CANONICAL.encode(seen)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{call.sort} {call.name!r}: what it is given cannot be written as JSON: {error}",
            advice="pass plain values: text, numbers, lists, objects",
        ) from None
    seen_text = text if redact is None else redact(text)
    return hashlib.sha256(seen_text.encode("utf-8", "surrogatepass")).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _criterion(until: Criterion | str | Critic | None) -> Json:
    if until is None or isinstance(until, str):
        return until
    if isinstance(until, Critic):
        return [until.role, until.ask, until.model]
    from antiphon.engine.script.fingerprint import source_fingerprint

    return source_fingerprint(until)
