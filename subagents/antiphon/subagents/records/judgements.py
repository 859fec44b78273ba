"""Judgements: what somebody says about records. They add to the set; nothing takes a record out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast

from pydantic import Field, model_validator

from antiphon.subagents.records.claims import Claim, Finding, numbered
from antiphon.subagents.records.content import Actor, Digest, RecordBase, Text
from antiphon.subagents.records.evidence import Evidence

Stance = Literal["confirm", "refute", "cannot_tell"]
Relation = Literal["same_as", "different", "contradicts", "supersedes"]
ResolutionState = Literal["true", "false", "unchecked"]

AUTHOR = Actor(tool="author", lineage="author")
"""Who wrote the code that is looked at, speaking through comments such as ``noqa``."""


class Verdict(RecordBase, frozen=True):
    """A judgement on one record, which may itself be a verdict.

    Attributes:
        of: the id of that record. stance: what is said of it. actor: who says so.
        method: by what check, such as "noqa" or "precondition". reason: why, in words. evidence: what it rests on.
    """

    record: Literal["verdict"]
    of: Digest
    stance: Stance
    actor: Actor
    method: Text
    reason: Text = ""
    evidence: tuple[Evidence, ...] = ()


class Link(RecordBase, frozen=True):
    """A relation between two records. All but `supersedes` go both ways, and are kept with `a` <= `b`.

    Attributes:
        a, b: ids. relation: of `a` to `b`. actor: who says so. reason, evidence: why.
    """

    record: Literal["link"]
    a: Digest
    b: Digest
    relation: Relation
    actor: Actor
    reason: Text = ""
    evidence: tuple[Evidence, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _one_order(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        given = cast("Mapping[str, object]", data)
        a, b = given.get("a"), given.get("b")
        directed = given.get("relation") == "supersedes" or not (isinstance(a, str) and isinstance(b, str) and b < a)
        return given if directed else {**given, "a": b, "b": a}


class Resolution(RecordBase, frozen=True):
    """A record's evidence was looked up again. That it is there never confirms what is said on the strength of it.

    Attributes:
        of: the id of the record. index: which of its evidence, from 0.
        state: it is as it was; it is not; nobody could look. reason: what is different. actor: who looked.
    """

    record: Literal["resolution"]
    of: Digest
    index: int = Field(ge=0)
    state: ResolutionState
    actor: Actor
    reason: Text = ""


def author_verdict(claim: Claim, method: str) -> Verdict:
    """The author of the code set a finding aside in the source.

    Args:
        claim: the finding, of the same call.
        method: the sort of comment, such as "noqa".
    """
    return Verdict(
        record="verdict",
        of=claim.id,
        stance="refute",
        actor=AUTHOR,
        method=method,
        reason=f"a {method} comment in the source sets it aside",
        evidence=claim.evidence,
    )


def with_author(found: Iterable[tuple[Finding, str | None]]) -> list[Finding | Verdict]:
    """The findings of one call, numbered, and after them the author's verdicts on those that a comment sets aside.

    Args:
        found: each finding, with the sort of comment that sets it aside, or None.
    """
    pairs = list(found)
    findings = numbered(finding for finding, _ in pairs)
    methods = (method for _, method in pairs)
    verdicts = [author_verdict(finding, method) for finding, method in zip(findings, methods, strict=True) if method]
    return [*findings, *verdicts]
