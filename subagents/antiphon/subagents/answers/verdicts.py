"""A model's judgement on a record, as a record. It adds to what is known, and takes nothing away."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.engine import AgentFailure
from antiphon.subagents.answers.findings import resolution
from antiphon.subagents.answers.quotes import Lookup, Pages
from antiphon.subagents.answers.shapes import Judgement
from antiphon.subagents.answers.speaking import Answering, framed
from antiphon.subagents.records import Actor, Resolution, Verdict, capped

METHOD = "method"
"""A frame may name the method of a verdict under this key; by default it is the role's name."""
_MOST_QUOTES = 20


def verdict_records(
    value: Judgement, ctx: Answering, actor: Actor, look_up: Lookup | None
) -> Iterator[Verdict | Resolution]:
    """The verdict, and what became of its quotes.

    Raises:
        AgentFailure: the call is about no record, so that there is nothing to judge.
    """
    if ctx.about is None:
        raise AgentFailure("a verdict needs a record to be about: agent(..., about=claim)")
    pages = Pages(look_up)
    located = [pages.locate(one.file, one.line, one.quote) for one in value.quotes[:_MOST_QUOTES]]
    verdict = Verdict(
        record="verdict",
        of=ctx.about,
        stance=value.position,
        actor=actor,
        method=framed(ctx.frames, METHOD) or ctx.call.name,
        reason=capped(" ".join(value.reason.split())),
        evidence=tuple(where.evidence for where in located),
    )
    yield verdict
    for index, where in enumerate(located):
        yield from resolution(verdict.id, index, where, actor)
