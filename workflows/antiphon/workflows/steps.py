"""Steps: host functions that a workflow declares and calls by name; what they return is recorded, and replays."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast

from antiphon.engine import Call, CallContext, Prepared, UndeclaredError, UsageError, output_type, source_fingerprint


class StepFunction:
    """A host function with a name. Made by `step_function`."""

    def __init__(self, name: str, function: Callable[..., Any], *, idempotent: bool, version: str | None) -> None:
        self.name, self.idempotent = name, idempotent
        self._function, self._version = function, version
        self.__doc__ = function.__doc__

    @cached_property
    def version(self) -> str:
        """The version given, or the fingerprint of the function's source."""
        return self._version or source_fingerprint(self._function)

    @cached_property
    def output(self) -> object:
        """The declared type of what it returns; any JSON when it declares none."""
        declared = typing.get_type_hints(self._function).get("return")
        return None if declared in (None, type(None), Any) else declared

    async def __call__(self, args: Mapping[str, Any]) -> Any:
        """Call the function with `args` by name."""
        try:
            bound = inspect.signature(self._function).bind(**args)
        except TypeError as error:
            raise UsageError(f"step {self.name!r}: {error}") from None
        value = self._function(*bound.args, **bound.kwargs)
        return await value if inspect.isawaitable(value) else value


def step_function(
    name: str, *, idempotent: bool = True, version: str | None = None
) -> Callable[[Callable[..., Any]], StepFunction]:
    """Make a function a step: ``@step_function("list_files")``.

    Args:
        name: what scripts call it by, and the manifest's ``steps`` declare.
        idempotent: False when doing it twice is not the same as once; after a kill that left it in flight, the run
            asks before repeating it.
        version: names what it does; by default its source does.
    """
    return lambda function: StepFunction(name, function, idempotent=idempotent, version=version)


class Steps:
    """Performs steps."""

    def __init__(self, steps: Mapping[str, StepFunction]) -> None:
        self._steps = dict(steps)

    def prepare(self, call: Call) -> Prepared:
        """What the step sees. Raises `UndeclaredError` when there is no such step."""
        step = self._step(call)
        return Prepared(visible={"version": step.version}, output=output_type(step.output), idempotent=step.idempotent)

    async def perform(self, call: Call, context: CallContext) -> object:
        """Call the function."""
        return await self._step(call)(cast(Mapping[str, Any], call.task))

    def _step(self, call: Call) -> StepFunction:
        step = self._steps.get(call.name)
        if step is None:
            raise UndeclaredError("step", call.name, list(self._steps))
        return step
