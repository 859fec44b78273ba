"""Claims: what somebody says is so. A finding in a file, a fact about a subject, a passage of text, a patch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, Self, TypeVar

from pydantic import Field, JsonValue, field_validator, model_validator

from antiphon.subagents.records.content import (
    Actor,
    Confidence,
    Frozen,
    Place,
    RecordBase,
    Text,
    canonical,
    storable_text,
)
from antiphon.subagents.records.evidence import Evidence

Severity = Literal["info", "low", "medium", "high", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
RANK: dict[Severity, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class FindingKey(Frozen, frozen=True):
    """What two findings must share to be about the same thing. The line is an attribute, not a part of it.

    Attributes:
        path: the file.
        rule: the rule's canonical name, the same for every tool that has this rule.
        symbol: the enclosing function or class, dotted; "" for the module itself or where it is unknown.
    """

    path: Text
    rule: Text
    symbol: Text = ""


class FactKey(Frozen, frozen=True):
    """What two facts must share to be about the same thing.

    Attributes:
        subject, attribute: what is spoken of, and which of its properties.
        qualifiers: what narrows it, such as (("year", "2024"),); kept sorted by name.
    """

    subject: Text
    attribute: Text
    qualifiers: tuple[tuple[Text, Text], ...] = ()

    @field_validator("qualifiers")
    @classmethod
    def _sorted(cls, value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(value))


class PatchKey(Frozen, frozen=True):
    """The lines of a base file that a patch replaces.

    Attributes:
        base: names the common base, such as a commit or the sha256 of the file. path: the file.
        start_line, end_line: the replaced lines, both included; an end one before the start inserts before the start.
    """

    base: Text
    path: Text
    start_line: Place
    end_line: int = Field(ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_line < self.start_line - 1:
            raise ValueError(f"a patch ends at line {self.end_line}, before it starts at line {self.start_line}")
        return self


class ClaimBase(RecordBase, frozen=True):
    """What all claims share.

    Attributes:
        text: what is said, in words. actor: who says it.
        confidence: its own, or None where it states none.
        evidence: what it rests on; empty if that could not be read.
        ordinal: tells apart claims of one call that are alike in everything else.
    """

    record: Literal["claim"]
    text: Text
    actor: Actor
    confidence: Confidence | None = None
    evidence: tuple[Evidence, ...] = ()
    ordinal: int = Field(default=0, ge=0)


class Finding(ClaimBase, frozen=True):
    """Something that a check found in a file.

    Attributes:
        key: what it is about.
        rule: the rule as the tool calls it. title: the rule in words; `text`: what the tool said here.
        severity, severity_by: how bad, and who says so: the tool's name, or "antiphon" where the tool states none.
        line, column, end_line, end_column: where, counted from 1 in characters; the end column is one past the last.
        cwe: number of the weakness in the Common Weakness Enumeration, or None. url: the rule's page.
        fingerprint: the tool's own name for this very finding, or "".
    """

    sort: Literal["finding"]
    key: FindingKey
    rule: Text
    title: Text
    severity: Severity
    severity_by: Text
    line: Place | None = None
    column: Place | None = None
    end_line: Place | None = None
    end_column: Place | None = None
    cwe: int | None = None
    url: Text | None = None
    fingerprint: Text = ""


class Fact(ClaimBase, frozen=True):
    """A value of one attribute of one subject.

    Attributes:
        key: what it is about. value: the value, as JSON.
    """

    sort: Literal["fact"]
    key: FactKey
    value: JsonValue

    @field_validator("value")
    @classmethod
    def _writable(cls, value: JsonValue) -> JsonValue:
        canonical(value)  # raises for numbers that are not finite, which no other reader of JSON would take
        return _storable(value)


def _storable(value: JsonValue) -> JsonValue:
    """The value with all text in it, names too, as any encoding can carry it."""
    match value:
        case str():
            return storable_text(value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {storable_text(name): _storable(item) for name, item in value.items()}
        case _:
            return value


class Passage(ClaimBase, frozen=True):
    """Something said in words, that no key could name. Only links relate it to others."""

    sort: Literal["text"]


class Patch(ClaimBase, frozen=True):
    """A change of one run of lines of one file.

    Attributes:
        key: the lines of the base. replacement: what becomes of them, line ends included.
    """

    sort: Literal["patch"]
    key: PatchKey
    replacement: Text


Claim = Finding | Fact | Passage | Patch
_ClaimT = TypeVar("_ClaimT", Finding, Fact, Passage, Patch)


def numbered(claims: Iterable[_ClaimT]) -> list[_ClaimT]:
    """The claims of one call, in order, with equal ones told apart by `ordinal`."""
    seen: Counter[str] = Counter()
    result: list[_ClaimT] = []
    for claim in claims:
        id = claim.id
        before = seen[id]
        seen[id] += 1
        result.append(claim.model_copy(update={"ordinal": claim.ordinal + before}) if before else claim)
    return result
