"""How the audit was done, so that a person can judge what its findings are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from antiphon.subagents.records import AUTHOR, Stance
from antiphon.workflows.report.document import Block, Item, Line, Piece, Said, Section, Strong, many, name_of, section
from antiphon.workflows.report.material import Material
from antiphon.workflows.synthesis import CheckCoverage

_NO_SANDBOX = " (these analysers only parse; they run nothing of what they read)"


def method(material: Material) -> Section:
    """Who looked, in which isolation, how far; what the second look came to; and the count of claims."""
    return section("method", "How this was done", _method(material))


def _method(material: Material) -> Iterator[Block]:
    about = material.about
    run: Line = (", run ", Said(about.run)) if about.run else ()
    yield Item(("antiphon ", name_of(about.antiphon), *run))
    yield Item(("analysers: ", *_analysers(material)))
    yield Item(("isolation: ", name_of(about.isolation), _NO_SANDBOX if about.isolation == "none" else ""))
    yield Item(_configuration(material))
    if about.outcomes:
        calls = ", ".join(f"{number} {outcome}" for outcome, number in sorted(about.outcomes.items()))
        reused = f"; {about.reused} taken from earlier runs" if about.reused else ""
        checks = tuple(Item(_check(check)) for check in material.synthesis.coverage.checks)
        yield Item((f"calls: {calls}{reused}",), checks)
    yield from _second_look(material)
    yield Item(
        (
            "findings are grouped by file, rule and enclosing function; tools of one lineage, such as bandit and "
            "ruff's S rules, are one opinion; where a tool states no severity, it is from our table",
        )
    )
    yield from _ledger(material)


def _analysers(material: Material) -> Line:
    about = material.about
    given: Line = ("; from SARIF files: ", *_versions(about.imported)) if about.imported else ()
    return (*(_versions(about.tools) or ("none",)), *given)


def _versions(tools: Mapping[str, str]) -> Line:
    found = [piece for tool, version in sorted(tools.items()) for piece in (", ", *_version(tool, version))]
    return tuple(found[1:])


def _version(tool: str, version: str) -> tuple[Piece, ...]:
    return (name_of(tool), " ", name_of(version)) if version else (name_of(tool),)


def _configuration(material: Material) -> Line:
    own: Line = ("the audited project's own configuration of these tools was not read",)
    used = material.about.configuration
    return (*own, "; antiphon's configuration: ", Said(used)) if used else own


def _check(check: CheckCoverage) -> Line:
    rest = [f", {number} {word}" for word in ("partial", "failed", "missing") if (number := getattr(check, word))]
    return (Said(check.check), f": {check.done} of {many(check.planned, 'file')}", *rest)


def _second_look(material: Material) -> Iterator[Item]:
    """How often which check said what, and what was looked up again."""
    synthesis = material.synthesis
    checks = [verdict for verdict in synthesis.verdicts.values() if verdict.actor != AUTHOR]
    if checks:
        counts = Counter((verdict.method, verdict.stance) for verdict in checks)

        def n(method: str, stance: Stance) -> int:
            return counts[method, stance]

        below = tuple(
            Item(
                (
                    name_of(m),
                    f": {n(m, 'confirm')} confirmed, {n(m, 'refute')} refuted, {n(m, 'cannot_tell')} left open",
                )
            )
            for m in sorted({verdict.method for verdict in checks})
        )
        yield Item((f"second look: {many(len(checks), 'verdict')} on {many(len(synthesis.claims), 'claim')}",), below)
    if synthesis.inadmissible:
        number = many(len(synthesis.inadmissible), "verdict")
        yield Item((f"{number} of the same lineage as what it is on: kept, and counted for nothing",))
    seen = synthesis.evidence
    if seen.resolved or seen.unresolved or seen.unchecked:
        told = f"{seen.resolved} as they were, {seen.unresolved} not, {seen.unchecked} not checked"
        yield Item((f"evidence looked up again: {told}; that it is there confirms nothing",))


def _ledger(material: Material) -> Iterator[Item]:
    ledger = material.synthesis.ledger
    records = f"; of {ledger.records_in} records in all, {ledger.records_out}" if ledger.records_in else ""
    yield Item((f"claims: {ledger.claims_in} came in, {ledger.claims_out} are in the output{records}",))
    if ledger.dangling:
        number = many(len(ledger.dangling), "record")
        yield Item((f"{number} about something that is not here: kept, and counted for nothing",))
    for problem in ("missing", "repeated", "unknown"):
        ids: tuple[str, ...] = getattr(ledger, problem)
        if ids:
            shown = [piece for id in ids for piece in (", ", Said(id))][1:]
            yield Item((Strong(problem), ": ", *shown))
