"""A role of a model agent: what a Markdown file with front matter says."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from antiphon.engine import Limits


class AgentLimits(BaseModel):
    """What one conversation of a role may use at most.

    Attributes:
        turns: requests to the model, those for repair included. tool_calls: calls of tools.
        repairs: how often an answer that does not fit its schema is sent back.
        max_tokens: of one answer, reasoning included.
        budget: further limits (usd, tokens, seconds) as the engine knows them; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(default=40, ge=1, le=10_000)
    tool_calls: int = Field(default=200, ge=0, le=100_000)
    repairs: int = Field(default=3, ge=0, le=100)
    max_tokens: int = Field(default=4096, ge=16, le=1_000_000)
    budget: Limits | None = None


class Retrieve(BaseModel):
    """Which passages of files a role's prompts begin with: ``retrieve: {from: [docs/**], most: 8, tokens: 3000}``.

    Attributes:
        sources: patterns of files to look in, as in an ignore file; below the workspace only. ``from`` in a role file.
        most: passages at most. tokens: of all of them together at most, by estimate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=True)

    sources: tuple[str, ...] = Field(validation_alias="from", min_length=1, max_length=100)
    most: int = Field(default=8, ge=1, le=100)
    tokens: int = Field(default=3000, ge=100, le=1_000_000)


class RoleDefinition(BaseModel):
    """What a role file says.

    Attributes:
        name: what scripts call it by. description: one line, for whoever chooses among roles.
        instructions: the Markdown below the front matter: the system's message.
        tools: names of the tools it may call.
        model: which model answers, unless the call or the person says otherwise; None for the run's.
        escalate: a stronger model to ask when this one gave up; None for none.
        output: the name of the type of its value, where the call names none.
        framing: what it looks from: roles of one framing are one voice when support is counted.
        limits: of one conversation.
        retrieve: the rule by which passages of files go into its prompts; None for none.
        warm: the first request of those that share a beginning goes ahead alone, so that it is in the provider's prompt
            cache for the others (`prompt.warm`).
        source: the file it came from; "built in" for those that ship with antiphon.
        notes: what of the file is not taken as it is written, for whoever lists the roles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    instructions: str
    tools: tuple[str, ...] = ()
    model: str | None = None
    escalate: str | None = None
    output: str | None = None
    framing: str = ""
    limits: AgentLimits = AgentLimits()
    retrieve: Retrieve | None = None
    warm: bool = False
    source: str = "built in"
    notes: tuple[str, ...] = ()
