"""Resume by content, over random scripts cut at any event, as a kill would.

A script is a tree of every construct, with calls that succeed, fail, are unreachable, time out, are over budget, or
hang until a race, an `until` or a deadline cuts them off. It runs to its end once; then its log is cut anywhere and the
run resumed, cut again and resumed again. What had ended is never performed again, and the end is the same.

Where timing decides, the tree is built so that it always decides the same: whatever is to be cut off hangs, and
deadlines grow with the height of what they bound. Time is virtual.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.engine import (
    Amount,
    Branch,
    Call,
    CallContext,
    CallFailed,
    Degraded,
    InfrastructureError,
    Limits,
    Outcome,
    Outcomes,
    Prepared,
    Succeeded,
    Tally,
    current_branch,
    read_journal,
)
from antiphon.engine.script.api import (
    agent,
    branch,
    get,
    parallel,
    phase,
    pipeline,
    put,
    quorum,
    race,
    random,
    step,
    workflow,
)
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing import Event, Json

FOREVER = 1e9
LEAVES = ("fine", "fine", "slow", "fail", "unreachable", "late", "refused", "spend", "step", "random", "recording")

CUTTING = ("until", "deadline", "race", "timed")
CALM = ("parallel", "window", "quorum", "pipeline", "branch", "workflow", "phase", "seq")
CONSTRUCTS = (*CUTTING, *CALM)


@dataclass(frozen=True)
class Spec:
    """A piece of a script: a leaf with what it does, or a construct around others. `name` is unique, or a twin's."""

    what: str
    children: tuple[Spec, ...] = ()
    name: str = ""
    place: str = ""

    @property
    def height(self) -> int:
        """How many constructs are below each other here."""
        return 1 + max((child.height for child in self.children), default=0)


# --- scripts ----------------------------------------------------------------------------------------------------------

leaves = st.sampled_from(LEAVES).map(Spec)


def trees(constructs: Sequence[str]) -> st.SearchStrategy[Spec]:
    """Scripts made of these constructs, each around one to three pieces."""

    def around(inside: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
        return st.builds(Spec, st.sampled_from(constructs), st.lists(inside, min_size=1, max_size=3).map(tuple))

    return st.recursive(leaves, around, max_leaves=7).map(lambda spec: named(Spec("seq", (spec,)), [0]))


def named(spec: Spec, at: Sequence[int]) -> Spec:
    """The same with a name for every piece. Pieces two apart are twins, which ask for the very same thing."""
    name, place = ".".join(str(number % 2) for number in at), "-".join(map(str, at))
    children = [named(child, [*at, number]) for number, child in enumerate(spec.children)]
    return replace(spec, name=f"{spec.what} {name}", place=place, children=tuple(children))


class Script:
    """Runs a spec as a script would be written."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    async def main(self) -> Json:
        """The script."""
        return await self.whole(self.spec)

    async def whole(self, spec: Spec) -> Json:
        """One piece after the other; failures are handled."""
        return [await told(self.begin(child)) for child in spec.children]

    def begin(self, spec: Spec) -> Awaitable[Any]:
        """The un-awaited call or coroutine of a piece."""
        inner = [self.begin_lazily(child) for child in spec.children]
        match spec.what:
            case "seq":
                return self.whole(spec)
            case "phase":
                return self.phased(spec)
            case "parallel":
                return parallel([begin() for begin in inner], context=[spec.name])
            case "window":
                return parallel([begin() for begin in inner], concurrency=1)
            case "until":
                calls = [*(begin() for begin in inner), self.hanging(spec)]
                return parallel(calls, until=lambda ended: len(ended) == len(inner))
            case "deadline":
                calls = [*(begin() for begin in inner), self.hanging(spec)]
                return parallel(calls, limits=deadline(spec))
            case _:
                return self.begin_other(spec, inner)

    def begin_other(self, spec: Spec, inner: list[Callable[[], Awaitable[Any]]]) -> Awaitable[Any]:
        """The other half of the constructs."""
        match spec.what:
            case "quorum":
                return quorum([begin() for begin in inner], 2, vote=lambda value: value == value)
            case "pipeline":
                names = [f"{child.name} item" for child in spec.children]
                return pipeline(names, lambda name: agent(f"fine {name}"), lambda value: agent(f"slow after {value}"))
            case "race":
                return race([self.hanging(spec), agent(f"fail {spec.place}"), self.winning(spec)])
            case "branch":
                return branch(f"b{spec.place}", self.whole(spec))
            case "timed":
                return branch(f"t{spec.place}", self.then_hang(spec), limits=deadline(spec))
            case "workflow":
                return workflow(spec.place, {})
            case _:
                return leaf(spec)

    def begin_lazily(self, child: Spec) -> Callable[[], Awaitable[Any]]:
        """Begins the child only when asked."""
        return lambda: self.begin(child)

    async def phased(self, spec: Spec) -> Json:
        """A phase of its own."""
        phase(spec.name)
        put(spec.place, current_branch().path)
        return [await self.whole(spec), get(spec.place)]

    async def hanging(self, spec: Spec) -> None:
        """Do something, then what never ends. No twins: how far it gets before it is cut off depends on timing."""
        await agent(f"recording before {spec.place}")
        await told(parallel([agent(f"recording beside {spec.place}"), agent(f"hang {spec.place}")]))

    async def winning(self, spec: Spec) -> str:
        """Two calls, one after the other."""
        first = await agent(f"slow first {spec.place}")
        return str(await agent(f"slow then {first}"))

    async def then_hang(self, spec: Spec) -> None:
        """What the spec says, and then what never ends."""
        await self.whole(spec)
        await self.hanging(spec)

    def nested(self, _branch: Branch, name: str, _args: object) -> tuple[Callable[[Branch], Awaitable[Any]], Limits]:
        """The host function behind `workflow`."""
        spec = next(piece for piece in pieces(self.spec) if piece.place == name)
        return (lambda _inside: self.whole(spec)), Limits()


def pieces(spec: Spec) -> Iterable[Spec]:
    """A spec and all below it."""
    yield spec
    for child in spec.children:
        yield from pieces(child)


def deadline(spec: Spec) -> dict[str, object]:
    """Longer than all deadlines inside together, and shorter than what hangs."""
    return {"wall_seconds": 10.0 ** (spec.height + 1)}


def leaf(spec: Spec) -> Awaitable[Any]:
    """A single call, or a reading."""
    match spec.what:
        case "step":
            return step("list", {"of": spec.name})
        case "random":
            return drawn()
        case "late":
            return agent(spec.name, limits={"wall_seconds": 5})
        case "refused":
            return agent(spec.name, limits={"model_calls": 1})
        case _:
            return agent(spec.name)


async def drawn() -> float:
    """A random number."""
    return random()


async def told(call: Awaitable[Any]) -> Json:
    """What awaiting gives, as JSON; a failure as its kind."""
    try:
        return plain(await call)
    except CallFailed as error:
        return error.outcome.kind


def plain(value: object) -> Json:
    """Outcomes and tallies as JSON."""
    match value:
        case Outcomes():
            outcomes: Outcomes[Any] = cast("Any", value)
            return [plain(outcome) for outcome in outcomes]
        case Tally():
            return [value.decided, list(value.votes), plain(value.outcomes)]
        case Succeeded() | Degraded():
            done = cast("Outcome[Any]", value)
            return [done.kind, done.path, plain(done.value)]
        case Outcome():
            return [value.kind, value.path]
        case _:
            return cast("Json", value)


# --- subagents --------------------------------------------------------------------------------------------------------


@dataclass
class Fact:
    """A record."""

    text: str

    def to_json(self) -> dict[str, Json]:
        """Its content."""
        return {"record": "fact", "text": self.text}


async def as_told(call: Call, context: CallContext) -> object:
    """Do what the first word of the task says."""
    if call.sort == "step":
        return {"listed": call.task}
    match str(call.task).split()[0]:
        case "fail":
            raise ValueError(str(call.task))
        case "unreachable":
            raise InfrastructureError("network", "no route")
        case "slow":
            await anyio.sleep(1)
        case "hang" | "late":
            await anyio.sleep(FOREVER)
        case "spend":
            for _ in range(2):
                async with context.attempt(Amount(usd="0.01")) as attempt:
                    await anyio.sleep(1)
                    attempt.settle(Amount(usd="0.004"))
        case "recording":
            context.records.add(Fact(str(call.task)))
        case _:
            pass
    return call.task


class Calls(AnsweringCalls):
    """Calls that do as they are told; one sort of them needs more than it ever may have."""

    def prepare(self, call: Call) -> Prepared:
        """See `Performer.prepare`."""
        prepared = super().prepare(call)
        needs_much = str(call.task).startswith("refused")
        return replace(prepared, floor=Amount(model_calls=2)) if needs_much else prepared


# --- runs -------------------------------------------------------------------------------------------------------------


@dataclass
class Attempt:
    """One attempt at a run."""

    ran: MemoryRun
    performed: Counter[str]

    @property
    def end(self) -> list[Any]:
        """All that a person can tell of the end."""
        result = self.ran.result
        return [result.kind, result.reason, plain(result.outcome), [[m.path, m.kind, m.reason] for m in result.missing]]

    @property
    def counts(self) -> list[Any]:
        """The census of branches and of calls, the records, and the state."""
        result, run = self.ran.result, self.ran.run
        tables = [
            {title: census.to_json() for title, census in sorted(t.items())} for t in (result.census, result.calls)
        ]
        records = sorted([r.path, r.phase, str(r.record)] for r in run.records)
        return [*tables, records, dict(sorted(run.state.items()))]


def attempt(spec: Spec, history: Sequence[Event] = ()) -> Attempt:
    """Run the script under virtual time, with nothing or something in its journal."""
    calls, script = Calls(as_told), Script(spec)

    async def go() -> MemoryRun:
        return await memory_run(
            script.main, performers={"agent": calls, "step": calls}, history=history, host={"workflow": script.nested}
        )

    ran = in_virtual_time(go)
    assert ran.result.kind in ("completed", "degraded"), ran.result.reason
    return Attempt(ran, Counter(map(str, calls.performed)))


def in_virtual_time(go: Callable[[], Coroutine[Any, Any, MemoryRun]]) -> MemoryRun:
    """Hours in milliseconds."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(go, backend="trio", backend_options={"clock": clock})


def durable_hashes(events: Iterable[Event]) -> Counter[str]:
    """How often each content has an outcome in a log that a resume may take."""
    return Counter(str(e.data["hash"]) for e in events if e.kind == "call.ended" and e.data["kind"] != "cancelled")


def started_hashes(events: Iterable[Event]) -> Counter[str]:
    """How often each content was begun."""
    return Counter(str(e.data["hash"]) for e in events if e.kind == "call.started")


def check_resume(whole: Attempt, history: Sequence[Event], resumed: Attempt) -> None:
    """What a resume must keep to, whatever it resumes from."""
    new = resumed.ran.log.events()[len(history) :]
    had, all_told = durable_hashes(history), durable_hashes(whole.ran.log.events())
    for content, begun in started_hashes(new).items():
        if content in all_told:
            assert begun <= all_told[content] - had[content], "what had ended was performed again"
    assert leniently(resumed.end) == leniently(whole.end)
    assert read_journal(resumed.ran.log.events()).spent == resumed.ran.result.spent
    if every_cut_was_decided(whole.ran.log.events(), history):
        assert resumed.end == whole.end
        assert resumed.counts == whole.counts
    assert_conserved(resumed)


def assert_conserved(done: Attempt) -> None:
    """Every planned branch is in the census with an outcome."""
    for census in done.ran.result.census.values():
        assert sum(census.ended.values()) == census.planned
        assert census.started == census.planned - census.ended.get("skipped", 0)


def every_cut_was_decided(whole: Sequence[Event], history: Sequence[Event]) -> bool:
    """Whether every construct that cuts others off had done so: then even what was going on in these is the same."""
    cutting, decided = ({e.path for e in events if e.kind == "decision"} for events in (whole, history))
    return cutting <= decided


def leniently(end: object) -> object:
    """How something was cut off depends on how far it had got, which is another thing after a kill."""
    if isinstance(end, list):
        parts: list[Any] = cast("Any", end)
        return [leniently(part) for part in parts]
    return "cut" if end in ("cancelled", "skipped", "timed_out") else end


SLOWLY = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@given(trees(CONSTRUCTS), st.data())
@SLOWLY
def test_a_run_cut_anywhere_ends_the_same_and_repeats_nothing_that_had_ended(spec: Spec, data: st.DataObject) -> None:
    whole = attempt(spec)
    events = whole.ran.log.events()
    assert_conserved(whole)
    for _ in range(3):
        history = events[: data.draw(st.integers(0, len(events)))]
        resumed = attempt(spec, history)
        check_resume(whole, history, resumed)
        later = resumed.ran.log.events()
        again = later[: data.draw(st.integers(len(history), len(later)))]
        check_resume(resumed, again, attempt(spec, again))


@given(trees(CONSTRUCTS))
@SLOWLY
def test_a_finished_run_resumed_performs_nothing(spec: Spec) -> None:
    whole = attempt(spec)
    again = attempt(spec, whole.ran.log.events())
    assert not again.performed
    assert again.end == whole.end
    assert again.counts == whole.counts
    assert again.ran.result.spent == whole.ran.result.spent
    third = attempt(spec, again.ran.log.events())
    assert (third.end, third.counts, third.performed) == (whole.end, whole.counts, Counter())


@given(trees(CALM), trees(CALM))
@SLOWLY
def test_an_edit_performs_only_what_is_new(before: Spec, other: Spec) -> None:
    """Another piece put in front: everything behind it moves to another place, and is found by its content."""
    edited = Spec("seq", (*(replace_names(child, "new") for child in other.children), *before.children), "seq")
    whole = attempt(before)
    resumed = attempt(edited, whole.ran.log.events())
    fresh = attempt(edited)
    assert resumed.end == fresh.end
    assert resumed.performed == fresh.performed - whole.performed


def replace_names(spec: Spec, prefix: str) -> Spec:
    """The same piece, asking for other things."""
    children = tuple(replace_names(child, prefix) for child in spec.children)
    return replace(spec, name=f"{spec.what} {prefix} {spec.name}", place=f"{prefix}{spec.place}", children=children)


def test_every_construct_at_once_cut_at_every_event() -> None:
    """What hypothesis draws, all of it, with no event left out."""
    leaf_pairs = [(Spec(LEAVES[i]), Spec(LEAVES[i + 1])) for i in range(1, len(LEAVES) - 1)]
    nested = tuple(Spec(kind, leaf_pairs[number % len(leaf_pairs)]) for number, kind in enumerate(CONSTRUCTS))
    spec = named(Spec("seq", nested), [0])
    whole = attempt(spec)
    events = whole.ran.log.events()
    for cut in range(0, len(events), 3):
        check_resume(whole, events[:cut], attempt(spec, events[:cut]))
