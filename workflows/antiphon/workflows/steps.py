"""Steps: host functions that a workflow declares and calls by name; what they return is recorded, and replays.

A step that is given a `workspace` works in it as an agent would: it sees its state, which is part of what the call is,
and what it leaves there replays with it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from antiphon.engine import Call, CallContext, Prepared, UndeclaredError, UsageError, output_type, source_fingerprint
from antiphon.subagents.tools.policy import Scope
from antiphon.subagents.workspace.contract import READ, Workspaces
from antiphon.subagents.workspace.scoped import scoped
from antiphon.tracing import Json

SOURCES = "sources"
"""The argument that names further workspaces, which a step only looks at."""
SINCE = "since"
"""What the hash of such a step has of them: the last state that all of them were in."""
_CONTEXT = "ctx"
_WORKSPACE = "workspace"


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

    async def __call__(self, args: Mapping[str, Any], ctx: CallContext | None = None) -> Any:
        """Call the function with `args` by name, and with the call's context if it has a parameter called `ctx`."""
        signature = inspect.signature(self._function)
        if _CONTEXT in args:
            raise UsageError(f"step {self.name!r}: {_CONTEXT!r} is no argument of a script")
        context = {_CONTEXT: ctx} if _CONTEXT in signature.parameters else {}
        try:
            bound = signature.bind(**args, **context)
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
    """Performs steps.

    Args:
        steps: by name.
        workspaces: the run's; None where there are none.
        scopes: what the manifests around the steps say that these may change.
    """

    def __init__(
        self, steps: Mapping[str, StepFunction], workspaces: Workspaces | None = None, scopes: Sequence[Scope] = ()
    ) -> None:
        self._steps, self._workspaces, self._scopes = dict(steps), workspaces, tuple(scopes)

    def prepare(self, call: Call) -> Prepared:
        """What the step sees. Raises `UndeclaredError` when there is no such step."""
        step = self._step(call)
        visible: dict[str, Json] = {"version": step.version}
        if (name := _workspace(call)) is not None:
            visible[_WORKSPACE] = self._of_run(name).seen(name)
            visible[SOURCES] = [self._of_run(name).seen(source) for source in _sources(call)]
            visible[SINCE] = self._of_run(name).common(name, _sources(call))
        return Prepared(visible=visible, output=output_type(step.output), idempotent=step.idempotent)

    async def perform(self, call: Call, context: CallContext) -> object:
        """Call the function, in its workspace if it is given one."""
        step, args, name = self._step(call), cast(Mapping[str, Any], call.task), _workspace(call)
        if name is None:
            return await step(args, context)
        writes = name != READ
        async with (
            self._of_run(name).holding(name, context, writes=writes),
            scoped(context, self._scopes, writes=writes),
        ):
            return await step(args, context)

    def _of_run(self, name: str) -> Workspaces:
        if self._workspaces is None:
            raise UsageError(f"a step in the workspace {name!r}, and this run has no workspaces")
        return self._workspaces

    def _step(self, call: Call) -> StepFunction:
        step = self._steps.get(call.name)
        if step is None:
            raise UndeclaredError("step", call.name, list(self._steps))
        return step


def _workspace(call: Call) -> str | None:
    """The workspace that a step is given by its arguments."""
    given = cast("Mapping[str, object]", call.task).get(_WORKSPACE)
    return given if isinstance(given, str) and given else None


def _sources(call: Call) -> list[str]:
    given = cast("Mapping[str, object]", call.task).get(SOURCES)
    return [name for name in cast("list[object]", given) if isinstance(name, str)] if isinstance(given, list) else []
