"""The journal: the log read for what need not be performed again (DESIGN §5.3, §5.4)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.engine.amount import NOTHING, ONE_AGENT, Amount
from antiphon.engine.history import DENIED, Denials, Durable, History, Left, Placed, SeenBranch, StateSet
from antiphon.tracing.log import Event, Json

_NEVER_REPLAYED = frozenset({"cancelled", "skipped"})


@dataclass(slots=True)
class InFlight:
    """A call that was started and has no outcome: the process ended while it was being performed."""

    path: str
    hash: str
    name: str
    sort: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier attempts of a run left of a call that is performed again.

    Attributes:
        turns: the fields of its turns, from the last of which it goes on.
        turns_from: the path they were recorded at.
        spent: what it spent and led to no outcome, or to one that it goes on from: its own limits count it.
        before: what was spent on an outcome that it begins anew after: only the limits around it count that.
        asked: the calls that it asked for itself before it was cut off.
    """

    turns: tuple[dict[str, Any], ...]
    turns_from: str
    spent: Amount
    before: Amount = NOTHING
    asked: tuple[Placed, ...] = ()


@dataclass(slots=True)
class Journal:
    """What earlier attempts of the same run left behind; empty for a new run.

    Attributes:
        attempts: how often the run was started before.
        opened: data of the ``run.opened`` event, or None.
        opened_at: when that was, unix seconds.
        in_flight: calls open at the end, by path.
        open_attempts: while reading, attempts with no end yet, by (path, number): the worst case reserved.
        decisions: recorded choices by (path, decision, ordinal).
        spent: what the whole run has spent, open attempts at their worst case.
        estimated: the part of `spent` that was in flight at some stop.
        top_ups: what was added to the run's limits, in order.
        denials: what was outside of the manifest, in this attempt too.
    """

    attempts: int = 0
    opened: dict[str, Any] | None = None
    opened_at: float = 0.0
    in_flight: dict[str, InFlight] = field(default_factory=dict[str, InFlight])
    open_attempts: dict[tuple[str, int], Amount] = field(default_factory=dict[tuple[str, int], Amount])
    decisions: dict[tuple[str, str, int], Any] = field(default_factory=dict[tuple[str, str, int], Any])
    spent: Amount = field(default_factory=Amount)
    estimated: Amount = field(default_factory=Amount)
    top_ups: list[Amount] = field(default_factory=list[Amount])
    denials: Denials = field(default_factory=Denials)
    _cut: dict[str, InFlight] = field(default_factory=dict[str, InFlight])
    _decided_in: dict[tuple[str, str, int], int] = field(default_factory=dict[tuple[str, str, int], int])
    _by_place: dict[tuple[str, str], Durable] = field(default_factory=dict[tuple[str, str], Durable])
    _by_hash: dict[str, deque[Durable]] = field(default_factory=lambda: defaultdict(deque))
    _by_seq: dict[int, Durable] = field(default_factory=dict[int, Durable])
    _history: History = field(default_factory=History)
    _turns: dict[tuple[str, str], list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list[dict[str, Any]])
    )
    _flying: set[str] = field(default_factory=set[str])
    _asked: dict[str, dict[str, Placed]] = field(default_factory=dict[str, dict[str, Placed]])
    _costs: dict[str, Amount] = field(default_factory=dict[str, Amount])
    _open_costs: dict[str, Amount] = field(default_factory=dict[str, Amount])

    def find(self, path: str, hash: str) -> Durable | None:
        """The outcome recorded at this place for this content, else an unused one of the same content elsewhere."""
        durable = self._by_place.get((path, hash))
        if durable is not None and not durable.used:
            return durable
        others = self._by_hash.get(hash)
        while others and others[0].used:
            others.popleft()
        return others[0] if others else None

    def take_interrupted(self, path: str, hash: str) -> bool:
        """Whether a call of this content was begun, here or elsewhere, and then cut off; says so once."""
        for cut in (self.in_flight, self._cut):
            at_place = cut.get(path)
            found = at_place if at_place is not None and at_place.hash == hash else None
            found = found or next((flying for flying in cut.values() if flying.hash == hash), None)
            if found is not None:
                del cut[found.path]
                return True
        return False

    def take_earlier(self, path: str, hash: str) -> Earlier:
        """What earlier attempts left of a call that is now performed; a second call gives nothing.

        Turns are those of this place, else of a call of the same content elsewhere, as an edited script may have moved
        it; what that one spent moves with them.
        """
        elsewhere = (key for key, turns in self._turns.items() if key[1] == hash and turns)
        key = (path, hash) if self._turns.get((path, hash)) else next(elsewhere, (path, hash))
        turns, source = self._turns.pop(key, []), key[0]
        spent = self.take_cost(path) + (self.take_cost(source) if source != path else NOTHING)
        replaced = self._by_place.get((source, hash))
        ended = NOTHING if replaced is None or replaced.used else replaced.cost
        if not turns:
            return Earlier((), path, spent, ended)
        return Earlier(tuple(turns), source, spent + ended, asked=tuple(self._asked.pop(source, {}).values()))

    def left_below(self, path: str, decision: str, children: frozenset[str] | None) -> Left:
        """What the attempt that made a decision at `path`, or a later one, left below it, cancelled calls included.

        Args:
            path: where the decision was made.
            decision: its name.
            children: only what is at or below these path segments; None for all.
        """
        return self._history.left_below(path, self._decided_in.get((path, decision, 0), 0), children)

    def take_cost(self, path: str) -> Amount:
        """What was spent at `path` on attempts that were cut off and led to no outcome; a second call gives nothing."""
        return self._open_costs.pop(path, NOTHING)

    def cost(self, path: str) -> Amount:
        """What the run has spent at `path` in all."""
        return self._costs.get(path, NOTHING)

    # --- reading ------------------------------------------------------------------------------------------------------

    def readers(self) -> Mapping[str, Callable[[Event], None]]:
        """What takes in the events of each kind that matters here."""
        return {
            "run.opened": self._opened,
            "run.started": self._started,
            "branch.started": self._branch_started,
            "branch.ended": self._branch_ended,
            "call.started": self._call_started,
            "turn": self._turn,
            "call.ended": self._call_ended,
            "call.reused": self._call_reused,
            "attempt.started": self._attempt_started,
            "attempt.ended": self._attempt_ended,
            "decision": self._decision,
            "adopted": self._adopted,
            "state": self._state,
            "budget": self._budget,
            DENIED: self.denials.read,
        }

    def charge_open_attempts(self) -> None:
        """What was in flight at a stop may still be billed: its worst case counts as spent."""
        for (path, _), reserved in self.open_attempts.items():
            self._charge(path, reserved)
            self.estimated = self.estimated + reserved
        self.open_attempts.clear()

    def _charge(self, path: str, amount: Amount) -> None:
        self._costs[path] = self._costs.get(path, NOTHING) + amount
        self._open_costs[path] = self._open_costs.get(path, NOTHING) + amount
        self.spent = self.spent + amount

    def _take_back(self, path: str, amount: Amount) -> None:
        """A pause came before the call began: what its admission cost is not spent."""
        self._costs[path] = self._costs.get(path, NOTHING).beyond(amount)
        self._open_costs[path] = self._open_costs.get(path, NOTHING).beyond(amount)
        self.spent = self.spent.beyond(amount)

    def _opened(self, event: Event) -> None:
        self.opened, self.opened_at = event.data, event.at

    def _started(self, event: Event) -> None:
        self.attempts += 1
        self._flying.clear()
        self.charge_open_attempts()

    def _branch_started(self, event: Event) -> None:
        phase, construct = str(event.data.get("phase", "")), str(event.data["construct"])
        self._history.put_branch(SeenBranch(event.path, self.attempts, phase, construct))

    def _branch_ended(self, event: Event) -> None:
        seen = self._history.branches.get(event.path)
        if seen is not None:
            seen.kind = str(event.data["kind"])
            census = event.data.get("census")
            given = census.items() if isinstance(census, dict) else ()
            seen.census = {what: count for what, count in given if isinstance(count, int)}

    def _call_started(self, event: Event) -> None:
        data = event.data
        self.in_flight[event.path] = InFlight(event.path, str(data["hash"]), str(data["name"]), str(data["call"]))
        self._flying.add(event.path)
        if "turns_from" in data:
            self._move_turns(str(data["turns_from"]), event.path, str(data["hash"]))
        if data["call"] == "agent":
            self._charge(event.path, ONE_AGENT)

    def _move_turns(self, source: str, path: str, hash: str) -> None:
        """An edit moved a call: its turns went with it, and what was spent on them."""
        self._turns[path, hash] = self._turns.pop((source, hash), [])
        self._asked[path] = self._asked.pop(source, {})
        spent, replaced = self.take_cost(source), self._by_place.pop((source, hash), None)
        if replaced is not None:
            replaced.used, spent = True, spent + replaced.cost
        self._open_costs[path] = self._open_costs.get(path, NOTHING) + spent

    def _turn(self, event: Event) -> None:
        flying = self.in_flight.get(event.path)
        if flying is not None:
            self._turns[event.path, flying.hash].append(event.data)

    def _call_ended(self, event: Event) -> None:
        flying = self.in_flight.pop(event.path, None)
        self._flying.discard(event.path)
        if not _goes_on(event.data):
            self._turns.pop((event.path, str(event.data["hash"])), None)
        own = event.data.get("own")
        if own:
            self._charge(event.path, _amount(own))
        if event.data.get("began") is False and flying is not None and flying.sort == "agent":
            self._take_back(event.path, ONE_AGENT)
        durable = Durable(event.path, event.path, str(event.data["hash"]), event.seq, event.at, event.data)
        self._place(event.path, durable)
        if durable.kind not in _NEVER_REPLAYED:
            self._cut.pop(event.path, None)
            self._keep(durable)
        elif flying is not None:
            self._cut[event.path] = flying

    def _place(self, path: str, durable: Durable) -> None:
        """An outcome stands here in this attempt; where a call under way asked for it, it is that one's."""
        placed, around = Placed(path, self.attempts, durable), path.rpartition("/")[0]
        self._history.put_call(placed)
        if around in self._flying and durable.kind not in _NEVER_REPLAYED:
            self._asked.setdefault(around, {})[path] = placed

    def _keep(self, durable: Durable) -> None:
        durable.cost = self.take_cost(durable.path)
        replaced = self._by_place.get((durable.path, durable.hash))
        if replaced is not None:
            replaced.used = True
            durable.cost = durable.cost + replaced.cost
        around = durable.path.rpartition("/")[0]
        if around in self._flying:  # asked by that call itself: part of what that one cost
            self._open_costs[around] = self._open_costs.get(around, NOTHING) + durable.cost
            durable.cost = NOTHING
        durable.asked = tuple(self._asked.pop(durable.path, {}).values())
        self._by_place[durable.path, durable.hash] = durable
        self._by_hash[durable.hash].append(durable)
        self._by_seq[durable.seq] = durable

    def _call_reused(self, event: Event) -> None:
        """A rebinding of an earlier resume holds from then on: the outcome stands at its new place alone."""
        seq = event.data["seq"]
        assert isinstance(seq, int)
        source = self._by_seq[seq]
        if self._by_place.get((source.place, source.hash)) is source:
            del self._by_place[source.place, source.hash]
        source.place = event.path
        self._by_place[event.path, source.hash] = source
        self._place(event.path, source)

    def _attempt_started(self, event: Event) -> None:
        self.open_attempts[event.path, _number(event, "attempt")] = _amount(event.data["reserved"])

    def _attempt_ended(self, event: Event) -> None:
        self.open_attempts.pop((event.path, _number(event, "attempt")), None)
        self._charge(event.path, _amount(event.data["spent"]))

    def _decision(self, event: Event) -> None:
        key = event.path, str(event.data["decision"]), _number(event, "ordinal")
        self.decisions[key] = event.data["value"]
        self._decided_in[key] = self.attempts

    def _state(self, event: Event) -> None:
        self._history.put_state(StateSet(event.path, self.attempts, str(event.data["key"]), event.data["value"]))

    def _adopted(self, event: Event) -> None:
        """A resume took what was left as it was: it stands there in this attempt too."""
        given = event.data.get("children")
        children = frozenset(map(str, given)) if isinstance(given, list) else None
        left = self.left_below(event.path, str(event.data["decision"]), children)
        kept: list[Placed | SeenBranch | StateSet] = [*left.placed, *left.branches, *left.states]
        for one in kept:
            one.attempt = self.attempts

    def _budget(self, event: Event) -> None:
        if "top_up" in event.data:
            self.top_ups.append(_amount(event.data["top_up"]))


def read_journal(events: Iterable[Event]) -> Journal:
    """Read the log's history. Costs of calls that never ended are what their attempts reserved."""
    journal = Journal()
    readers = journal.readers()
    for event in events:
        reader = readers.get(event.kind)
        if reader is not None:
            reader(event)
    journal.charge_open_attempts()
    return journal


def _goes_on(ended: Mapping[str, Any]) -> bool:
    """Whether a call that ended so, and is performed again, goes on from its last turn: those were sound."""
    return ended["kind"] in ("cancelled", "over_budget", "timed_out") or bool(ended.get("infrastructure"))


def _amount(given: Json) -> Amount:
    return Amount.from_json(given) if isinstance(given, dict) else NOTHING


def _number(event: Event, name: str) -> int:
    number = event.data[name]
    assert isinstance(number, int)
    return number
