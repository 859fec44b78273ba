"""What was looked at, and what came back that nobody could read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from antiphon.subagents.records.content import Actor, Digest, RecordBase, Text

CoverageState = Literal["done", "partial", "failed"]
RAW_LIMIT_CHARACTERS = 4_000


class Coverage(RecordBase, frozen=True):
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


class Malformed(RecordBase, frozen=True):
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
