"""The turns of a conversation as the log holds them, and as the loop reads them: data, and nothing else.

A state is rebuilt from these alone, so that a call which a stop cut off goes on exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from antiphon.subagents.model.contract import Completion, Finish, ToolCall, Usage
from antiphon.subagents.tools.requiring import Check
from antiphon.tracing import AntiphonError, Json

_FINISHES: Final[Mapping[str, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refused": "refused",
}
_CLASSES: Final = ("input", "cached", "cache_write", "output", "reasoning")


class UnreadableTurn(AntiphonError):
    """A turn in the log that this version does not understand."""

    def __init__(self, turn: object) -> None:
        super().__init__(f"a turn in the log cannot be read: {str(turn)[:200]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTurn:
    """How the conversation began. What `prompt.opening` records; here only what the loop reads of it.

    Attributes:
        model: who answers. mode: how tools and answers travel. tools: names of what it may call.
    """

    model: str
    mode: str
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTurn:
    """What the model answered to one request.

    Attributes:
        completion: its answer. messages: how long the conversation was, in words of no mode, when it was asked.
        shortened: which of these were shortened to be sent.
        digest: in how many characters all between beginning and end was told; None where it was sent itself.
        max_tokens: how long the answer was allowed to be. bound: the bound on the prompt, in tokens.
    """

    completion: Completion
    messages: int = 0
    shortened: tuple[int, ...] = ()
    max_tokens: int = 0
    bound: int = 0
    digest: int | None = None

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        said, usage = self.completion, self.completion.usage
        return {
            "turn": "model",
            "text": said.text,
            "calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in said.calls],
            "finish": said.finish,
            "rationale": said.rationale,
            "model": said.model,
            "usage": {name: getattr(usage, name) for name in _CLASSES} if usage is not None else None,
            "sent": {
                "messages": self.messages,
                "shortened": list(self.shortened),
                "max_tokens": self.max_tokens,
                "bound": self.bound,
                **({"digest": self.digest} if self.digest is not None else {}),
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool answered to one call. `id` and `name` are the call's; `failed` says that it could not do it."""

    id: str
    name: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class ToolsTurn:
    """What tools answered, in the order of the calls.

    Attributes:
        results: one for each call.
        tree: the state of the workspace after them, where one of them changed it or may have; "" otherwise.
        checks: what tools that others require came to, and on which state of the workspace.
    """

    results: tuple[Result, ...]
    tree: str = ""
    checks: tuple[Check, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        results: list[Json] = [
            {"id": one.id, "name": one.name, "text": one.text, "failed": one.failed} for one in self.results
        ]
        said: dict[str, Json] = {"turn": "tools", "results": results}
        if self.tree:
            said["tree"] = self.tree
        if self.checks:
            said["checks"] = [one.to_json() for one in self.checks]
        return said


@dataclass(frozen=True, slots=True)
class RepairTurn:
    """The model was told what is wrong with its answer; `raw` is that answer."""

    problem: str
    raw: str

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        return {"turn": "repair", "problem": self.problem, "raw": self.raw}


@dataclass(frozen=True, slots=True)
class MissingTurn:
    """The model stopped before its criterion, and was told what is missing."""

    text: str

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        return {"turn": "missing", "text": self.text}


@dataclass(frozen=True, slots=True)
class NoticeTurn:
    """The model was told that something is odd or running out, and what it may still use.

    Attributes:
        anomaly: what: ``winding_down``, ``goes_on``, ``overflow``, or an anomaly's name. text: what the model is told.
        tightened: what it has left: ``turns``, ``tool_calls``, ``prompt_tokens``, ``budget`` (nothing but its floor).
    """

    anomaly: str
    text: str
    tightened: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        return {"turn": "notice", "anomaly": self.anomaly, "text": self.text, "tightened": dict(self.tightened)}


@dataclass(frozen=True, slots=True)
class EscalatedTurn:
    """A stronger model goes on where another gave up, and why that one did.

    Attributes:
        source: who gave up. to: who goes on. why: in one sentence. mode: how tools and answers travel from here on.
    """

    source: str
    to: str
    why: str
    mode: str

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        return {"turn": "escalated", "from": self.source, "to": self.to, "why": self.why, "mode": self.mode}


Turn: TypeAlias = "PromptTurn | ModelTurn | ToolsTurn | RepairTurn | MissingTurn | NoticeTurn | EscalatedTurn"


def turn_of(data: Json) -> Turn:
    """A turn of the log. Raises `UnreadableTurn` for what is none."""
    try:
        return _turn_of(cast("dict[str, Any]", data))
    except (TypeError, ValueError, KeyError, AttributeError):
        raise UnreadableTurn(data) from None


def _turn_of(data: dict[str, Any]) -> Turn:
    match data["turn"]:
        case "prompt":
            return PromptTurn(model=str(data["model"]), mode=str(data["mode"]), tools=tuple(map(str, data["tools"])))
        case "model":
            return _model_turn(data)
        case "tools":
            results = tuple(_result(one) for one in data["results"])
            checks = tuple(Check.of(one) for one in data.get("checks", ()))
            return ToolsTurn(results, str(data.get("tree", "")), checks)
        case "repair":
            return RepairTurn(str(data["problem"]), str(data["raw"]))
        case "missing":
            return MissingTurn(str(data["text"]))
        case "notice":
            tightened = {str(name): int(most) for name, most in data["tightened"].items()}
            return NoticeTurn(str(data["anomaly"]), str(data["text"]), tightened)
        case "escalated":
            return EscalatedTurn(str(data["from"]), str(data["to"]), str(data["why"]), str(data["mode"]))
        case _:
            raise UnreadableTurn(data)


def _result(data: dict[str, Any]) -> Result:
    return Result(id=str(data["id"]), name=str(data["name"]), text=str(data["text"]), failed=data["failed"] is True)


def _model_turn(data: dict[str, Any]) -> ModelTurn:
    usage, sent = data["usage"], data["sent"]
    completion = Completion(
        text=str(data["text"]),
        calls=tuple(ToolCall(str(call["id"]), str(call["name"]), str(call["arguments"])) for call in data["calls"]),
        finish=_FINISHES[data["finish"]],
        usage=Usage(**{name: int(usage[name]) for name in _CLASSES}) if usage is not None else None,
        model=str(data["model"]),
        rationale=str(data["rationale"]),
    )
    return ModelTurn(
        completion=completion,
        messages=int(sent["messages"]),
        shortened=tuple(int(index) for index in sent["shortened"]),
        max_tokens=int(sent["max_tokens"]),
        bound=int(sent.get("bound", 0)),
        digest=int(sent["digest"]) if "digest" in sent else None,
    )
