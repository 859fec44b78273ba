"""Runs a snippet that a model wrote, and hands its calls of tools to the host. Started by `snippets.py`, in a sandbox.

It has no rights of its own, so nothing here guards anything: the host believes no word of what comes from it. Standard
library only, as it runs without site packages.
"""

from __future__ import annotations

import ast
import json
import linecache
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

_NAME = "<snippet>"
_PARSE, _RAISED = 3, 1


class ToolFailed(Exception):
    """A tool answered that it failed; its text is the message."""


class Tools:
    """What `tools` is in a snippet: each tool is a function that returns its answer as text."""

    def __init__(self, names: dict[str, list[str]], ask: int, answer: int) -> None:
        self._names, self._ask = names, ask
        self._answers = os.fdopen(answer, "rb")
        self._one_at_a_time = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """The tool of that name; the host says whether there is one."""

        def call(*given: Any, **named: Any) -> str:
            parameters = self._names.get(name, [])
            if len(given) > len(parameters):
                raise TypeError(f"tools.{name} takes at most {len(parameters)} arguments: {', '.join(parameters)}")
            return self._call(name, {**dict(zip(parameters, given, strict=False)), **named})

        return call

    def __dir__(self) -> list[str]:
        return sorted(self._names)

    def _call(self, name: str, arguments: dict[str, Any]) -> str:
        frame = json.dumps({"tool": name, "arguments": arguments}).encode() + b"\n"
        with self._one_at_a_time:
            while frame:
                frame = frame[os.write(self._ask, frame) :]
            line = self._answers.readline()
        said = json.loads(line)
        if not said["ok"]:
            raise ToolFailed(said["text"])
        return str(said["text"])


def _parsed(source: str) -> tuple[Any, Any]:
    """The snippet as statements, and its last one as an expression if it is one."""
    tree = ast.parse(source, _NAME)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = tree.body.pop()
        assert isinstance(expression, ast.Expr)
        last = compile(ast.Expression(expression.value), _NAME, "eval")
    return compile(tree, _NAME, "exec"), last


def _told(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=1)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _own(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is in the snippet."""
    while trace is not None and trace.tb_frame.f_code.co_filename != _NAME:
        trace = trace.tb_next
    return trace


def _report(error: BaseException) -> None:
    lines = traceback.format_exception(type(error), error, _own(error.__traceback__))
    # Frames of this file come after those of the snippet, where a tool failed.
    sys.stderr.write("".join(line for line in lines if not line.startswith("  File ") or f'"{_NAME}"' in line))


def main(argv: list[str]) -> int:
    """Run the snippet in the file `argv[1]`; its calls go out by `argv[2]` and come back by `argv[3]`."""
    with open(argv[1], encoding="utf-8", errors="surrogateescape") as file:
        given = json.load(file)
    source = given["code"]
    tools = Tools(given["tools"], os.open(argv[2], os.O_WRONLY), os.open(argv[3], os.O_RDONLY))
    linecache.cache[_NAME] = (len(source), None, source.splitlines(keepends=True), _NAME)
    try:
        body, last = _parsed(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        sys.stderr.write("".join(traceback.format_exception_only(type(error), error)))
        return _PARSE
    names: dict[str, Any] = {"__name__": "__main__", "tools": tools, "ToolFailed": ToolFailed}
    try:
        exec(body, names)
        if last is not None and (value := eval(last, names)) is not None:
            print(_told(value))
    except Exception as error:
        _report(error)
        return _RAISED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
