"""Models that answer from memory: a script of answers, or a function. For tests that want a model and no provider."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import cast

from antiphon.engine import UsageError
from antiphon.subagents.model.answering import ANSWER
from antiphon.subagents.model.answering.reading import WRAPPED
from antiphon.subagents.model.contract import (
    Capabilities,
    Completion,
    Finish,
    Model,
    ModelClient,
    Price,
    Request,
    ToolCall,
    Usage,
)
from antiphon.tracing import Json


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer by its value: said in the form that the request asks for it.

    A call of the tool that takes the answer where there is one, JSON where the request has a schema, else a block of
    the text protocol.

    Attributes:
        value: JSON.
    """

    value: Json


Good = Completion | Answer | str
"""What a model may say: a completion as it is, an answer, or a text."""
Said = Good | Exception
"""What a double gives: that, or an exception to raise."""
Counting = Callable[[Request, Completion], Usage | None]
"""The usage that a double reports for an answer that brings none of its own."""

BYTES_A_TOKEN = 4
"""The rule by which doubles count: a token for every four bytes of UTF-8, begun ones counted."""
FREE = Price(input="0", output="0")
"""The price of a model that costs nothing."""


class OutOfAnswers(UsageError):
    """A scripted model was asked more than its script has an answer to, or for what it cannot tell apart."""


def counted(request: Request, completion: Completion) -> Usage:
    """Usage by the rule of all doubles: a token for every four bytes, of what is sent and of what comes back.

    Input is the text of all messages, the names and arguments of their calls, the tools and the schema. Output is the
    text and the calls, at most `max_tokens`.
    """
    sent = sum(len(message.text.encode()) + _bytes(message.calls) for message in request.messages)
    sent += sum(len(json.dumps([tool.name, tool.description, dict(tool.parameters)])) for tool in request.tools)
    sent += len(json.dumps(dict(request.schema))) if request.schema is not None else 0
    output = min(tokens(len(completion.text.encode()) + _bytes(completion.calls)), request.max_tokens)
    return Usage(input=tokens(sent), output=output)


def uncounted(request: Request, completion: Completion) -> None:
    """No usage, as from a provider that does not say."""


def tokens(count: int) -> int:
    """How many tokens so many bytes are."""
    return -(-count // BYTES_A_TOKEN)


class FunctionModel:
    """A model that is a function of the request: ``FunctionModel(lambda request: "yes")``.

    Args:
        function: gives a completion, an `Answer` or a text, or an awaitable; what it raises, the client raises.
        usage: of answers that bring none.

    Attributes:
        requests: every request so far, in the order they came. closed: whether somebody let go of it.
    """

    def __init__(
        self,
        function: Callable[[Request], Good | Awaitable[Good]],
        *,
        usage: Counting = counted,
    ) -> None:
        self.requests: list[Request] = []
        self.closed = False
        self._function, self._usage = function, usage

    async def complete(self, request: Request) -> Completion:
        """The function's answer; see `ModelClient.complete`."""
        self.requests.append(request)
        given = self._function(request)
        said = await given if isawaitable(given) else given
        return completed(request, said, self._usage)

    async def close(self) -> None:
        """Nothing to let go of."""
        self.closed = True


class ScriptedModel(FunctionModel):
    """A model that gives these answers in this order, and says clearly when it has none left.

    ::

        ScriptedModel(["first", Completion(text="second", finish="length"), InfrastructureError("rate", "slow down")])
        ScriptedModel({"Audit a.py": [Answer({"findings": []})], "Audit b.py": ["not yet", Answer({"findings": []})]})

    Agents that run at the same time ask in any order. By marker, each finds its own answers: those of the one marker
    that stands in a system or user message of its conversation (a piece of the task or of a role's instructions).

    Args:
        answers: in order; or by marker.
        usage: of answers that bring none.
        last: whether the last answer, of the script or of each marker, is given again for ever.
    """

    def __init__(
        self, answers: Iterable[Said] | Mapping[str, Iterable[Said]], *, usage: Counting = counted, last: bool = False
    ) -> None:
        super().__init__(self._next, usage=usage)
        self._scripts = _by_marker(answers)
        self._given = dict.fromkeys(self._scripts, 0)
        self._last = last

    @property
    def left(self) -> dict[str, int]:
        """How many answers nobody has asked for, by marker ("" for a plain script); what is 0 is left out."""
        counts = {marker: len(said) - self._given[marker] for marker, said in self._scripts.items()}
        return {marker: count for marker, count in counts.items() if count > 0}

    def _next(self, request: Request) -> Good:
        marker = self._marker(request)
        script, number = self._scripts[marker], self._given[marker]
        self._given[marker] = number + 1
        if self._last and script:
            number = min(number, len(script) - 1)
        if number >= len(script):
            raise OutOfAnswers(_ended(marker, len(script), request), advice="give the ScriptedModel more answers")
        said = script[number]
        if isinstance(said, Exception):
            raise said
        return said

    def _marker(self, request: Request) -> str:
        said = "\n".join(message.text for message in request.messages if message.role in ("system", "user"))
        found = [marker for marker in self._scripts if marker in said]
        found = [one for one in found if not any(one != other and one in other for other in found)]
        if len(found) == 1:
            return found[0]
        problem = f"markers {found} are all" if found else f"none of the markers {list(self._scripts)} is"
        raise OutOfAnswers(f"{problem} in the request: {_end_of(request)!r}", advice="choose markers that tell apart")


def _by_marker(answers: Iterable[Said] | Mapping[str, Iterable[Said]]) -> dict[str, list[Said]]:
    if isinstance(answers, Mapping):
        scripts = cast("Mapping[str, Iterable[Said]]", answers)
        return {marker: list(said) for marker, said in scripts.items()}
    return {"": list(answers)}


def completed(request: Request, said: Good, usage: Counting = counted) -> Completion:
    """What was said as a completion with usage; a text longer than `max_tokens` is cut there, as a provider does.

    Who calls tools has finished by that, whether it says so or not.
    """
    said = _in_form(request, said) if isinstance(said, Answer) else said
    completion = _of_text(request, said) if isinstance(said, str) else said
    if completion.calls and completion.finish == "stop":
        completion = replace(completion, finish="tool_calls")
    if completion.usage is None:
        completion = replace(completion, usage=usage(request, completion))
    return completion if completion.model else replace(completion, model=request.model)


def model(
    client: ModelClient,
    name: str = "test/scripted",
    *,
    price: Price | None = FREE,
    window: int | None = None,
    output: int | None = None,
    schema: bool = True,
    tools: bool = True,
    caching: bool = False,
) -> Model:
    """A `Model` around a client: by default free, with tools and with answers held to a schema.

    Args:
        client: what answers.
        name: of the model; what stands before the first ``/`` is its provider.
        price: None for a model whose price nobody knows.
        window: most tokens of a prompt; None if not known.
        output: most tokens of an answer; None if not known.
        schema: whether answers are held to a JSON Schema.
        tools: whether it calls tools.
        caching: whether it takes cache markers.
    """
    can = Capabilities(window=window, output=output, schema=schema, tools=tools, caching=caching, price=price)
    return Model(name=name, client=client, can=can, provider=name.partition("/")[0], lineage=name)


def _in_form(request: Request, answer: Answer) -> Completion | str:
    tool = next((tool for tool in request.tools if tool.name == ANSWER), None)
    schema = request.schema if tool is None else tool.parameters
    if schema is None:
        return f"```answer\n{json.dumps(answer.value)}\n```"
    text = json.dumps(_wrapped(answer.value, schema))
    return text if tool is None else Completion(calls=(ToolCall(ANSWER, ANSWER, text),))


def _wrapped(value: Json, schema: Mapping[str, Json]) -> Json:
    """The value, or the object around it, which is asked for where the declared type is no object."""
    fields = schema.get("properties")
    alone = isinstance(fields, dict) and list(fields) == [WRAPPED]
    return {WRAPPED: value} if alone and not (isinstance(value, dict) and list(value) == [WRAPPED]) else value


def _of_text(request: Request, text: str) -> Completion:
    most = request.max_tokens * BYTES_A_TOKEN
    encoded = text.encode()
    finish: Finish = "stop" if len(encoded) <= most else "length"
    return Completion(text=encoded[:most].decode(errors="ignore"), finish=finish)


def _bytes(calls: Iterable[ToolCall]) -> int:
    return sum(len(f"{call.name}{call.arguments}".encode()) for call in calls)


def _ended(marker: str, answers: int, request: Request) -> str:
    of = f" for {marker!r}" if marker else ""
    return f"the script has only {answers} answers{of}, and this is one request more: {_end_of(request)!r}"


def _end_of(request: Request) -> str:
    return request.messages[-1].text[-200:] if request.messages else ""
