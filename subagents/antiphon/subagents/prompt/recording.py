"""The prompt in the log: one `turn` that names each message by its digest, and each text once for the whole run.

So a thousand siblings write their shared frames down once, and whoever reads the log afterwards, or resumes from it,
has exactly what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from antiphon.engine import CallContext
from antiphon.engine.received import opened
from antiphon.engine.settings import Blobs
from antiphon.subagents.model.contract import Message, ToolSpec
from antiphon.subagents.prompt.passage import Passage
from antiphon.tracing import AntiphonError, Json

PROMPT: Final = "prompt"
"""The value of ``turn`` in the turn that holds the prompt."""

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: Final[Mapping[str, Role]] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


class PromptLost(AntiphonError):
    """A text of a prompt is neither in the log nor in the run's blobs.

    Attributes:
        digest: of the text.
    """

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(f"the run's log does not hold the text {digest[:12]} of a prompt; see antiphon verify RUN")


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a recorded prompt. `text` is None where the run does not hold it any more."""

    role: Role
    digest: str
    cached: bool
    text: str | None


async def recorded(
    ctx: CallContext,
    messages: Sequence[Message],
    *,
    model: str,
    role: str,
    mode: str,
    tools: Sequence[ToolSpec] = (),
    schema: Mapping[str, Json] | None = None,
    retrieved: Sequence[Passage] = (),
) -> Json:
    """Write the prompt of a call into the log; durable on return.

    Args:
        ctx: the call's.
        messages: as they will be sent. A secret in them would be in what is sent and not in the log: see `compose`.
        model: its name.
        role: whose instructions.
        mode: how tools and answers travel: ``schema``, ``tool``, ``text``.
        tools: what the model may call.
        schema: what its answer is to be held to; None for none.
        retrieved: passages that rules chose.

    Returns:
        The turn, as the log holds it.
    """
    named: list[Json] = [
        {"role": message.role, "digest": await ctx.keep(message.text), "cached": message.cached} for message in messages
    ]
    turn: dict[str, Json] = {"turn": PROMPT, "model": model, "role": role, "mode": mode, "messages": named}
    turn["tools"] = [spec.name for spec in tools]
    if tools or schema is not None:
        turn["offered"] = await ctx.keep({"tools": [_spec(spec) for spec in tools], "schema": _plain(schema)})
    turn["retrieved"] = [passage.to_json() for passage in retrieved]
    return await ctx.turn(turn)


async def restored(ctx: CallContext, turn: Json) -> tuple[Message, ...]:
    """The messages of a prompt that an earlier attempt of the run recorded for this call (`ctx.turns`).

    Raises:
        PromptLost: the run does not hold one of them any more.
    """
    texts = {said.digest: await ctx.kept(said.digest) for said in said_in(turn, lambda _: None)}
    return tuple(map(_message, said_in(turn, texts.get)))


def messages_of(turn: Json, frames: Mapping[str, Mapping[str, Any]], blobs: Blobs | None) -> tuple[Message, ...]:
    """The messages of a recorded prompt, for whoever reads a log.

    Args:
        turn: the prompt turn.
        frames: what `frames_in` gives for the same log.
        blobs: the run's, or None.

    Raises:
        PromptLost: the run does not hold one of them any more.
    """
    return tuple(map(_message, said_in(turn, lambda digest: opened(frames.get(digest, {}), blobs))))


def is_prompt(turn: Json) -> bool:
    """Whether a turn holds a prompt."""
    return isinstance(turn, dict) and turn.get("turn") == PROMPT


def said_in(turn: Json, read: Callable[[str], Json]) -> tuple[Said, ...]:
    """The messages that a prompt turn names, from any log: what makes no sense in it is left out.

    Args:
        turn: the turn.
        read: gives what is kept under a digest, None if nothing is.
    """
    named = turn.get("messages") if isinstance(turn, dict) else None
    entries = named if isinstance(named, list) else []
    return tuple(_said(entry, read) for entry in entries if isinstance(entry, dict))


def _said(entry: Mapping[str, Json], read: Callable[[str], Json]) -> Said:
    digest = str(entry.get("digest", ""))
    text = read(digest)
    role = _ROLES.get(str(entry.get("role")), "user")
    return Said(role, digest, entry.get("cached") is True, text if isinstance(text, str) else None)


def _message(said: Said) -> Message:
    if said.text is None:
        raise PromptLost(said.digest)
    return Message(role=said.role, text=said.text, cached=said.cached)


def _spec(spec: ToolSpec) -> Json:
    return {"name": spec.name, "description": spec.description, "parameters": _plain(spec.parameters)}


def _plain(schema: Mapping[str, Json] | None) -> Json:
    return None if schema is None else cast("Json", dict(schema))
