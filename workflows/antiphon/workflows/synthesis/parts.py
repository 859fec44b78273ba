"""The records of a run, sorted into what they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TypeVar, cast

from antiphon.subagents.records import (
    AUTHOR,
    Claim,
    Coverage,
    Fact,
    Finding,
    Link,
    Malformed,
    Passage,
    Patch,
    Record,
    Resolution,
    Verdict,
)
from antiphon.workflows.synthesis.status import is_admissible

RecordT = TypeVar("RecordT", Finding, Fact, Passage, Patch, Verdict, Link, Resolution, Coverage, Malformed)


class Parts:
    """Records by id, and by what they are; each mapping in the order of the ids."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self.records = records
        self._by_type: defaultdict[type, dict[str, Record]] = defaultdict(dict)
        for id, record in records.items():
            self._by_type[type(record)][id] = record
        self.claims: dict[str, Claim] = {id: r for id, r in records.items() if isinstance(r, Claim)}
        self.verdicts = self.of(Verdict)
        self.links = self.of(Link)

    def of(self, sort: type[RecordT]) -> dict[str, RecordT]:
        """All records of one sort."""
        return cast("dict[str, RecordT]", self._by_type[sort])


class Judgements:
    """Which verdicts there are on what.

    Attributes:
        on: by id of a record, the ids of all verdicts on it.
        counting: the same without those that count for nothing.
        verdicts: those that count, by id. inadmissible: the ids of those that do not, since the record judged is by
            their own lineage.
        aside: by id of a finding, the sorts of comment by which the author of the code set it aside.
    """

    def __init__(self, verdicts: Mapping[str, Verdict], records: Mapping[str, Record]) -> None:
        self.on: defaultdict[str, list[str]] = defaultdict(list)
        self.counting: defaultdict[str, list[str]] = defaultdict(list)
        self.verdicts: dict[str, Verdict] = {}
        self.inadmissible: list[str] = []
        for id, verdict in verdicts.items():
            judged = records.get(verdict.of)
            if judged is None:
                continue
            self.on[verdict.of].append(id)
            if is_admissible(verdict, judged):
                self.counting[verdict.of].append(id)
                self.verdicts[id] = verdict
            else:
                self.inadmissible.append(id)
        self.aside = dict(self._aside(records))

    def _aside(self, records: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
        for of, ids in self.counting.items():
            author = (self.verdicts[id] for id in ids if self.verdicts[id].actor == AUTHOR)
            methods = sorted({verdict.method for verdict in author if verdict.stance == "refute"})
            if methods and isinstance(records[of], Finding):
                yield of, ", ".join(methods)
