"""What every record is made of: closed, immutable content whose hash is its id."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field

from antiphon.tracing.log import Json

TEXT_LIMIT_CHARACTERS = 2_000
# Made once: `json.dumps` makes a new encoder for every call with settings like these.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def storable(text: object) -> object:
    """Text that any encoding can carry: a lone surrogate (an undecodable byte) becomes its escape."""
    return storable_text(text) if isinstance(text, str) else text


def storable_text(text: str) -> str:
    """The same of what is known to be text."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def canonical(value: Json) -> str:
    """The one way to write a JSON value: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: it is not JSON, such as a number that is not finite.
    """
    return _ENCODER.encode(value)


def capped(text: str, limit: int = TEXT_LIMIT_CHARACTERS) -> str:
    """At most `limit` characters of text; what was cut is said."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters cut)"


def digest_of(content: Json) -> str:
    """The sha256, in hex, of a JSON value's canonical form."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


Text = Annotated[str, BeforeValidator(storable)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Place = Annotated[int, Field(ge=1)]
Confidence = Literal["low", "medium", "high"]


class Frozen(BaseModel, frozen=True, extra="forbid"):
    """Immutable, and closed: a field that this version does not know is an error, and not silently dropped."""


class RecordBase(Frozen, frozen=True):
    """What all records share.

    Attributes:
        branch: the path of the branch that recorded it; empty until the host fills it in.
    """

    branch: Text = ""

    @property
    def id(self) -> str:
        """The sha256, in hex, of the record's canonical JSON.

        Hashed anew each time (about 11 µs): a kept hash would go along into `model_copy` and be another record's.
        """
        return digest_of(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """The content. Fields at their default are left out, so that a new optional field changes no old id."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def recorded_by(self, branch: str) -> Self:
        """The same record, said by the branch with this path."""
        return type(self).model_validate({**dict(self), "branch": branch})


class Actor(Frozen, frozen=True):
    """Who says it.

    Attributes:
        tool, version: the program and what it called its version.
        lens: which of its views was used, such as "security".
        lineage: where its rules come from. Two tools of one lineage agreeing is one opinion, not two.
        model, framing: of a language model: which, and the words it was set to work with.
    """

    tool: Text
    version: Text = ""
    lens: Text = ""
    lineage: Text = ""
    model: Text = ""
    framing: Text = ""
