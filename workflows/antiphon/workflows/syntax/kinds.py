"""What an expression plainly is: a call not yet awaited, an Outcome, an Outcomes, a Tally."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final, Literal, TypeVar, cast

from antiphon.workflows.syntax.scopes import SCRIPT, Binding, Function, Scope, Script

T = TypeVar("T", bound=str)
Kind = Literal["", "call", "outcome", "outcomes", "tally"]
Found = tuple[ast.AST, str, str]
"""A place in a script, what is wrong there, and the fix."""

FANOUTS: Final = frozenset({"parallel", "pipeline", "race", "quorum"})
LEAVES: Final = frozenset({"agent", "step", "approve", "choose"})
LAZY: Final = FANOUTS | LEAVES | {"workflow", "branch"}
_AWAITED: Final[dict[str, Kind]] = {
    "parallel": "outcomes",
    "pipeline": "outcomes",
    "branch": "outcome",
    "quorum": "tally",
}
# Names that stand for names that stand for names...: nobody writes more, and a hostile script gets no further.
_DEEPEST: Final = 20


class Kinds:
    """Answers for one script. Where a name may be several things, the answer is nothing."""

    def __init__(self, script: Script) -> None:
        self.script = script
        # What names turned out to be; while one is being looked at it is nothing, so that a cycle ends.
        self._lazy_names: dict[tuple[Scope | None, str], str] = {}
        self._kinds: dict[tuple[Scope | None, str], Kind] = {}

    def api_name(self, node: ast.AST) -> str:
        """Which name of the script API a call calls, or ``""``."""
        if not isinstance(node, ast.Call):
            return ""
        module, _, name = self.script.origin(node.func).rpartition(".")
        return name if module == SCRIPT else ""

    def builtin(self, node: ast.AST) -> str:
        """Which builtin a call calls, or ``""``."""
        if not isinstance(node, ast.Call):
            return ""
        module, _, name = self.script.origin(node.func).rpartition(".")
        return name if module == "builtins" else ""

    def is_lazy(self, node: ast.AST) -> bool:
        """Whether `node` calls a part of the API that has to be awaited."""
        return self.api_name(node) in LAZY

    def lazy(self, node: ast.AST, depth: int = 0) -> str:
        """The API name behind a call that was not awaited, directly or by way of a name, or ``""``."""
        if isinstance(node, ast.Name) and depth < _DEEPEST:
            return self._lazy_name(node, depth + 1)
        if isinstance(node, ast.NamedExpr) and depth < _DEEPEST:
            return self.lazy(node.value, depth + 1)
        name = self.api_name(node)
        return name if name in LAZY else ""

    def kind(self, node: ast.AST, depth: int = 0) -> Kind:
        """What `node` is, where that is plain to see."""
        if depth > _DEEPEST:
            return ""
        match node:
            case ast.Await(value=awaited):
                return _AWAITED.get(self.lazy(awaited), "")
            case ast.NamedExpr(value=value):
                return self.kind(value, depth + 1)
            case ast.Subscript(value=whole, slice=index) if _is_index(index):
                return "outcome" if self.kind(whole, depth + 1) == "outcomes" else ""
            case ast.Name():
                return self._named_kind(node, depth + 1)
            case ast.Call():
                return "call" if self.is_lazy(node) else ""
            case _:
                return ""

    def function(self, node: ast.expr) -> Function | ast.Lambda | None:
        """The function of this file, undecorated, or the lambda that `node` is or names."""
        if isinstance(node, ast.Lambda):
            return node
        binding = self.script.only_binding(node) if isinstance(node, ast.Name) else None
        if binding is None:
            return None
        if isinstance(binding.node, Function) and not binding.node.decorator_list:
            return binding.node
        return binding.value if isinstance(binding.value, ast.Lambda) else None

    def _lazy_name(self, name: ast.Name, depth: int) -> str:
        key = self.script.resolve(name), name.id
        if key not in self._lazy_names:
            self._lazy_names[key] = ""
            values = [binding.value for binding in self.script.bindings(name)]
            self._lazy_names[key] = _common([self.lazy(value, depth) if value else "" for value in values])
        return self._lazy_names[key]

    def _named_kind(self, name: ast.Name, depth: int) -> Kind:
        key = self.script.resolve(name), name.id
        if key not in self._kinds:
            self._kinds[key] = ""
            self._kinds[key] = _common([self._bound_kind(one, depth) for one in self.script.bindings(name)])
        return self._kinds[key]

    def _bound_kind(self, binding: Binding, depth: int) -> Kind:
        if binding.value is not None:
            return self.kind(binding.value, depth)
        items = self._items(binding)
        return "outcome" if items is not None and self.kind(items, depth) == "outcomes" else ""

    def _items(self, binding: Binding) -> ast.expr | None:
        """What a loop variable takes its values from, through `enumerate` and `zip`."""
        source, position = binding.iterated, binding.position
        if source is None or position is None:
            return source
        if not isinstance(source, ast.Call) or any(isinstance(one, ast.Starred) for one in source.args):
            return None
        name = self.builtin(source)
        if name == "enumerate" and position == 1:
            position = 0
        elif name != "zip":
            return None
        return source.args[position] if position < len(source.args) else None


def _is_index(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) is int


def _common(kinds: Sequence[T]) -> T:
    """What all of them are, or nothing."""
    first = kinds[0] if kinds else cast(T, "")
    return first if all(kind == first for kind in kinds) else cast(T, "")
