"""What a model agent is given to make records of its answers: `after` of `antiphon.subagents.loop.ModelAgent`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from antiphon.engine import MalformedOutput, output_type
from antiphon.subagents.answers.facts import facts_records
from antiphon.subagents.answers.findings import findings_records
from antiphon.subagents.answers.quotes import Lookup
from antiphon.subagents.answers.shapes import SCHEMAS, SHAPES, Facts, Findings, Judgement
from antiphon.subagents.answers.speaking import Answering, speaker
from antiphon.subagents.answers.verdicts import verdict_records
from antiphon.subagents.model.contract import Model
from antiphon.subagents.records import Record

_Shape = TypeVar("_Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Recording:
    """Makes records of answers that have one of the named outputs; of others it makes none.

    Attributes:
        look_up: the files as they are now, for quotes; None where nobody can look.
        framing: what the role looks from, as its file says.
    """

    look_up: Lookup | None = None
    framing: str = ""

    def __call__(self, value: object, ctx: Answering, model: Model) -> None:
        """Add the records of one answer.

        Raises:
            MalformedOutput: the value is not what its name says.
            AgentFailure: a verdict on nothing.
        """
        name = _named().get(ctx.output.fingerprint)
        if name is None:
            return
        for record in self._records(name, value, ctx, model):
            ctx.records.add(record)

    def _records(self, name: str, value: object, ctx: Answering, model: Model) -> Iterable[Record]:
        actor = speaker(ctx, model, framing=self.framing)
        if name == "findings":
            return findings_records(_read(Findings, value), ctx, actor, self.look_up)
        if name == "verdict":
            return verdict_records(_read(Judgement, value), ctx, actor, self.look_up)
        return facts_records(_read(Facts, value), actor, self.look_up)


@cache
def _named() -> Mapping[str, str]:
    """The names of outputs by what tells their types apart: a script may name one, or give its schema or class."""
    schemas = {output_type(schema).fingerprint: name for name, schema in SCHEMAS.items()}
    return schemas | {output_type(shape).fingerprint: name for name, shape in SHAPES.items()}


def _read(shape: type[_Shape], value: object) -> _Shape:
    try:
        return shape.model_validate(value.model_dump() if isinstance(value, BaseModel) else value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MalformedOutput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
