"""Fan-outs that become as large as somebody else says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding, Severity
from antiphon.workflows.preflight.rules.limited import has_own_limit, is_limited, run_limits
from antiphon.workflows.preflight.rules.reading import Reading, Repeat
from antiphon.workflows.preflight.rules.schemas import bounds_lists

RULE: Final = "unbounded-fan-out"
_SAME_SIZE: Final = frozenset(
    {"list", "tuple", "sorted", "reversed", "set", "enumerate", "zip", "iter", "frozenset", "filter"}
)
_SEVERITY: Final[dict[str, Severity]] = {"agent": "error", "step": "warning", "claims": "note"}
_MOST: Final = 200


def unlimited_fan_outs(reading: Reading) -> Iterator[Finding]:
    """Every fan-out over as many items as a model or a listing gives, where nothing bounds that."""
    if run_limits(reading):
        return
    for site in reading.fan_outs():
        if has_own_limit(site) or is_limited(reading, site):
            continue
        for source in sources_of_size(reading, site):
            if source.name == "step" and site.argument("concurrency") is not None:
                continue
            yield _found(reading, site, source)
            break


def _found(reading: Reading, site: Site, source: Site) -> Finding:
    told = {
        "step": f"step() on line {source.line} lists",
        "claims": f"there are claims on line {source.line}",
    }.get(source.name, f"the answer on line {source.line} has")
    return reading.finding(
        RULE,
        site.node,
        _SEVERITY[source.name],
        f"{site.name}() starts as many branches as {told}: one item or a million, and no limit stops it",
        'cut the items (`items[:50]`, and log what was left out), or set limits={"agent_calls": ...} here or in the'
        " manifest",
    )


def sources_of_size(reading: Reading, site: Site) -> list[Site]:
    """The calls whose answers decide how many branches a fan-out has, without a bound of their own."""
    sizes = _Sizes(reading)
    if site.name == "pipeline":
        return sizes.of(site.argument("items"))
    found: dict[ast.AST, Site] = {}
    for item in reading.items(site):
        for repeat in item.repeats:
            found |= {one.node: one for one in sizes.of(_gone_over(repeat))}
    return list(found.values())


def _gone_over(repeat: Repeat) -> ast.expr | None:
    return None if isinstance(repeat, ast.While | ast.BinOp) else repeat.iter


class _Sizes:
    """Follows what a list was made from, as far as it keeps its length."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def of(self, node: ast.expr | None) -> list[Site]:
        """The calls whose answers say how long `node` is."""
        todo, seen, found = [node], set[ast.AST](), list[Site]()
        while todo and len(seen) < _MOST:
            one = todo.pop()
            if one is None or one in seen:
                continue
            seen.add(one)
            site = self.reading.examined.site(one)
            if site is not None:
                found += self._site(site)
            else:
                todo += self._before(one)
        return found

    def _site(self, site: Site) -> list[Site]:
        bounded = site.name == "agent" and bounds_lists(self.reading, site)
        return [site] if site.name in ("agent", "step", "claims") and not bounded else []

    def _before(self, node: ast.expr) -> list[ast.expr | None]:
        match node:
            case ast.Name():
                return [one.value if one.value is not None else None for one in self.reading.script.bindings(node)]
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Attribute(value=value):
                return [value]
            case ast.Subscript(value=value, slice=index):
                return [] if isinstance(index, ast.Slice) else [value]
            case ast.ListComp(generators=generators) | ast.GeneratorExp(generators=generators):
                return [one.iter for one in generators]
            case ast.BoolOp(values=values):
                return list(values)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [left, right]
            case ast.Call():
                return self._through(node)
            case _:
                return []

    def _through(self, call: ast.Call) -> list[ast.expr | None]:
        if self.reading.kinds.builtin(call) in _SAME_SIZE:
            return list(call.args)
        if self.reading.script.origin(call.func) == "builtins.dict.fromkeys":
            return list(call.args[:1])
        function = self.reading.calls.function(call)
        if function is None:
            return [call.func.value] if isinstance(call.func, ast.Attribute) else []
        returns = self.reading.script.returns.get(self.reading.script.inner[function], [])
        return [one.value for one in returns] if not isinstance(function, ast.Lambda) else [function.body]
