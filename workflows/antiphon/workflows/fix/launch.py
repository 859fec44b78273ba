"""`antiphon fix`: the workflow bound to one project and to what a person asked, and the reports it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from pydantic import ValidationError

from antiphon.engine import Run, RunResult, UsageError
from antiphon.subagents.roles.library import Roles
from antiphon.tracing import Json
from antiphon.workflows.crafting.asked import CraftAsked
from antiphon.workflows.disk import write_whole
from antiphon.workflows.fix import workflow
from antiphon.workflows.fix.moves import Bounds
from antiphon.workflows.fix.reproducing import ATTEMPTS
from antiphon.workflows.fix.results import STATE, FixResult
from antiphon.workflows.fix.steps import STEPS
from antiphon.workflows.loading import Loaded, load
from antiphon.workflows.places import RunPlace

if TYPE_CHECKING:
    pass

BUILTIN: Final = "fix"
MOST_TRIES: Final = 8
MOST_ROUNDS: Final = 20
_MOST_REPORT: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(CraftAsked):
    """What a person asks of a fix: the arguments of its workflow, so that a resumed run is bound to the same.

    Attributes:
        report: the bug report. tries: at mending it, side by side. rounds: of each try at most.
        mcp: servers whose tools may be used, by name.
    """

    report: str
    tries: int = 1
    rounds: int = Bounds().rounds
    mcp: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what nothing can come of.

        Raises:
            UsageError: the report is empty or endless, the project is not there, or a number is out of its range.
        """
        if not self.report.strip():
            raise UsageError("the bug report is empty", advice='antiphon fix "what happens, and what should happen"')
        if len(self.report) > _MOST_REPORT:
            raise UsageError(
                f"the bug report is longer than {_MOST_REPORT:,} characters", advice="give the part that matters"
            )
        if not Path(self.path).is_dir():
            raise UsageError(f"there is no folder {self.path[:300]}", advice="--path names the project's folder")
        for name, value, most in (("tries", self.tries, MOST_TRIES), ("rounds", self.rounds, MOST_ROUNDS)):
            if not 1 <= value <= most:
                raise UsageError(f"--{name} {value} is out of range", advice=f"--{name} takes 1 to {most}")


def most_agents(tries: int, rounds: int) -> int:
    """How many subagents a fix asks at most, by its construction: what a person is told before it begins.

    A round is one author and one critic; a try may plan anew once and look for another way to run the tests once.
    """
    bounds = Bounds(rounds=rounds)
    return 2 + ATTEMPTS + tries * (2 * rounds + bounds.replans + bounds.environments)


@dataclass(slots=True)
class Told:
    """What a fix has come to, for whoever asked for it. result: None as long as it is not over."""

    result: FixResult | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """A fix of one project: what was asked, the workflow that says how, and what came of it."""

    asked: Asked
    loaded: Loaded
    told: Told = field(default_factory=Told)

    @property
    def project(self) -> Path:
        """The folder that workspaces are made of."""
        return Path(self.asked.path)

    async def close(self) -> None:
        """Nothing is held open: the models are the run's."""

    def begins(self, run: str) -> Fix:
        """Told which run it is; nothing depends on that."""
        return self

    def value(self) -> Json:
        """What it came to, also where no try mended anything."""
        return None if self.told.result is None else self.told.result.model_dump(mode="json")

    def conclude(self, place: RunPlace, run: Run, result: RunResult) -> Mapping[str, str]:
        """Write the reports into the run's directory; their names and sha256. None where the fix is not over."""
        from antiphon.workflows.fix.report import About, json_report, markdown, synthesis_of

        self.told.result = result_in(run.state) if result.kind in ("completed", "degraded", "failed") else None
        if self.told.result is None:
            return {}
        about = About(run=place.run_id, asked=self.asked, spent=dict(result.spent.to_json()))
        found = synthesis_of(run)
        files = {
            "report.md": markdown(self.told.result, about, found),
            "report.json": json_report(self.told.result, about, found),
        }
        return {name: _write(place.directory / name, text) for name, text in files.items()}


def result_in(state: Mapping[str, Any]) -> FixResult | None:
    """What a run's own state says of what it came to; None if it says nothing."""
    said = state.get(STATE)
    if said is None:
        return None
    try:
        return FixResult.model_validate(said)
    except ValidationError:
        return None


async def prepare(asked: Asked) -> Fix:
    """Bind the workflow to what was asked, before anything starts; also again, for a run that began earlier.

    Raises:
        UsageError: something that was asked for does not exist here.
    """
    asked.check()
    return Fix(asked, _bounded(await anyio.to_thread.run_sync(_loaded, asked), asked))


def _loaded(asked: Asked) -> Loaded:
    library = Roles(Path(asked.roles)) if asked.roles else Roles(None)
    return load(Path(workflow.__file__), steps=STEPS, builtin=BUILTIN, library=library)


def _bounded(loaded: Loaded, asked: Asked) -> Loaded:
    """The workflow within what the person lets it use."""
    limits = loaded.manifest.limits.narrowed_by(asked.limits())
    return replace(loaded, manifest=loaded.manifest.model_copy(update={"limits": limits}))


def _write(file: Path, text: str) -> str:
    content = text.encode("utf-8", "backslashreplace")
    write_whole(file, content)
    return hashlib.sha256(content).hexdigest()
