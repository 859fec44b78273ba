"""One model's summary where the synthesis belongs: what disagrees disappears in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading, Repeat
from antiphon.workflows.preflight.rules.targets import ANSWER, Spot
from antiphon.workflows.preflight.rules.verifying import is_verifier

RULE: Final = "summary-hides-disagreement"
_ENDINGS: Final = frozenset({"census", "failed", "complete", "item", "reason", "kind", "ok"})
_CHOOSING: Final = frozenset({"refutation", "judgement", "adjudication", "critique", "review"})


def hiding_summaries(reading: Reading) -> Iterator[Finding]:
    """Every agent that is given what a fan-out found, and whose words alone become the answer."""
    if any(site.name == "synthesize" for site in reading.sites):
        return
    answered = reading.came_from(ANSWER, strictly=True)
    for site in reading.sites:
        if site.name != "agent" or site.node not in answered or not _summarises(reading, site):
            continue
        merged = [one for one in _given_fan_outs(reading, site) if ANSWER not in _values(reading, one, all_of=False)]
        if merged:
            yield _found(reading, site, merged[0])


def _summarises(reading: Reading, site: Site) -> bool:
    """Whether a call hands back words of its own: it does not judge a record, nor pick one of what it was given."""
    definition = reading.definition(site)
    if is_verifier(reading, site) or reading.is_own_role(site):
        return False
    return definition is None or definition.framing not in _CHOOSING


def _given_fan_outs(reading: Reading, site: Site) -> list[Site]:
    """The fan-outs of agents whose values a call is given in its task or frames, and that it is no part of."""
    found: dict[ast.AST, Site] = {}
    for name in ("task", "context"):
        given = site.argument(name)
        for one in reading.fan_outs() if given is not None else []:
            values = _values(reading, one, all_of=True) if one.name in ("parallel", "pipeline") else set[Spot]()
            if given not in values or _is_one_by_one(reading, site, values):
                continue
            parts = [inner for inner in reading.within(one.node) if inner.name == "agent"]
            if parts and all(inner.node is not site.node for inner in parts):
                found[one.node] = one
    return list(found.values())


def _values(reading: Reading, fan_out: Site, *, all_of: bool) -> set[Spot]:
    """The places that values of a fan-out get to; `all_of`: not one that was chosen, nor those that pass a test."""
    todo: list[Spot] = [fan_out.node, *_claims_of(reading, fan_out)]
    seen = set(todo)
    while todo:
        for further in reading.edges.kept.get(todo.pop(), []):
            if further not in seen and not _tells(further) and not (all_of and _chooses(reading, further)):
                seen.add(further)
                todo.append(further)
    return seen


def _claims_of(reading: Reading, fan_out: Site) -> Iterator[Spot]:
    """Where the claims of a fan-out are asked for."""
    for site in reading.sites:
        of = site.argument("of") if site.name == "claims" else None
        if of is not None and fan_out.node in reading.came_from(of, strictly=True):
            yield site.node


def _tells(spot: Spot) -> bool:
    """Whether only how the branches ended gets there, and none of their values."""
    return isinstance(spot, ast.Attribute) and spot.attr in _ENDINGS


def _is_one_by_one(reading: Reading, site: Site, values: set[Spot]) -> bool:
    """Whether a call is made for each of the values, and not once for all of them."""
    if any(_is_over(one, values) for one in reading.loops_around(site.node)):
        return True
    for fan_out in reading.fan_outs():
        pieces: list[ast.AST] = []
        if fan_out.name == "pipeline" and fan_out.argument("items") in values:
            pieces += reading.branches(fan_out)
        pieces += [one.element for one in reading.items(fan_out) if any(_is_over(over, values) for over in one.repeats)]
        if any(inner.node is site.node for piece in pieces for inner in reading.within(piece)):
            return True
    return False


def _is_over(repeat: Repeat, values: set[Spot]) -> bool:
    return not isinstance(repeat, ast.While | ast.BinOp) and repeat.iter in values


def _chooses(reading: Reading, spot: Spot) -> bool:
    match spot:
        case ast.Subscript(slice=ast.Constant(value=str())):
            return False
        case ast.Subscript():
            return True
        case ast.Call():
            return reading.kinds.builtin(spot) in ("min", "max", "next") or reading.kinds.api_name(spot) == "choose"
        case ast.ListComp(generators=generators) | ast.GeneratorExp(generators=generators):
            return any(isinstance(test, ast.Compare) for one in generators for test in one.ifs)
        case _:
            return False


def _found(reading: Reading, site: Site, fan_out: Site) -> Finding:
    role = reading.examined.role(site) or "one agent"
    return reading.finding(
        RULE,
        site.node,
        "warning",
        f"{role!r} sums up what the branches of line {fan_out.line} found, and only its words reach the answer: where"
        " they disagree, or one of them stands alone, nobody sees it",
        "return synthesize(planned=...), which keeps every claim and conflict, and put the summary beside it",
    )
