"""The text that a snippet is run with: its `tools`, in the dialect of every runtime, and the value of its last line.

Nothing of a snippet is executed here: it is parsed, to say at once that it does not, and to find its last expression.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FILE: Final = "snippet"
"""What errors call it."""
ASKED: Final = "tool"
"""The key under which a snippet asks for a tool: it does so as a script asks for a value of the run's state."""
_LARGEST: Final = 1_000_000

_BEFORE: Final = """\
import json as _snippet_json

_snippet_get, _snippet_last = get, None


def _snippet_call(name, parameters, given, named):
    if len(given) > len(parameters):
        raise TypeError(f"tools.{name} takes at most {len(parameters)} arguments: {', '.join(parameters)}")
    arguments = {**dict(zip(parameters, given)), **named}
    answer = _snippet_get("tool", {"name": name, "arguments": arguments})
    if not answer["ok"]:
        raise ToolFailed(answer["text"])
    return answer["text"]


def _snippet_tool(name, parameters):
    def call(*given, **named):
        return _snippet_call(name, parameters, given, named)

    return _snippet_hidden(call)


def _snippet_told(value):
    if value is None or isinstance(value, str):
        return value
    try:
        return _snippet_json.dumps(value, ensure_ascii=False, indent=1)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


class _SnippetTools:
    pass


tools = _SnippetTools()
for _snippet_name, _snippet_parameters in NAMES.items():
    setattr(tools, _snippet_name, _snippet_tool(_snippet_name, _snippet_parameters))
"""
_PORTABLE: Final = """\
ToolFailed = CallFailed


def _snippet_hidden(function):
    return function


"""
_FULL: Final = '''\
class ToolFailed(Exception):
    """A tool answered that it failed; its text is the message."""


def _snippet_hidden(function):  # errors are on a line of the snippet, and on none of this
    function.__code__ = function.__code__.replace(co_filename="tools")
    return function


'''
_FULL_TOOLS: Final = """\
_SnippetTools.__getattr__ = lambda self, name: _snippet_tool(name, [])
_snippet_hidden(_snippet_call)
"""
_AFTER: Final = """

async def main():
    return _snippet_told(_snippet_last)
"""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A snippet as a guest runs it.

    Attributes:
        text: all of it. before: how many lines of that come before the snippet's own.
    """

    text: str
    before: int


def snippet(code: str, tools: Mapping[str, Sequence[str]], *, full: bool) -> Snippet:
    """What a guest runs for a snippet.

    Args:
        code: the snippet.
        tools: names of tools with those of their parameters, in order.
        full: whether the guest is CPython, and not a smaller dialect.

    Raises:
        SyntaxError: it does not parse.
        ValueError, RecursionError, MemoryError: likewise.
    """
    names = f"NAMES = {json.dumps({name: list(parameters) for name, parameters in tools.items()})}\n"
    before = f"{names}{_FULL}{_BEFORE}{_FULL_TOOLS}" if full else f"{names}{_PORTABLE}{_BEFORE}"
    return Snippet(before + _with_value(code) + _AFTER, before.count("\n"))


def _with_value(code: str) -> str:
    """The snippet with what its last line gives kept, if that is an expression; every line stays where it was."""
    if len(code) > _LARGEST:
        raise ValueError(f"it is longer than {_LARGEST:,} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code, "<snippet>")
    lines = code.encode().splitlines(keepends=True)
    edits = [(node, "pass") for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    text = b"".join(lines)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        begin, end = _span(lines, last)
        text = text[:begin] + b"_snippet_last = (" + text[begin:end] + b")" + text[end:]
    for node, instead in reversed(edits):
        begin, end = _span(lines, node)
        text = text[:begin] + instead.encode() + b"\n" * text[begin:end].count(b"\n") + text[end:]
    return text.decode() + "\n"


def _span(lines: Sequence[bytes], node: ast.stmt) -> tuple[int, int]:
    """Where a statement begins and ends, in bytes."""
    begin = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or node.lineno) - 1])) + (node.end_col_offset or 0)
    return begin, end
