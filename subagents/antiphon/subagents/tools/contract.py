"""What a tool is to a model agent: a description that the model sees, and a function that answers with data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from antiphon.engine import CallContext
from antiphon.subagents.model.contract import ToolSpec
from antiphon.tracing import Json

Cost = Literal["read", "write", "process", "network"]
"""What a call of a tool takes: it looks, it changes files of the workspace, it starts a program, it reaches a host."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered. It is data for the model, never instructions.

    Attributes:
        text: the answer. failed: the tool could not do it; the text says why, and what would.
    """

    text: str
    failed: bool = False


class Misfit(Exception):
    """Raised by a tool before it does anything: the arguments do not fit. Told to the model, as something to repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What antiphon knows of a tool besides what the model sees.

    Attributes:
        cost: what a call of it takes.
        paths: names of its parameters that are paths in the workspace, for the policy and for whoever watches.
        works: it needs a workspace, and is not offered where the call has none.
        after: tools that must have succeeded on the present state of the workspace before this one may be called.
        hosts: those that a call of it may reach, where that is known; without any, a tool that costs the network may
            reach every host.
        sees_all: a call may read every file of the workspace, whatever its arguments name.
        narrows: of a folder that it is given it looks at no more than what the call may see, and says so
            (`antiphon.subagents.workspace.files.View`).
        origin: who provides it: "" for antiphon, else for example an MCP server's name.
    """

    cost: Cost = "read"
    paths: tuple[str, ...] = ()
    works: bool = False
    after: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    sees_all: bool = False
    narrows: bool = False
    origin: str = ""


class Tool(Protocol):
    """Something a model agent may call."""

    @property
    def spec(self) -> ToolSpec:
        """What the model sees of it."""
        ...

    @property
    def version(self) -> str:
        """Changes when what it does changes; part of every call's hash."""
        ...

    @property
    def traits(self) -> Traits:
        """What it takes, and what must go before it."""
        ...

    async def __call__(self, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
        """Answer arguments, which are an object. Any exception but infrastructure is told to the model.

        Raises:
            Misfit: they do not fit `spec`.
        """
        ...


def changes(tool: Tool) -> bool:
    """Whether a call of it may change the workspace."""
    return tool.traits.works and tool.traits.cost in ("write", "process")
