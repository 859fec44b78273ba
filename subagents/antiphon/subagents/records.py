"""What subagents produce: immutable records whose id is the hash of their content.

Because the id *is* the content, merging two sets of records is set union: it does not matter how often or in which
order they arrive. Everything a person sees is a view of such a set.

`branch` is part of a record, and so of its id. Two branches that say the same thing are two records, so that support
is not lost in the union; claims of one branch that share a key differ in place or in `ordinal`, and stay apart too.
An agent leaves `branch` empty; the host fills it in when it records (`recorded_by`, or `from_json(..., branch=)`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, model_validator

from antiphon.tracing.log import Json

Severity = Literal["info", "low", "medium", "high", "critical"]
Confidence = Literal["low", "medium", "high"]
CoverageState = Literal["done", "partial", "failed"]

SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
RANK: dict[Severity, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}
RAW_LIMIT_CHARACTERS = 4_000
TEXT_LIMIT_CHARACTERS = 2_000


def storable(text: object) -> object:
    """Text that any encoding can carry: a lone surrogate (an undecodable byte) becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


def canonical(value: Json) -> str:
    """The one way to write a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def capped(text: str, limit: int = TEXT_LIMIT_CHARACTERS) -> str:
    """At most `limit` characters of text; what was cut is said."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters cut)"


Text = Annotated[str, BeforeValidator(storable)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Place = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel, frozen=True, extra="forbid"):
    """Immutable, and closed: a field that this version does not know is an error, and not silently dropped."""


class _Record(_Frozen, frozen=True):
    branch: Text = ""

    @property
    def id(self) -> str:
        """The sha256, in hex, of the record's canonical JSON."""
        return hashlib.sha256(canonical(self.to_json()).encode()).hexdigest()

    def to_json(self) -> dict[str, Json]:
        """The content. Fields at their default are left out, so that a new optional field changes no old id."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def recorded_by(self, branch: str) -> Self:
        """The same record, said by the branch with this path."""
        return type(self).model_validate({**dict(self), "branch": branch})


class Evidence(_Frozen, frozen=True):
    """Lines of a file, with the hash of exactly the bytes they had when the claim was made.

    Attributes:
        path: the file, relative to the audited root, POSIX separators.
        start_line, end_line: first and last line, both counted from 1 and included.
        sha256: of the bytes of those lines, line ends included.
    """

    kind: Literal["file_span"]
    path: Text
    start_line: Place
    end_line: Place
    sha256: Digest

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_line < self.start_line:
            raise ValueError(f"a span ends at line {self.end_line}, before it starts at line {self.start_line}")
        return self


class Actor(_Frozen, frozen=True):
    """Who says it.

    Attributes:
        tool, version: the program and what it called its version.
        lens: which of its views was used, such as "security".
        lineage: where its rules come from. Two tools of one lineage agreeing is one opinion, not two.
    """

    tool: Text
    version: Text = ""
    lens: Text = ""
    lineage: Text = ""


class Key(_Frozen, frozen=True):
    """What two claims must share to be about the same thing. The line is an attribute, not a part of it.

    Attributes:
        path: the file.
        rule: the rule's canonical name, the same for every tool that has this rule.
        symbol: the enclosing function or class, dotted; "" for the module itself or where it is unknown.
    """

    path: Text
    rule: Text
    symbol: Text = ""


class Claim(_Record, frozen=True):
    """One finding.

    Attributes:
        key: what it is about.
        rule: the rule as the tool calls it.
        title: the rule in words; `text`: what the tool said here.
        severity, severity_by: how bad, and who says so: the tool's name, or "antiphon" where the tool states none.
        confidence: the tool's own, or None where it states none.
        evidence: the lines it rests on; empty if they could not be read.
        line, column, end_line, end_column: where, counted from 1 in characters; the end column is one past the last.
        ordinal: tells apart claims of one call that are alike in everything else.
        suppressed: the sort of comment by which the code's author set the finding aside ("noqa", "nosec"), or None.
        cwe: number of the weakness in the Common Weakness Enumeration, or None. url: the rule's page.
    """

    record: Literal["claim"]
    sort: Literal["finding"]
    key: Key
    rule: Text
    title: Text
    text: Text
    severity: Severity
    severity_by: Text
    actor: Actor
    confidence: Confidence | None = None
    evidence: tuple[Evidence, ...] = ()
    line: Place | None = None
    column: Place | None = None
    end_line: Place | None = None
    end_column: Place | None = None
    ordinal: int = Field(default=0, ge=0)
    suppressed: Text | None = None
    cwe: int | None = None
    url: Text | None = None


class Coverage(_Record, frozen=True):
    """How far one check got with one unit.

    Attributes:
        unit: what was to be looked at, here a file.
        check: who looked, such as "ruff/security"; "survey" for what the survey itself could not read.
        state: done, partial (and `reason` says what is missing) or failed.
    """

    record: Literal["coverage"]
    unit: Text
    check: Text
    state: CoverageState
    reason: Text = ""


class Malformed(_Record, frozen=True):
    """Output that could not be read. It is kept, so that it can neither vanish nor pass for "nothing found".

    Attributes:
        raw: the beginning of it, at most `RAW_LIMIT_CHARACTERS`.
        size: how many bytes there were; `sha256` of all of them.
        units: what the call that said it was to answer for.
    """

    record: Literal["malformed"]
    actor: Actor
    reason: Text
    raw: Text
    size: int = Field(ge=0)
    sha256: Digest
    units: tuple[Text, ...] = ()


Record = Claim | Coverage | Malformed
_ANY: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="record")])


def from_json(data: Mapping[str, Json], *, branch: str | None = None) -> Record:
    """Read a record back. `branch`, if given, is the path of the branch that recorded it.

    Raises:
        pydantic.ValidationError: it is no record that this version knows.
    """
    return _ANY.validate_python(data if branch is None else {**data, "branch": branch})


def file_span(path: str, lines: Iterable[bytes], start_line: int) -> Evidence:
    """Evidence for consecutive lines (their bytes, ends included) that begin at `start_line`."""
    span = list(lines)
    digest = hashlib.sha256(b"".join(span)).hexdigest()
    last = start_line + max(len(span), 1) - 1
    return Evidence(kind="file_span", path=path, start_line=start_line, end_line=last, sha256=digest)


def malformed(actor: Actor, raw: bytes, reason: str, units: Iterable[str] = ()) -> Malformed:
    """A record of output that could not be read."""
    text = raw[: RAW_LIMIT_CHARACTERS * 4].decode("utf-8", "backslashreplace")[:RAW_LIMIT_CHARACTERS]
    digest = hashlib.sha256(raw).hexdigest()
    return Malformed(
        record="malformed",
        actor=actor,
        reason=reason,
        raw=text,
        size=len(raw),
        sha256=digest,
        units=tuple(units),
    )


def numbered(claims: Iterable[Claim]) -> list[Claim]:
    """The claims of one call, in order, with equal ones told apart by `ordinal`."""
    seen: Counter[str] = Counter()
    result: list[Claim] = []
    for claim in claims:
        id = claim.id
        before = seen[id]
        seen[id] += 1
        result.append(claim.model_copy(update={"ordinal": claim.ordinal + before}) if before else claim)
    return result
