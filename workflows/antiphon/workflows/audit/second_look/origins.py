"""Where a value comes from, looking no further than the enclosing function and the module's constants."""

from __future__ import annotations

import ast
from enum import Enum

from antiphon.workflows.audit.second_look.changes import may_change_unseen
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.scopes import Binding, Scope

_DEEPEST = 40
_MOST_BINDINGS = 50
_MOST_STEPS = 5_000


class Origin(Enum):
    """One of the places a value may come from."""

    LITERAL = "literals in the source"
    NUMBER = "numbers"
    DECLARED = "a parameter declared to be a number"
    QUOTED = "text quoted for the shell"
    PARAMETER = "a parameter"
    INPUT = "input from outside the program"
    UNKNOWN = "somewhere else"


Origins = frozenset[Origin]
FIXED: Origins = frozenset({Origin.LITERAL, Origin.NUMBER, Origin.DECLARED})
_LITERAL: Origins = frozenset({Origin.LITERAL})
_NUMBER: Origins = frozenset({Origin.NUMBER})
_UNKNOWN: Origins = frozenset({Origin.UNKNOWN})
_PARAMETER: Origins = frozenset({Origin.PARAMETER})
_INPUT: Origins = frozenset({Origin.INPUT})

_NUMBERS = frozenset({"int", "float", "len", "bool", "round", "id", "hash", "ord", "hex", "oct", "bin"})
_SAME = frozenset({"str", "repr", "list", "tuple", "set", "frozenset", "sorted", "reversed", "bytes", "iter", "dict"})
_QUOTING = frozenset({"shlex.quote", "pipes.quote", "shlex.join", "subprocess.list2cmdline"})
_INPUTS = frozenset({"input", "sys.stdin.read", "sys.stdin.readline", "os.getenv", "os.environ.get", "raw_input"})
_INPUT_ATTRIBUTES = frozenset({"sys.argv", "os.environ", "sys.stdin"})
_REQUEST = frozenset({"args", "form", "values", "json", "data", "GET", "POST", "cookies", "headers", "params", "query",
                      "query_params", "body", "files", "COOKIES", "META", "get_json", "get_data"})  # fmt: skip
_TEXT_METHODS = frozenset({"format", "join", "strip", "lstrip", "rstrip", "lower", "upper", "replace", "split", "title",
                           "encode", "decode", "splitlines", "capitalize", "zfill", "ljust", "rjust", "center",
                           "format_map", "removeprefix", "removesuffix", "partition", "keys", "values", "items", "copy",
                           "get", "dedent"})  # fmt: skip


class Tracer:
    """Follows values in one file. What it cannot follow is `Origin.UNKNOWN`, never a guess.

    Attributes:
        parameters: names of the parameters that the last value asked for may come from.
    """

    def __init__(self, code: Code) -> None:
        self._code = code
        self._begin(frozenset())

    def _begin(self, hidden: frozenset[str]) -> None:
        # All of it anew for each question: what is left over from another would make answers depend on their order.
        self._names: dict[tuple[Scope, str], Origins] = {}
        self._open: list[tuple[Scope, str]] = []
        self._steps = 0
        self._hidden = hidden
        self.parameters: set[str] = set()

    def of(self, node: ast.expr) -> Origins:
        """Where the value of an expression may come from."""
        self._begin(self._code.hidden(node))
        return self._of(node, self._code.scope(node), 0) or _UNKNOWN

    def unchecked_input(self, node: ast.expr) -> str | None:
        """Where what reaches this expression comes from, if that is outside and no condition looked at it."""
        origins = self.of(node)
        if Origin.INPUT in origins:
            return Origin.INPUT.value
        if Origin.PARAMETER in origins and not self.parameters & self._code.scope(node).checked:
            return f"the parameter {', '.join(sorted(self.parameters))}"
        return None

    def _of(self, node: ast.expr | None, scope: Scope, depth: int) -> Origins:
        self._steps += 1
        if node is None or depth > _DEEPEST or self._steps > _MOST_STEPS:
            return _UNKNOWN
        match node:
            case ast.Constant(value=value):
                return _NUMBER if isinstance(value, int | float | complex) else _LITERAL
            case ast.Name(id=name):
                return self._name(name, scope, depth)
            case ast.Compare():
                return _NUMBER
            case ast.Attribute():
                return self._attribute(node, scope, depth)
            case ast.Subscript(value=inner):
                return self._of(inner, scope, depth + 1)
            case ast.Call():
                return self._call(node, scope, depth)
            case _:
                return self._parts(node, scope, depth)

    def _parts(self, node: ast.expr, scope: Scope, depth: int) -> Origins:
        parts: list[ast.expr | None]
        match node:
            case ast.JoinedStr(values=values) | ast.BoolOp(values=values):
                parts = [*values]
            case ast.FormattedValue(value=value, format_spec=form):
                parts = [value, *([form] if form is not None else [])]
            case ast.BinOp(left=left, right=right):
                parts = [left, right]
            case ast.UnaryOp(operand=value) | ast.Starred(value=value) | ast.NamedExpr(value=value):
                parts = [value]
            case ast.IfExp(body=body, orelse=otherwise):
                parts = [body, otherwise]
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                parts = [*elements]
            case ast.Dict(keys=keys, values=values):
                parts = [*(key for key in keys if key is not None), *values]
            case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                parts = [element]
            case _:
                return _UNKNOWN
        return self._union(parts, scope, depth)

    def _union(self, parts: list[ast.expr | None], scope: Scope, depth: int) -> Origins:
        found = _LITERAL if not parts else frozenset[Origin]()
        for part in parts:
            found |= self._of(part, scope, depth + 1)
        return found

    def _call(self, node: ast.Call, scope: Scope, depth: int) -> Origins:
        name = self._code.callee(node)
        values: list[ast.expr | None] = [*node.args, *(item.value for item in node.keywords)]
        if name in _QUOTING:
            return frozenset({Origin.QUOTED})
        if name in _INPUTS or (name.startswith("argparse.") and name.endswith("parse_args")):
            return _INPUT
        if name in _NUMBERS and name not in self._code.module.bindings:
            return _NUMBER
        if name in _SAME or name in {"textwrap.dedent", "os.path.join", "range", "enumerate", "zip"}:
            return self._union(values, scope, depth)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _TEXT_METHODS:
            return self._union([node.func.value, *values], scope, depth)
        return _INPUT if Origin.INPUT in self._of(node.func, scope, depth + 1) else _UNKNOWN

    def _attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> Origins:
        name = self._code.qualified(node)
        if name in _INPUT_ATTRIBUTES:
            return _INPUT
        holder, _, last = name.rpartition(".")
        if last in _REQUEST and holder.rpartition(".")[2] in {"request", "req"}:
            return _INPUT
        inner = self._of(node.value, scope, depth + 1)
        return _INPUT if Origin.INPUT in inner else _UNKNOWN

    def _name(self, name: str, scope: Scope, depth: int) -> Origins:
        place = (scope, name)
        if place in self._open:  # bound to itself, which adds nothing; or in a wider circle, which is not followed
            return frozenset() if self._open[-1] == place else _UNKNOWN
        if place not in self._names:
            self._open.append(place)
            self._names[place] = self._bound(name, scope, depth)
            self._open.pop()
        return self._names[place]

    def _bound(self, name: str, scope: Scope, depth: int) -> Origins:
        if name in self._hidden:
            return _UNKNOWN
        bindings = scope.bindings.get(name, [])
        if name in scope.parameters:
            return self._parameter(scope.parameters[name], scope, bindings, depth)
        if not bindings:
            return self._outer(name, scope, depth)
        if len(bindings) > _MOST_BINDINGS or (scope is self._code.module and name in self._code.changed_in_functions):
            return _UNKNOWN
        found = frozenset[Origin]().union(*(self._binding(one, scope, depth) for one in bindings))
        return found | _UNKNOWN if may_change_unseen(self._code, name, scope, bindings) else found

    def _binding(self, binding: Binding, scope: Scope, depth: int) -> Origins:
        return _UNKNOWN if binding.how == "unknown" else self._of(binding.value, scope, depth + 1)

    def _parameter(self, parameter: ast.arg, scope: Scope, bindings: list[Binding], depth: int) -> Origins:
        if parameter.arg in {"self", "cls"} or any(binding.how != "grows" for binding in bindings):
            return _UNKNOWN  # it is not, or no longer, surely what came in
        declared = parameter.annotation
        if isinstance(declared, ast.Name) and declared.id in {"int", "float", "bool"}:
            return frozenset({Origin.DECLARED})
        self.parameters.add(parameter.arg)
        return _PARAMETER.union(*(self._binding(binding, scope, depth) for binding in bindings))

    def _outer(self, name: str, scope: Scope, depth: int) -> Origins:
        """A name that the function does not bind: the module's, unless an outer function binds it."""
        module = self._code.module
        if scope is module or name not in module.bindings or self._code.bound_around(scope, name):
            return _UNKNOWN
        return self._name(name, module, depth + 1)
