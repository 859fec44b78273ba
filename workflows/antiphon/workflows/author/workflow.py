"""The making of a plan, as an ordinary workflow: survey, lightest shape, outline, blind review, script, repair."""

from typing import Any

from antiphon.engine import CallFailed
from antiphon.workflows.author import words
from antiphon.workflows.author.deciding import Attempt, Drafts
from antiphon.workflows.author.examine import NOT_RUN
from antiphon.workflows.author.lightest import one_agent, one_agent_tests
from antiphon.workflows.author.material import as_frame
from antiphon.workflows.author.plans import SCRIPT
from antiphon.workflows.author.result import STATE, Told
from antiphon.workflows.author.shapes import Assessed, Shape, Sketch, Written, json_of
from antiphon.workflows.script import agent, branch, fail, log, parallel, phase, put, step

manifest = {
    "name": "plan",
    "description": "The lightest orchestration for one task: an outline, a script that was checked, and its tests.",
    "phases": ["survey", "shape", "outline", "write"],
    "limits": {"agent_calls": 60},
    "scope": {"read": ["**"]},
    "steps": ["survey", "material", "examine"],
    "roles": ["author", "assessor"],
    "verify": ["the script by preflight, by its own tests, and against a review that has not seen it"],
}
SHAPES = 2
"""How often the author is asked for a shape, where it names a workflow that there is not."""


async def main(
    task: str,
    path: str,
    name: str,
    plans: str,
    runs: str,
    rounds: int = 3,
    seed: int = 0,
    before: dict[str, Any] | None = None,
    fork: str = "",
    models: list[str] | None = None,
    prices: list[str] | None = None,
    rates: list[str] | None = None,
    budget: str = "",
    max_agents: int = 0,
    deadline_seconds: float = 0.0,
    roles: str = "",
) -> dict[str, Any]:
    """Plan `task` for the folder at `path`. What other parameters ask holds already: see `Asked`."""
    told = Told(name=name)
    phase("survey")
    told.survey = await step("survey", {"path": path})
    told.known = await step("material", {"task": task, "plans": plans, "runs": runs, "own": name})
    priced = dict(text.rsplit("=", 1) for text in prices or [] if "=" in text)
    asked = {"specs": models or [], "prices": priced, "rates": rates or []}
    maker = Maker(task, f"{plans}/{name}/{SCRIPT}", seed, rounds, before, asked, told)
    phase("shape")
    told.shape = json_of(await maker.shaped())
    put(STATE, told.to_json())
    if told.shape["shape"] == "agent":
        await maker.simplest()
    if told.shape["shape"] == "script":
        phase("outline")
        await maker.outlined()
        phase("write")
        await maker.written()
    told.settle()
    put(STATE, told.to_json())
    if told.state != "planned":
        fail(told.reason)
    return {**told.summary(), "script": maker.file if told.chosen is not None else "", "fork": fork}


class Maker:
    """What one plan is made with.

    Args:
        task: in the person's words. file: where the script would lie. seed: of the variation, 0 for none.
        rounds: how often a script is sent back at most. before: the version that is replaced, and what became of it.
        asked: the models that answer, for the cost. told: what is known so far.
    """

    def __init__(
        self,
        task: str,
        file: str,
        seed: int,
        rounds: int,
        before: dict[str, Any] | None,
        asked: dict[str, Any],
        told: Told,
    ) -> None:
        self.task, self.file, self.seed, self.rounds = task, file, seed, rounds
        self.before, self.asked, self.told = before, asked, told
        own = [words.about_before(before)] if before else []
        # The same frames first in every call, so that a provider's cache serves them.
        self.known = [words.guide(), words.about_task(task), words.about_inputs(told.survey), *own]

    async def shaped(self) -> Shape:
        """The lightest shape that fits; of a further version of a script, a script."""
        if self.before is not None:
            return Shape(shape="script", reason="A further version of a script is planned.")
        there = [str(one["name"]) for one in self.told.known if one["typed"]]
        frames = [*self.known, words.about_known(as_frame(self.told.known))]
        for _ in range(SHAPES):
            shape: Shape = await agent(
                words.shape_task(self.seed), role="author", output=Shape, context=frames, label="author/shape"
            )
            if shape.shape != "workflow" or shape.workflow in there:
                return shape
            problem = f"there is no workflow {shape.workflow[:80]!r}; there are {', '.join(there)}"
            self.told.note(f"a shape was sent back: {problem}")
            frames = [*frames, {"your answer was refused": problem}]
        return Shape(shape="script", reason="No workflow that there is was named, so one is written.")

    async def simplest(self) -> None:
        """The script of one agent call. Where even that is refused, a script is written after all."""
        shape = Shape.model_validate(self.told.shape)
        text = one_agent(self.told.name, shape.task or self.task, shape.role)
        draft = Written.model_validate({"script": text, "tests": one_agent_tests(shape.role)})
        attempt = await self.examined(draft)
        self.told.attempts.append(attempt.to_json())
        if attempt.passed:
            self.told.chosen = attempt.number
        else:
            self.told.note("the script of one agent call was refused, so one is written")
            self.told.shape = {**self.told.shape, "shape": "script"}

    async def outlined(self) -> None:
        """The author's outline; and beside it, what the task needs, by somebody who sees neither it nor the script."""
        blind = [words.about_task(self.task), words.about_inputs(self.told.survey)]
        calls: list[Any] = [
            agent(
                words.outline_task(self.seed, again=self.before is not None),
                role="author",
                output=Sketch,
                context=self.known,
                label="author/outline",
            ),
            agent(words.assess_task(), role="assessor", output=Assessed, context=blind),
        ]
        sketch, needs = await parallel(calls)
        if needs.kind in ("succeeded", "degraded"):
            self.told.needs = json_of(needs.value)["needs"]
            if not self.told.needs:
                self.told.note("the blind review names nothing that the task needs, and holds the script to nothing")
        else:
            self.told.note(f"there is no blind review: {needs.kind}: {needs.reason}")
        if sketch.kind in ("succeeded", "degraded"):
            self.told.sketch = json_of(sketch.value)
        else:
            self.told.note(f"there is no outline: {sketch.kind}: {sketch.reason}")
        put(STATE, self.told.to_json())

    async def written(self) -> None:
        """Have the script written, and sent back with reasons until it passes, comes again, or the rounds are over."""
        drafts, earlier = Drafts(), len(self.told.attempts)
        while drafts.number <= self.rounds and not drafts.is_over:
            draft = await self.drafted(drafts)
            if draft is None:
                drafts.lost()
                continue
            attempt = await self.examined(draft, earlier + drafts.number + 1)
            drafts.take(attempt)
            self.told.attempts.append(attempt.to_json())
            put(STATE, self.told.to_json())
        best = drafts.best
        self.told.chosen = best.number if best is not None else None
        self.told.ending = drafts.ending(self.rounds)

    async def drafted(self, drafts: Drafts) -> Written | None:
        """The next version of the script; None where the author gave none."""
        frames = [*self.known, words.about_outline(self.told.sketch)]
        task, last = words.write_task(self.seed, again=self.before is not None), drafts.last
        if last is not None:
            tests: list[Any] = [json_of(test) for test in last.draft.tests]
            frames += words.about_attempt(last.source, tests, last.problems)
            task = words.mend_task(drafts.number + 1)
        call = agent(task, role="author", output=Written, context=frames, label=f"author/{drafts.number + 1}")
        outcome = await branch(f"draft-{drafts.number + 1}", call)
        if outcome.kind in ("succeeded", "degraded"):
            draft: Written = outcome.value
            return draft
        self.told.note(f"attempt {drafts.number + 1} gave no script: {outcome.kind}: {outcome.reason}")
        return None

    async def examined(self, draft: Written, number: int = 1) -> Attempt:
        """What preflight and its own tests say of a version. One that replaces another is given what that was given."""
        arguments = dict(draft.arguments) if self.before is None else dict(self.before["arguments"])
        said = await step(
            "examine",
            {
                "script": draft.script,
                "file": self.file,
                "plan": self.told.name,
                "tests": [json_of(test) for test in draft.tests],
                "arguments": arguments,
                "needs": list(self.told.needs),
                "asked": self.asked,
                "before": str(self.before["script"]) if self.before is not None else "",
            },
        )
        log(f"attempt {number}: {Attempt.line(said)}")
        untried = next((one["reason"] for one in said["problems"] if one["rule"] == NOT_RUN), "")
        if untried:
            self.told.note(f"the tests of attempt {number} were not run: {untried}")
        return Attempt(number=number, draft=draft, examined=said)


__all__ = ["CallFailed", "main", "manifest"]
