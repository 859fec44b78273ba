"""Which model answers, how it is asked, what it costs, and how its failures are told apart.

What lives here: the contract of a model client (`contract`), the clients (litellm, an OpenAI-compatible one, files),
what is known of a model and its price (`catalogue`), and which model answers which role (`registry`). What may never: a
provider's SDK imported before the first request, or anything of what an agent is asked to do.
"""

from antiphon.subagents.model.catalogue import capabilities
from antiphon.subagents.model.contract import (
    BadRequest,
    Capabilities,
    Completion,
    ContentRefused,
    ContextTooLong,
    Message,
    Model,
    ModelClient,
    ModelFailure,
    Price,
    Request,
    ToolCall,
    ToolSpec,
    Usage,
)
from antiphon.subagents.model.naming import lineage_of
from antiphon.subagents.model.registry import Models

__all__ = [
    "BadRequest",
    "Capabilities",
    "Completion",
    "ContentRefused",
    "ContextTooLong",
    "Message",
    "Model",
    "ModelClient",
    "ModelFailure",
    "Models",
    "Price",
    "Request",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "capabilities",
    "lineage_of",
]
