"""Which mode a model is asked in."""

from __future__ import annotations

from antiphon.subagents.model.answering.contract import Mode, Schema
from antiphon.subagents.model.answering.schema import SchemaMode
from antiphon.subagents.model.answering.strict import strict_schema
from antiphon.subagents.model.answering.text import TextMode
from antiphon.subagents.model.answering.tool import ToolMode
from antiphon.subagents.model.contract import Capabilities


def mode_of(can: Capabilities, *, tools: bool, schema: Schema | None) -> Mode:
    """The best mode for a model: the provider's own schema, else a tool, else the text protocol.

    Beside other tools the answer is a tool too, also where the provider knows schemas: several refuse to hold an answer
    to a schema while tools are offered. So it is where a schema cannot be made strict.

    Args:
        can: what the model can.
        tools: whether it may call tools.
        schema: of its answer; None for plain text.
    """
    if can.schema and not tools and (schema is None or strict_schema(schema) is not None):
        return SchemaMode(schema)
    if can.tools and (tools or schema is not None):
        return ToolMode(schema)
    return TextMode(schema, tools)
