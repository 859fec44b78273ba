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
        source: the file it came from; "built in" for those that ship with antiphon.
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
    source: str = "built in"
