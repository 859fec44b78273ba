"""Where the records do not agree. Every side stays, with who holds it; a minority has a section of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from antiphon.workflows.report.document import (
    Block,
    Item,
    Line,
    Paragraph,
    Piece,
    Said,
    Section,
    first_of,
    listed,
    many,
    section,
)
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.phrases import KINDS, holders, joined, opinions, place, rules_of, subject
from antiphon.workflows.synthesis import Cluster, Conflict, ConflictKind, Position
from antiphon.workflows.synthesis.conflicts import IS, IS_NOT

SHOWN = 30
SHOWN_PLACES = 3
_Told = tuple[ConflictKind, Line]


def disagreements(material: Material) -> Section:
    """All conflicts but those that have a section of their own (gaps, evidence), equal ones together."""
    return section("disagreements", "Where they disagree", _disagreements(material))


def _disagreements(material: Material) -> Iterator[Block]:
    found: defaultdict[_Told, list[Piece]] = defaultdict(list)
    for cluster in material.synthesis.clusters:
        for site in cluster.conflicts:
            said: _Told = "severity", (rules_of([cluster]), ": ", *opinions(site, material.synthesis))
            found[said].append(Said(f"{cluster.key.path}:{site.start_line}"))
    for conflict in material.synthesis.conflicts:
        if conflict.kind in KINDS and conflict.kind != "severity":
            found[conflict.kind, _said(conflict, material)].append(_where(conflict, material))
    if not found:
        yield Paragraph(("Wherever two of them speak of the same thing, they say the same.",))
    for kind, title in KINDS.items():
        entries = [_entry(line, places) for (of, line), places in found.items() if of == kind]
        if entries:
            yield Item((f"{title}:",), tuple(first_of(entries, SHOWN, "disagreement")))


def _entry(line: Line, places: Sequence[Piece]) -> Item:
    rest = f", … ({many(len(places), 'place')}, all in report.json)" if len(places) > SHOWN_PLACES else ""
    return Item((*line, ": ", *listed(places[:SHOWN_PLACES]), rest))


def _said(conflict: Conflict, material: Material) -> Line:
    """The sides, in words that are the same for conflicts that differ only in their place."""
    cluster = material.by_id.get(conflict.about) or material.by_claim.get(conflict.about)
    if cluster and conflict.kind == "existence":
        return _against(conflict, cluster, material)
    about: Line = (rules_of([cluster]), ": ") if cluster else ()
    sides = joined(_side(position, material) for position in conflict.positions)
    plain = all(position.says in (IS, IS_NOT) for position in conflict.positions)
    reason: Line = (" (", Said(conflict.reason, 160), ")") if conflict.reason and not plain else ()
    tested = {True: ", shown by a test", False: ", not tested", None: ""}[conflict.tested]
    return (*about, *sides, *reason, tested)


def _against(conflict: Conflict, cluster: Cluster, material: Material) -> Line:
    """Who speaks against a finding. What an author sets aside is said once for all, as it has a section of its own."""
    against = [position for position in conflict.positions if position.says != IS]
    if cluster.set_aside and not material.checks_of(cluster):
        return ("set aside by the code's author",)
    people = joined((holders(position, material) for position in against), " and ")
    return ("against ", Said(cluster.key.rule, 80), ": ", *people)


def _side(position: Position, material: Material) -> Line:
    says: Piece = position.says if position.says in (IS, IS_NOT) else Said(position.says, 120)
    return (*holders(position, material), ": ", says)


def _where(conflict: Conflict, material: Material) -> Piece:
    """The first place that one of its records is about."""
    claims = material.synthesis.claims
    records = [conflict.about, *(id for position in conflict.positions for id in position.records)]
    for claim in (claims[id] for id in records if id in claims):
        return next(piece for piece in subject(claim) if isinstance(piece, Said))
    cluster = material.by_id.get(conflict.about)
    return place(cluster) if cluster else Said(conflict.about[:12])


def minority(material: Material) -> Section:
    """What fewer independent groups hold than something else."""
    return section("minority", "Minority reports", _minority(material))


def _minority(material: Material) -> Iterator[Block]:
    found: defaultdict[Line, list[Piece]] = defaultdict(list)
    for conflict, position in material.synthesis.minority:
        found[_lone(conflict, position, material)].append(_where(conflict, material))
    if found:
        yield Paragraph(("Fewer independent groups say this than say something else. They may be right.",))
    yield from first_of([_entry(line, places) for line, places in found.items()], SHOWN, "minority report")


def _lone(conflict: Conflict, position: Position, material: Material) -> Line:
    groups = many(len(position.groups), "group")
    most = max((len(other.groups) for other in conflict.positions), default=0)
    what = KINDS.get(conflict.kind, conflict.kind)
    return (f"{what}: ", *_side(position, material), f" ({groups}, against {most})")
