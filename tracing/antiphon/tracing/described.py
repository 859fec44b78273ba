"""What a span is called and says of itself, from the data of the events that start and end it."""

from collections.abc import Callable, Mapping
from typing import Final

from antiphon.tracing import attributes as names
from antiphon.tracing.log import Json

Attribute = bool | int | float | str | tuple[str, ...]
_NANOSECONDS: Final = 10**9

Described = tuple[str, dict[str, Attribute]]
"""A span's name and its first attributes."""


def _describe_run(data: Mapping[str, Json]) -> Described:
    name = text_of(data, "name") or "workflow"
    return f"invoke_workflow {name}", {names.OPERATION: "invoke_workflow", names.WORKFLOW_NAME: name}


def _describe_branch(data: Mapping[str, Json]) -> Described:
    construct, name = text_of(data, "construct") or "branch", text_of(data, "name")
    if construct == "workflow":
        title, attributes = _describe_run(data)
    else:
        title, attributes = f"{construct} {name}" if name else construct, {}
    attributes[names.CONSTRUCT] = construct
    copy_plain(data, attributes, items=names.ITEMS)
    return title, attributes


def _describe_phase(data: Mapping[str, Json]) -> Described:
    title = text_of(data, "title") or ""
    return f"phase {title}".strip(), {names.PHASE: title}


def _describe_call(data: Mapping[str, Json]) -> Described:
    call, name = text_of(data, "call") or "agent", text_of(data, "name") or "unnamed"
    match call:
        case "agent":
            title, attributes = _agent(name)
        case "step":
            title, attributes = _tool(name, "function")
        case _:  # an approval's name is its question, which is content
            title, attributes = call, {}
    attributes[names.CALL] = call
    copy_plain(data, attributes, hash=names.CALL_HASH)
    covers = data.get("covers")
    if isinstance(covers, list) and covers:
        attributes[names.COVERED] = len(covers)
    return title, attributes


def _describe_attempt(data: Mapping[str, Json]) -> Described:
    sort, name = text_of(data, "sort") or "model", text_of(data, "name") or "unnamed"
    if sort == "model":
        title, attributes = f"chat {name}", dict[str, Attribute]({names.OPERATION: "chat", names.REQUEST_MODEL: name})
    else:
        title, attributes = _tool(name, "extension" if sort == "process" else "function")
    attributes[names.SORT] = sort
    copy_plain(data, attributes, attempt=names.ATTEMPT, provider=names.PROVIDER)
    _add_amount(data.get("reserved"), attributes, names.RESERVED)
    return title, attributes


def _agent(name: str) -> Described:
    return f"invoke_agent {name}", {names.OPERATION: "invoke_agent", names.AGENT_NAME: name}


def _tool(name: str, sort: str) -> Described:
    return f"execute_tool {name}", {names.OPERATION: "execute_tool", names.TOOL_NAME: name, names.TOOL_TYPE: sort}


STARTS: Final[dict[str, Callable[[Mapping[str, Json]], Described]]] = {
    "run": _describe_run,
    "branch": _describe_branch,
    "phase": _describe_phase,
    "call": _describe_call,
    "attempt": _describe_attempt,
}


def outcome_of(family: str, data: Mapping[str, Json]) -> str | None:
    """How what a span stands for ended; `None` if the event does not say, or an attempt went well."""
    if family == "attempt":
        return (text_of(data, "category") or "failed") if data.get("error") else None
    return text_of(data, "kind")


def describe_end(attributes: dict[str, Attribute], data: Mapping[str, Json], outcome: str | None) -> None:
    """Add what the end of a span tells: outcome, cost, tokens."""
    if outcome is not None:
        attributes[names.OUTCOME] = outcome
    copy_plain(data, attributes, category=names.CATEGORY, estimated=names.ESTIMATED, model=names.RESPONSE_MODEL)
    spent = data.get("spent")
    _add_amount(spent, attributes, names.SPENT)
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    _add_answer(usage, attributes)
    tokens = spent if usage.keys().isdisjoint(_TOKEN_CLASSES) else usage
    if isinstance(tokens, dict):
        _add_tokens(tokens, attributes)


def _add_answer(usage: Mapping[str, Json], attributes: dict[str, Attribute]) -> None:
    """What a model's answer says of itself; never what it says."""
    copy_plain(usage, attributes, provider=names.PROVIDER, model=names.RESPONSE_MODEL, id=names.RESPONSE_ID)
    if names.PROVIDER in attributes:
        attributes[names.SYSTEM] = attributes[names.PROVIDER]
    finish = text_of(usage, "finish")
    if finish is not None:
        attributes[names.FINISH_REASONS] = (finish,)


def _add_amount(amount: Json, attributes: dict[str, Attribute], prefix: str) -> None:
    if not isinstance(amount, dict):
        return
    for dimension, value in amount.items():
        if isinstance(value, int):
            attributes[f"{prefix}.{dimension}"] = value
    usd = amount.get("usd")
    if prefix == names.SPENT and isinstance(usd, int):
        attributes[names.COST_USD] = usd / _NANOSECONDS


def _add_tokens(tokens: Mapping[str, Json], attributes: dict[str, Attribute]) -> None:
    """The classes are apart in an amount; the conventions count the parts into the whole."""
    fresh, cached, written, output, reasoning = (_count(tokens, name) for name in _TOKEN_CLASSES)
    if fresh or cached or written:
        attributes[names.INPUT_TOKENS] = fresh + cached + written
    if output or reasoning:
        attributes[names.OUTPUT_TOKENS] = output + reasoning
    if cached:
        attributes[names.CACHE_READ_TOKENS] = cached
    if written:
        attributes[names.CACHE_WRITE_TOKENS] = attributes[names.CACHE_CREATION_TOKENS] = written
    if reasoning:
        attributes[names.REASONING_TOKENS] = reasoning


_TOKEN_CLASSES: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def _count(tokens: Mapping[str, Json], name: str) -> int:
    value = tokens.get(name)
    return value if isinstance(value, int) else 0


def text_of(data: Mapping[str, Json], key: str) -> str | None:
    """A value of the data, if it is a text and not empty."""
    value = data.get(key)
    return value if isinstance(value, str) and value else None


def copy_plain(data: Mapping[str, Json], attributes: dict[str, Attribute], /, **wanted: str) -> None:
    """Take plain values over: each keyword is a key of the data, and names the attribute."""
    for key, name in wanted.items():
        value = data.get(key)
        if isinstance(value, bool | int | float | str):
            attributes[name] = value
