"""Whether what a name is bound to may be changed where no binding shows it: lent, stored, or under another name."""

from __future__ import annotations

import ast

from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.scopes import MUTATING, Binding, Scope

_MOST_USES = 200
_DISPLAYS = (ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.Set, ast.SetComp, ast.GeneratorExp)
_MADE_OF = (ast.Tuple, ast.BinOp, ast.BoolOp, ast.IfExp, ast.NamedExpr, ast.Starred)
_PLAIN_RESULTS = frozenset(
    {
        "int", "float", "len", "bool", "round", "id", "hash", "ord", "hex", "oct", "bin", "str", "repr", "bytes",
        "format", "join", "strip", "lstrip", "rstrip", "lower", "upper", "replace", "title", "encode", "decode",
        "capitalize", "zfill", "ljust", "rjust", "center", "format_map", "removeprefix", "removesuffix", "quote",
        "dedent", "range",
    }
)  # fmt: skip
_LOOKING = frozenset({"len", "str", "repr", "print", "bool", "any", "all", "isinstance"})
_COPYING = frozenset(
    {"list", "tuple", "set", "frozenset", "dict", "sorted", "sum", "min", "max", "enumerate", "reversed", "zip"}
)
_READING = frozenset({"get", "items", "keys", "values", "index", "count", "copy"})


def may_change_unseen(code: Code, name: str, scope: Scope, bindings: list[Binding]) -> bool:
    """Whether a name is bound to something that can change, and any use of it is more than a plain read."""
    values = [(one.how, one.value) for one in bindings if one.value is not None]
    within = any(_holds_changeable(value) for _, value in values)
    if not within and not any(how == "is" and _can_change(value) for how, value in values):
        return False
    uses = scope.uses.get(name, [])
    return len(uses) > _MOST_USES or not all(_only_reads(code, use, scope, within=within) for use in uses)


def _can_change(value: ast.expr) -> bool:
    match value:
        case ast.Call(func=called):
            last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            return last not in _PLAIN_RESULTS
        case ast.Subscript(value=held):
            return not isinstance(held, ast.Name)  # an element of what has a name is looked at there
        case _:
            parts = (part for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr))
            return isinstance(value, _DISPLAYS) or (isinstance(value, _MADE_OF) and any(map(_can_change, parts)))


def _holds_changeable(value: ast.expr) -> bool:
    """Whether an element of it, or one of an element, can change."""
    if isinstance(value, ast.Call) and not _can_change(value):
        return False
    inner = [part for part in ast.walk(value) if part is not value and isinstance(part, ast.expr)]
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.Tuple):
        return any(_can_change(part) for part in inner)
    return any(isinstance(part, _DISPLAYS) and _holds_changeable(part) for part in inner)


def _only_reads(code: Code, use: ast.expr, scope: Scope, *, within: bool) -> bool:
    """Whether a use neither changes the value nor makes it known elsewhere. `within`: its elements can change too."""
    outer = code.parent(use)
    match outer:
        case ast.FormattedValue() | ast.Compare() | ast.UnaryOp() | ast.Expr() | ast.If() | ast.While() | ast.Assert():
            return True
        case ast.For(iter=held) | ast.AsyncFor(iter=held) | ast.comprehension(iter=held):
            return held is use and not within
        case ast.BinOp() | ast.Starred():
            return not within
        case ast.Subscript(value=held) if held is use:
            return _element_only_read(code, outer, scope, within=within)
        case ast.Attribute():
            return _method_only_reads(code, outer, scope, within=within)
        case ast.Call():
            return use in outer.args and _call_only_reads(code, outer, within=within)
        case ast.keyword():
            call = code.parent(outer)
            return isinstance(call, ast.Call) and _call_only_reads(code, call, within=within)
        case _:
            return isinstance(outer, ast.Subscript)  # as the key


def _element_only_read(code: Code, element: ast.Subscript, scope: Scope, *, within: bool) -> bool:
    if isinstance(element.ctx, ast.Load):
        return not within or _only_reads(code, element, scope, within=True)
    # Elements that are set are among the bindings, of the function that sets them.
    holder = code.parent(element)
    direct = isinstance(element.value, ast.Name) and element in scope.inside
    return direct and not (isinstance(holder, ast.Assign) and _can_change(holder.value))


def _method_only_reads(code: Code, method: ast.Attribute, scope: Scope, *, within: bool) -> bool:
    call = code.parent(method)
    if not (isinstance(call, ast.Call) and call.func is method):
        return False
    if method.attr in MUTATING:  # what is added is among the bindings, of the function that adds it
        given = [*call.args, *(item.value for item in call.keywords)]
        direct = isinstance(method.value, ast.Name) and method in scope.inside
        return direct and not any(_holds_changeable(value) for value in given) and not _nests(method.attr, given)
    return method.attr in _READING and not within


def _nests(method: str, given: list[ast.expr]) -> bool:
    """Whether a method makes an element of something that can change."""
    return method not in {"extend", "extendleft", "update"} and any(_can_change(value) for value in given)


def _call_only_reads(code: Code, call: ast.Call, *, within: bool) -> bool:
    name = code.callee(call)
    if name.startswith(("subprocess.", "os.")) or name == "shlex.join":
        return True
    match call.func:
        case ast.Name(id=called):
            plain = called not in code.bound_anywhere
            return plain and (called in _LOOKING or (called in _COPYING and not within))
        case ast.Attribute(value=ast.Constant(value=str()), attr="join"):
            return True
        case _:
            return False
