"""Answers that are taken apart although nothing says what they look like, or how long they may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.fanouts import sources_of_size
from antiphon.workflows.preflight.rules.limited import has_own_limit, run_limits
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.schemas import open_list
from antiphon.workflows.preflight.rules.targets import Spot

RULE: Final = "unbounded-output"
_OF_OUTCOMES: Final = frozenset(
    {"ok", "value", "kind", "reason", "item", "path", "succeeded", "failed", "degraded", "census", "complete",
     "missing", "decided", "votes", "outcomes", "category", "infrastructure", "raw", "scope"}
)  # fmt: skip
_OF_TEXTS: Final = frozenset(dir(str))
_SHAPE: Final = 'say what comes back: output={"type": "object", "properties": {...}, "required": [...]}'


def unbounded_outputs(reading: Reading) -> Iterator[Finding]:
    """Every answer of plain words that is taken apart, and every list of any length that becomes a fan-out."""
    for site in reading.sites:
        if site.name == "agent":
            yield from _taken_apart(reading, site)
    yield from _endless(reading)


# --- plain words --------------------------------------------------------------------------------------------------


def _taken_apart(reading: Reading, site: Site) -> Iterator[Finding]:
    if site.argument("output") is not None or site.spread or reading.is_own_role(site):
        return
    definition = reading.definition(site)
    if definition is None or definition.output is not None:
        return
    use = next(_structural(reading, site), None)
    if use is not None:
        yield reading.finding(
            RULE,
            site.node,
            "warning" if isinstance(use, ast.Call) else "error",
            f"the answer of {reading.examined.role(site)!r} is plain text, as there is no output=, and line"
            f" {use.lineno} takes it apart: {reading.shown(use)} fails, or takes single letters for items",
            _SHAPE,
        )


def _structural(reading: Reading, site: Site) -> Iterator[ast.expr]:
    """Where the value of a call is treated as an object or a list."""
    values = _values(reading, site)
    for value in sorted((one for one in values if isinstance(one, ast.expr)), key=_order):
        match reading.script.parents.get(value):
            case ast.Subscript(value=whole, slice=ast.Constant(value=str())) as use if whole is value:
                yield use
            case ast.Attribute(value=whole, attr=name, ctx=ast.Load()) as use if whole is value:
                if name not in _OF_OUTCOMES | _OF_TEXTS and not name.startswith("__"):
                    yield use
            case ast.comprehension(iter=whole) | ast.For(iter=whole) if whole is value and values[value] == 0:
                yield whole
            case ast.Call() as use if reading.script.origin(use.func) == "json.loads":
                if not any(isinstance(around, ast.Try) for around in reading.script.ancestors(use)):
                    yield use
            case _:
                pass


def _order(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _values(reading: Reading, site: Site) -> dict[Spot, int]:
    """The places where the value of a call is itself (0), or in as many lists; never in a text or an object."""
    found: dict[Spot, int] = {}
    todo: list[tuple[Spot, int]] = [(site.node, 0)]
    while todo:
        here, depth = todo.pop()
        if here in found:
            continue
        found[here] = depth
        for further in reading.edges.kept.get(here, []):
            change = _depth_after(reading, here, further)
            if change is not None and depth + change >= 0:
                todo.append((further, depth + change))
    return found


def _depth_after(reading: Reading, here: Spot, further: Spot) -> int | None:
    """Into how many more lists a step leads, or out of how many; None where the value is no longer itself."""
    match further:
        case tuple():
            return _into_name(reading, further, here)
        case ast.Name() | ast.Await() | ast.NamedExpr():
            return 0
        case ast.ListComp() | ast.GeneratorExp() | ast.List():
            return 1
        case ast.Attribute(attr="succeeded") | ast.Attribute(attr="value"):
            return 0
        case ast.Call():
            taken = isinstance(further.func, ast.Attribute) and further.func.attr == "succeeded"
            fan_out = reading.kinds.api_name(further) in ("parallel", "branch")
            return 0 if taken or fan_out else None
        case ast.Subscript(slice=ast.Constant(value=int())):
            return -1
        case _:
            return None


def _into_name(reading: Reading, cell: tuple[object, str], value: Spot) -> int | None:
    """Whether a name is given this value alone: as it is, or as the items of a list that a loop goes over."""
    if reading.edges.kept_from.get(cell, []) != [value] or not isinstance(value, ast.AST):
        return None
    match reading.script.parents.get(value):
        case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign() | ast.NamedExpr():
            return 0
        case ast.For(target=ast.Name()) | ast.comprehension(target=ast.Name()):
            return -1
        case _:
            return None


# --- lists of any length ------------------------------------------------------------------------------------------


def _endless(reading: Reading) -> Iterator[Finding]:
    """A list from a schema that sets no end to it, of which every item becomes a branch."""
    seen: set[ast.AST] = set()
    for fan_out in reading.fan_outs():
        for source in sources_of_size(reading, fan_out):
            name = open_list(reading, source) if source.name == "agent" else None
            if name is None or source.node in seen:
                continue
            seen.add(source.node)
            held = has_own_limit(fan_out) or bool(run_limits(reading))
            what = f"the list {name!r}" if name else "the list"
            yield reading.finding(
                RULE,
                source.node,
                "note" if held else "warning",
                f"{what} in the answer of {reading.examined.role(source) or 'this agent'!r} may be of any length, and"
                f" each item becomes a branch on line {fan_out.line}",
                'bound it in the schema: "maxItems": 20, or Field(max_length=20)',
            )
