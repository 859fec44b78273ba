"""The places that a value can be at, and the steps between them."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import Final, TypeAlias

from antiphon.workflows.preflight.examined import Examined
from antiphon.workflows.syntax.scopes import Function

Spot: TypeAlias = ast.AST | tuple[object, str]
"""A place in the script, or a name: of a scope, of a class, or of the run's state."""
USED: Final[Spot] = ("the script", "uses it")
ANSWER: Final[Spot] = ("main", "returns it")


class Edges:
    """The steps that values take; `kept` and `mixed` lead onwards, `kept_from` and `mixed_from` back."""

    def __init__(self, examined: Examined) -> None:
        self.examined, self.script = examined, examined.script
        self.kept: dict[Spot, list[Spot]] = defaultdict(list)
        self.mixed: dict[Spot, list[Spot]] = defaultdict(list)
        self.kept_from: dict[Spot, list[Spot]] = defaultdict(list)
        self.mixed_from: dict[Spot, list[Spot]] = defaultdict(list)

    def keep(self, source: Spot | None, target: Spot | None) -> None:
        """The value itself, a part of it, or something that it stands in, gets there."""
        if source is not None and target is not None:
            self.kept[source].append(target)
            self.kept_from[target].append(source)

    def mix(self, source: Spot | None, target: Spot | None) -> None:
        """Something computed from it gets there."""
        if source is not None and target is not None:
            self.mixed[source].append(target)
            self.mixed_from[target].append(source)

    def cell(self, name: ast.Name) -> Spot | None:
        """The name that is read, in its scope; None for a builtin or an unknown one."""
        if name not in self.script.scopes:  # what runs only outside of antiphon
            return None
        scope = self.script.resolve(name)
        return (scope, name.id) if scope is not None else None

    def stored(self, target: ast.expr) -> Spot | None:
        """The name that an assignment gives a value."""
        return self.cell(target) if isinstance(target, ast.Name) else None

    def own_class(self, node: ast.expr) -> ast.ClassDef | None:
        """The class whose method this is in, where `node` is the object that the method was called on."""
        if not isinstance(node, ast.Name) or node not in self.script.scopes:
            return None
        scope = self.script.resolve(node)
        function = scope.node if scope is not None else None
        if not isinstance(function, Function) or not function.args.args or function.args.args[0].arg != node.id:
            return None
        around = self.script.scopes[function].node
        return around if isinstance(around, ast.ClassDef) else None

    def put_into(self, target: ast.expr, value: Spot) -> None:
        """A value gets into a name, an attribute, or an item of a container."""
        while True:
            match target:
                case ast.Name():
                    self.keep(value, self.cell(target))
                    return
                case ast.Attribute(value=ast.expr() as base, attr=attribute):
                    own = self.own_class(base)
                    if own is not None:
                        self.keep(value, (own, attribute))
                        self.keep(value, own)
                        return
                    target = base
                case ast.Subscript(value=base):
                    target = base
                case _:
                    self.mix(value, USED)
                    return
