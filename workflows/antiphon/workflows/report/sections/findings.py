"""The findings: what matters first, and all of them by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from antiphon.workflows.report.document import (
    Block,
    Item,
    Line,
    Paragraph,
    Said,
    Section,
    Strong,
    Table,
    first_of,
    many,
    section,
)
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.order import by_rule, is_test
from antiphon.workflows.report.phrases import certainty, opinions, place, rules_of, support, text_of
from antiphon.workflows.synthesis import Cluster

SHOWN_RULES = 15
SHOWN_PLACES = {"critical": 3, "high": 3}
_FEWER_PLACES = 2
_SHOWN_LINES = 5
_MATTERS = frozenset({"critical", "high", "medium"})


def first(material: Material) -> Section:
    """What matters first: findings of medium severity or worse that nothing refutes, by rule."""
    return section("first", "What matters first", _first(material))


def _first(material: Material) -> Iterator[Block]:
    matter = [cluster for cluster in material.standing if cluster.severity in _MATTERS]
    if not matter:
        coverage = material.synthesis.coverage
        rest = " But not everything was looked at; see below." if coverage.partly or coverage.not_at_all else ""
        yield Paragraph((f"Nothing of medium severity or worse was found.{rest}",))
    elif material.about.run:
        yield Paragraph(("More on one of these: ", Said(f"antiphon why {material.about.run} ID"), ", with its id."))
    entries = [_rule_entry(clusters, material) for clusters in by_rule(matter)]
    yield from first_of(entries, SHOWN_RULES, "rule")


def _rule_entry(clusters: Sequence[Cluster], material: Material) -> Item:
    """One rule: the worst it found, and the first few places, those outside of tests first."""
    worst = clusters[0]
    in_tests = sum(is_test(cluster.key.path) for cluster in clusters)
    tests = f", {in_tests} of them in tests" if 0 < in_tests < len(clusters) else ", all in tests" if in_tests else ""
    line: Line = (Strong(worst.severity), " ", rules_of(clusters), " ", Said(worst.title), ": ")
    places = [finding_item(cluster, material) for cluster in clusters]
    shown = tuple(first_of(places, SHOWN_PLACES.get(worst.severity, _FEWER_PLACES), "finding"))
    return Item((*line, many(len(clusters), "finding"), tests), shown)


def finding_item(cluster: Cluster, material: Material) -> Item:
    """One finding: where, what, the code, who says it, how sure, and what else there is to know."""
    inside: Line = (" in ", Said(cluster.key.symbol)) if cluster.key.symbol else ()
    others = [str(site.start_line) for site in cluster.sites if site is not cluster.standing[0]]
    rest = ", …" if len(others) > _SHOWN_LINES else ""
    times = f", also line{'s' if len(others) > 1 else ''} {', '.join(others[:_SHOWN_LINES])}{rest}" if others else ""
    below = [Item((*support(cluster), "; ", *certainty(cluster, material), *_aside(cluster), *_id(cluster)))]
    if excerpt := material.excerpt(cluster):
        below.insert(0, Item((Said(excerpt, 160),)))
    for site in cluster.conflicts[:1]:
        below.append(Item((f"how bad, at line {site.start_line}: ", *opinions(site, material.synthesis))))
    return Item((place(cluster), *inside, times, ": ", text_of(cluster, material.synthesis)), tuple(below))


def _aside(cluster: Cluster) -> Line:
    return (f"; {cluster.aside} of {many(len(cluster.claims), 'claim')} set aside",) if cluster.aside else ()


def _id(cluster: Cluster) -> Line:
    return ("; ", Said(cluster.id[:12]))


def rules(material: Material) -> Section:
    """All findings, by rule, as numbers."""
    return section("rules", "All findings, by rule", _rules(material))


def _rules(material: Material) -> Iterator[Block]:
    groups = by_rule(material.open)
    if groups:
        columns = ("severity", "rule", "what", "findings", "confirmed", "refuted", "places", "files")
        yield Table(columns, tuple(map(_row, groups)), frozenset({3, 4, 5, 6, 7}))


def _row(clusters: Sequence[Cluster]) -> tuple[Line, ...]:
    worst, files = clusters[0], {cluster.key.path for cluster in clusters}
    status = Counter(cluster.status for cluster in clusters)
    places = sum(len(cluster.sites) for cluster in clusters)
    numbers = (len(clusters), status["confirmed"], status["refuted"], places, len(files))
    said: tuple[Line, ...] = ((worst.severity,), (rules_of(clusters),), (Said(worst.title),))
    return said + tuple((str(number),) for number in numbers)
