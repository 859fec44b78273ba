"""Habits from other tools that would go wrong here, found in a script's text before anything of it runs.

Only what really comes from `antiphon.workflows.script` counts, and only where the mistake is plain to see: a warning
that is wrong costs more than one that is missing, because the engine says the same things again at run time.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from antiphon.engine.errors import HabitError
from antiphon.workflows.syntax.bypasses import bypasses
from antiphon.workflows.syntax.captures import late_bindings
from antiphon.workflows.syntax.kinds import FANOUTS, Found, Kinds
from antiphon.workflows.syntax.misuse import misuses
from antiphon.workflows.syntax.scopes import Function, read_script
from antiphon.workflows.syntax.source import parse

_SHOWN_LINES: Final = 8
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True, order=True)
class Habit:
    """One place in a script where a habit would go wrong.

    Attributes:
        line: the line in the file, from 1.
        problem: what is wrong there.
        fix: what to write instead.
    """

    line: int
    problem: str
    fix: str


def find_habits(source: str | bytes, file: str) -> list[Habit]:
    """Every habit in a script, by line. Nothing of the script is executed.

    Raises:
        ManifestError: the text is not Python.
    """
    return habits_of(Kinds(read_script(parse(source, file))))


def habits_of(kinds: Kinds) -> list[Habit]:
    """The same, of a script that was read already."""
    return sorted({_habit(one) for check in _CHECKS for one in check(kinds)})


def check_habits(source: str | bytes, file: str) -> None:
    """Refuse a script that has habits.

    Raises:
        HabitError: the first habit; its text says on which lines there are others.
        ManifestError: the text is not Python.
    """
    habits = find_habits(source, file)
    if habits:
        first, *others = habits
        raise HabitError(first.problem + _others(others), first.fix, f"{file}:{first.line}")


def _others(habits: list[Habit]) -> str:
    if not habits:
        return ""
    lines = list(dict.fromkeys(habit.line for habit in habits))
    listing = ", ".join(map(str, lines[:_SHOWN_LINES])) + (", ..." if len(lines) > _SHOWN_LINES else "")
    what = "habit" if len(habits) == 1 else "habits"
    return f" (and {len(habits)} more {what}, on line{'s' if len(lines) > 1 else ''} {listing})"


def _habit(found: Found) -> Habit:
    node, problem, fix = found
    return Habit(getattr(node, "lineno", 1), problem, fix)


# --- calls --------------------------------------------------------------------------------------------------------


def _calls(kinds: Kinds) -> Iterator[tuple[str, ast.Call]]:
    for node in kinds.script.nodes:
        name = kinds.api_name(node)
        if name and isinstance(node, ast.Call):
            yield name, node


def _options_by_place(kinds: Kinds) -> Iterator[Found]:
    """`agent(prompt, {...})` and `agent(prompt, "role")`."""
    for name, call in _calls(kinds):
        if name != "agent" or len(call.args) < 2 or any(isinstance(one, ast.Starred) for one in call.args[:2]):
            continue
        second = call.args[1]
        if isinstance(second, ast.Constant) and isinstance(second.value, str):
            yield second, "agent() takes its role by keyword", f"agent(task, role={second.value!r})"
        elif isinstance(second, ast.Dict):
            yield second, "agent() takes no object of options", f"agent(task, {_as_keywords(second)})"
        else:
            yield second, "agent() takes its options by keyword", "agent(task, role=..., output=...)"


def _as_keywords(options: ast.Dict) -> str:
    """The options that a dict names, as keywords; the names of other tools are not translated."""
    names = [key.value for key in options.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return ", ".join(f"{name}=..." for name in names if name.isidentifier()) or "role=..., output=..."


def _stages(kinds: Kinds) -> Iterator[Found]:
    """Stages of a pipeline that do not take one value."""
    for name, call in _calls(kinds):
        for stage in call.args[1:] if name == "pipeline" else []:
            function = kinds.function(stage)
            if function is None or _takes_one(function.args):
                continue
            count = len(function.args.posonlyargs) + len(function.args.args)
            what = f"the stage {function.name}()" if isinstance(function, Function) else "this stage"
            yield (
                stage,
                f"{what} takes {count} parameters; a stage takes one value",
                "let the stage before return all that this one needs, for instance a tuple",
            )


def _takes_one(given: ast.arguments) -> bool:
    most = len(given.posonlyargs) + len(given.args)
    return most - len(given.defaults) <= 1 and (most >= 1 or given.vararg is not None)


# --- what a fan-out goes over -------------------------------------------------------------------------------------


def _items(call: ast.Call) -> ast.expr | None:
    """What a fan-out was given to go over."""
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    return next((one.value for one in call.keywords if one.arg in ("calls", "items")), None)


def _sets(kinds: Kinds) -> Iterator[Found]:
    for name, call in _calls(kinds):
        items = _items(call) if name in FANOUTS else None
        found = _set_in(kinds, items) if items is not None else None
        if found is not None:
            yield found, f"{name}() goes over a set, whose order changes from run to run", "sorted(...) around the set"


def _set_in(kinds: Kinds, node: ast.expr, depth: int = 0) -> ast.expr | None:
    """The expression in `node` that makes its order a set's order, or None."""
    if depth > _DEEPEST:
        return None
    match node:
        case ast.Set() | ast.SetComp():
            return node
        case ast.ListComp(generators=generators) | ast.GeneratorExp(generators=generators):
            inner = [_set_in(kinds, one.iter, depth + 1) for one in generators]
            return next((one for one in inner if one is not None), None)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return node if _set_in(kinds, left, depth + 1) or _set_in(kinds, right, depth + 1) else None
        case ast.Name():
            binding = kinds.script.only_binding(node)
            value = binding.value if binding is not None else None
            return node if value is not None and _set_in(kinds, value, depth + 1) else None
        case ast.Call():
            return _set_call(kinds, node, depth)
        case _:
            return None


def _set_call(kinds: Kinds, call: ast.Call, depth: int) -> ast.expr | None:
    match kinds.builtin(call):
        case "set" | "frozenset":
            return call
        case "list" | "tuple" | "iter" | "enumerate" | "reversed" if call.args:
            return _set_in(kinds, call.args[0], depth + 1)
        case _:
            return None


def _awaited_items(kinds: Kinds) -> Iterator[Found]:
    """`parallel([await agent(...) ...])`: one after the other, and values where calls should be."""
    for name, call in _calls(kinds):
        for item in _handed(kinds, name, call):
            if isinstance(item, ast.Await) and _gives_value(kinds, item.value):
                yield (
                    item,
                    f"{name}() is given a value that was awaited, so the calls run one after the other",
                    f"leave out the await: {name}() awaits the calls it is given",
                )


def _handed(kinds: Kinds, name: str, call: ast.Call) -> list[ast.expr]:
    """The calls written out in a fan-out's first argument; a pipeline's items are values, and may be awaited."""
    if name == "branch":
        return call.args[1:2]
    items = _items(call) if name in FANOUTS - {"pipeline"} else None
    if isinstance(items, ast.Name):
        binding = kinds.script.only_binding(items)
        items = binding.value if binding is not None else None
    match items:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return elements
        case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
            return [element]
        case _:
            return []


def _gives_value(kinds: Kinds, awaited: ast.expr) -> bool:
    """Whether awaiting gives a value and not a call: part of the API, or a coroutine of this file that ends in one."""
    if kinds.lazy(awaited):
        return True
    function = kinds.function(awaited.func) if isinstance(awaited, ast.Call) else None
    if not isinstance(function, ast.AsyncFunctionDef):
        return False
    returns = [node.value for node in kinds.script.returns.get(kinds.script.inner[function], [])]
    return bool(returns) and all(isinstance(value, ast.Await | ast.Constant | ast.Dict) for value in returns)


_CHECKS: Final[tuple[Callable[[Kinds], Iterator[Found]], ...]] = (
    late_bindings,
    bypasses,
    misuses,
    _options_by_place,
    _stages,
    _sets,
    _awaited_items,
)
