"""How a model agent's conversation begins: retrieved, composed and recorded; or restored, after a stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.engine import CallContext
from antiphon.subagents.model.contract import Message, Model, ToolSpec
from antiphon.subagents.prompt.compose import compose
from antiphon.subagents.prompt.delimiting import written
from antiphon.subagents.prompt.judged import judged
from antiphon.subagents.prompt.passage import Passage
from antiphon.subagents.prompt.recording import is_prompt, recorded, restored
from antiphon.tracing import Json

if TYPE_CHECKING:
    from antiphon.subagents.prompt.retrieval import Retrieval
    from antiphon.subagents.roles.definition import Retrieve, RoleDefinition


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a conversation: the turn in the log, and the messages that it names."""

    turn: Json
    messages: tuple[Message, ...]


async def opening(
    ctx: CallContext,
    definition: RoleDefinition,
    model: Model,
    *,
    mode: str,
    tools: Sequence[ToolSpec] = (),
    schema: Mapping[str, Json] | None = None,
    retrieval: Retrieval | None = None,
    about: Json = None,
) -> Opening:
    """Begin the conversation of a call, or find how it began: what was retrieved then is not chosen anew.

    Args:
        ctx: the call's.
        definition: its role.
        model: who answers.
        mode: how tools and answers travel.
        tools: what the model may call.
        schema: what its answer is to be held to; None for none.
        retrieval: where the role's rule looks; None for nowhere.
        about: the record to judge; None for what the call itself names.

    Raises:
        PromptLost: a stop cut this call off, and the run does not hold its prompt any more.
    """
    if ctx.turns and is_prompt(ctx.turns[0]):
        return Opening(ctx.turns[0], await restored(ctx, ctx.turns[0]))
    task = written(ctx.call.task)
    found = await _found(ctx, retrieval, definition.retrieve)
    messages = compose(
        instructions=definition.instructions,
        frames=ctx.frames,
        task=task,
        about=judged(ctx) if about is None else about,
        covers=ctx.covers,
        retrieved=found,
        cache=model.can.caching,
        redact=ctx.run.log.redact,
    )
    turn = await recorded(
        ctx,
        messages,
        model=model.name,
        role=definition.name,
        mode=mode,
        tools=tools,
        schema=schema,
        retrieved=found,
    )
    return Opening(turn, messages)


async def _found(ctx: CallContext, retrieval: Retrieval | None, rule: Retrieve | None) -> tuple[Passage, ...]:
    """The passages that the role's rule chooses for this task and its units."""
    if retrieval is None or rule is None:
        return ()
    found = await retrieval.find("\n".join((written(ctx.call.task), *ctx.covers)), rule)
    if news := retrieval.news(rule):
        ctx.note(news)
    return found
