"""What somebody speaks against: findings that a check refutes, and findings that the code's authors set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from antiphon.workflows.report.document import (
    Block,
    Item,
    Paragraph,
    Said,
    Section,
    first_of,
    listed,
    many,
    name_of,
    section,
)
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.order import by_rule
from antiphon.workflows.report.phrases import certainty, place, rules_of
from antiphon.workflows.synthesis import Cluster

SHOWN_RULES = 30
SHOWN_PLACES = 3


def refuted(material: Material) -> Section:
    """What a check of another lineage refutes. It stays, as the check may be the one that is wrong."""
    return section("refuted", "What the second look refuted", _refuted(material))


def _refuted(material: Material) -> Iterator[Block]:
    if material.refuted:
        yield Paragraph(("A check of another lineage speaks against these. They are listed, as it may be wrong.",))
    entries = [_rule_entry(clusters, material) for clusters in by_rule(material.refuted)]
    yield from first_of(entries, SHOWN_RULES, "rule")


def _rule_entry(clusters: Sequence[Cluster], material: Material) -> Item:
    worst = clusters[0]
    places = [Item((place(cluster), ": ", *certainty(cluster, material))) for cluster in clusters]
    line = (f"{worst.severity} ", rules_of(clusters), " ", Said(worst.title), f": {many(len(clusters), 'finding')}")
    return Item(line, tuple(first_of(places, SHOWN_PLACES, "finding")))


def aside(material: Material) -> Section:
    """What a comment in the source sets aside."""
    return section("aside", "Set aside by the authors", _aside(material))


def _aside(material: Material) -> Iterator[Block]:
    known = material.aside + material.contested
    if not known:
        return
    aside = material.synthesis.aside
    methods = sorted({aside[id] for cluster in known for id in cluster.claims if id in aside})
    told = ("A comment in the source (", *listed(map(name_of, methods)), ") says that these are known. ")
    yield Paragraph((*told, "They are listed, not omitted."))
    counts = Counter("/".join(cluster.rules) for cluster in material.aside)
    rules = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    yield from first_of([Item((Said(rule), f": {number}")) for rule, number in rules], SHOWN_RULES, "rule")
    if material.contested:
        yield Paragraph(("These are set aside too, and a check of another lineage confirms them:",))
    entries = [Item((place(c), " ", rules_of([c]), ": ", *certainty(c, material))) for c in material.contested]
    yield from first_of(entries, SHOWN_RULES, "finding")
