"""What a model is asked for under a name: ``output="findings"``, ``"verdict"``, ``"facts"``.

The value of such a call is plain JSON, as any other that crosses a boundary: ``verdict["position"]``. The classes here
are what that JSON is read as when records are made of it. Only what no record could do without is required of a model,
and what it says besides is let be: every field that it may get wrong costs a turn.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from antiphon.subagents.records import Confidence, Severity, Stance

MOST_QUOTED_CHARACTERS: Final = 4_000
"""A longer quote is no quote of a place, and is not looked up."""
_HIGHEST_LINE = 10_000_000
_HIGHEST_CWE = 100_000


def _blank(value: object) -> object:
    """Models write null where they have nothing to say, whatever they are asked."""
    return "" if value is None else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


_Words = Annotated[str, BeforeValidator(_blank)]
_Line = Annotated[int, Field(ge=1, le=_HIGHEST_LINE)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Quoted(_Said):
    """Words of a file that something rests on.

    Attributes:
        file: which, as it was named to the model. line: where the words begin, from 1. quote: the words, exactly.
    """

    file: str = Field(description="The file, named exactly as it was named to you.")
    line: _Line = Field(description="The line on which the quoted code begins, as numbered.")
    quote: _Words = Field(description="The code itself, copied exactly, without line numbers; at most a few lines.")


class Reported(Quoted):
    """One finding, as a model reports it.

    Attributes:
        end_line: the last line that it is about; None for the quote's own.
        rule: a short name for the sort of problem. cwe: its number in the Common Weakness Enumeration, or None.
        severity: how bad. message: what is wrong here. why: what makes it so, and what follows from it.
        confidence: its own, or None.
    """

    end_line: _Line | None = Field(default=None, description="The last line it is about, or null.")
    rule: _Words = Field(description="A short name for this sort of problem in kebab-case, such as sql-injection.")
    cwe: Annotated[int, Field(ge=1, le=_HIGHEST_CWE)] | None = Field(
        default=None, description="The number of the weakness in the Common Weakness Enumeration, or null."
    )
    severity: Annotated[Severity, BeforeValidator(_lower)] = Field(description="How bad it is if you are right.")
    message: _Words = Field(description="What is wrong at this place, in one sentence.")
    why: _Words = Field(description="How it can happen and what follows, in at most three sentences.")
    confidence: Annotated[Confidence, BeforeValidator(_lower)] | None = None


class Unjudged(_Said):
    """A file that could not be judged, or not all of it. reason: why."""

    file: str = Field(description="The file, named exactly as it was named to you.")
    reason: _Words = Field(description="What of it you could not judge, and what you would have had to see.")


class Findings(_Said):
    """What ``output="findings"`` asks for. An empty list says that there is nothing to report.

    Attributes:
        findings: what was found. not_judged: what was looked at and cannot count as clean.
    """

    findings: tuple[Reported, ...]
    not_judged: tuple[Unjudged, ...] = ()


class Judgement(_Said):
    """What ``output="verdict"`` asks for.

    Attributes:
        position: on what was claimed. reason: in words. quotes: the code that it rests on.
    """

    position: Annotated[Stance, BeforeValidator(_lower)] = Field(
        description="confirm: the claim is true. refute: it is false, and you can show why. cannot_tell: neither."
    )
    reason: _Words = Field(description="Why, in at most four sentences.")
    quotes: tuple[Quoted, ...] = ()


class Stated(_Said):
    """One fact, as a model states it.

    Attributes:
        subject, attribute, qualifiers: what is spoken of, which property of it, and what narrows that.
        value: as JSON. statement: the fact in words.
        source: a URL or a file. quote: its words, exactly. line: of a file, or None.
    """

    subject: str
    attribute: str
    value: JsonValue
    qualifiers: dict[str, str] = Field(default_factory=dict)
    statement: _Words = ""
    source: _Words = Field(default="", description="The URL or the file that says so.")
    quote: _Words = Field(default="", description="Its words, copied exactly.")
    line: _Line | None = None
    confidence: Annotated[Confidence, BeforeValidator(_lower)] | None = None


class Facts(_Said):
    """What ``output="facts"`` asks for."""

    facts: tuple[Stated, ...]


SHAPES: Final[dict[str, type[BaseModel]]] = {"findings": Findings, "verdict": Judgement, "facts": Facts}


def _schema(shape: type[BaseModel]) -> dict[str, Any]:
    """What a model is to read: our own docstrings are not for it, and titles say names again."""
    schema = shape.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("description", None)
        for item in (part, *part.get("properties", {}).values()):
            item.pop("title", None)
    return schema


SCHEMAS: Final[dict[str, dict[str, Any]]] = {name: _schema(shape) for name, shape in SHAPES.items()}
"""By name: the JSON Schema of what is asked for, as `Agents` takes it."""
