"""Function agents: subagents that are Python functions. For examples, tests, and users' own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from antiphon.engine import Amount, CallContext, source_fingerprint

Answer = Callable[[str, CallContext], Awaitable[Any]]
F = TypeVar("F", bound=Answer)


class Role(Protocol):
    """What answers an agent call: one contract for function, program and model agents.

    Attributes:
        name: what scripts call it by.
        floor: enough to finish and hand back; admission carves it out before the agent starts.
        output: the declared type of its value, where the call names none.
        version: changes when what it does changes; part of every call's hash.
    """

    @property
    def name(self) -> str: ...
    @property
    def floor(self) -> Amount: ...
    @property
    def output(self) -> object: ...
    @property
    def version(self) -> str: ...

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Answer the task."""
        ...


class FunctionAgent:
    """An ``async def f(task, ctx)`` with a name, a floor and a type of value. Made by `function_agent`."""

    def __init__(self, name: str, function: Answer, *, floor: Amount, output: object, version: str | None) -> None:
        self.name, self.floor, self.output = name, floor, output
        self._function, self._version = function, version
        self.__doc__ = function.__doc__

    @property
    def version(self) -> str:
        """The version given, or the fingerprint of the function's source."""
        if self._version is None:
            self._version = source_fingerprint(self._function)
        return self._version

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Answer the task."""
        return await self._function(task, ctx)

    def __repr__(self) -> str:
        return f"<function agent {self.name!r}>"


def function_agent(
    name: str, *, floor: Amount | None = None, output: object = None, version: str | None = None
) -> Callable[[Answer], FunctionAgent]:
    """Make a function a subagent: ``@function_agent("counter", floor=Amount(model_calls=3))``.

    The function takes the task and a context; whatever costs goes inside ``async with ctx.attempt(worst_case)``.

    Args:
        name: the role's name in scripts.
        floor: what it needs at least to finish and hand back; nothing by default.
        output: the type of its value; any JSON by default.
        version: names what it does; by default its source does, so that editing it performs its calls again.
    """

    def decorate(function: Answer) -> FunctionAgent:
        return FunctionAgent(name, function, floor=floor or Amount(), output=output, version=version)

    return decorate
