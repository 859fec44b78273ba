"""Model agents: a role's definition, answered by a language model in a conversation with tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from antiphon.engine import Amount, Call, CallContext, Limits, SchemaMismatch, UsageError
from antiphon.engine.output import schema_of
from antiphon.subagents.loop.drive import LAST_ANSWER_TOKENS, After, Conversation, Judge
from antiphon.subagents.loop.state import State, Terms
from antiphon.subagents.model.answering import mode_of
from antiphon.subagents.model.bound import input_bound, worst_case
from antiphon.subagents.model.contract import Message, Model, Request
from antiphon.subagents.prompt.delimiting import written
from antiphon.subagents.prompt.opening import opening
from antiphon.subagents.prompt.recording import is_prompt
from antiphon.subagents.prompt.warm import Warm, warmed
from antiphon.subagents.tools.choosing import offered_tools
from antiphon.subagents.tools.contract import changes
from antiphon.subagents.tools.policy import Policy
from antiphon.subagents.workspace.contract import READ
from antiphon.tracing import Json

if TYPE_CHECKING:
    from antiphon.subagents.model.registry import Models
    from antiphon.subagents.model.sending import Sender
    from antiphon.subagents.prompt.retrieval import Retrieval
    from antiphon.subagents.roles.definition import RoleDefinition
    from antiphon.subagents.tools.contract import Tool

_CONVERSATION_TOKENS: Final = 8192
_VERSION: Final = "1"


class ModelAgent:
    """A role that a model answers.

    Args:
        definition: what its role file says.
        models: of the run.
        sender: of the run.
        tools: all there are, by name; it may call those that its definition names.
        retrieval: where its rule for passages looks; None for nowhere.
        after: told the value before the call ends, with the call's context and the model: adds records.
        policy: what its tools may do.
    """

    def __init__(
        self,
        definition: RoleDefinition,
        models: Models,
        sender: Sender,
        *,
        tools: Mapping[str, Tool] | None = None,
        retrieval: Retrieval | None = None,
        after: After | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.definition, self._policy = definition, policy or Policy()
        self._models, self._sender = models, sender
        self._tools = _chosen(definition, tools or {})
        self._retrieval, self._after = retrieval, after
        self._warm = Warm() if definition.warm else None
        self._seen = self._visible()
        self._version = _hash(json.dumps([_VERSION, self._seen], sort_keys=True, ensure_ascii=False))

    # --- the contract of a role -----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What scripts call it by."""
        return self.definition.name

    @property
    def output(self) -> object:
        """The name of the type of its value, where a call names none."""
        return self.definition.output

    @property
    def limits(self) -> Limits | None:
        """What one call of it may use, besides what the call's own limits say."""
        return self.definition.limits.budget

    @property
    def version(self) -> str:
        """Changes with its instructions, its tools and how it works; the model is in `sees`."""
        return self._version

    @property
    def floor(self) -> Amount:
        """What a call without a task needs to hand back."""
        return self._floors(self.model(None), self.definition.instructions, self._tools)

    def floor_of(self, call: Call) -> Amount:
        """Enough for one last answer to this call, by the model's price and the longest that its prompt can be."""
        parts = [self.definition.instructions, written(call.task), *map(written, call.context), *call.covers]
        return self._floors(self.model(call), "\n".join(parts), self.offered(call))

    def sees(self, call: Call) -> Mapping[str, Json]:
        """What a call sees besides its task and frames; to change any of it performs the role's calls again."""
        model = self.model(call)
        tools: dict[str, Json] = {name: tool.version for name, tool in self.offered(call).items()}
        return {
            **self._seen,
            "tools": tools,
            "model": model.name,
            "can": [model.can.schema, model.can.tools, model.can.window],
        }

    def callable_tools(self, call: Call) -> dict[str, Tool]:
        """The tools that it may call there: those that need a workspace only where the call has one."""
        workspace = call.setting("workspace")

        def fits(tool: Tool) -> bool:
            if not tool.traits.works:
                return True
            return workspace is not None and not (workspace == READ and tool.traits.cost == "write")

        return {name: tool for name, tool in self._tools.items() if fits(tool) and self._policy.offers(tool)}

    def offered(self, call: Call) -> dict[str, Tool]:
        """The tools that it is shown: where there are many, those that fit its task."""
        return offered_tools(self.callable_tools(call), written(call.task))

    def works(self, call: Call) -> bool:
        """Whether it may change the workspace of a call."""
        return any(changes(tool) for tool in self.callable_tools(call).values())

    def model(self, call: Call | None) -> Model:
        """Who answers: the model that the call names, else what the person said, else the role's own.

        Raises:
            UsageError: nobody.
        """
        named = call.setting("model") if call is not None else None
        if named is None:
            named = None if self._models.has(self.name) else self.definition.model
        model = self._models.model_for(self.name, named)
        return model if self._warm is None else warmed(model, self._warm)

    # --- answering ------------------------------------------------------------------------------------------------

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Answer the call; see `until`."""
        return await self.until(ctx, None)

    async def until(self, ctx: CallContext, judge: Judge | None) -> Any:
        """Answer the call in one conversation, going on in it while the judge says that something is missing.

        Raises:
            GaveUp: it went wrong, with a diagnosis. SchemaMismatch: no answer fitted the declared type.
            InfrastructureError, BudgetRefused, WindDown: see `Sender.send`.
        """
        tools = self.offered(ctx.call)
        terms = self._terms(ctx, tools)
        began = await opening(
            ctx,
            self.definition,
            terms.model,
            mode=terms.mode.name,
            tools=[tool.spec for tool in tools.values()],
            schema=terms.schema,
            retrieval=self._retrieval,
        )
        goes_on = bool(ctx.turns) and is_prompt(ctx.turns[0])
        state = State.of(terms, began.messages, ctx.turns if goes_on else (began.turn,))
        conversation = Conversation(
            ctx=ctx,
            sender=self._sender,
            tools=tools,
            policy=self._policy,
            others=self.callable_tools(ctx.call),
            judge=judge,
            after=self._after,
            began_at=state.turns,
        )
        return await conversation.lead(state)

    def _terms(self, ctx: CallContext, tools: Mapping[str, Tool]) -> Terms:
        stronger = None
        if self.definition.escalate is not None:
            stronger = self._terms_of(ctx, self._models.model_for(self.name, self.definition.escalate), tools, None)
        return self._terms_of(ctx, self.model(ctx.call), tools, stronger)

    def _terms_of(self, ctx: CallContext, model: Model, tools: Mapping[str, Tool], stronger: Terms | None) -> Terms:
        output, limits = ctx.output, self.definition.limits
        schema = schema_of(output)

        def fits(text: str) -> str:
            try:
                output.encode(output.decode(text))
            except SchemaMismatch as error:
                return error.problem
            return ""

        return Terms(
            model=model,
            mode=mode_of(model.can, tools=bool(tools), schema=schema),
            limits=limits,
            schema=schema,
            fits=fits,
            tools=frozenset(tools),
            projected=limits.turns
            * (len(self.definition.instructions) + len(written(ctx.call.task)) + limits.max_tokens),
            stronger=stronger,
        )

    def _floors(self, model: Model, text: str, tools: Mapping[str, Tool]) -> Amount:
        """The dearer of both floors, where another model may have to hand back."""
        floor, escalate = self._floor(model, text, tools), self.definition.escalate
        if escalate is None:
            return floor
        return floor + self._floor(self._models.model_for(self.name, escalate), text, tools).beyond(floor)

    def _floor(self, model: Model, text: str, tools: Mapping[str, Tool]) -> Amount:
        last = min(self.definition.limits.max_tokens, LAST_ANSWER_TOKENS)
        specs = tuple(tool.spec for tool in tools.values())
        request = Request(model=model.name, messages=(Message(role="user", text=text),), tools=specs, max_tokens=last)
        prompt = input_bound(request)
        padded = Message(role="user", text=text + " " * min(_CONVERSATION_TOKENS, prompt))
        return worst_case(model, Request(model=model.name, messages=(padded,), tools=specs, max_tokens=last))

    def _visible(self) -> dict[str, Json]:
        """What all calls of it see, whoever answers."""
        rule = self.definition.retrieve
        return {
            "instructions": _hash(self.definition.instructions),
            "escalates": self.definition.escalate,
            "retrieves": None if rule is None or self._retrieval is None else rule.model_dump(mode="json"),
        }

    def __repr__(self) -> str:
        return f"<model agent {self.name!r}>"


def _chosen(definition: RoleDefinition, tools: Mapping[str, Tool]) -> dict[str, Tool]:
    """The tools that a definition names; a limit of no calls is no tools."""
    unknown = [name for name in definition.tools if name not in tools]
    if unknown:
        known = ", ".join(sorted(tools)) or "none"
        raise UsageError(
            f"role {definition.name!r} ({definition.source}): there is no tool {unknown[0]!r} (there are: {known})",
            advice="take it out of `tools`, or hand it over with the other tools",
        )
    return {tools[name].spec.name: tools[name] for name in definition.tools} if definition.limits.tool_calls else {}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
