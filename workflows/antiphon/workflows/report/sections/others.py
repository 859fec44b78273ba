"""Claims that are no findings, and topics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from antiphon.subagents.records import Passage
from antiphon.workflows.report.document import Block, Item, Line, Paragraph, Said, Section, first_of, many, section
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.phrases import holders, subject
from antiphon.workflows.synthesis import Position, Topic

SHOWN = 30
_SHOWN_MEMBERS = 4


def others(material: Material) -> Section:
    """Facts with every value that somebody gives, patches with every version, and passages."""
    return section("others", "Facts, patches and passages", _others(material))


def _others(material: Material) -> Iterator[Block]:
    synthesis = material.synthesis
    facts = [_positions(fact.claims, fact.values, fact.status, material) for fact in synthesis.facts]
    patches = [_positions(patch.claims, patch.versions, patch.status, material) for patch in synthesis.patches]
    passages = [_passage(passage.claims[0], passage.status, material) for passage in synthesis.passages]
    yield from first_of(facts, SHOWN, "fact")
    yield from first_of(patches, SHOWN, "patch")
    yield from first_of(passages, SHOWN, "passage")


def _positions(claims: Iterable[str], sides: Iterable[Position], status: str, material: Material) -> Item:
    about = subject(material.synthesis.claims[next(iter(claims))])
    below = tuple(Item((Said(side.says, 200), " according to ", *holders(side, material))) for side in sides)
    return Item((*about, f" ({status})"), below)


def _passage(id: str, status: str, material: Material) -> Item:
    claim = material.synthesis.claims[id]
    text = claim.text if isinstance(claim, Passage) else ""
    return Item((Said(text), f" ({status})"))


def topics(material: Material) -> Section:
    """What belongs together, for display: a topic removes nothing and counts nothing."""
    return section("topics", "Topics", _topics(material))


def _topics(material: Material) -> Iterator[Block]:
    found = [topic for topic in material.synthesis.topics if len(topic.claims) > 1]
    if found:
        yield Paragraph(("These seem to be about the same. A topic only groups: it removes and counts nothing.",))
    found.sort(key=lambda topic: (topic.suggested, -len(topic.claims), topic.id))
    yield from first_of([_topic(topic, material) for topic in found], SHOWN, "topic")


def _topic(topic: Topic, material: Material) -> Item:
    claims = material.synthesis.claims
    seen: dict[Line, None] = {subject(claims[id]): None for id in topic.claims if id in claims}
    shown = tuple(Item(line) for line in list(seen)[:_SHOWN_MEMBERS])
    rest = (Item((f"… and {len(seen) - _SHOWN_MEMBERS} more",)),) if len(seen) > _SHOWN_MEMBERS else ()
    how = ", suggested by likeness of words only" if topic.suggested else ""
    return Item((Said(topic.title, 120), f": {many(len(topic.claims), 'claim')}{how}"), shown + rest)
