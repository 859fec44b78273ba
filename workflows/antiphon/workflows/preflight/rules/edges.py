"""How values get from one place of a script to the next: through names, containers, texts, functions and fan-outs.

Two sorts of step are told apart. *Kept*: what arrives is the value itself, a part of it, or a text or list it stands
in. *Mixed*: what arrives was computed from it. Whoever says that something is seen somewhere follows kept steps alone;
whoever says that something is used nowhere follows both.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Final, TypeAlias

from antiphon.workflows.preflight.examined import Examined
from antiphon.workflows.preflight.rules.passing import Calls
from antiphon.workflows.preflight.rules.targets import ANSWER, USED, Edges, Spot
from antiphon.workflows.syntax.scopes import Comprehension, Function, parameters

_Kept: TypeAlias = (
    ast.Await | ast.Starred | ast.NamedExpr | ast.FormattedValue | ast.JoinedStr | ast.List | ast.Tuple | ast.Set
    | ast.BinOp | ast.BoolOp
)  # fmt: skip
_ENUMERATED: Final = 2


def edges_of(examined: Examined) -> Edges:
    """Every step that a value can take in a script."""
    building = _Building(examined)
    for node in examined.script.nodes:
        if isinstance(node, ast.expr):
            building.expression(node)
        else:
            building.statement(node)
    return building.edges


class _Building:
    def __init__(self, examined: Examined) -> None:
        self.examined, self.script = examined, examined.script
        self.edges = Edges(examined)
        self.calls = Calls(examined, self.edges)

    # --- expressions --------------------------------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> None:
        match node:
            case ast.Name(ctx=ast.Load()):
                self.edges.keep(self.edges.cell(node), node)
            case ast.Attribute(ctx=ast.Load()):
                self._attribute(node)
            case ast.Call():
                self.calls.call(node)
            case ast.Lambda() if not self.examined.site(self.script.parents[node]):
                self._lambda(node)
            case ast.Yield(value=ast.expr() as value) | ast.YieldFrom(value=value):
                self.edges.keep(value, self.script.function(node))
                self.edges.mix(value, USED)
            case _:
                self._compound(node)

    def _compound(self, node: ast.expr) -> None:
        match node:
            case ast.Subscript(ctx=ast.Load()):
                self.edges.keep(node.value, node)
                self.edges.mix(node.slice, node)
            case ast.Subscript():
                self.edges.mix(node.slice, USED)  # it says where something is put
            case ast.Dict():
                self._all(node.values, node)
                for key in node.keys:
                    self.edges.mix(key, node)
            case ast.IfExp():
                self._all([node.body, node.orelse], node)
                self._asked(node.test, node)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._comprehension(node)
            case _ if isinstance(node, _Kept):
                self._all(ast.iter_child_nodes(node), node)
                self._walrus(node)
            case ast.Compare() | ast.UnaryOp():
                for child in ast.iter_child_nodes(node):
                    self.edges.mix(child, node)
            case _:
                pass

    def _walrus(self, node: ast.expr) -> None:
        if isinstance(node, ast.NamedExpr):
            self.edges.keep(node.value, self.edges.stored(node.target))

    def _all(self, children: Iterable[ast.AST], node: ast.expr) -> None:
        for child in children:
            if isinstance(child, ast.expr):
                self.edges.keep(child, node)

    def _asked(self, test: ast.expr, node: Spot) -> None:
        self.edges.mix(test, node)
        self.edges.mix(test, USED)

    def _lambda(self, node: ast.Lambda) -> None:
        """Whoever has a function without a name may call it, and use what it gives; under a name, calls are seen."""
        around = self.script.parents[node]
        named = isinstance(around, ast.Assign) and isinstance(around.targets[0], ast.Name)
        if not named and not isinstance(around, ast.keyword):
            self.edges.mix(node.body, USED)

    def _attribute(self, node: ast.Attribute) -> None:
        self.edges.keep(node.value, node)
        own = self.edges.own_class(node.value)
        if own is not None:
            self.edges.keep((own, node.attr), node)

    def _comprehension(self, node: Comprehension) -> None:
        if isinstance(node, ast.DictComp):
            self.edges.mix(node.key, node)
            self.edges.keep(node.value, node)
        else:
            self.edges.keep(node.elt, node)
        for one in node.generators:
            self._over(one.target, one.iter)
            self.edges.mix(one.iter, node)
            for test in one.ifs:
                self._asked(test, node)

    # --- statements ---------------------------------------------------------------------------------------------------

    def statement(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assigned(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                self._assigned(target, value)
            case ast.For() | ast.AsyncFor():
                self._over(node.target, node.iter)
                self.edges.mix(node.iter, USED)
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                self._assigned(target, value)
            case ast.Return(value=ast.expr() as value):
                self._returned(node, value)
            case _:
                self._tested(node)

    def _tested(self, node: ast.AST) -> None:
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test):
                self.edges.mix(test, USED)
            case ast.Raise():
                self.edges.mix(node.exc, USED)
                self.edges.mix(node.cause, USED)
            case ast.Match():
                self._matched(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node)
            case _:
                pass

    def _matched(self, node: ast.Match) -> None:
        self.edges.mix(node.subject, USED)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) if isinstance(part, ast.MatchAs | ast.MatchStar) else None
                if isinstance(name, str):
                    self.edges.keep(node.subject, (self.script.scopes[part], name))

    def _function(self, node: Function) -> None:
        """What its parameters are where nothing is known of who calls it, and where it goes if it is handed around."""
        inner = self.script.inner[node]
        given = parameters(node.args)
        for one in given:
            self.edges.keep(one, (inner, one.arg))
        plain = [*node.args.posonlyargs, *node.args.args]
        for one, default in zip(reversed(plain), reversed(node.args.defaults), strict=False):
            self.edges.keep(default, (inner, one.arg))
        for one, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            self.edges.keep(value, (inner, one.arg))
        called_by_itself = node.name.startswith("__") and isinstance(self.script.scopes[node].node, ast.ClassDef)
        if node.decorator_list or called_by_itself or self._handed_around(node):
            self.edges.mix(node, USED)

    def _handed_around(self, node: Function) -> bool:
        """Whether a function is used other than by calling it: whoever has it may use what it gives."""
        uses = self.script.uses.get((self.script.scopes[node], node.name), [])
        for use in uses:
            around = self.script.parents.get(use)
            called = isinstance(around, ast.Call) and around.func is use
            if not called and not (isinstance(around, ast.Call) and self.examined.site(around)):
                return True
        return False

    def _returned(self, node: ast.Return, value: ast.expr) -> None:
        around = self.script.function(node)
        self.edges.keep(value, around)
        if around is self.examined.main:
            self.edges.keep(value, ANSWER)
            self.edges.mix(value, USED)

    # --- targets ------------------------------------------------------------------------------------------------------

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), (ast.Tuple(elts=values) | ast.List(elts=values))) if (
                len(names) == len(values)
            ):
                for name, one in zip(names, values, strict=True):
                    self._assigned(name, one)
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), _):
                for name in names:
                    self._assigned(name, value)
            case ast.Starred(value=inner), _:
                self._assigned(inner, value)
            case _:
                self.edges.put_into(target, value)

    def _over(self, target: ast.expr, source: ast.expr) -> None:
        """What a loop's variables take their values from, one by one through `enumerate` and `zip`."""
        name = self.examined.kinds.builtin(source)
        spread = isinstance(source, ast.Call) and any(isinstance(one, ast.Starred) for one in source.args)
        if isinstance(source, ast.Call) and isinstance(target, ast.Tuple) and not spread:
            if name == "enumerate" and len(target.elts) == _ENUMERATED and source.args:
                self._assigned(target.elts[1], source.args[0])
                return
            if name == "zip" and len(target.elts) == len(source.args):
                for one, value in zip(target.elts, source.args, strict=True):
                    self._assigned(one, value)
                return
        self._assigned(target, source)
