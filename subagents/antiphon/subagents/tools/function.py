"""Tools that are Python functions: the types of the parameters are what the model sees and is held to."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, cast, get_type_hints, overload

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

from antiphon.engine import CallContext, UsageError, source_fingerprint
from antiphon.engine.output import SchemaMismatch, output_type
from antiphon.subagents.model.contract import ToolSpec
from antiphon.subagents.tools.contract import Misfit, ToolResult, Traits
from antiphon.tracing import Json

_CONTEXT: Final = "ctx"
_NAMED: Final = 3
_NAME_CHARACTERS: Final = 64
_TRAITS: Final = Traits()
_ANYTHING: Final = output_type(cast("object", Any))


class FunctionTool:
    """A function that a model agent may call. Made by `function_tool`.

    Attributes:
        spec: what the model sees of it. version: changes with its source, its description and its parameters.
        traits: what it takes.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, description: str, version: str | None, traits: Traits
    ) -> None:
        self._function, self.traits = function, traits
        parameters = _parameters(function, name)
        self._takes_context = parameters.pop(_CONTEXT, None) is not None
        self._names = {f"p{number}": each for number, each in enumerate(parameters)}
        self._arguments = _arguments(function, name, parameters)
        schema = _schema(name, self._arguments)
        self.spec = ToolSpec(name=name, description=description, parameters=schema)
        said = json.dumps([version or source_fingerprint(function), description, schema], sort_keys=True)
        self.version = hashlib.sha256(said.encode()).hexdigest()[:32]
        self.__doc__ = function.__doc__

    async def __call__(self, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
        """Call the function with arguments that fit its parameters.

        Raises:
            Misfit: they do not fit.
        """
        try:
            checked = self._arguments.model_validate_json(json.dumps(dict(arguments)))
        except ValidationError as error:
            raise Misfit(_problems(error)) from None
        given = {self._names[field]: getattr(checked, field) for field in checked.model_fields_set}
        if self._takes_context:
            given[_CONTEXT] = ctx
        return _result(await self._call(given))

    async def _call(self, given: Mapping[str, Any]) -> Any:
        """A function that is not async may block, so it runs in a thread; cancellation waits for it."""
        if not inspect.iscoroutinefunction(self._function):
            return await anyio.to_thread.run_sync(partial(self._function, **given))
        return await cast("Awaitable[Any]", self._function(**given))

    def __repr__(self) -> str:
        return f"<tool {self.spec.name!r}>"


@overload
def function_tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def function_tool(
    *, name: str | None = ..., description: str | None = ..., version: str | None = ..., traits: Traits = ...
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def function_tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    version: str | None = None,
    traits: Traits = _TRAITS,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a function a tool: ``@function_tool`` or ``@function_tool(name="look_up")``.

    The model sees the parameters (all but one called `ctx`, which gets the call's context) by their types and defaults,
    and `Annotated[..., Field(description=...)]` where given. What the function returns is told to the model: text as it
    is, everything else as JSON, a `ToolResult` as it says. What it raises is told as a failure.

    Args:
        function: async, or not: then it runs in a thread.
        name: letters, digits, `_` and `-`, at most 64; the function's by default.
        description: what it does and when to use it; the docstring by default.
        version: names what it does; by default its source does, so that editing it performs its calls again.
        traits: what it takes, and what must go before it; by default it only looks.

    Raises:
        UsageError: a parameter has no type, or none that JSON can hold; or the name is none.
    """

    def decorate(function: Callable[..., Any]) -> FunctionTool:
        called = name or str(getattr(function, "__name__", ""))
        return FunctionTool(function, called, description or inspect.getdoc(function) or "", version, traits)

    return decorate if function is None else decorate(function)


def _parameters(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii() or len(name) > _NAME_CHARACTERS:
        raise UsageError(f"{name!r} cannot be the name of a tool: letters, digits, _ and -, at most 64")
    return dict(inspect.signature(function).parameters)


def _arguments(function: Callable[..., Any], tool: str, parameters: Mapping[str, inspect.Parameter]) -> type[BaseModel]:
    """The parameters as a model. Its fields have names of their own, as a parameter may be called `schema` or `_x`."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UsageError(f"tool {tool!r}: a type cannot be found when it runs: {error}") from None
    fields: dict[str, Any] = {}
    for number, (name, parameter) in enumerate(parameters.items()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UsageError(f"tool {tool!r}: a parameter such as {parameter} has no name that a model could give")
        if name not in hints:
            raise UsageError(f"tool {tool!r}: the parameter {name!r} needs a type, which the model is shown")
        default: Any = ... if parameter.default is parameter.empty else parameter.default
        fields[f"p{number}"] = (hints[name], Field(default, alias=name))
    try:
        return create_model(f"{tool}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticUserError as error:
        raise _no_schema(tool, error) from None


def _no_schema(tool: str, error: PydanticUserError) -> UsageError:
    said = str(error).partition("\n")[0]
    return UsageError(f"tool {tool!r}: no JSON Schema can be made of its parameters: {said}")


def _schema(tool: str, arguments: type[BaseModel]) -> dict[str, Json]:
    try:
        schema = arguments.model_json_schema()
    except PydanticUserError as error:
        raise _no_schema(tool, error) from None
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema


def _problems(error: ValidationError) -> str:
    """The first few problems, each with its place, in words for the model."""
    found = error.errors(include_url=False, include_input=False)
    said = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in found[:_NAMED]]
    more = f" (and {len(found) - _NAMED} more)" if len(found) > _NAMED else ""
    return f"the arguments do not fit: {'; '.join(said)}{more}"


def _result(value: Any) -> ToolResult:
    if isinstance(value, ToolResult):
        return value
    if isinstance(value, str):
        return ToolResult(value)
    try:
        return ToolResult(_ANYTHING.encode(value))
    except SchemaMismatch as error:
        return ToolResult(f"the tool returned what cannot be told as JSON: {error.problem}", failed=True)
