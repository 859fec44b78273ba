"""How values get through calls: the script API's, the script's own functions and classes, and everybody else's."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import Final

from antiphon.workflows.preflight.examined import Examined, Site
from antiphon.workflows.preflight.rules.targets import ANSWER, USED, Edges, Spot
from antiphon.workflows.syntax.scopes import Function

KEEPING: Final = frozenset({"append", "extend", "insert", "add", "setdefault", "appendleft", "update", "put"})
"""Methods that put their argument into what they are called on."""
_MOST_CLASSES: Final = 10
_PASSING: Final = frozenset(
    {"str", "list", "tuple", "sorted", "reversed", "dict", "repr", "set", "frozenset", "iter", "next", "filter",
     "map", "enumerate", "zip", "min", "max"}
)  # fmt: skip
_PASSING_METHODS: Final = frozenset({"format", "join", "get", "copy", "replace", "format_map"})
_PASSING_FUNCTIONS: Final = frozenset(
    {"json.dumps", "json.loads", "copy.copy", "copy.deepcopy", "itertools.chain", "textwrap.dedent",
     "dataclasses.asdict", "itertools.chain.from_iterable"}
)  # fmt: skip


class Calls:
    """Adds the steps that lead through calls."""

    def __init__(self, examined: Examined, edges: Edges) -> None:
        self.examined, self.script, self.kinds, self.edges = examined, examined.script, examined.kinds, edges
        self._methods: dict[str, list[Function]] = defaultdict(list)
        for node in self.script.nodes:
            if isinstance(node, Function) and isinstance(self.script.scopes[node].node, ast.ClassDef):
                self._methods[node.name].append(node)

    def call(self, node: ast.Call) -> None:
        """All steps through one call."""
        site = self.examined.site(node)
        if site is not None:
            self._api(site)
            return
        functions = self.functions(node)
        if functions:
            for function in functions:
                self._own(node, function)
        elif (own := self.own_class(node)) is not None:
            self._made(node, own)
        else:
            self._foreign(node)

    def function(self, node: ast.Call) -> Function | ast.Lambda | None:
        """The function of this script that a call calls, where there is only one that it can be."""
        found = self.functions(node)
        return found[0] if len(found) == 1 else None

    def functions(self, node: ast.Call) -> list[Function | ast.Lambda]:
        """The functions of this script that a call may call: of a method, those of every class that has it."""
        if isinstance(node.func, ast.Attribute):
            return [] if self.script.origin(node.func) else [*self._methods.get(node.func.attr, [])[:_MOST_CLASSES]]
        function = self.kinds.function(node.func)
        return [] if function is None else [function]

    # --- the script's own ---------------------------------------------------------------------------------------------

    def _own(self, node: ast.Call, function: Function | ast.Lambda) -> None:
        plain = [*function.args.posonlyargs, *function.args.args]
        if isinstance(node.func, ast.Attribute) and isinstance(function, Function) and plain:
            static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)
            if not static:
                self.edges.mix(node.func.value, self._parameter(function, plain[0].arg))
                plain = plain[1:]
        self._given(node, function, [one.arg for one in plain])
        for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self.edges.mix(given, node)  # which way it goes inside may depend on it
        if isinstance(function, ast.Lambda):
            self.edges.keep(function.body, node)
        else:
            self.edges.keep(function, node)

    def _parameter(self, function: Function | ast.Lambda, name: str) -> Spot:
        return (self.script.inner[function], name)

    def _given(self, node: ast.Call, function: Function | ast.Lambda, names: list[str]) -> None:
        """Each argument to its parameter; what is spread may be any of them."""
        rest = function.args.vararg.arg if function.args.vararg else None
        known = {*names, *(one.arg for one in function.args.kwonlyargs)}
        more = function.args.kwarg.arg if function.args.kwarg else None
        for place, given in enumerate(node.args):
            if isinstance(given, ast.Starred):
                for name in names[place:]:
                    self.edges.keep(given.value, self._parameter(function, name))
            elif place < len(names):
                self.edges.keep(given, self._parameter(function, names[place]))
            elif rest is not None:
                self.edges.keep(given, self._parameter(function, rest))
        for keyword in node.keywords:
            if keyword.arg in known:
                self.edges.keep(keyword.value, self._parameter(function, str(keyword.arg)))
            elif more is not None:
                self.edges.keep(keyword.value, self._parameter(function, more))

    def own_class(self, node: ast.Call) -> ast.ClassDef | None:
        """The class of this script that a call makes an object of."""
        binding = self.script.only_binding(node.func) if isinstance(node.func, ast.Name) else None
        return binding.node if binding is not None and isinstance(binding.node, ast.ClassDef) else None

    def _made(self, node: ast.Call, own: ast.ClassDef) -> None:
        """An object of a class of this script holds what it was made from, and what its methods put into it."""
        for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self.edges.keep(given, node)
        for keyword in node.keywords:
            if keyword.arg:
                self.edges.keep(keyword.value, (own, keyword.arg))
        fields = [one.target.id for one in own.body if isinstance(one, ast.AnnAssign)
                  if isinstance(one.target, ast.Name)]  # fmt: skip
        for name, value in zip(fields, node.args, strict=False):
            self.edges.keep(value, (own, name))
        first = next((one for one in own.body if isinstance(one, Function) and one.name == "__init__"), None)
        if first is not None:
            self._given(node, first, [one.arg for one in first.args.args[1:]])
        self.edges.keep(own, node)

    # --- everybody else's ---------------------------------------------------------------------------------------------

    def _foreign(self, node: ast.Call) -> None:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        builtin, origin = self.kinds.builtin(node), self.script.origin(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) and not origin else ""
        if isinstance(node.func, ast.Attribute):
            self.edges.keep(node.func, node)
        passes = builtin in _PASSING or method in _PASSING_METHODS or origin in _PASSING_FUNCTIONS
        for one in given:
            (self.edges.keep if passes else self.edges.mix)(one, node)
        if method in KEEPING and isinstance(node.func, ast.Attribute):
            for one in given:
                self.edges.put_into(node.func.value, one)
        elif not (passes or builtin or origin in _PASSING_FUNCTIONS or method):
            for one in given:
                self.edges.mix(one, USED)
        elif method and not passes:
            self._lent(node.func, given)

    def _lent(self, function: ast.expr, given: list[ast.expr]) -> None:
        """Arguments of a method that nobody knows: it may do anything with them."""
        assert isinstance(function, ast.Attribute)
        for one in given:
            self.edges.mix(one, USED)
            if isinstance(function.value, ast.Name):
                self.edges.mix(one, self.edges.cell(function.value))

    # --- the script API -----------------------------------------------------------------------------------------------

    def _api(self, site: Site) -> None:
        match site.name:
            case "parallel" | "race" | "quorum" | "branch":
                self._fan_out(site)
            case "pipeline":
                self._pipeline(site)
            case "put":
                self._state(site, "value", writes=True)
            case "get":
                self._state(site, "default", writes=False)
            case "choose":
                self.edges.keep(site.argument("options"), site.node)
                self._used(site)
            case "claims":
                self.edges.mix(site.argument("of"), site.node)
                self._used(site)
            case "fail" | "replan":
                self.edges.keep(site.argument("partial") or site.argument("results"), ANSWER)
                self._used(site)
            case _:
                self._used(site)

    def _used(self, site: Site) -> None:
        for one in [*site.node.args, *(keyword.value for keyword in site.node.keywords)]:
            self.edges.mix(one, USED)

    def _fan_out(self, site: Site) -> None:
        calls = site.argument("call" if site.name == "branch" else "calls")
        self.edges.keep(calls, site.node)
        for keyword in site.node.keywords:
            if keyword.arg in ("vote", "until"):
                self._called_with(keyword.value, site.node)
            elif keyword.value is not calls:
                self.edges.mix(keyword.value, USED)

    def _called_with(self, function: ast.expr, value: Spot) -> None:
        found = self.kinds.function(function)
        if found is not None and (names := [*found.args.posonlyargs, *found.args.args]):
            self.edges.keep(value, self._parameter(found, names[0].arg))

    def _pipeline(self, site: Site) -> None:
        value: Spot | None = site.argument("items")
        for stage in site.node.args[1:]:
            function = self.kinds.function(stage)
            if function is None:
                self.edges.mix(value, USED)
                self.edges.mix(value, site.node)
                value = stage
                continue
            if value is not None:
                self._called_with(stage, value)
            value = function.body if isinstance(function, ast.Lambda) else function
        self.edges.keep(value, site.node)

    def _state(self, site: Site, given: str, *, writes: bool) -> None:
        key = self.examined.text(site.argument("key"))
        value = site.argument(given)
        self._used(site)
        if writes and key is not None:
            self.edges.keep(value, ("the run's state", key))
        elif not writes:
            self.edges.keep(value, site.node)
            self.edges.keep(("the run's state", key or ""), site.node)
