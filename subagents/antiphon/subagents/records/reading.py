"""Reads records back from the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, cast

from pydantic import Discriminator, Tag, TypeAdapter

from antiphon.subagents.records.claims import Claim, Fact, Finding, Passage, Patch
from antiphon.subagents.records.coverage import Coverage, Malformed
from antiphon.subagents.records.evidence import Evidence, TestRun
from antiphon.subagents.records.judgements import Link, Resolution, Verdict
from antiphon.tracing.log import Json

Record = Claim | Verdict | Link | Resolution | Coverage | Malformed
_POINTS = {"of", "a", "b"}


def _tag(data: object) -> str:
    """Which record this is: its `record`, and of claims the `sort` too."""
    fields: Mapping[str, object] = cast("Mapping[str, object]", data) if isinstance(data, Mapping) else {}
    return f"claim/{fields.get('sort')}" if fields.get("record") == "claim" else str(fields.get("record"))


_ANY: TypeAdapter[Record] = TypeAdapter(
    Annotated[
        Annotated[Finding, Tag("claim/finding")]
        | Annotated[Fact, Tag("claim/fact")]
        | Annotated[Passage, Tag("claim/text")]
        | Annotated[Patch, Tag("claim/patch")]
        | Annotated[Verdict, Tag("verdict")]
        | Annotated[Link, Tag("link")]
        | Annotated[Resolution, Tag("resolution")]
        | Annotated[Coverage, Tag("coverage")]
        | Annotated[Malformed, Tag("malformed")],
        Discriminator(_tag),
    ]
)


def from_json(data: Mapping[str, Json], *, branch: str | None = None) -> Record:
    """Read one record back. `branch`, if given, is the path of the branch that recorded it.

    Raises:
        pydantic.ValidationError: it is no record that this version knows.
    """
    return _ANY.validate_python(data if branch is None else {**data, "branch": branch})


def read_records(data: Iterable[Mapping[str, Json]], branch: str) -> list[Record]:
    """Read all records of one call back, as its branch said them.

    A judgement names a record of its own call by the id that this has without a branch, since the call may be replayed
    at another place; here such names become the ids that the records have now. So do the patches that a test names.

    Raises:
        pydantic.ValidationError: one is no record that this version knows.
    """
    agents = [from_json(item, branch="") for item in data]
    judged = {name for record in agents for name in references(record)}
    now = _renamed(agents, judged, branch) if judged else {}
    return [_pointed(record, now).recorded_by(branch) for record in agents]


def references(record: Record) -> tuple[str, ...]:
    """The ids of other records that a record names: what it judges or links, and the patches that its tests tried."""
    match record:
        case Coverage() | Malformed():
            return ()
        case Resolution():
            return (record.of,)
        case Verdict():
            return (record.of, *_tried(record.evidence))
        case Link():
            return (record.a, record.b, *_tried(record.evidence))
        case _:
            return _tried(record.evidence)


def _tried(evidence: tuple[Evidence, ...]) -> tuple[str, ...]:
    return (
        tuple(patch for piece in evidence if isinstance(piece, TestRun) for patch in piece.patches) if evidence else ()
    )


def _renamed(records: Iterable[Record], wanted: set[str], branch: str) -> dict[str, str]:
    """By id without branch: the id now. A judgement is renamed after all that it names, however long the chain."""
    here = {record.id: record for record in records}
    now: dict[str, str] = {}
    stack = [id for id in here if id in wanted]
    while stack:
        id = stack[-1]
        first = [name for name in references(here[id]) if name in here and name not in now]
        if first and id not in now:
            stack.extend(first)  # ids are hashes, so this cannot come back to `id`
            continue
        stack.pop()
        if id not in now:
            now[id] = _pointed(here[id], now).recorded_by(branch).id
    return now


def _pointed(record: Record, now: Mapping[str, str]) -> Record:
    """The same record, naming others by the ids that they have now."""
    if not any(name in now for name in references(record)):
        return record
    content: dict[str, object] = dict(record)
    for field in _POINTS & content.keys():
        content[field] = now.get(str(content[field]), content[field])
    if not isinstance(record, Coverage | Malformed | Resolution):
        content["evidence"] = tuple(_retold(piece, now) for piece in record.evidence)
    return type(record).model_validate(content)


def _retold(piece: Evidence, now: Mapping[str, str]) -> Evidence:
    if not isinstance(piece, TestRun):
        return piece
    return piece.model_copy(update={"patches": tuple(now.get(patch, patch) for patch in piece.patches)})
