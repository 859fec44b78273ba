"""The whole, read by a critic who has seen none of its parts being made; and mended, where that breaks nothing."""

from __future__ import annotations

from dataclasses import replace

from antiphon.tracing import Json
from antiphon.workflows.build import words
from antiphon.workflows.build.building import attempt, confined
from antiphon.workflows.build.deciding import MENDINGS
from antiphon.workflows.build.integrating import WHOLE, Whole
from antiphon.workflows.build.shapes import Handed, Review
from antiphon.workflows.build.verifying import checked, met, run_suite, told
from antiphon.workflows.crafting.results import Tests, regressions
from antiphon.workflows.script import agent, step


async def read_whole(base: str, whole: Whole) -> tuple[Whole, tuple[str, ...]]:
    """Let a critic read all that was built, and a refiner mend what fails the task; what is left of the objections."""
    blocks: tuple[str, ...] = ()
    for _ in range(MENDINGS):
        said = await attempt(
            agent(
                words.whole_task(),
                role="critic",
                output=Review,
                workspace=WHOLE,
                context=await _shown(base, whole),
                label="critic/whole",
            )
        )
        if isinstance(said, str):
            return whole, (*blocks, f"the critic of the whole could not judge: {said}")
        blocks = tuple(words.blocked([one]) for one in said.blocks)
        if not blocks:
            return whole, ()
        mended = await _mended(base, whole, blocks)
        if mended is None:
            return whole, blocks
        whole = mended
    return whole, tuple(f"{one} (a refiner worked on it; no critic has looked again)" for one in blocks)


async def _shown(base: str, whole: Whole) -> list[Json]:
    diff = await step("diff", {"workspace": WHOLE, "since": base})
    missing: list[Json] = [f"{one.unit.id}: {one.reason}" for one in whole.built.values() if not one.accepted]
    return [{"task": whole.task, "known to be missing": missing}, {"change": words.shown(diff)}]


async def _mended(base: str, whole: Whole, blocks: tuple[str, ...]) -> Whole | None:
    """The whole after a refiner; None, and everything as it was, where it is no better for that."""
    owned = sorted({pattern for unit in whole.integrated for pattern in unit.owns})
    held = sorted(
        {test for unit in whole.integrated if unit.criterion.promise.strip() for test in unit.criterion.tests}
    )
    await attempt(
        agent(
            words.finish_task(),
            role="refiner",
            output=Handed,
            workspace=WHOLE,
            context=[
                {"task": whole.task, "files that are yours": list[Json](owned), "not yours": list[Json](held)},
                words.wrong("\n".join(blocks)),
            ],
            label="refiner/whole",
        )
    )
    tree = str((await confined(WHOLE, whole.tree, owned, held))["tree"])
    if tree == whole.tree:
        return None
    suite = await run_suite(WHOLE, whole.test)
    if await _worse(whole, suite, tree):
        await step("restore", {"workspace": WHOLE, "tree": whole.tree})
        return None
    return replace(whole, tree=tree, suite=suite, checkpoints=(*whole.checkpoints, tree))


async def _worse(whole: Whole, suite: Tests, tree: str) -> bool:
    """Whether the suite, a criterion or the checks say that something broke."""
    if regressions(whole.suite, suite):
        return True
    for unit in whole.integrated:
        if (await met(WHOLE, unit.criterion, whole.test, whole.suite)).problem:
            return True
    return bool(told(await checked(WHOLE, whole.tree, tree, whole.quality, compare=True)))
