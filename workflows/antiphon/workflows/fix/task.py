"""What all tries of one fix have in common, and what becomes of a try in the records of the run."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.workflows.crafting.quality import Quality
from antiphon.workflows.fix.judging import Reference
from antiphon.workflows.fix.moves import Bounds
from antiphon.workflows.fix.reproducing import Baseline
from antiphon.workflows.fix.results import ReproductionResult, TryResult
from antiphon.workflows.script import step


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all tries of one fix have in common.

    Attributes:
        report: the bug report. base: the project as it was. shown: the test that shows the bug, if there is one.
        held: what a fix is held to. quality: the bar. bounds: of each try. models: as typed, for records.
    """

    report: str
    base: Baseline
    shown: ReproductionResult
    held: Reference
    quality: Quality
    bounds: Bounds
    models: tuple[str, ...] = ()

    def model(self, role: str) -> str:
        """Which model answers a role, by what was typed; "" where that does not say."""
        named = dict(spec.split("=", 1) for spec in self.models if spec.startswith(f"{role}="))
        return named.get(role) or next(
            (spec for spec in reversed(self.models) if "=" not in spec.partition("/")[0]), ""
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """What one try came to, and what it was held to, which another way to run the tests may have changed."""

    result: TryResult
    held: Reference


async def claimed(task: Task, result: TryResult, held: Reference) -> TryResult:
    """Record what a try came to, as far as it changed anything: its workspace is in its best state."""
    if not result.files:
        return result
    told = {
        "name": result.name,
        "cause": result.cause,
        "author": task.model("coder"),
        "critic": task.model("critic"),
        "tests": result.tests.model_dump(mode="json"),
        "new": list(held.new),
        "passed": result.passed,
        "reasons": list(result.reasons),
        "failing": list(result.failing),
        "musts": None if result.musts is None else list(result.musts),
    }
    ids: list[str] = await step("claimed", {"workspace": result.name, "told": told})
    return result.model_copy(update={"patches": tuple(ids)})


def point_told(what: str, file: str, line: int | None, change: str) -> str:
    """An objection in one piece."""
    place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
    return f"{place}{what}" + (f" ({change})" if change else "")
