"""What a tool is to a model agent: a description that the model sees, and a function that answers with data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from antiphon.engine import CallContext
from antiphon.subagents.model.contract import ToolSpec
from antiphon.tracing import Json


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

    async def __call__(self, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
        """Answer arguments, which are an object. Any exception but infrastructure is told to the model.

        Raises:
            Misfit: they do not fit `spec`.
        """
        ...
