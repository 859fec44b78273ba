"""Answers that were paid for and that nobody looks at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.targets import USED
from antiphon.workflows.syntax.kinds import FANOUTS

RULE: Final = "result-unused"
RECORDS: Final = frozenset({"findings", "verdict", "facts"})
"""Outputs that become records of the run, which the synthesis takes up."""
_ASKED: Final = FANOUTS | {"agent", "choose", "approve", "branch"}


def unused_results(reading: Reading) -> Iterator[Finding]:
    """Every answer that gets nowhere: not into the result, a condition, another call, nor the records."""
    merged = any(site.name in ("synthesize", "claims") for site in reading.sites)
    asked = [site for site in reading.sites if site.name in _ASKED and reading.is_reached(site)]
    unused = [site for site in asked if _is_unused(reading, site)]
    inner = {one.node for site in unused if site.name in FANOUTS | {"branch"} for one in _behind(reading, site)}
    for site in unused:
        if site.node not in inner and _is_lost(reading, site, merged=merged):
            yield _found(reading, site)


def _is_unused(reading: Reading, site: Site) -> bool:
    if USED not in reading.gets_to(site.node):
        return True
    return _is_overwritten(reading, site)


def _behind(reading: Reading, site: Site) -> list[Site]:
    """The calls whose values a fan-out gives."""
    return [one for one in reading.sites_behind(site.node, *_ASKED, strictly=True) if one.node is not site.node]


def _is_lost(reading: Reading, site: Site, *, merged: bool) -> bool:
    """Whether an unused answer leaves nothing else behind: no change of files, no record that is merged."""
    if site.name in FANOUTS | {"branch"}:
        leaves = [one for one in _behind(reading, site) if one.name in ("agent", "choose")]
        return bool(leaves) and all(_is_lost(reading, one, merged=merged) for one in leaves)
    if site.name != "agent":
        return True
    if site.spread or reading.examined.role(site) is None or reading.is_own_role(site):
        return False
    workspace = site.argument("workspace")
    if workspace is not None and reading.examined.text(workspace) != "read":
        return False
    return not merged or not _leaves_records(reading, site)


def _leaves_records(reading: Reading, site: Site) -> bool:
    """Whether what a call came to may be among the records, by its output, by what it judges, or by its role."""
    if any(site.argument(name) is not None for name in ("about", "covers")):
        return True
    if reading.examined.output(site) in RECORDS:
        return True
    return site.argument("output") is None and reading.definition(site) is None


def _found(reading: Reading, site: Site) -> Finding:
    if site.name == "approve":
        reason = (
            f"a person is asked {reading.shown(site.argument('question'))}, and the script goes on whatever is said"
        )
        return reading.finding(RULE, site.node, "error", reason, "write `if not await approve(...): return ...`")
    role = reading.examined.role(site)
    who = f"{site.name}() asks {role!r}" if role else f"{site.name}() runs"
    reason = f"{who} here, and nothing of what comes back reaches the result, a decision, another call or the records"
    return reading.finding(
        RULE, site.node, "warning", reason, "use the value (return it, hand it on), or leave out the call"
    )


def _is_overwritten(reading: Reading, site: Site) -> bool:
    """Whether the name that gets the answer gets another before anybody reads it."""
    statement = reading.statement(site.node)
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await(value=awaited)) if awaited is site.node:
            pass
        case _:
            return False
    block = reading.block_of(statement)
    for later in block[block.index(statement) + 1 :]:
        if any(isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load)
               for one in ast.walk(later)):  # fmt: skip
            return False
        match later:
            case ast.Assign(targets=[ast.Name(id=again)]) if again == name:
                return True
            case ast.Expr() | ast.Assign() | ast.AnnAssign():
                pass
            case _:
                return False
    return False
