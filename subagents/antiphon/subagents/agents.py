"""The performer of agent calls: finds the role, lets it answer, holds it to its completion criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from antiphon.engine import (
    AgentFailure,
    Call,
    CallContext,
    OutputType,
    Prepared,
    UndeclaredError,
    UsageError,
    output_type,
)
from antiphon.subagents.function import Role
from antiphon.tracing import Json

MAX_ROUNDS = 5
"""How often an agent that stops before its criterion is sent back."""


@runtime_checkable
class SeesInputs(Protocol):
    """A role that knows before it starts which inputs it will read."""

    def sees(self, call: Call) -> Mapping[str, Json]:
        """What a call sees besides its task: content hashes of input files, versions of tools."""
        ...


class Agents:
    """Performs agent calls with a set of roles.

    Args:
        roles: by name.
        schemas: named types for ``output="name"``.
    """

    def __init__(self, roles: Mapping[str, Role], schemas: Mapping[str, object] | None = None) -> None:
        self._roles, self._schemas = dict(roles), dict(schemas or {})
        self._seeing = {name: role for name, role in self._roles.items() if isinstance(role, SeesInputs)}

    def prepare(self, call: Call) -> Prepared:
        """What the call sees and needs. Raises `UndeclaredError` for a role that is not there."""
        role = self._role(call)
        if isinstance(call.until, str):
            raise UsageError("a command as a criterion executes code, and needs the sandbox, which is not there yet")
        visible: dict[str, Json] = {"version": role.version}
        if call.name in self._seeing:
            visible["inputs"] = dict(self._seeing[call.name].sees(call))
        return Prepared(visible=visible, floor=role.floor, output=self._output(call, role))

    async def perform(self, call: Call, context: CallContext) -> object:
        """Let the role answer, again while its criterion says that something is missing."""
        role, until = self._role(call), call.until
        task = str(call.task)
        if until is None:
            return await role(task, context)
        assert not isinstance(until, str)
        output = self._output(call, role)
        for _ in range(MAX_ROUNDS):
            value = output.decode(output.encode(await role(task, context)))  # the value as the script would get it
            context.missing = _missing(until(value))
            if context.missing is None:
                return value
        raise AgentFailure(f"stopped before its criterion {MAX_ROUNDS} times; still missing: {context.missing}")

    def _role(self, call: Call) -> Role:
        role = self._roles.get(call.name)
        if role is None:
            raise UndeclaredError("role", call.name, list(self._roles))
        return role

    def _output(self, call: Call, role: Role) -> OutputType:
        declared = call.output if call.output is not None else role.output
        if not isinstance(declared, str):
            return output_type(declared)
        if declared not in self._schemas:
            raise UndeclaredError("output schema", declared, list(self._schemas))
        return output_type(self._schemas[declared])


def _missing(met: bool | str) -> str | None:
    """What a criterion's answer says is missing; None when it is met."""
    if met is True:
        return None
    return met if isinstance(met, str) and met else "the criterion is not met"
