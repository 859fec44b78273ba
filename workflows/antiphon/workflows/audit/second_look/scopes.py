"""What names mean inside one function, or at the top level of a module."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_SHARED = (ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.Set, ast.SetComp)
MUTATING = frozenset(
    {
        "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem",
        "popleft", "remove", "reverse", "rotate", "setdefault", "sort", "symmetric_difference_update",
        "difference_update", "intersection_update", "update", "write", "__setitem__", "__delitem__",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Binding:
    """One way in which a name gets a value.

    Attributes:
        how: `value` is what it is bound to, an iterable whose elements it is bound to, what is added to it, or unknown.
        value: that expression; None if unknown.
    """

    how: Literal["is", "element", "grows", "unknown"]
    value: ast.expr | None = None


class Scope:
    """The bindings and uses of one function (nested functions' uses too), or of a module.

    Attributes:
        owner: the function or module.
    """

    def __init__(self, owner: ast.AST) -> None:
        self.owner = owner
        self.parameters = _parameters(owner)
        self.own = list(_own(owner))

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        """By name, every binding in it besides parameters."""
        found: dict[str, list[Binding]] = defaultdict(list)
        for node in self.own:
            for name, binding in _bindings(node):
                found[name].append(binding)
        for name in self._rebound_inside:
            found[name].append(Binding("unknown"))
        return dict(found)

    @cached_property
    def _rebound_inside(self) -> set[str]:
        """Names that a nested function declares as not its own, and so may bind here."""
        declared = (node for node in ast.walk(self.owner) if isinstance(node, ast.Nonlocal | ast.Global))
        return {name for node in declared for name in node.names}

    @cached_property
    def uses(self) -> dict[str, list[ast.Name]]:
        """By name, every place in it and in what is nested in it where the name is read."""
        found: dict[str, list[ast.Name]] = defaultdict(list)
        for node in ast.walk(self.owner):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found[node.id].append(node)
        return dict(found)

    @cached_property
    def inside(self) -> frozenset[ast.AST]:
        """All that is its own, to look syntax up in."""
        return frozenset(self.own)

    @cached_property
    def checked(self) -> frozenset[str]:
        """Names that are looked at before use: compared, asked a question in a condition, or given to a validator."""
        found: set[str] = set()
        for node in self.own:
            match node:
                case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test) | ast.IfExp(test=test):
                    found |= _compared(test)
                case ast.Match(subject=subject):
                    found |= _names(subject)
                case ast.Expr(value=ast.Call() as call) if _validates(call):
                    found |= _names(call)
                case _:
                    pass
        return frozenset(found)

    @cached_property
    def looks_at_itself(self) -> bool:
        """Whether it asks for its own variables, or executes text that could."""
        asks = {"locals", "vars", "eval", "exec", "dir"}
        calls = (node for node in ast.walk(self.owner) if isinstance(node, ast.Call))
        return any(isinstance(call.func, ast.Name) and call.func.id in asks for call in calls)


def _own(owner: ast.AST) -> Iterator[ast.AST]:
    """Everything in it that is not inside a nested function, class or lambda; those themselves are included."""
    if isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
        waiting: list[ast.AST] = list(reversed(owner.body))
    else:
        waiting = list(ast.iter_child_nodes(owner))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _OWN_SCOPE):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _parameters(owner: ast.AST) -> dict[str, ast.arg]:
    if not isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return {}
    given = owner.args
    starred = [arg for arg in (given.vararg, given.kwarg) if arg is not None]
    return {arg.arg: arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs, *starred)}


def _bindings(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            shared = len(targets) > 1 and isinstance(value, _SHARED)  # one value under several names
            for target in targets:
                yield from _to(target, Binding("unknown") if shared else Binding("is", value))
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield from _to(target, Binding("is", value))
        case ast.NamedExpr(target=target, value=value):
            yield from _to(target, Binding("unknown") if isinstance(value, _SHARED) else Binding("is", value))
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield from _to(target, Binding("element", value))
        case ast.comprehension(target=target, iter=value):
            yield from _to(target, Binding("element", value))
        case _:
            yield from _grows(node)
            yield from ((name, Binding("unknown")) for name in _otherwise(node))


def _grows(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    match node:
        case ast.AugAssign(target=target, value=value):
            yield from _to(target, Binding("grows", value))
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute)) if attribute in MUTATING:
            yield name, Binding("grows", ast.Constant(value=""))  # also where nothing is added, but taken away
            for argument in (*node.args, *(item.value for item in node.keywords)):
                yield name, Binding("grows", argument)
        case _:
            return


def _to(target: ast.expr, binding: Binding) -> Iterator[tuple[str, Binding]]:
    match target:
        case ast.Name(id=name):
            yield name, binding
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            yield from _unpacked(parts, binding)
        case ast.Starred(value=inner):
            yield from _to(inner, Binding("unknown"))
        case ast.Subscript(value=ast.Name(id=name)):
            yield name, Binding("grows", binding.value) if binding.how == "is" else Binding("unknown")
        case _:
            return


def _unpacked(parts: list[ast.expr], binding: Binding) -> Iterator[tuple[str, Binding]]:
    value = binding.value
    if binding.how == "is" and isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(parts):
        for part, one in zip(parts, value.elts, strict=True):
            yield from _to(part, Binding("is", one))
        return
    # An element of an element is still made of the same literals, if it is made of literals.
    for part in parts:
        yield from _to(part, Binding("element", value) if value is not None else Binding("unknown"))


def _otherwise(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=renamed):
            yield renamed or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.withitem(optional_vars=ast.expr() as target):
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
        case ast.Delete(targets=targets):
            yield from (n.id for n in targets if isinstance(n, ast.Name))
        case _:
            return


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _compared(test: ast.expr) -> set[str]:
    """Names whose value a condition depends on. Whether it is None, of some type or empty is no such question."""
    found: set[str] = set()
    for node in ast.walk(test):
        match node:
            case ast.Compare(ops=ops) if any(isinstance(op, ast.In | ast.NotIn | ast.Eq | ast.NotEq) for op in ops):
                found |= _names(node)
            case ast.Call(func=ast.Name(id=name)) if name in {"isinstance", "len", "callable", "hasattr"}:
                pass
            case ast.Call():
                found |= _names(node)
            case _:
                pass
    return found


def _validates(call: ast.Call) -> bool:
    last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return any(word in str(last).lower() for word in ("valid", "check", "ensure", "verify", "require", "sanit"))
