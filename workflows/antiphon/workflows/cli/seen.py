"""What each call of a recorded run was given and did, read back from its log. Nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from antiphon.engine import UsageError
from antiphon.engine.received import Given, frames_in, given_to, opened
from antiphon.subagents.prompt.recording import Said, is_prompt, said_in
from antiphon.tracing import Event, Json, LogDamaged, read_log
from antiphon.workflows.cli.tombstone import CLEANED
from antiphon.workflows.cli.untrusted import mapping, sequence, shallow, text
from antiphon.workflows.why.blobs import KeptBlobs

_GOES_ON: Final = ("cancelled", "over_budget", "timed_out")
_NEAR: Final = 5


@dataclass(frozen=True, slots=True)
class Beside:
    """An event of a call besides its turns: an attempt, a decision, a note. `after`: how many turns there were then."""

    after: int
    kind: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class SeenCall:
    """A call, as the log tells of it.

    Attributes:
        path: its place. source: where it was performed, if a resume took it from there; else "".
        started: the fields of its last `call.started`. ended: those of its last `call.ended`; empty without one.
        turns: the fields of its `turn` events, those that a later attempt of the run went on from included.
        beside: its attempts that ended, what was decided in it, and its notes, in order.
    """

    path: str
    source: str = ""
    started: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ended: Mapping[str, Any] = field(default_factory=dict[str, Any])
    turns: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    beside: list[Beside] = field(default_factory=list[Beside])

    def said(self, key: str) -> str:
        """A field that says what it is called: ``name``, ``call``, ``phase``, ``label``."""
        return text(self.started.get(key), 2_000) or text(self.ended.get(key), 2_000)

    @property
    def kind(self) -> str:
        """How it ended; "in flight" while the log does not say."""
        return text(self.ended.get("kind"), 100) or "in flight"


@dataclass(slots=True)
class SeenRun:
    """The calls of a run.

    Attributes:
        directory: the run's. calls: by path. places: every path that the log tells of.
        frames: by digest: the fields that hold each text. damage: why the log could not be read to its end, or "".
        cleaned: whether its log was cleaned away. pending: what it asked when it paused, by place.
    """

    directory: Path
    calls: dict[str, SeenCall] = field(default_factory=dict[str, SeenCall])
    places: set[str] = field(default_factory=set[str])
    frames: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    damage: str = ""
    cleaned: bool = False
    pending: Mapping[str, str] = field(default_factory=dict[str, str])

    def below(self, path: str) -> list[SeenCall]:
        """The calls below a place: those of a branch, or those that a call made itself, such as its critic's."""
        return [call for place, call in self.calls.items() if place.startswith(f"{path}/")]

    def read(self, digest: str) -> Json:
        """What is kept under a digest; None if nothing is."""
        return opened(self.frames.get(digest, {}), KeptBlobs(self.directory))


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Exactly what one call was given, and what it did with that.

    Attributes:
        call: which. given: task and frames. prompt: the turn that holds the prompt; empty where there is none.
        messages: of the prompt. offered: tools as the model saw them, and the schema of its answer.
        turns: what came after the prompt, in order; None where the run does not hold one any more.
    """

    call: SeenCall
    given: Given
    prompt: Mapping[str, Any]
    messages: tuple[Said, ...]
    offered: Mapping[str, Any]
    turns: tuple[Any, ...]

    def sort_of(self, place: int) -> str:
        """What a message of the prompt is: instructions, frame, passages or task."""
        last = len(self.messages) - 1
        if place == 0 and self.messages[0].role == "system":
            return "instructions"
        if place == last:
            return "task"
        return "passages" if place == last - 1 and self.retrieved else "frame"

    @property
    def retrieved(self) -> list[dict[str, Any]]:
        """The passages that rules chose."""
        return [entry for entry in map(mapping, sequence(self.prompt.get("retrieved"))) if entry]


def read_calls(directory: Path) -> SeenRun:
    """Read the calls of a run, as far as its log can be read.

    Raises:
        LogTooNew: a newer antiphon wrote it.
        LogMissing, LogUnusable: there is no log, or it cannot be opened.
    """
    run = SeenRun(directory)
    frames: list[Event] = []
    turns: dict[tuple[str, str], SeenCall] = {}
    for event in _told(run):
        if event.kind == "frame":
            frames.append(event)
        elif event.kind == CLEANED:
            run.cleaned = True
        elif event.kind in ("run.started", "run.ended"):
            asked = mapping(mapping(event.data).get("pending"))
            run.pending = {place: text(question, 50_000) for place, question in asked.items()}
        elif event.path:
            run.places.add(event.path)
            _take(run, turns, event)
    run.frames = frames_in(frames)
    return run


def found(run: SeenRun, asked: str) -> list[SeenCall]:
    """The call at a place, or all calls below it.

    Raises:
        UsageError: the run tells of no such place, no call was performed there, or the run was cleaned.
    """
    if run.cleaned:
        raise UsageError("this run was cleaned: what its calls saw is gone", advice="antiphon show RUN has the rest")
    exact = run.calls.get(asked)
    if exact is not None:
        return [exact]
    below = run.below(asked)
    if below:
        return below
    if asked in run.places:
        raise UsageError(f"no call was performed at {asked[:300]}", advice="antiphon show RUN lists what was")
    raise UsageError(f"there is no {asked[:300]!r}{_near(run, asked)}", advice="antiphon show RUN lists all places")


def context_of(run: SeenRun, call: SeenCall) -> Context:
    """What a call was given and did."""
    performed = run.calls.get(call.source, call)
    given = given_to(performed.started, run.frames, KeptBlobs(run.directory))
    frames = None if given.frames is None else tuple(shallow(frame) for frame in given.frames)
    turns = [shallow(opened(fields, KeptBlobs(run.directory))) for fields in performed.turns]
    prompt = mapping(turns[0]) if turns and is_prompt(turns[0]) else {}
    return Context(
        call=call if performed is call else _placed(performed, call),
        given=Given(shallow(given.task), frames),
        prompt=prompt,
        messages=said_in(prompt, run.read),
        offered=mapping(shallow(run.read(text(prompt.get("offered"))))),
        turns=tuple(turns[1:] if prompt else turns),
    )


def context_json(run: SeenRun, seen: Context) -> dict[str, Json]:
    """All of it, as data."""
    call, prompt = seen.call, seen.prompt
    messages: list[Json] = [
        {"role": one.role, "sort": seen.sort_of(place), "cached": one.cached, "digest": one.digest, "text": one.text}
        for place, one in enumerate(seen.messages)
    ]
    return {
        "run": run.directory.name,
        **call_json(call),
        "task": seen.given.task,
        "frames": None if seen.given.frames is None else list(seen.given.frames),
        "about": shallow(call.started.get("about")),
        "covers": shallow(call.started.get("covers", [])),
        "model": text(prompt.get("model")) or None,
        "mode": text(prompt.get("mode")) or None,
        "messages": messages,
        "tools": shallow(seen.offered.get("tools", prompt.get("tools", []))),
        "schema": shallow(seen.offered.get("schema")),
        "retrieved": [shallow(entry) for entry in seen.retrieved],
        "turns": list(seen.turns),
        "below": [one.path for one in run.below(call.path)],
        "damage": run.damage or None,
    }


def call_json(call: SeenCall) -> dict[str, Json]:
    """Which call it is, as data."""
    said: dict[str, Json] = {key: call.said(key) for key in ("call", "name", "label", "phase")}
    reason = text(call.ended.get("reason"))
    return {"path": call.path, "source": call.source or None, **said, "kind": call.kind, "reason": reason}


def _told(run: SeenRun) -> Iterator[Event]:
    try:
        yield from read_log(run.directory)
    except LogDamaged as error:
        run.damage = error.message


def _take(run: SeenRun, turns: dict[tuple[str, str], SeenCall], event: Event) -> None:
    """What an event says of a call. The turns of an attempt that was cut off go on in the next, as in the journal."""
    data = mapping(event.data)
    call = run.calls.get(event.path)
    match event.kind:
        case "call.started":
            key = event.path, text(data.get("hash"))
            moved = turns.pop((text(data.get("turns_from")), key[1]), None)
            held = moved if moved is not None and moved.turns else turns.pop(key, SeenCall(event.path))
            turns[key] = call = SeenCall(event.path, started=data, turns=held.turns, beside=held.beside)
            run.calls[event.path] = call
        case "turn" if call is not None:
            if is_prompt(data.get("value")):
                call.turns.clear()
                call.beside.clear()
            call.turns.append(data)
        case "attempt.ended" | "decision" | "note" if call is not None and not call.ended:
            call.beside.append(Beside(len(call.turns), event.kind, data))
        case "call.ended":
            call = run.calls.setdefault(event.path, SeenCall(event.path))
            call.ended = data
            if data.get("kind") not in _GOES_ON and not data.get("infrastructure"):
                turns.pop((event.path, text(data.get("hash"))), None)
        case "call.reused" if text(data.get("source")) not in ("", event.path):
            run.calls[event.path] = SeenCall(event.path, source=text(data.get("source")), started=data, ended=data)
        case _:
            pass


def _placed(performed: SeenCall, call: SeenCall) -> SeenCall:
    """What was performed elsewhere, at the place that took it over."""
    return replace(performed, path=call.path, source=performed.path)


def _near(run: SeenRun, asked: str) -> str:
    """What is there instead: what is below the last place on the way that exists, or what is written alike."""
    above = asked
    while "/" in above:
        above = above.rpartition("/")[0]
        depth = above.count("/") + 1
        segments = {path.split("/", depth + 1)[depth] for path in run.places if path.startswith(f"{above}/")}
        if segments:
            listed = ", ".join(sorted(segments, key=lambda name: (len(name), name))[: 2 * _NEAR])
            return f"; below {above[:300]} there is {listed[:500]}"
    close = get_close_matches(asked[:200], sorted(run.calls)[:10_000], _NEAR)
    return f"; did you mean {' or '.join(close)}?" if close else f"; this run holds {len(run.calls)} calls"
