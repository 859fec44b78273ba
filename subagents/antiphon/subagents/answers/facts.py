"""Facts that a model stated, as records."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.subagents.answers.findings import resolution
from antiphon.subagents.answers.quotes import Located, Lookup, Pages
from antiphon.subagents.answers.shapes import Facts, Stated
from antiphon.subagents.records import Actor, Evidence, Fact, FactKey, Resolution, UrlQuote, capped, numbered


def facts_records(value: Facts, actor: Actor, look_up: Lookup | None) -> Iterator[Fact | Resolution]:
    """The facts in order, and what became of quotes from files. A page is not looked up here."""
    pages = Pages(look_up)
    located = [_located(one, pages) for one in value.facts]
    facts = numbered(_fact(one, where, actor) for one, where in zip(value.facts, located, strict=True))
    for fact, where in zip(facts, located, strict=True):
        yield fact
        if where is not None:
            yield from resolution(fact.id, 0, where, actor)


def _is_page(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def _located(one: Stated, pages: Pages) -> Located | None:
    if not one.source or _is_page(one.source):
        return None
    return pages.locate(one.source, one.line or 1, one.quote)


def _fact(one: Stated, where: Located | None, actor: Actor) -> Fact:
    evidence: tuple[Evidence, ...] = ()
    if where is not None:
        evidence = (where.evidence,)
    elif one.source:
        evidence = (UrlQuote(kind="url", url=capped(one.source), quote=capped(one.quote)),)
    return Fact(
        record="claim",
        sort="fact",
        key=FactKey(subject=one.subject, attribute=one.attribute, qualifiers=tuple(one.qualifiers.items())),
        value=one.value,
        text=capped(" ".join((one.statement or f"{one.subject}: {one.attribute}").split())),
        actor=actor,
        confidence=one.confidence,
        evidence=evidence,
    )
