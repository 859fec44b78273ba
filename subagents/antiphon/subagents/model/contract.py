"""What a model is asked and what it answers, in words of no provider; and the one method that a client has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from antiphon.engine import AgentFailure, Amount
from antiphon.tracing import Json

Finish = Literal["stop", "length", "tool_calls", "refused"]
"""Why a model stopped: done, out of room for output, wants tools called, or blocked by its provider."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that a model wants called.

    Attributes:
        id: the model's own name for this call; the result says it again.
        name: of the tool. arguments: JSON text as the model wrote it, which may be no JSON at all.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: whose it is. text: what it says.
        calls: of an assistant's message, the tools it wants called.
        answers: of a tool's message, the id of the call that it answers.
        cached: the conversation up to and with this message is worth keeping in the provider's prompt cache.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as a model sees it.

    Attributes:
        name: letters, digits, `_` and `-`, at most 64. description: what it does and when to use it.
        parameters: JSON Schema of an object.
    """

    name: str
    description: str
    parameters: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a model.

    Attributes:
        model: the provider's name for it, as litellm writes it: ``openai/gpt-…``, ``ollama/…``.
        messages: the conversation; the first may be the system's.
        tools: what it may call. force: the name of the tool that it has to call, "" for none.
        schema: JSON Schema that the provider itself is to hold the answer to; None for none.
        max_tokens: most output tokens, reasoning included.
        temperature: None for the provider's own.
        timeout_seconds: hard deadline of the whole request; None for none.
        key: the same for requests that belong together (a conversation), for clients that shard.
        asker: who asks, for a person who answers: the role and its place in the run. No provider is told.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    force: str = ""
    schema: Mapping[str, Json] | None = None
    max_tokens: int = 4096
    temperature: float | None = None
    timeout_seconds: float | None = 600.0
    key: str = ""
    asker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens by class. The classes do not overlap: their sum is what was processed.

    Attributes:
        input: read afresh. cached: read from the provider's cache. cache_write: written to it.
        output: written, without reasoning. reasoning: written, hidden.
    """

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    def amount(self, nano_usd: int = 0) -> Amount:
        """The same as an amount of the budget, at a price in 1e-9 usd; the model call itself is counted elsewhere."""
        counted = Amount(
            input_tokens=self.input,
            cached_input_tokens=self.cached,
            cache_write_tokens=self.cache_write,
            output_tokens=self.output,
            reasoning_tokens=self.reasoning,
        )
        return counted + Amount.from_json({"usd": nano_usd}) if nano_usd else counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a model.

    Attributes:
        text: what it said. calls: the tools it wants called. finish: why it stopped.
        usage: what the provider says it used; None where it does not say.
        model: what answered, as the provider calls it. id: the provider's name for this answer.
        rationale: what it said of its reasoning, where the provider hands that out; "" otherwise.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    rationale: str = ""


class ModelClient(Protocol):
    """Sends one request. Works on asyncio and trio; cancellation ends the request, down to its socket."""

    async def complete(self, request: Request) -> Completion:
        """One answer to one request, tried once: who retries is above.

        Raises:
            InfrastructureError: not the task's fault: rate, overloaded, timeout, network, quota, credit or
                authentication, with the seconds to wait where the provider says them.
            ContextTooLong: the conversation does not fit into the model's window.
            ContentRefused: the provider refuses what was asked, or to hand out what was answered.
            BadRequest: the provider does not understand the request.
        """
        ...

    async def close(self) -> None:
        """Let go of sockets and threads; afterwards it sends nothing any more."""
        ...


class ModelFailure(AgentFailure):
    """A model could not answer this request, and asking again would not help."""


class ContextTooLong(ModelFailure):
    """The conversation does not fit into the model's window."""


class ContentRefused(ModelFailure):
    """The provider refuses what was asked, or to hand out what was answered."""


class BadRequest(ModelFailure):
    """The provider does not understand the request: a setting it does not know, a schema it does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs in usd a token, exactly.

    Attributes:
        input, cached, cache_write, output, reasoning: usd a token, as decimal text: ``"0.00000125"``.
        above: further prices that hold once a prompt is longer than so many tokens, by that number.
    """

    input: str
    output: str
    cached: str | None = None
    cache_write: str | None = None
    reasoning: str | None = None
    above: Mapping[int, Price] = field(default_factory=dict[int, "Price"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What is known of a model before it is asked.

    Attributes:
        window: most tokens of a prompt; None if not known. output: most tokens of an answer; None if not known.
        schema: its provider holds answers to a JSON Schema. tools: it calls tools. caching: it takes cache markers.
        price: None if not known: under a usd limit such a model is refused.
    """

    window: int | None = None
    output: int | None = None
    schema: bool = False
    tools: bool = False
    caching: bool = False
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a role is answered by: its name, its client, and what is known of it.

    Attributes:
        name: as typed after `--model`, and in every request. client: what sends the requests.
        can: what is known of it. provider: which breaker and which rates it falls under: ``openai``, ``file``.
        lineage: models of one family are one voice when support is counted.
    """

    name: str
    client: ModelClient
    can: Capabilities
    provider: str
    lineage: str
