"""Which tools a model is shown, where there are many: those that fit its task, and two that reach all the others."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, cast

from pydantic import Field

from antiphon.subagents.prompt.words import terms, words
from antiphon.subagents.tools.contract import Misfit, Tool
from antiphon.subagents.tools.function import function_tool
from antiphon.tracing import Json

MOST_OFFERED: Final = 24
"""Above so many tools a model is shown a choice of them."""
FIND_TOOLS: Final = "find_tools"
CALL_TOOL: Final = "call_tool"
_FOUND: Final = 8
_NAME_WEIGHT: Final = 4.0
_SCORE_DIGITS: Final = 12
_DESCRIBED: Final = 4_000


def offered_tools(tools: Mapping[str, Tool], task: str, *, most: int = MOST_OFFERED) -> dict[str, Tool]:
    """The tools that a model is shown; the same for the same tools and task.

    Args:
        tools: all that it may call, by name.
        task: what it is to do.
        most: with more tools than this, those that fit the task best are shown, in the order they have, together with
            `find_tools` and `call_tool`, which reach the others.
    """
    if len(tools) <= most:
        return dict(tools)
    fitting = best_tools(tools, task, most - 2)
    rest = [name for name in tools if name not in fitting]
    shown = {*fitting, *rest[: max(0, most - 2 - len(fitting))]}
    found: dict[str, Tool] = {name: tool for name, tool in tools.items() if name in shown}
    return {**found, **REACHING}


def best_tools(tools: Mapping[str, Tool], question: str, most: int) -> list[str]:
    """Names of the tools whose names and descriptions share words with a question, best first (BM25).

    Where this Python's SQLite cannot search, those that share the most words.
    """
    asked = terms(question)
    if not asked:
        return []
    try:
        return list(_ranked(tuple(map(_described, tools.values())), tuple(tools), tuple(asked), most))
    except sqlite3.OperationalError:
        return by_common_words(tools, asked, most)


def by_common_words(tools: Mapping[str, Tool], asked: Iterable[str], most: int) -> list[str]:
    """Names of the tools that share the most words with those asked for: what is left where SQLite cannot search."""
    wanted = set(asked)
    counts = {name: len(wanted.intersection(" ".join(_described(tool)).split())) for name, tool in tools.items()}
    return sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])[:most]


def unwrapped(
    name: str, arguments: Mapping[str, Json], tools: Mapping[str, Tool]
) -> tuple[Tool, Mapping[str, Json]] | None:
    """The tool that a call of `call_tool` is about, and its arguments; None for a call of any other.

    Raises:
        Misfit: there is no such tool, or the arguments are none.
    """
    if name != CALL_TOOL or CALL_TOOL not in tools:
        return None
    wanted, given = arguments.get("name"), arguments.get("arguments", {})
    tool = tools.get(wanted) if isinstance(wanted, str) else None
    if tool is None or wanted == CALL_TOOL:
        raise Misfit(f"there is no tool {str(wanted)[:64]!r}; {FIND_TOOLS} finds those there are")
    if not isinstance(given, dict):
        raise Misfit("arguments have to be one JSON object")
    return tool, given


@function_tool(
    name=FIND_TOOLS,
    description="Find tools that are not shown to you, by words that say what they should do. Answers with their "
    f"names, descriptions and parameters; call them with {CALL_TOOL}.",
)
def find_tools(
    query: Annotated[str, Field(description="words for what the tool should do", max_length=1_000)],
) -> str:
    """Find others among those that the agent may call."""
    from antiphon.subagents.loop.calling import current_tools  # that imports tools

    tools = {name: tool for name, tool in current_tools().items() if name not in REACHING}
    return _told(tools, best_tools(tools, query, _FOUND))


@function_tool(
    name=CALL_TOOL, description=f"Call a tool that {FIND_TOOLS} found, by its name and with its own arguments."
)
def call_tool(
    name: Annotated[str, Field(description="of the tool")],
    arguments: Annotated[dict[str, Any], Field(description="an object that fits the tool's own parameters")],
) -> str:
    """Never called itself: whoever performs calls performs the one that it is about; see `unwrapped`."""
    raise Misfit(f"{name[:64]!r} cannot be called from here")


REACHING: Final[Mapping[str, Tool]] = {FIND_TOOLS: find_tools, CALL_TOOL: call_tool}
"""The tools that reach all others."""


def _described(tool: Tool) -> tuple[str, str]:
    """The words of a tool's name, and those of its description and parameters."""
    spec = tool.spec
    properties = cast("Mapping[str, Any]", spec.parameters.get("properties") or {})
    return _words(spec.name), _words(f"{spec.description[:_DESCRIBED]} {' '.join(map(str, properties))}")


@lru_cache(maxsize=2_000)
def _words(said: str) -> str:
    return " ".join(words(said))


@lru_cache(maxsize=256)
def _ranked(
    described: tuple[tuple[str, str], ...], names: tuple[str, ...], asked: tuple[str, ...], most: int
) -> tuple[str, ...]:
    """Kept, as each call asks several times, and siblings have the same tools."""
    found = _index(described).database.execute(
        "SELECT rowid FROM tools WHERE tools MATCH ? ORDER BY round(bm25(tools, ?, 1.0), ?), rowid LIMIT ?",
        (" OR ".join(f'"{term}"' for term in asked), _NAME_WEIGHT, _SCORE_DIGITS, most),
    )
    places: list[tuple[int]] = found.fetchall()
    return tuple(names[place] for (place,) in places)


class _Index:
    """A search index over the words of tools, in memory."""

    def __init__(self, described: Iterable[tuple[str, str]]) -> None:
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self.database.close)
        self.database.execute("CREATE VIRTUAL TABLE tools USING fts5(name, said, tokenize='porter unicode61')")
        rows = ((place, name, said) for place, (name, said) in enumerate(described))
        self.database.executemany("INSERT INTO tools(rowid, name, said) VALUES (?, ?, ?)", rows)


@lru_cache(maxsize=8)
def _index(described: tuple[tuple[str, str], ...]) -> _Index:
    return _Index(described)


def _told(tools: Mapping[str, Tool], names: Iterable[str]) -> str:
    found = [tools[name].spec for name in names]
    if not found:
        return f"no tool says that it does this; there are: {', '.join(sorted(tools))}"
    return "\n\n".join(
        f"{spec.name}: {spec.description}\nparameters: {json.dumps(spec.parameters, ensure_ascii=False)}"
        for spec in found
    )
