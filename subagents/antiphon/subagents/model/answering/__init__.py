"""Asking a model for tools and an answer in a way that it can, and reading what it answered: three modes, one contract.

Read in this order: `contract` (Mode, Reply), `reading` (JSON, strictly), then the modes: `schema` (with `strict`, which
makes schemas fit), `tool`, and `text` (with `protocol`, its fenced blocks). `conversation` puts a conversation held in
one mode right for any other; `results` makes messages of what tools answered.
"""

from antiphon.subagents.model.answering.choice import mode_of
from antiphon.subagents.model.answering.contract import Fault, Mode, Reply, Schema
from antiphon.subagents.model.answering.conversation import ANSWER
from antiphon.subagents.model.answering.results import Result, results_as_messages
from antiphon.subagents.model.answering.schema import SchemaMode
from antiphon.subagents.model.answering.text import TextMode
from antiphon.subagents.model.answering.tool import ToolMode

__all__ = [
    "ANSWER",
    "Fault",
    "Mode",
    "Reply",
    "Result",
    "Schema",
    "SchemaMode",
    "TextMode",
    "ToolMode",
    "mode_of",
    "results_as_messages",
]
