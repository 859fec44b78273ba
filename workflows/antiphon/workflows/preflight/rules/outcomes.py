"""Fan-outs of which only the good outcomes are looked at."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.failures import is_nothing
from antiphon.workflows.preflight.rules.reading import Reading

FILTERED: Final = "failures-not-counted"
_LOOKING: Final = frozenset({"failed", "degraded", "census", "complete"})


def uncounted_failures(reading: Reading) -> Iterator[Finding]:
    """Every fan-out of which only the successes are looked at."""
    if any(site.name == "synthesize" for site in reading.sites):
        return
    for site in reading.fan_outs():
        if site.name not in ("parallel", "pipeline"):
            continue
        places = [one for one in reading.gets_to(site.node, strictly=True) if isinstance(one, ast.expr)]
        filters = [one for one in places if _is_filter(reading, site, one)]
        if filters and not _is_looked_at(reading, site, places) and not _is_compared(reading, filters):
            filters.sort(key=lambda one: (one.lineno, one.col_offset))
            deciding = next((one for one in filters if _decides(reading, one)), None)
            yield _filtered(reading, site, deciding or filters[0], decides=deciding is not None)


def _is_outcomes(reading: Reading, site: Site, node: ast.expr) -> bool:
    """Whether an expression is the Outcomes of a fan-out itself: awaited, or a name of it."""
    if isinstance(node, ast.Await):
        return node.value is site.node or reading.kinds.lazy(node.value) == site.name
    return isinstance(node, ast.Name) and reading.kinds.kind(node) == "outcomes"


def _is_filter(reading: Reading, site: Site, node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=whole, attr="succeeded"):
            return _is_outcomes(reading, site, whole)
        case ast.ListComp(generators=[one]) | ast.GeneratorExp(generators=[one]):
            drops = any(_asks_ok(test) for test in one.ifs) or _blanks(node.elt)
            return drops and _is_outcomes(reading, site, one.iter)
        case ast.Name():
            around = reading.script.parents.get(node)
            return isinstance(around, ast.For) and _skips(around) and _is_outcomes(reading, site, node)
        case _:
            return False


def _blanks(element: ast.expr) -> bool:
    """`outcome.value if outcome.ok else None`."""
    return isinstance(element, ast.IfExp) and _asks_ok(element.test) and is_nothing(element.orelse)


def _skips(loop: ast.For) -> bool:
    """Whether a loop over outcomes does nothing at all with those that are not ok."""
    match loop.body:
        case [ast.If(test=test, orelse=[])]:
            return _asks_ok(test) and not loop.orelse
        case [ast.If(test=ast.UnaryOp(op=ast.Not(), operand=test), body=[ast.Continue()], orelse=[]), *_]:
            return _asks_ok(test) and not loop.orelse
        case _:
            return False


def _asks_ok(test: ast.expr) -> bool:
    match test:
        case ast.Attribute(attr="ok"):
            return True
        case ast.Compare(
            left=ast.Attribute(attr="kind"), ops=[ast.Eq()], comparators=[ast.Constant(value="succeeded")]
        ):
            return True
        case _:
            return False


def _is_looked_at(reading: Reading, site: Site, places: Sequence[ast.expr]) -> bool:
    """Whether anybody sees the others: asks for them, goes over all, or hands on the whole."""
    for place in places:
        looks = isinstance(place, ast.Attribute) and place.attr in _LOOKING | {"kind", "reason"}
        if looks and not _is_in_filter(reading, place):
            return True
        if _is_outcomes(reading, site, place) and _is_handed_on(reading, place):
            return True
    return False


def _is_in_filter(reading: Reading, place: ast.expr) -> bool:
    around = reading.script.parents.get(place)
    return isinstance(around, ast.Compare) and isinstance(reading.script.parents.get(around), ast.comprehension)


def _is_handed_on(reading: Reading, place: ast.expr) -> bool:
    """Whether the whole is used otherwise than to filter it."""
    around = reading.script.parents.get(place)
    match around:
        case ast.Attribute(attr=attribute):
            return attribute != "succeeded"
        case ast.comprehension():
            made = reading.script.parents.get(around)
            blanks = isinstance(made, ast.ListComp | ast.GeneratorExp) and _blanks(made.elt)
            return not blanks and not any(_asks_ok(test) for test in around.ifs)
        case ast.For() if _skips(around):
            return False
        case ast.Assign() | ast.AnnAssign() | ast.Await():
            return False
        case _:
            return True


def _is_compared(reading: Reading, filters: Sequence[ast.expr]) -> bool:
    """Whether the number of successes is held against the number of items, or blanks are asked for."""
    for one in filters:
        for place in reading.gets_to(one):
            if isinstance(place, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in place.ops):
                return True
            if isinstance(place, ast.Call) and reading.kinds.builtin(place) == "len":
                around = reading.script.parents.get(place)
                if isinstance(around, ast.Compare | ast.BinOp):
                    return True
    return False


def _filtered(reading: Reading, site: Site, at: ast.expr, *, decides: bool) -> Finding:
    what = (
        "what goes on with the rest takes them for all" if decides else "the answer does not say how many are missing"
    )
    return reading.finding(
        FILTERED,
        at,
        "warning" if decides else "note",
        f"of {site.name}() on line {site.line} only the successes are looked at, and {what}",
        "say how many failed, in the result or to whoever goes on: found.census, found.failed()",
    )


def _decides(reading: Reading, at: ast.expr) -> bool:
    """Whether the successes alone go to another agent, or are taken for all of them."""
    after = reading.gets_to(at)
    if any(isinstance(one, ast.Call) and reading.kinds.builtin(one) in ("all", "any") for one in after):
        return True
    return any(
        value in after
        for site in reading.sites
        if site.name in ("agent", "choose")
        for value in [*site.node.args, *(keyword.value for keyword in site.node.keywords)]
    )
