"""Prints what vulture finds in some files as JSON: ``vulture_runner.py [--all] -- FILE...``

Names that anybody could import are left to whoever knows the users of a library: with no more than 60 % confidence,
vulture's word for "no use in these files", only what is private or local is said. Of arguments, those are left out
whose function has its signature from elsewhere: special methods, tests with fixtures, and all that is decorated.
"""

from __future__ import annotations

import ast
import json
import sys
import warnings
from collections import defaultdict
from contextlib import redirect_stderr
from importlib import import_module
from io import StringIO
from typing import Any

# It has no types, so it is imported as what it is to a type checker: anything.
CORE: Any = import_module("vulture.core")
READING: Any = import_module("vulture.utils")
SURE = 80
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


Function = ast.FunctionDef | ast.AsyncFunctionDef
Local = dict[int, Function | None]


def forget(vulture: Any, lines: Any) -> None:
    """Take the place of remembering which lines have ``noqa`` comments."""


def no_lines(vulture: Any) -> Any:
    """The lines with such comments: none."""
    lines: defaultdict[str, set[int]] = defaultdict(set)
    return lines


UNSILENCED: Any = type("Unsilenced", (CORE.Vulture,), {"noqa_lines": property(no_lines, forget)})


def main(arguments: list[str]) -> None:
    """Look at the files and print."""
    paths = arguments[arguments.index("--") + 1 :]
    kind = UNSILENCED if "--all" in arguments[: arguments.index("--")] else CORE.Vulture
    vulture = kind(ignore_decorators=["@*"])  # what is decorated is registered somewhere
    problems: list[dict[str, str]] = []
    local: dict[str, Local] = {}
    for path in paths:
        reason = scan(vulture, path, local)
        if reason:
            problems.append({"path": path, "reason": reason})
    use_framework_lists(vulture)
    items = [described(item, local.get(str(item.filename), {})) for item in vulture.get_unused_code()]
    items = [item for item in items if item is not None and item["path"] in set(paths)]
    json.dump({"items": items, "problems": problems, "looked_at": paths}, sys.stdout)


def scan(vulture: Any, path: str, local: dict[str, Local]) -> str:
    """Let vulture look at one file; why it could not, or ""."""
    said = StringIO()
    try:
        code = READING.read_file(path)
        with redirect_stderr(said):
            vulture.scan(code, filename=path)
        local[path] = functions_by_line(code)
    except (READING.VultureInputException, OSError, RecursionError, MemoryError) as error:
        return f"it cannot be read: {error or type(error).__name__}"
    except (SyntaxError, ValueError):
        pass  # said by vulture
    return " ".join(said.getvalue().removeprefix(f"{path}:").split())


def functions_by_line(code: str) -> Local:
    """The innermost function or class around each line, where that is a function."""
    found: Local = {}
    open_ones: list[ast.AST] = [ast.parse(code)]
    while open_ones:  # outer ones first, so that inner ones have the last word
        around = open_ones.pop(0)
        if isinstance(around, (*_FUNCTIONS, ast.ClassDef)):
            lines = range(around.lineno, (around.end_lineno or around.lineno) + 1)
            found.update(dict.fromkeys(lines, around if isinstance(around, _FUNCTIONS) else None))
        open_ones.extend(child for child in ast.iter_child_nodes(around) if not isinstance(child, ast.expr))
    return found


def has_given_signature(function: Function | None) -> bool:
    """Whether somebody else decides what arguments a function has."""
    if function is None:
        return True
    special = function.name.startswith("__") and function.name.endswith("__")
    return special or function.name.startswith("test") or bool(function.decorator_list)


def use_framework_lists(vulture: Any) -> None:
    """Scan vulture's own lists for the imported packages: names that they use behind the scenes."""
    vulture.scavenge([])


def described(item: Any, local: Local) -> dict[str, object] | None:
    """An item as we print it, or None for what is left out."""
    sort = sort_of(item, local)
    private = item.name.startswith("_") and not item.name.startswith("__")
    if sort == "argument" and has_given_signature(local.get(item.first_lineno)):
        return None
    if item.confidence < SURE and not private and sort != "local-variable":
        return None
    return {
        "path": str(item.filename),
        "rule": f"unused-{sort}" if sort != "unreachable-code" else sort,
        "text": item.message or f"unused {item.typ} '{item.name}'",
        "line": item.first_lineno,
        "end_line": max(item.last_lineno, item.first_lineno),
        "confidence": "high" if item.confidence == 100 else "medium" if item.confidence >= SURE else "low",
    }


def sort_of(item: Any, local: Local) -> str:
    """What it is. vulture takes arguments for variables that it is sure of."""
    if item.typ == "variable" and item.confidence == 100:
        return "argument"
    if item.typ == "variable" and local.get(item.first_lineno) is not None:
        return "local-variable"
    return str(item.typ).replace("_", "-")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the audited code's own, such as invalid escapes
    sys.setrecursionlimit(5_000)
    main(sys.argv[1:])
