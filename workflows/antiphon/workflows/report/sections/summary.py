"""What a report says before everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from antiphon.subagents.records import SEVERITIES
from antiphon.workflows.report.document import Block, Item, Line, Paragraph, Said, Strong, many
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.phrases import KINDS
from antiphon.workflows.synthesis import CoverageView


def summary(material: Material) -> Iterator[Block]:
    """How much was found, how sure it is, and how much was looked at."""
    synthesis, about = material.synthesis, material.about
    if synthesis.failed:
        failed = Strong("THIS REPORT FAILED.")
        yield Paragraph((failed, " Records were lost or doubled on the way; the section on method says which."))
    for note in (*about.notes, about.banner):
        if note:
            yield Paragraph((Strong("Note: "), Said(note)))
    yield Item(_found(material))
    yield from _sure(material)
    yield from _disagreements(material)
    yield Item(_looked(synthesis.coverage))
    if material.aside:
        yield Item((f"{many(len(material.aside), 'finding')} set aside by the code's authors",))
    yield from _others(material)


def _disagreements(material: Material) -> Iterator[Item]:
    """How many things the records do not agree on, besides what has a section of its own."""
    counts = Counter(conflict.kind for conflict in material.synthesis.conflicts if conflict.kind in KINDS)
    counts["severity"] = sum(len(cluster.conflicts) for cluster in material.synthesis.clusters)
    if total := counts.total():
        kinds = ", ".join(f"{counts[kind]} on {words}" for kind, words in KINDS.items() if counts[kind])
        yield Item((f"{many(total, 'disagreement')}, all kept: {kinds}",))


def _found(material: Material) -> Line:
    """What stands, as the command line counts it; what a check refutes is said beside it."""
    counts = Counter(cluster.severity for cluster in material.standing)
    severities = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    refuted = f"; {len(material.refuted)} more that a check refutes" if material.refuted else ""
    return (Strong(many(len(material.standing), "finding")), f": {severities}" if severities else "", refuted)


def _sure(material: Material) -> Iterator[Item]:
    counts = Counter(cluster.status for cluster in material.open)
    if set(counts) - {"unverified"}:
        words = [f"{counts[status]} {status}" for status in ("confirmed", "unverified", "disputed", "refuted")]
        yield Item((f"by checks of another lineage: {', '.join(words)}",))


def _looked(coverage: CoverageView) -> Line:
    read = coverage.units - coverage.unread
    missing = [f"{coverage.partly} in part"] if coverage.partly else []
    missing += [f"{coverage.not_at_all} not at all"] if coverage.not_at_all else []
    beyond = f" ({', '.join(missing)})" if missing else ""
    return (f"{coverage.whole} of {many(read, 'file')} looked at by every check meant for it{beyond}",)


def _others(material: Material) -> Iterator[Item]:
    synthesis = material.synthesis
    numbers = [
        many(len(found), *name)
        for found, name in (
            (synthesis.facts, ("fact",)),
            (synthesis.patches, ("patch", "patches")),
            (synthesis.passages, ("passage",)),
        )
        if found
    ]
    if numbers:
        yield Item((f"besides: {', '.join(numbers)}",))
