"""One subtask, from its place in the plan to a state that is accepted, or a reason why there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from antiphon.subagents.checks import Problem
from antiphon.tracing import Json
from antiphon.workflows.build import words
from antiphon.workflows.build.deciding import Making
from antiphon.workflows.build.owning import owns
from antiphon.workflows.build.planning import Unit
from antiphon.workflows.build.shapes import Handed, Review
from antiphon.workflows.build.verifying import changed_before, checked, met, told
from antiphon.workflows.crafting.quality import Quality
from antiphon.workflows.crafting.results import Tests
from antiphon.workflows.script import CallFailed, agent, budget, step

Status = Literal["integrated", "accepted", "failed", "skipped"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a level is built on.

    Attributes:
        start: the state that its workspaces begin at. rounds: of coder and refiner for each subtask.
        quality: the bar. test: the command that runs the suite; "" where the project says that.
        suite: how that went on the state that they begin at.
        offered: by path, what there is to import.
    """

    start: str
    rounds: int
    quality: Quality
    test: str
    suite: Tests
    offered: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What became of one subtask.

    Attributes:
        unit: which. status: accepted by itself, integrated into the whole, or why not. reason: in words.
        since, tree: the states that its work began and ended at. rounds: that were used.
        files: that it changed. criterion: the last run of it. tried: what was not accepted, round by round.
        remarks: what its reviewer would have better. cost: by dimension.
    """

    unit: Unit
    status: Status
    reason: str = ""
    since: str = ""
    tree: str = ""
    rounds: int = 0
    files: tuple[Mapping[str, str], ...] = ()
    criterion: Tests | None = None
    tried: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    cost: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @property
    def accepted(self) -> bool:
        """Whether its work can go into the whole."""
        return self.status in ("accepted", "integrated")

    def to_json(self) -> dict[str, Json]:
        """As it is recorded and shown."""
        run = self.criterion
        return {
            **self.unit.to_json(),
            "status": self.status,
            "reason": self.reason,
            "tree": self.tree,
            "workspace": self.unit.workspace if self.tree else "",
            "rounds": self.rounds,
            "files": [dict(one) for one in self.files],
            "result": None if run is None else {"command": run.command, "exit": run.exit, "passed": run.passed},
            "tried": list[Json](self.tried),
            "remarks": list[Json](self.remarks),
            "cost": dict(self.cost),
        }


async def build_unit(unit: Unit, ground: Ground) -> Built:
    """Build one subtask in its own workspace, within its rounds."""
    work = _Work(unit, ground)
    await step("restore", {"workspace": unit.workspace, "tree": ground.start})
    making = Making.begin(ground.rounds, promised=bool(work.held))
    while not making.ended:
        match making.stage:
            case "test":
                making = making.tested(await work.write_tests())
            case "work":
                making = await work.work(making)
            case "verify":
                making = making.verified(work.tree, await work.verify())
            case _:
                making = making.reviewed(work.tree, await work.review())
        if making.problem:
            work.tried.append(making.problem)
    return work.built(making)


class _Work:
    """What is known of a subtask while it is built."""

    def __init__(self, unit: Unit, ground: Ground) -> None:
        self.unit, self.ground = unit, ground
        self.held = list(unit.criterion.tests) if unit.criterion.promise.strip() else list[str]()
        self.since = self.tree = ground.start
        self.files: list[dict[str, str]] = []
        self.criterion: Tests | None = None
        self.tried: list[str] = []
        self.remarks: tuple[str, ...] = ()
        self.rounds = 0
        self._output = ""
        self._frames: list[Json] = [words.about(unit), words.interfaces_frame(ground.offered)]

    async def write_tests(self) -> str:
        """Let a tester write the tests from the promise; what keeps them from being used."""
        failed = await attempt(
            agent(
                words.tests_task(self.unit),
                role="tester",
                output=Handed,
                workspace=self.unit.workspace,
                context=[*self._with(self.tried[-1] if self.tried else ""), words.promise_frame(self.unit)],
                label=f"tester/{self.unit.id}",
            )
        )
        kept = await confined(self.unit.workspace, self.ground.start, self.held)
        written = {str(one["path"]) for one in kept["files"]}
        self.since = self.tree = str(kept["tree"])
        if absent := [test for test in self.held if test not in written and not test.endswith("/**")]:
            why = f": {failed}" if isinstance(failed, str) else ""
            return f"these tests were to be written and were not: {', '.join(absent)}{why}"
        if unread := await self._unreadable(sorted(written)):
            return unread
        shown = self.unit.criterion.model_copy(update={"command": ""})
        ran = await met(self.unit.workspace, shown, self.ground.test, self.ground.suite)
        if not ran.problem:
            return "the tests pass before the code exists, so they show nothing"
        return told(await self._new_problems(compare=False))

    async def _unreadable(self, paths: list[str]) -> str:
        said = await step("interfaces", {"workspace": self.unit.workspace, "paths": paths})
        bad = [f"{path} {text}" for path, text in said.items() if text.startswith("(not readable")]
        return f"these tests cannot be read: {', '.join(bad)}" if bad else ""

    async def work(self, making: Making) -> Making:
        """Let a coder begin, or a refiner go on; what it did outside of its files is taken back."""
        first, self.rounds = self.rounds == 0, self.rounds + 1
        held = bool(self.held)
        said = await attempt(
            agent(
                words.code_task(self.unit, held=held) if first else words.mend_task(self.unit, held=held),
                role="coder" if first else "refiner",
                output=Handed,
                workspace=self.unit.workspace,
                context=self._with("" if first else making.problem),
                label=f"{'coder' if first else 'refiner'}/{self.unit.id}",
            )
        )
        kept = await confined(self.unit.workspace, self.since, self.unit.owns, self.held)
        self.tree, self.files = str(kept["tree"]), [dict(one) for one in kept["files"]]
        return making.worked(self.tree, self._against(said, kept["outside"]))

    def _against(self, said: Handed | str, strays: list[str]) -> str:
        self._output = ""
        if strays:
            return words.outside(strays)
        if isinstance(said, str):
            return said
        if said.stuck.strip():
            return f"whoever worked on it says: {said.stuck.strip()}"
        return "" if self.files else "nothing was changed"

    async def verify(self) -> str:
        """Its criterion, then the checks."""
        name, ground = self.unit.workspace, self.ground
        verdict = await met(name, self.unit.criterion, ground.test, ground.suite)
        self.criterion, self._output = verdict.tests, verdict.output
        if verdict.problem:
            return verdict.problem
        found = await self._new_problems(compare=changed_before(self.files))
        return told([one for one in found if not owns(self.held, one.path)])

    async def _new_problems(self, *, compare: bool) -> list[Problem]:
        ground = self.ground
        return await checked(self.unit.workspace, ground.start, self.tree, ground.quality, compare=compare)

    async def review(self) -> str:
        """Let somebody who has not seen how it came about read the change."""
        diff = await step("diff", {"workspace": self.unit.workspace, "since": self.ground.start})
        said = await attempt(
            agent(
                words.review_task(self.unit),
                role="reviewer",
                output=Review,
                workspace=self.unit.workspace,
                context=[*self._frames, {"change": words.shown(diff)}],
                label=f"reviewer/{self.unit.id}",
            )
        )
        self._output = ""
        if isinstance(said, str):
            return f"it could not be reviewed: {said}"
        self.remarks = tuple(words.blocked([one]) for one in said.consider)
        return f"its reviewer objects:\n{words.blocked(said.blocks)}" if said.blocks else ""

    def built(self, making: Making) -> Built:
        """What became of it."""
        done = making.stage == "accepted"
        return Built(
            unit=self.unit,
            status="accepted" if done else "failed",
            reason="" if done else making.problem,
            since=self.ground.start,
            tree=self.tree,
            rounds=self.rounds,
            files=tuple(self.files),
            criterion=self.criterion,
            tried=tuple(self.tried),
            remarks=self.remarks,
            cost=spent(),
        )

    def _with(self, problem: str) -> list[Json]:
        return [*self._frames, words.wrong(problem, output=self._output)] if problem else self._frames


async def attempt(call: Awaitable[T]) -> T | str:
    """The value of an agent call, or in words why it has none: that is a round lost, and not the end."""
    try:
        return await call
    except CallFailed as error:
        return f"no answer came: {error.outcome.kind}: {error.outcome.reason}"


async def confined(workspace: str, since: str, owned: Any, held: Any = ()) -> dict[str, Any]:
    """Take back what was changed outside of some files; see the step `confine`."""
    kept: dict[str, Any] = await step(
        "confine", {"workspace": workspace, "since": since, "owned": list(owned), "held": list(held)}
    )
    return kept


def spent() -> dict[str, Json]:
    """What this branch has used."""
    return {
        "usd": str(budget.used("usd")),
        "agent_calls": int(budget.used("agent_calls")),
        "model_calls": int(budget.used("model_calls")),
        "tool_calls": int(budget.used("tool_calls")),
    }
