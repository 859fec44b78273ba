"""The performer of agent calls: finds the role, lets it answer, holds it to its completion criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from antiphon.engine import (
    AgentFailure,
    Amount,
    Call,
    CallContext,
    Limits,
    OutputType,
    Prepared,
    UndeclaredError,
    UsageError,
    output_type,
)
from antiphon.engine.amount import ONE_AGENT
from antiphon.engine.call import Critic
from antiphon.subagents.criteria import CommandPlace, CriterionJudge, check_command, critic_call
from antiphon.subagents.function import Role
from antiphon.subagents.tools.policy import Scope
from antiphon.subagents.workspace.contract import READ, Workspaces
from antiphon.subagents.workspace.scoped import scoped
from antiphon.tracing import Json

MAX_ROUNDS = 5
"""How often an agent that stops before its criterion is sent back."""


@runtime_checkable
class SeesInputs(Protocol):
    """A role that knows before it starts which inputs it will read."""

    def sees(self, call: Call) -> Mapping[str, Json]:
        """What a call sees besides its task: content hashes of input files, versions of tools."""
        ...


@runtime_checkable
class FloorOfCall(Protocol):
    """A role whose floor depends on what it is asked."""

    def floor_of(self, call: Call) -> Amount:
        """Enough to finish this call and hand back."""
        ...


@runtime_checkable
class OwnLimits(Protocol):
    """A role with limits of its own, besides those of its calls."""

    @property
    def limits(self) -> Limits | None:
        """What one call of it may use; None for no limits."""
        ...


@runtime_checkable
class GoesOn(Protocol):
    """A role that goes on where it was, when something is missing, instead of answering anew."""

    async def until(self, ctx: CallContext, judge: CriterionJudge | None) -> Any:
        """Answer, and go on while the judge says that something is missing."""
        ...


@runtime_checkable
class Works(Protocol):
    """A role that knows whether it would change the workspace of a call."""

    def works(self, call: Call) -> bool:
        """Whether it may."""
        ...


class Agents:
    """Performs agent calls with a set of roles.

    Args:
        roles: by name.
        schemas: named types for ``output="name"``.
        commands: where the commands of criteria run; None if they cannot.
        workspaces: the run's; None where there are none.
        scopes: what the manifests around the calls say that these may change.
    """

    def __init__(
        self,
        roles: Mapping[str, Role],
        schemas: Mapping[str, object] | None = None,
        *,
        commands: CommandPlace | None = None,
        workspaces: Workspaces | None = None,
        scopes: Sequence[Scope] = (),
    ) -> None:
        self._scopes = tuple(scopes)
        self._roles, self._schemas, self._commands = dict(roles), dict(schemas or {}), commands
        self._workspaces = workspaces
        known = self._roles.items()
        self._seeing = {name: role for name, role in known if isinstance(role, SeesInputs)}
        self._asked = {name: role for name, role in known if isinstance(role, FloorOfCall)}
        self._limited = {name: role for name, role in known if isinstance(role, OwnLimits)}
        self._going_on = {name: role for name, role in known if isinstance(role, GoesOn)}

    def prepare(self, call: Call) -> Prepared:
        """What the call sees and needs. Raises `UndeclaredError` for a role that is not there."""
        role, until, limited = self._role(call.name), call.until, self._limited.get(call.name)
        visible = self._seen(role, call)
        if (name := call.setting("workspace")) is not None:
            visible["workspace"] = self._of_run(name).seen(name)
        floor = self._floor(call)
        if isinstance(until, str):
            check_command(until, self._commands)
        elif isinstance(until, Critic):
            critic, judging = self._critic(call, until), critic_call(call, until, "", 0)
            visible["critic"] = self._seen(critic, judging)
            floor = floor + ONE_AGENT + self._floor(judging) + ONE_AGENT
        limits = limited.limits if limited is not None else None
        return Prepared(visible=visible, floor=floor, output=self._output(call, role), limits=limits)

    def _seen(self, role: Role, call: Call) -> dict[str, Json]:
        """What a role brings to a call: its version, and what it says that it sees, such as the model that answers."""
        seen: dict[str, Json] = {"version": role.version}
        if call.name in self._seeing:
            seen["inputs"] = dict(self._seeing[call.name].sees(call))
        return seen

    async def perform(self, call: Call, context: CallContext) -> object:
        """Let the role answer where it is to work, again while its criterion says that something is missing."""
        name = call.setting("workspace")
        if name is None:
            return await self._answer(call, context)
        role = self._role(call.name)
        writes = name != READ and (not isinstance(role, Works) or role.works(call))
        async with (
            self._of_run(name).holding(name, context, writes=writes),
            scoped(context, self._scopes, writes=writes),
        ):
            return await self._answer(call, context)

    async def _answer(self, call: Call, context: CallContext) -> object:
        role = self._role(call.name)
        judge = None
        if call.until is not None:
            judge = CriterionJudge(call, context, context.output, self._commands)
        if (going_on := self._going_on.get(call.name)) is not None:
            return await going_on.until(context, judge)
        task = str(call.task)
        if judge is None:
            return await role(task, context)
        for rounds in range(MAX_ROUNDS):
            value = await role(task, context)
            if await judge(value, rounds) is None:
                return value
        raise AgentFailure(f"stopped before its criterion {MAX_ROUNDS} times; still missing: {context.missing}")

    def _of_run(self, name: str) -> Workspaces:
        if self._workspaces is None:
            raise UsageError(f"workspace={name!r}: this run has no workspaces", advice="leave out workspace=")
        return self._workspaces

    def _role(self, name: str) -> Role:
        role = self._roles.get(name)
        if role is None:
            raise UndeclaredError("role", name, list(self._roles))
        return role

    def _critic(self, call: Call, critic: Critic) -> Role:
        if critic.role == call.name:
            raise UsageError(
                f"{call.name!r} would judge itself, which is no independent critic",
                advice='name another role: until=Critic("critic", ...)',
            )
        return self._role(critic.role)

    def _output(self, call: Call, role: Role) -> OutputType:
        declared = call.output if call.output is not None else role.output
        if not isinstance(declared, str):
            return output_type(declared)
        if declared not in self._schemas:
            raise UndeclaredError("output schema", declared, list(self._schemas))
        return output_type(self._schemas[declared])

    def _floor(self, call: Call) -> Amount:
        asked = self._asked.get(call.name)
        return self._roles[call.name].floor if asked is None else asked.floor_of(call)
