"""`antiphon build`: the workflow bound to a project and to what a person asked, and the reports it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antiphon.engine import Run, RunResult, UsageError
from antiphon.tracing import Json
from antiphon.workflows.build import workflow
from antiphon.workflows.build.deciding import DEPTH, MOST_DEPTH, MOST_ROUNDS, ROUNDS, most_agent_calls
from antiphon.workflows.build.report import about, json_report, markdown
from antiphon.workflows.build.result import STATE
from antiphon.workflows.build.steps import STEPS
from antiphon.workflows.crafting.asked import CraftAsked
from antiphon.workflows.disk import write_whole
from antiphon.workflows.loading import Loaded, load
from antiphon.workflows.places import RunPlace

if TYPE_CHECKING:
    pass

BUILTIN: Final = "build"
MOST_CHARACTERS: Final = 200_000
"""Of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(CraftAsked):
    """What a person asks of a build: the arguments of its workflow, so that a resumed run is bound to the same.

    Attributes:
        task: what to build, in words. depth: how often it may be cut up. rounds: of each subtask at most.
    """

    task: str
    depth: int = DEPTH
    rounds: int = ROUNDS


@dataclass(slots=True)
class Told:
    """What a build came to, for whoever asked for it; empty until it is over.

    Attributes:
        state: as `result.Told` has it.
    """

    state: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Build:
    """A build bound to its project: what was asked, the workflow, and what came of it."""

    asked: Asked
    loaded: Loaded
    told: Told = field(default_factory=Told)

    @property
    def project(self) -> Path:
        """The folder that workspaces are made of."""
        return Path(self.asked.path)

    def begins(self, run: str) -> Build:
        """Told which run it is; nothing depends on that."""
        return self

    def value(self) -> Json:
        """What it came to, also where nothing of it is usable."""
        return dict(self.told.state) or None

    def conclude(self, place: RunPlace, run: Run, result: RunResult) -> Mapping[str, str]:
        """Write the reports into the run's directory, however it ended: their names, and sha256."""
        state = run.state.get(STATE)
        if not isinstance(state, dict):
            return {}
        self.told.state = state
        facts = about(self.asked, place.run_id, result)
        files = {"report.md": markdown(facts, state), "report.json": json_report(facts, state)}
        return {name: _write(place.directory / name, text) for name, text in files.items()}

    async def close(self) -> None:
        """Nothing is held open here: the models are the run's."""


def prepare(asked: Asked) -> Build:
    """Look at what is asked before anything starts.

    Raises:
        UsageError: there is no such folder, the task is empty, or a number is out of bounds.
        TopUpError: the budget cannot be read.
    """
    checked = _checked(asked)
    loaded = load(Path(workflow.__file__), steps=STEPS, builtin=BUILTIN)
    limits = loaded.manifest.limits.narrowed_by(checked.limits())
    bounded = replace(loaded, manifest=loaded.manifest.model_copy(update={"limits": limits}))
    return Build(checked, bounded)


def most_agents(rounds: int, depth: int) -> int:
    """How many subagents a build takes at most, however its task is cut up."""
    return most_agent_calls(rounds, depth)


def _checked(asked: Asked) -> Asked:
    path = Path(asked.path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UsageError(
            f"{asked.path} {what}, and a build needs a folder", advice=f"mkdir {asked.path}, or name another"
        )
    if not asked.task.strip() or "\0" in asked.task:
        raise UsageError("the task is empty", advice='antiphon build "what to build"')
    if len(asked.task) > MOST_CHARACTERS:
        raise UsageError(f"the task is too long: at most {MOST_CHARACTERS:,} characters")
    for name, value, most in (("depth", asked.depth, MOST_DEPTH), ("rounds", asked.rounds, MOST_ROUNDS)):
        if not 1 <= value <= most:
            raise UsageError(f"--{name} must be 1 to {most}, not {value}")
    return replace(asked, path=str(path.resolve()))


def _write(file: Path, text: str) -> str:
    content = text.encode("utf-8", "surrogateescape")
    write_whole(file, content)
    return hashlib.sha256(content).hexdigest()
