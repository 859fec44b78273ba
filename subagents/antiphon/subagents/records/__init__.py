"""What subagents produce: immutable records whose id is the hash of their content.

Because the id *is* the content, merging two sets of records is set union: it does not matter how often or in which
order they arrive. Everything a person sees is a view of such a set.

`branch` is part of a record, and so of its id. Two branches that say the same thing are two records, so that support
is not lost in the union; claims of one branch that share a key differ in place or in `ordinal`, and stay apart too.
An agent leaves `branch` empty; the host fills it in when it reads (`read_records`).
"""

from antiphon.subagents.records.claims import (
    RANK,
    SEVERITIES,
    Claim,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Passage,
    Patch,
    PatchKey,
    Severity,
    numbered,
)
from antiphon.subagents.records.content import (
    TEXT_LIMIT_CHARACTERS,
    Actor,
    Confidence,
    Digest,
    Place,
    Text,
    canonical,
    capped,
    digest_of,
    storable,
)
from antiphon.subagents.records.coverage import (
    RAW_LIMIT_CHARACTERS,
    Coverage,
    CoverageState,
    Malformed,
    malformed,
)
from antiphon.subagents.records.evidence import CommandRun, Evidence, FileSpan, TestRun, UrlQuote, file_span
from antiphon.subagents.records.judgements import (
    AUTHOR,
    Link,
    Relation,
    Resolution,
    ResolutionState,
    Stance,
    Verdict,
    author_verdict,
    with_author,
)
from antiphon.subagents.records.reading import Record, from_json, read_records, references

__all__ = [
    "AUTHOR",
    "RANK",
    "RAW_LIMIT_CHARACTERS",
    "SEVERITIES",
    "TEXT_LIMIT_CHARACTERS",
    "Actor",
    "Claim",
    "CommandRun",
    "Confidence",
    "Coverage",
    "CoverageState",
    "Digest",
    "Evidence",
    "Fact",
    "FactKey",
    "FileSpan",
    "Finding",
    "FindingKey",
    "Link",
    "Malformed",
    "Passage",
    "Patch",
    "PatchKey",
    "Place",
    "Record",
    "Relation",
    "Resolution",
    "ResolutionState",
    "Severity",
    "Stance",
    "TestRun",
    "Text",
    "UrlQuote",
    "Verdict",
    "author_verdict",
    "canonical",
    "capped",
    "digest_of",
    "file_span",
    "from_json",
    "malformed",
    "numbered",
    "read_records",
    "references",
    "storable",
    "with_author",
]
