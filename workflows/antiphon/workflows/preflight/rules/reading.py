"""One script, and the questions about it that several rules ask."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias, cast

from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.workflows.preflight.examined import Examined, Site
from antiphon.workflows.preflight.model import Finding, Severity
from antiphon.workflows.preflight.rules.edges import edges_of
from antiphon.workflows.preflight.rules.passing import KEEPING, Calls
from antiphon.workflows.preflight.rules.targets import Edges, Spot
from antiphon.workflows.syntax.scopes import Comprehension, Function, parameters

Repeat: TypeAlias = ast.comprehension | ast.For | ast.AsyncFor | ast.While | ast.BinOp
"""What makes one expression into many items."""
MOST_PLACES: Final = 60_000
"""Places in a script's syntax tree, up to which values are followed; about six thousand lines."""
MOST_CALLS: Final = 600
"""Calls of the script API, up to which values are followed."""
_LINE: Final = re.compile(r"\r\n|\r|\n")
_MOST_SHOWN: Final = 4
_MOST_STEPS: Final = 6_000_000
_DEEPEST: Final = 12
_GATHERED: Final = 200


def is_too_large(examined: Examined) -> bool:
    """Whether a script has more places or calls than are followed."""
    return len(examined.script.nodes) > MOST_PLACES or len(examined.sites) > MOST_CALLS


class TooLarge(Exception):
    """The script has more places than can be followed in a bounded time."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What a fan-out makes branches of: an expression, and what repeats it within the fan-out."""

    element: ast.expr
    repeats: tuple[Repeat, ...] = ()


class Reading:
    """Answers about one script; all that follow values share one bound on the steps they take."""

    def __init__(self, examined: Examined) -> None:
        self.examined, self.script, self.kinds = examined, examined.script, examined.kinds
        self._roles: dict[ast.AST, bool] = {}
        self.edges: Edges = edges_of(examined)
        self.calls = Calls(examined, self.edges)
        self.sites = [site for site in examined.sites if not self.is_inside_role(site.node)]
        self._lines = _LINE.split(examined.source)
        self._left = _MOST_STEPS
        self._known: dict[tuple[Spot, bool, bool], frozenset[Spot]] = {}
        self._within: dict[ast.AST, tuple[Site, ...]] = {}
        self._items: dict[ast.AST, list[Item]] = {}
        self._unfolding: set[Spot | None] = set()

    # --- words --------------------------------------------------------------------------------------------------------

    def finding(self, rule: str, at: ast.AST, severity: Severity, reason: str, remedy: str) -> Finding:
        """A finding at a place."""
        line, column = getattr(at, "lineno", 1), getattr(at, "col_offset", 0)
        return Finding(rule=rule, line=line, column=column, severity=severity, reason=reason, remedy=remedy)

    def shown(self, node: ast.AST | None, most: int = 60) -> str:
        """A piece of the script in a sentence, in one line."""
        if not isinstance(node, ast.expr) or node.end_lineno is None:
            return ""
        first, last = node.lineno - 1, min(node.end_lineno, node.lineno + _MOST_SHOWN) - 1
        lines = [line.encode() for line in self._lines[first : last + 1]]
        if last == node.end_lineno - 1:
            lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        text = " ".join(b" ".join(lines).decode(errors="replace").split())
        return text if len(text) <= most else f"{text[: most - 3]}..."

    # --- following values ---------------------------------------------------------------------------------------------

    def came_from(self, spot: Spot, *, strictly: bool = False) -> frozenset[Spot]:
        """Every place that what is at `spot` may have come from; `strictly`: as itself, a part, or in a text."""
        return self._followed(spot, strictly, back=True)

    def gets_to(self, spot: Spot, *, strictly: bool = False) -> frozenset[Spot]:
        """Every place that what is at `spot` may get to."""
        return self._followed(spot, strictly, back=False)

    def _followed(self, spot: Spot, strictly: bool, *, back: bool) -> frozenset[Spot]:
        key = spot, strictly, back
        if key not in self._known:
            edges = self.edges
            steps = [edges.kept_from if back else edges.kept]
            if not strictly:
                steps.append(edges.mixed_from if back else edges.mixed)
            self._known[key] = self._reached(spot, steps)
        return self._known[key]

    def _reached(self, spot: Spot, steps: list[dict[Spot, list[Spot]]]) -> frozenset[Spot]:
        seen, todo = {spot}, [spot]
        while todo:
            here = todo.pop()
            for step in steps:
                further = step.get(here, ())
                self._left -= 1 + len(further)
                for one in further:
                    if one not in seen:
                        seen.add(one)
                        todo.append(one)
            if self._left < 0:
                raise TooLarge
        return frozenset(seen)

    def text(self, node: ast.expr | None) -> str | None:
        """The text that an expression is wherever it is evaluated, also as a parameter that is only ever given one."""
        text = None if node is None else self.examined.text(node)
        if node is None or text is not None:
            return text
        before = self.came_from(node, strictly=True)
        main = self.examined.main
        given = [] if main is None else parameters(main.args)
        others = [one for one in before if isinstance(one, ast.expr) and not isinstance(one, ast.Name | ast.Constant)]
        texts = {one.value for one in before if isinstance(one, ast.Constant)}
        only = texts.pop() if len(texts) == 1 and not others and before.isdisjoint(given) else None
        return only if isinstance(only, str) else None

    def sites_behind(self, spot: Spot | None, *names: str, strictly: bool = False) -> list[Site]:
        """The calls of the API that what is at `spot` may have come from, by line."""
        if spot is None:
            return []
        before = self.came_from(spot, strictly=strictly)
        return [site for site in self.sites if site.node in before and site.name in names]

    def depends_on(self, spot: Spot, targets: Iterable[ast.AST]) -> bool:
        """Whether what is at `spot` may differ with one of the names that some targets of loops set."""
        cells = {self.edges.cell(one) for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        return not cells.isdisjoint(self.came_from(spot))

    # --- places -------------------------------------------------------------------------------------------------------

    def is_inside_role(self, node: ast.AST) -> bool:
        """Whether a place belongs to a role or a step that the script defines, and not to the orchestration."""
        decorated = (one for one in self.script.ancestors(node) if isinstance(one, Function) and one.decorator_list)
        return any(self._is_role(one) for one in decorated)

    def _is_role(self, function: Function) -> bool:
        if function not in self._roles:
            names = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
            origins = (self.script.origin(one).rpartition(".")[2] for one in names)
            self._roles[function] = next(filter(None, origins), "") in ("function_agent", "step_function")
        return self._roles[function]

    def is_reached(self, site: Site) -> bool:
        """Whether the function that a call stands in is used at all."""
        function = self.script.function(site.node)
        if not isinstance(function, Function) or isinstance(self.script.scopes[function].node, ast.ClassDef):
            return True
        return function is self.examined.main or (self.script.scopes[function], function.name) in self.script.uses

    def function_around(self, node: ast.AST) -> ast.AST:
        """The function, lambda or module around a place."""
        return self.script.function(node)

    def within(self, root: ast.AST, depth: int = 0) -> tuple[Site, ...]:
        """The calls of the API that are made where `root` runs, through functions of the script."""
        if root not in self._within:
            self._within[root] = ()
            found: dict[ast.AST, Site] = {}
            for node in self._inner(root):
                self._left -= 1
                if (site := self.examined.site(node)) is not None:
                    found[node] = site
                if isinstance(node, ast.Call) and depth < _DEEPEST:
                    found |= {one.node: one for one in self._through(node, depth)}
            self._within[root] = tuple(found.values())
        return self._within[root]

    def _through(self, call: ast.Call, depth: int) -> Iterator[Site]:
        """What is called by way of a function that is called, or handed to a pipeline as a stage."""
        roots: list[ast.AST | None] = [*self.calls.functions(call)]
        if self.kinds.api_name(call) == "pipeline":
            roots += [self.kinds.function(stage) for stage in call.args[1:]]
        for root in roots:
            if root is not None:
                yield from self.within(root, depth + 1)

    def _inner(self, root: ast.AST) -> Iterator[ast.AST]:
        """Everything below `root` that runs with it: not the bodies of functions that are only defined there."""
        todo: list[ast.AST] = [root.body] if isinstance(root, ast.Lambda) else [root]
        todo = [*root.body] if isinstance(root, Function) else todo
        while todo:
            node = todo.pop()
            if node not in self.script.parents:  # what runs only outside of antiphon, and what has no place
                continue
            yield node
            if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
                todo.extend(ast.iter_child_nodes(node))

    def block_of(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements that one stands among."""
        around = self.script.parents.get(statement)
        for name in ("body", "orelse", "finalbody"):
            block = cast("list[ast.stmt] | None", getattr(around, name, None))
            if isinstance(block, list) and statement in block:
                return block
        return [statement]

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """The statement that a place is in."""
        while not isinstance(node, ast.stmt):
            around = self.script.parents.get(node)
            if around is None:
                return None
            node = around
        return node

    def loops_around(self, node: ast.AST) -> list[Repeat]:
        """The loops around a place within its function, innermost first."""
        found: list[Repeat] = []
        for around in self.script.ancestors(node):
            if isinstance(around, Function | ast.Lambda):
                break
            if isinstance(around, ast.For | ast.AsyncFor | ast.While):
                found.append(around)
            elif isinstance(around, Comprehension):
                found += reversed(around.generators)
        return found

    # --- fan-outs -----------------------------------------------------------------------------------------------------

    def fan_outs(self) -> list[Site]:
        """All fan-outs, by line."""
        return [site for site in self.sites if site.is_fanout]

    def items(self, site: Site) -> list[Item]:
        """What a fan-out makes branches of, as far as that is written in the script."""
        if site.node not in self._items:
            given = site.argument("items" if site.name == "pipeline" else "calls")
            self._unfolding = set()
            found = [] if given is None else list(islice(self._unfolded(given, (), 0), _GATHERED))
            self._items[site.node] = found
        return self._items[site.node]

    def _unfolded(self, node: ast.expr, repeats: tuple[Repeat, ...], depth: int) -> Iterator[Item]:
        if depth > _DEEPEST:
            return
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                for one in elements[:_GATHERED]:
                    if isinstance(one, ast.Starred):
                        yield from self._unfolded(one.value, repeats, depth + 1)
                    else:
                        yield Item(one, repeats)
            case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element) | ast.SetComp(elt=element):
                yield Item(element, (*repeats, *node.generators))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from self._unfolded(left, repeats, depth + 1)
                yield from self._unfolded(right, repeats, depth + 1)
            case ast.BinOp(left=whole, op=ast.Mult()):
                yield from self._unfolded(whole, (*repeats, node), depth + 1)
            case ast.Name():
                yield from self._gathered(node, repeats, depth + 1)
            case ast.Call(args=[inner]) if self.kinds.builtin(node) in ("list", "tuple", "iter", "sorted", "reversed"):
                yield from self._unfolded(inner, repeats, depth + 1)
            case _:
                pass

    def _gathered(self, name: ast.Name, repeats: tuple[Repeat, ...], depth: int) -> Iterator[Item]:
        """What a list was made with, and what was put into it; once, however often it is in itself."""
        cell = self.edges.cell(name)
        if cell in self._unfolding:
            return
        self._unfolding.add(cell)
        for binding in self.script.bindings(name)[:_DEEPEST]:
            if binding.value is not None:
                yield from self._unfolded(binding.value, repeats, depth)
        uses = self.script.uses.get((self.script.resolve(name), name.id), [])
        outside = self.loops_around(name)  # a loop around the fan-out itself begins it anew
        for use in uses[:_GATHERED]:
            method = self.script.parents.get(use)
            call = self.script.parents.get(method) if isinstance(method, ast.Attribute) else None
            if not (isinstance(call, ast.Call) and isinstance(method, ast.Attribute) and call.func is method):
                continue
            if method.attr not in KEEPING or not call.args:
                continue
            around = (*repeats, *(one for one in self.loops_around(call) if one not in outside))
            if method.attr == "extend":
                yield from self._unfolded(call.args[0], around, depth + 1)
            else:
                yield Item(call.args[-1], around)

    def branches(self, site: Site) -> list[ast.AST]:
        """The pieces of script that run in the branches of a fan-out, several at a time."""
        if site.name == "pipeline":
            stages = [self.kinds.function(stage) for stage in site.node.args[1:]]
            return [stage for stage in stages if stage is not None]
        return [item.element for item in self.items(site)]

    # --- roles --------------------------------------------------------------------------------------------------------

    def definition(self, site: Site) -> RoleDefinition | None:
        """What a role file says of the role that a call asks; None for others, which only the run knows."""
        return self.examined.roles.get(self.examined.role(site) or "")

    def is_own_role(self, site: Site) -> bool:
        """Whether the role that is asked is a function of the script."""
        return (self.examined.role(site) or "") in self.examined.functions
