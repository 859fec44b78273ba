"""The portable dialect: what of a script monty does not run, line by line, with what to write instead.

What is not named here runs in the jail and in monty alike (docs/dialect.md). The tables are in `portable.py`, and what
may be an Outcome in a condition is found by `truth.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.jail.modules import MODULES as IN_THE_JAIL
from antiphon.workflows.syntax.kinds import Kinds
from antiphon.workflows.syntax.portable import (
    DUNDERS,
    INSTEAD_OF_MODULES,
    INSTEAD_OF_REACHING,
    MODULES,
    Place,
    RunsIn,
    member,
)
from antiphon.workflows.syntax.portable_names import NAME_CHECKS
from antiphon.workflows.syntax.scopes import SCRIPT, Comprehension, Function, Script
from antiphon.workflows.syntax.truth import doubtful_conditions


@dataclass(frozen=True, slots=True, order=True)
class Unportable:
    """One place in a script that is not in the portable dialect.

    Attributes:
        line: from 1. column: from 0.
        what: what is there, and what monty makes of it.
        instead: what to write.
        runs_in: *jail*: the jail runs it, monty does not; *nowhere*: no confined script has it; *anywhere*: it runs,
            but means less than it seems, such as a clock that stands still.
    """

    line: int
    column: int
    what: str
    instead: str
    runs_in: RunsIn = "jail"


def dialect(script: Script) -> tuple[Unportable, ...]:
    """Every place that is not in the portable dialect, by line. Nothing of the script is executed."""
    kinds = Kinds(script)
    found = {_unportable(one) for node in ast.walk(script.tree) for check in _SYNTAX for one in check(node)}
    found |= {_unportable(one) for node in script.nodes for check in NAME_CHECKS for one in check(kinds, node)}
    found |= {_unportable((node, what, instead)) for node, what, instead in doubtful_conditions(kinds)}
    return tuple(sorted(found))


def needs_jail(script: Script) -> tuple[Unportable, ...]:
    """What monty does not run, by line: with none of it, a script is portable."""
    return tuple(one for one in dialect(script) if one.runs_in != "anywhere")


def _unportable(found: Place) -> Unportable:
    node, what, instead = found[:3]
    runs_in: RunsIn = found[3] if len(found) == 4 else "jail"
    return Unportable(getattr(node, "lineno", 1), getattr(node, "col_offset", 0), what, instead, runs_in)


# --- syntax -----------------------------------------------------------------------------------------------------------

_STATEMENTS: Final[dict[str, tuple[str, str]]] = {
    "Yield": ("yield: monty has no generators", "a function that returns a list"),
    "YieldFrom": ("yield from: monty has no generators", "a function that returns a list"),
    "Delete": ("del: monty does not run it", "d.pop(key), a.pop(index), or a new name"),
    "AsyncFor": ("async for: monty does not run it", "a plain loop over what was awaited"),
    "AsyncWith": ("async with: monty does not run it", "a plain call; branches and limits need no context"),
    "TryStar": ("except*: monty does not run it", "except (ValueError, KeyError) as error"),
    "TypeAlias": ("type X = ...: monty does not run it", "X = int, or the type itself"),
    "TemplateStr": ("a template string: monty does not run it", "an f-string"),
}


def _statement(node: ast.AST) -> Iterator[Place]:
    said = _STATEMENTS.get(type(node).__name__)
    if said is not None:
        yield node, *said
    if isinstance(node, Comprehension) and any(one.is_async for one in node.generators):
        yield node, "an async comprehension: monty does not run it", "a plain one over what was awaited"


def _class(node: ast.AST) -> Iterator[Place]:
    if not isinstance(node, ast.ClassDef):
        return
    if node.bases or node.keywords:
        yield node, f"class {node.name} inherits: monty has no inheritance", _instead_of_base(node)
    for part in node.body:
        match part:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _method(part)
            case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()) | ast.Pass():
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                what = "a class holds methods and `name = value` only in monty"
                yield part, what, "the statement outside of the class"


def _instead_of_base(node: ast.ClassDef) -> str:
    last = node.bases[-1] if node.bases else None
    name = last.attr if isinstance(last, ast.Attribute) else last.id if isinstance(last, ast.Name) else ""
    match name:
        case "object":
            return f"class {node.name}:"
        case "Enum" | "StrEnum" | "IntEnum":
            return f"a class with constants: `class {node.name}:` with `HIGH = 'high'`, and the texts as values"
        case "TypedDict" | "NamedTuple" | "BaseModel":
            return f"@dataclass on `class {node.name}:`, or a plain dict"
        case _ if name.endswith(("Error", "Exception")):
            return "raise ValueError('kind: reason') and look at str(error)"
        case _:
            return "one class with everything, or an object that holds the other"


def _method(method: Function) -> Iterator[Place]:
    if method.decorator_list:
        what = f"{method.name}() is decorated: monty has no decorators on methods"
        yield method.decorator_list[0], what, "a plain method, or a plain function outside of the class"
    if method.name.startswith("__") and method.name.endswith("__") and method.name not in DUNDERS:
        what = f"monty never calls {method.name}"
        yield method, what, _INSTEAD_OF_DUNDER.get(method.name, "a method with a name, which is called by it")


_INSTEAD_OF_DUNDER: Final = {
    "__bool__": "an attribute or a method that says it: `if box.is_full():`",
    "__len__": "a method: `box.size()`",
    "__lt__": "sorted(items, key=lambda item: item.rank)",
    "__format__": "a method that gives the text",
    "__getattr__": "a method: `box.get(name)`",
    "__await__": "an async method: `await box.read()`",
    "__aenter__": "plain calls before and after",
    "__del__": "try ... finally",
    "__new__": "__init__, or a function that makes it",
}


def _imports(node: ast.AST) -> Iterator[Place]:
    match node:
        case ast.ImportFrom(level=level) if level:
            yield node, "a relative import: a confined script is one file", "the function in this file", "nowhere"
        case ast.ImportFrom(module=str(module), names=names) if module != SCRIPT:
            yield from _import(node, module)
            for one in names if module in MODULES else []:
                yield from member(node, module, one.name)
        case ast.Import(names=names):
            for one in names:
                if one.name != SCRIPT:
                    yield from _import(node, one.name)
        case _:
            pass


def _import(node: ast.AST, module: str) -> Iterator[Place]:
    if module in MODULES or module == SCRIPT:
        return
    top = module.partition(".")[0]
    if module in IN_THE_JAIL:
        instead = INSTEAD_OF_MODULES.get(module) or INSTEAD_OF_MODULES.get(top) or "plain code"
        yield node, f"{module}: monty has no such module", instead
    else:
        instead = INSTEAD_OF_REACHING.get(top, "a step for what it should do")
        yield node, f"{module}: no confined script has it", instead, "nowhere"


def _main_guard(node: ast.AST) -> Iterator[Place]:
    match node:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            what = "`if __name__ == ...` is true in monty, so what is below it runs"
            yield node, what, "nothing: `antiphon run FILE` runs main"
        case _:
            pass


_SYNTAX: Final[tuple[Callable[[ast.AST], Iterator[Place]], ...]] = (_statement, _class, _imports, _main_guard)
