"""A call's conversation as a person reads it: the data of it, in order. Nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from antiphon.engine.received import opened
from antiphon.tracing import Json
from antiphon.workflows.cli.seen import Beside, Context, SeenRun, call_json
from antiphon.workflows.cli.untrusted import mapping, sequence, shallow, text
from antiphon.workflows.why.blobs import KeptBlobs

_LONGEST: Final = 10_000_000
_NAME: Final = 200
_MOST_NANO: Final = 10**21

Told: TypeAlias = Literal["repair", "missing", "notice", "escalated", "approval", "note", "trouble", "turn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A tool that an answer wants called, and what came of it; `result` is None where the log has nothing of that."""

    id: str
    name: str
    arguments: Mapping[str, Any] | str
    result: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Aside:
    """Something that the model was told, or that happened beside its answers."""

    told: Told
    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the model.

    Attributes:
        number: of the request, from 1. model: who answered. said: its words. rationale: its stated reasoning.
        wanted: the tools it wanted called. beside: what happened while they were called: approvals, denials.
        finish: why it stopped. tokens: by class. nano: what it cost, in 1e-9 usd.
        tree: the state of the workspace after its tools, where they changed it.
    """

    number: int
    model: str
    said: str
    rationale: str
    finish: str
    wanted: tuple[Wanted, ...] = ()
    beside: tuple[Aside, ...] = ()
    tokens: Mapping[str, int]
    nano: int = 0
    tree: str = ""


Entry: TypeAlias = "Answer | Aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A conversation.

    Attributes:
        seen: the call. task: what it was to do; None where the run does not hold it. entries: in order.
        value: what it came to, where it came to something. asks: what a person is asked for it, by place.
    """

    seen: Context
    task: str | None
    entries: tuple[Entry, ...]
    value: Json
    asks: Mapping[str, str]

    @property
    def answers(self) -> list[Answer]:
        """What the model answered."""
        return [entry for entry in self.entries if isinstance(entry, Answer)]

    @property
    def nano(self) -> int:
        """What all of it cost, in 1e-9 usd."""
        return sum(answer.nano for answer in self.answers)

    def to_json(self, run: SeenRun) -> dict[str, Json]:
        """All of it, as data."""
        call = self.seen.call
        return {
            "run": run.directory.name,
            **call_json(call),
            "task": self.task,
            "entries": [entry_json(entry) for entry in self.entries],
            "value": shallow(self.value),
            "asks": dict(self.asks),
            "spent": shallow(call.ended.get("spent")),
            "below": [one.path for one in run.below(call.path)],
            "damage": run.damage or None,
        }


def transcript_of(run: SeenRun, seen: Context) -> Transcript:
    """The conversation of a call, from what the log says of it."""
    performed = seen.call
    kept = KeptBlobs(run.directory)
    value = shallow(opened(performed.ended, kept)) if performed.kind in ("succeeded", "degraded") else None
    asks = {place: asked for place, asked in run.pending.items() if place.partition("#")[0] == performed.path}
    return Transcript(seen=seen, task=_task(seen), entries=tuple(_Reader(seen).entries()), value=value, asks=asks)


def entry_json(entry: Entry) -> Json:
    """An entry as data."""
    if isinstance(entry, Aside):
        return {"entry": entry.told, "heading": entry.heading, "text": entry.text}
    return {
        "entry": "answer",
        "turn": entry.number,
        "model": entry.model,
        "text": entry.said,
        "rationale": entry.rationale,
        "finish": entry.finish,
        "calls": [_wanted_json(one) for one in entry.wanted],
        "beside": [entry_json(one) for one in entry.beside],
        "tokens": dict(entry.tokens),
        "nano_usd": entry.nano,
        "tree": entry.tree or None,
    }


def _wanted_json(one: Wanted) -> Json:
    arguments: Json = one.arguments if isinstance(one.arguments, str) else shallow(dict(one.arguments))
    return {"id": one.id, "name": one.name, "arguments": arguments, "result": one.result, "failed": one.failed}


def _task(seen: Context) -> str | None:
    given = seen.given.task
    if given is None:
        return None
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, sort_keys=True, indent=1)


class _Reader:
    """Puts the turns of a call, and what happened beside them, into one order."""

    def __init__(self, seen: Context) -> None:
        self._turns = [mapping(turn) for turn in seen.turns]
        self._beside = seen.call.beside
        self._first = 1 if seen.prompt else 0
        self._number = 0

    def entries(self) -> Iterator[Entry]:
        results = {place: turn for place, turn in enumerate(self._turns) if turn.get("turn") == "tools"}
        for place, turn in enumerate(self._turns):
            if place in results and place and self._turns[place - 1].get("turn") == "model":
                continue  # told with the calls that it answers
            yield from self._asides(place)
            if turn.get("turn") != "model":
                yield _told(turn)
                continue
            self._number += 1
            yield self._answer(place, turn, results.get(place + 1, {}))
        if not self._turns or self._turns[-1].get("turn") != "model":
            yield from self._asides(len(self._turns))

    def _at(self, place: int, *kinds: str) -> Iterator[Mapping[str, Any]]:
        """What happened before the turn at a place was recorded, after the one before it."""
        after = place + self._first
        return (one.data for one in self._beside if one.after == after and one.kind in kinds)

    def _asides(self, place: int) -> Iterator[Aside]:
        after = place + self._first
        for one in self._beside:
            if one.after == after and (aside := _aside(one)) is not None:
                yield aside

    def _answer(self, place: int, turn: dict[str, Any], results: dict[str, Any]) -> Answer:
        spent = [_nano(mapping(data.get("spent")).get("usd")) for data in self._at(place, "attempt.ended")]
        came = [mapping(one) for one in sequence(results.get("results"))]
        calls = [mapping(one) for one in sequence(turn.get("calls"))]
        paired = [(call, came[at] if at < len(came) else {}) for at, call in enumerate(calls)]
        usage = mapping(turn.get("usage"))
        return Answer(
            number=self._number,
            model=text(turn.get("model"), _NAME),
            said=text(turn.get("text"), _LONGEST),
            rationale=text(turn.get("rationale"), _LONGEST),
            finish=text(turn.get("finish"), 50),
            wanted=tuple(_wanted(call, result) for call, result in paired),
            beside=tuple(self._asides(place + 1)) if results or place + 1 == len(self._turns) else (),
            tokens={name: count for name, count in usage.items() if type(count) is int and 0 < count < _MOST_NANO},
            nano=sum(spent),
            tree=text(results.get("tree"), 64),
        )


def _wanted(call: dict[str, Any], result: dict[str, Any]) -> Wanted:
    written = text(call.get("arguments"), _LONGEST)
    try:
        read: Any = json.loads(written)
    except (ValueError, RecursionError):
        read = None
    return Wanted(
        id=text(call.get("id"), _NAME),
        name=text(call.get("name"), _NAME) or "?",
        arguments=mapping(shallow(found)) if (found := mapping(read)) or read == {} else written,
        result=text(result.get("text"), _LONGEST) if result else None,
        failed=result.get("failed") is True,
    )


def _told(turn: dict[str, Any]) -> Aside:
    """What the model was told between two answers."""
    match turn.get("turn"):
        case "repair":
            return Aside("repair", "told: the answer does not fit", text(turn.get("problem"), _LONGEST))
        case "missing":
            return Aside("missing", "told: what is missing", text(turn.get("text"), _LONGEST))
        case "notice":
            anomaly = text(turn.get("anomaly"), _NAME).replace("_", " ")
            return Aside("notice", f"told: {anomaly}", text(turn.get("text"), _LONGEST))
        case "escalated":
            source, to = text(turn.get("from"), _NAME), text(turn.get("to"), _NAME)
            return Aside("escalated", f"{to} goes on for {source}", text(turn.get("why"), _LONGEST))
        case _:
            return Aside("turn", "turn", json.dumps(shallow(turn), ensure_ascii=False, sort_keys=True) if turn else "")


def _aside(one: Beside) -> Aside | None:
    data = one.data
    if one.kind == "note":
        return Aside("note", "note", text(data.get("text"), _LONGEST))
    if one.kind == "decision" and text(data.get("decision")).startswith("tool "):
        said = mapping(data.get("value"))
        answer = text(said.get("answer"), 20)
        return Aside("approval", f"a person was asked about {text(said.get('tool'), _NAME)}, and said {answer}", "")
    if one.kind == "attempt.ended" and data.get("error") is not None:
        why = text(data.get("category"), _NAME) or text(data.get("error"), _NAME)
        return Aside("trouble", f"an attempt failed: {why}", "")
    return None


def _nano(value: object) -> int:
    return value if type(value) is int and 0 <= value < _MOST_NANO else 0
