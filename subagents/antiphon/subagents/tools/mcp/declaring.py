"""A server's tools as tools of ours: checked and capped, each with a hash of what the server said of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from antiphon.engine import CallContext
from antiphon.subagents.model.contract import ToolSpec
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.tools.contract import Misfit, ToolResult, Traits
from antiphon.subagents.tools.mcp.configuration import McpServer
from antiphon.subagents.tools.mcp.naming import tool_name
from antiphon.subagents.tools.mcp.schema import SchemaUnsuitable, check_schema, checker
from antiphon.subagents.tools.mcp.trouble import McpUnavailable
from antiphon.tracing import Json

if TYPE_CHECKING:
    from mcp.types import Tool as Offered

DESCRIPTION_CHARACTERS: Final = 4_000
"""Of what a server says of a tool, as far as a model sees it."""
_NAME_CHARACTERS: Final = 256


class Calling(Protocol):
    """Whoever calls a server's tool."""

    async def __call__(self, tool: Declared, arguments: Mapping[str, Json]) -> ToolResult:
        """What it answers. Never waits longer than the server is given."""
        ...


@dataclass(frozen=True, slots=True)
class Declared:
    """A tool as a server described it.

    Attributes:
        name: what the server calls it. description: what it says of it. schema: of its arguments.
        version: a hash of all that.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    version: str


class McpTool:
    """A tool of an MCP server.

    Attributes:
        spec: what the model sees of it. version: a hash of what the server said of it.
        traits: what it takes, by the configuration alone: what a server says of its tools loosens nothing.
    """

    def __init__(self, server: McpServer, declared: Declared, call: Calling) -> None:
        self._declared, self._call = declared, call
        self._problem: Callable[[Mapping[str, Json]], str] | None = None
        self.spec = ToolSpec(
            name=tool_name(server.name, declared.name),
            description=_described(declared.description),
            parameters=declared.schema,
        )
        self.version = declared.version
        self.traits = Traits(cost="network" if server.reaches else "process", hosts=server.hosts, origin=server.name)

    async def __call__(self, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
        """Have the server perform it.

        Raises:
            Misfit: the arguments do not fit its schema; the server was not asked.
        """
        if self._problem is None:
            self._problem = checker(self._declared.schema)
        if problem := self._problem(arguments):
            raise Misfit(f"the arguments do not fit: {problem}")
        return await self._call(self._declared, arguments)

    def __repr__(self) -> str:
        return f"<tool {self.spec.name!r}>"


def declared(server: McpServer, offered: Sequence[Offered], note: Callable[[str], None]) -> dict[str, Declared]:
    """The tools of a server that may be used, by its own names.

    Args:
        server: whose they are.
        offered: as it describes them.
        note: is told of each that is left out, and why.

    Raises:
        McpUnavailable: one that the configuration names is not there or cannot be taken, or two have one name.
    """
    found: dict[str, Declared] = {}
    for tool in offered:
        if server.tools is not None and tool.name not in server.tools:
            continue
        try:
            one = _declared(tool)
        except SchemaUnsuitable as error:
            problem = f"its tool {legible(tool.name)[:100]!r} cannot be taken: {error}"
            if server.tools is not None:
                raise McpUnavailable(server.name, problem) from None
            note(f"mcp {server.name}: {problem}")
            continue
        if one.name in found:
            raise McpUnavailable(server.name, f"it has two tools called {legible(one.name)[:100]!r}")
        found[one.name] = one
    missing = [name for name in server.tools or () if name not in found]
    if missing:
        there = ", ".join(legible(tool.name)[:100] for tool in offered[:50]) or "none"
        raise McpUnavailable(server.name, f"it has no tool {missing[0]!r}; it has {there}")
    return found


def tools_of(server: McpServer, found: Mapping[str, Declared], call: Calling) -> dict[str, McpTool]:
    """What a model may call, by the names it sees.

    Raises:
        McpUnavailable: two tools would have one name.
    """
    tools: dict[str, McpTool] = {}
    for one in found.values():
        tool = McpTool(server, one, call)
        if tool.spec.name in tools:
            problem = (
                f"two of its tools would be called {tool.spec.name!r}; name those to use as mcp.{server.name}.tools"
            )
            raise McpUnavailable(server.name, problem)
        tools[tool.spec.name] = tool
    return tools


def _declared(tool: Offered) -> Declared:
    if not tool.name or len(tool.name) > _NAME_CHARACTERS:
        raise SchemaUnsuitable(f"its name has no character, or more than {_NAME_CHARACTERS}")
    schema: dict[str, Any] = {"properties": {}, **tool.input_schema}
    check_schema(schema)
    said = json.dumps([tool.name, tool.description, schema], sort_keys=True)
    version = hashlib.sha256(said.encode()).hexdigest()[:32]
    return Declared(tool.name, tool.description or "", _legible(schema), version)


def _described(text: str) -> str:
    text = legible(text)
    return text if len(text) <= DESCRIPTION_CHARACTERS else f"{text[:DESCRIPTION_CHARACTERS]} […]"


def _legible(value: Any) -> Any:
    """A schema whose texts hold no control characters. Names of parameters stay as they are: they are sent back."""
    match value:
        case str():
            return legible(value)
        case dict():
            return {key: _legible(inner) for key, inner in cast("dict[str, Any]", value).items()}
        case list():
            return [_legible(inner) for inner in cast("list[object]", value)]
        case _:
            return value
