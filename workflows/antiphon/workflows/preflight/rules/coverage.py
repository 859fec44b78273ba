"""Units of work that the script has in hand and that no call answers for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, cast

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.targets import USED
from antiphon.workflows.syntax.scopes import Scope

RULE: Final = "uncovered-input"


def uncovered_inputs(reading: Reading) -> Iterator[Finding]:
    """Everything that is planned and covered by nothing, listed and asked of nobody, or handed in and never used."""
    yield from _planned(reading)
    yield from _listed(reading)
    yield from _cut(reading)
    yield from _unused(reading)


def _hidden(reading: Reading) -> bool:
    """Whether calls are made that cannot be read here, which may cover anything."""
    for node in reading.script.nodes:
        if isinstance(node, ast.Call) and not reading.examined.site(node) and reading.calls.function(node) is None:
            around = reading.script.parents.get(node)
            if isinstance(around, ast.Await) or _is_handed_to_fan_out(reading, node):
                return True
    return any(site.spread or site.name == "workflow" for site in reading.sites)


def _is_handed_to_fan_out(reading: Reading, node: ast.Call) -> bool:
    foreign = bool(reading.script.origin(node.func)) and not reading.kinds.builtin(node)
    return foreign and any(item.element is node for site in reading.fan_outs() for item in reading.items(site))


def _covering(reading: Reading) -> list[ast.expr]:
    return [value for site in reading.sites if (value := site.argument("covers")) is not None]


# --- planned ------------------------------------------------------------------------------------------------------


def _planned(reading: Reading) -> Iterator[Finding]:
    """`synthesize(planned=...)` names units from somewhere that no `covers=` takes anything from."""
    if _hidden(reading):
        return
    covered: set[object] = set()
    for value in _covering(reading):
        covered |= reading.came_from(value)
    for site in reading.sites:
        planned = site.argument("planned") if site.name == "synthesize" else None
        if planned is None:
            continue
        for source in _sources(reading, planned):
            if source not in covered:
                yield reading.finding(
                    RULE, source, "warning",
                    f"{_told(reading, source)} is planned on line {site.line}, and no call covers any of it: all of it"
                    " will be reported as a gap",
                    "say which call answers for which unit: agent(..., covers=[unit])",
                )  # fmt: skip


def _sources(reading: Reading, node: ast.expr) -> list[ast.AST]:
    """Where units come from: calls, parameters of main, lists that are written out."""
    before = reading.came_from(node)
    sites: list[ast.AST] = [
        site.node for site in reading.sites if site.name in ("step", "agent") and site.node in before
    ]
    main = reading.examined.main
    given = [*main.args.args, *main.args.kwonlyargs] if main is not None else []
    named = [one for one in given if one in before and not any(_feeds(reading, one, site) for site in sites)]
    return [*sites, *named]


def _feeds(reading: Reading, parameter: ast.arg, site: ast.AST) -> bool:
    """Whether a parameter is only what a listing is made from."""
    call = reading.examined.site(site)
    return call is not None and any(parameter in reading.came_from(one) for one in call.node.args)


def _told(reading: Reading, source: ast.AST) -> str:
    site = reading.examined.site(source)
    if site is not None:
        return f"what {site.name}({reading.shown(site.node.args[0]) if site.node.args else ''}) gives"
    return f"the parameter {source.arg}" if isinstance(source, ast.arg) else reading.shown(source)


# --- listed -------------------------------------------------------------------------------------------------------


def _listed(reading: Reading) -> Iterator[Finding]:
    """A listing that agents go over without saying what they cover, or that nobody goes over at all."""
    if _hidden(reading):
        return
    for site in reading.sites:
        if site.name != "step" or USED not in reading.gets_to(site.node):
            continue
        agents = [one for one in reading.sites if one.name == "agent" and _goes_over(reading, one, site)]
        if agents and not any(_covers(reading, one, site) for one in reading.sites):
            if all(reading.is_own_role(one) or one.argument("about") is not None for one in agents):
                continue
            yield reading.finding(
                RULE, site.node, "warning",
                f"every item of what {reading.shown(site.node)} lists becomes a call of"
                f" {reading.examined.role(agents[0]) or 'an agent'!r} on line {agents[0].line}, and none says which it"
                " covers: nobody can tell what was left out",
                "agent(..., covers=[item]), and synthesize(planned=...) or the census in the result",
            )  # fmt: skip


def _goes_over(reading: Reading, agent: Site, listing: Site | ast.expr) -> bool:
    """Whether an agent is asked once for each item of a listing."""
    for fan_out in reading.fan_outs():
        over, inside = _parts(reading, fan_out)
        if agent.node in inside and any(_is_listing(reading, one, listing) for one in over):
            return True
    return False


def _parts(reading: Reading, fan_out: Site) -> tuple[list[ast.expr], list[ast.AST]]:
    """What a fan-out goes over, and the calls in its branches."""
    if fan_out.name == "pipeline":
        items = fan_out.argument("items")
        inside = [one.node for stage in reading.branches(fan_out) for one in reading.within(stage)]
        return [] if items is None else [items], list[ast.AST](inside)
    found = reading.items(fan_out)
    repeats = [one for item in found for one in item.repeats]
    over = [one.iter for one in repeats if not isinstance(one, ast.While | ast.BinOp)]
    return over, [one.node for item in found for one in reading.within(item.element)]


def _is_listing(reading: Reading, node: ast.expr, listing: Site | ast.expr) -> bool:
    """Whether what is gone over is the listing itself, and not an answer about it."""
    return (listing.node if isinstance(listing, Site) else listing) in reading.came_from(node, strictly=True)


def _covers(reading: Reading, site: Site, listing: Site) -> bool:
    value = site.argument("covers")
    return value is not None and listing.node in reading.came_from(value)


# --- cut off ------------------------------------------------------------------------------------------------------


def _cut(reading: Reading) -> Iterator[Finding]:
    """The first so many of a listing, where nothing ever looks at the others, nor at how many they are."""
    for site in reading.sites:
        names = reading.edges.kept.get(site.node, []) if site.name == "step" else []
        cells = {
            cell for one in names for cell in (reading.edges.kept.get(one, []) if isinstance(one, ast.Await) else [])
        }
        for scope, name in (cell for cell in cells if isinstance(cell, tuple)):
            uses = reading.script.uses.get((cast("Scope | None", scope), name), [])
            heads = [head for use in uses if (head := _head(reading, use)) is not None]
            if heads and len(heads) == len(uses) and _asked_for(reading, heads[0]):
                yield reading.finding(
                    RULE, heads[0], "warning",
                    f"of what {reading.shown(site.node)} lists on line {site.line}, {reading.shown(heads[0])} is all"
                    " that anything looks at: how many others there are is told nobody",
                    f"say what was left out: log(...) or return {name}[...:], or synthesize(planned={name})",
                )  # fmt: skip


def _head(reading: Reading, use: ast.Name) -> ast.Subscript | None:
    """`files[:20]`, with a number that the script itself says."""
    around = reading.script.parents.get(use)
    match around:
        case ast.Subscript(value=value, slice=ast.Slice(lower=None, upper=upper, step=None)) if value is use:
            if isinstance(upper, ast.Name):
                binding = reading.script.only_binding(upper)
                upper = binding.value if binding is not None else None
            is_number = isinstance(upper, ast.Constant) and isinstance(upper.value, int)
            return around if is_number else None
        case _:
            return None


def _asked_for(reading: Reading, head: ast.Subscript) -> bool:
    """Whether subagents are asked for what is there."""
    return any(one.name == "agent" and _goes_over(reading, one, head) for one in reading.sites)


# --- handed in ----------------------------------------------------------------------------------------------------


def _unused(reading: Reading) -> Iterator[Finding]:
    """A list that main must be given, and that gets nowhere."""
    main = reading.examined.main
    if main is None:
        return
    plain = main.args.args
    required = [*plain[: len(plain) - len(main.args.defaults)]]
    required += [one for one, value in zip(main.args.kwonlyargs, main.args.kw_defaults, strict=True) if value is None]
    for one in required:
        kind = one.annotation.value if isinstance(one.annotation, ast.Subscript) else one.annotation
        if isinstance(kind, ast.Name) and kind.id in ("list", "tuple", "dict") and USED not in reading.gets_to(one):
            yield reading.finding(
                RULE, one, "warning",
                f"main must be given {one.arg}, and nothing of it gets into a call or the result",
                f"let calls cover it: parallel(agent(..., covers=[one]) for one in {one.arg}); or take it out",
            )  # fmt: skip
