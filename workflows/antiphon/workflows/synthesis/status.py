"""Which records stand: the grounded labelling of who refutes whom.

A verdict counts when another lineage than that of the record judged gives it. A refutation attacks what it refutes; a
confirmation and a refutation of one record attack each other. What nothing attacks is in; what something that is in
attacks is out; what only things that are out attack is in; and so on until nothing changes. The rest is undecided.
(P. M. Dung, On the acceptability of arguments, Artificial Intelligence 77, 1995: the grounded extension.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from antiphon.subagents.records import Record, Verdict
from antiphon.workflows.synthesis.cluster_model import Status
from antiphon.workflows.synthesis.groups import judge_or_judged

Label = Literal["in", "out"]
Side = tuple[str, str]
"""The verdicts of one stance on one record: (its id, stance)."""

_OTHER = {"confirm": "refute", "refute": "confirm"}


def is_admissible(verdict: Verdict, judged: Record) -> bool:
    """Whether a verdict is by another lineage than the record that it judges."""
    return judge_or_judged(verdict) != judge_or_judged(judged)


def status_of(ids: Iterable[str], verdicts: Mapping[str, Verdict]) -> dict[str, Status]:
    """What the admissible verdicts (by id) come to, for each of these records."""
    wanted = list(ids)
    labelling = _Labelling(wanted, verdicts)
    return {id: labelling.status(id) for id in wanted}


def cluster_status(statuses: Collection[Status]) -> Status:
    """What the statuses of a cluster's claims come to, together."""
    found = set(statuses)
    if found == {"refuted"}:
        return "refuted"
    if "disputed" in found or {"confirmed", "refuted"} <= found:
        return "disputed"
    return "confirmed" if "confirmed" in found else "unverified"


class _Labelling:
    """Each record is labelled at most once, and each side is won or lost at most once, so this takes linear time.

    What nobody judges, and judges nothing, is left out: most claims of a large run.
    """

    def __init__(self, ids: Sequence[str], verdicts: Mapping[str, Verdict]) -> None:
        self._place: dict[str, Side] = {}
        self._sides: defaultdict[Side, list[str]] = defaultdict(list)
        for id, verdict in verdicts.items():
            if verdict.stance != "cannot_tell":
                self._place[id] = verdict.of, verdict.stance
                self._sides[verdict.of, verdict.stance].append(id)
        self._alive = {side: len(members) for side, members in self._sides.items()}
        self._won: set[Side] = set()
        self._label: dict[str, Label] = {}
        self._free = set(ids) - self._place.keys() - {of for of, _ in self._sides}
        self._run([*self._place, *(of for of, _ in self._sides)])

    def status(self, id: str) -> Status:
        if id in self._free:
            return "unverified"
        match self._label.get(id):
            case "out":
                return "refuted"
            case None:
                return "disputed"
            case "in":
                return "confirmed" if (id, "confirm") in self._won else "unverified"

    def _run(self, todo: list[str]) -> None:
        while todo:
            id = todo.pop()
            label = None if id in self._label else self._decided(id)
            if label is not None:
                self._label[id] = label
                todo.extend(self._touched(id, label))

    def _decided(self, id: str) -> Label | None:
        attackers: list[Side] = [(id, "refute")]
        if place := self._place.get(id):
            attackers.append((place[0], _OTHER[place[1]]))
        if any(side in self._won for side in attackers):
            return "out"
        return None if any(self._alive.get(side) for side in attackers) else "in"

    def _touched(self, id: str, label: Label) -> Sequence[str]:
        """Whom the new label of a verdict can decide."""
        side = self._place.get(id)
        if side is None:
            return ()
        if label == "in":
            new = side not in self._won
            self._won.add(side)
            return self._attacked(side) if new else ()
        self._alive[side] -= 1
        return self._attacked(side) if not self._alive[side] else ()

    def _attacked(self, side: Side) -> Sequence[str]:
        of, stance = side
        opposed = self._sides.get((of, _OTHER[stance]), [])
        return [of, *opposed] if stance == "refute" else opposed
