"""`antiphon plan`: the workflow bound to what a person asked, and the plan that it leaves on disk."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antiphon.engine import Run, RunResult, UsageError
from antiphon.subagents.roles.library import Roles
from antiphon.tracing import Json
from antiphon.workflows.author import workflow
from antiphon.workflows.author.examine import examine
from antiphon.workflows.author.keeping import keep, report
from antiphon.workflows.author.material import material
from antiphon.workflows.author.plans import check_name, plans_home, reserve
from antiphon.workflows.author.result import STATE, Told, summary_of
from antiphon.workflows.author.survey import survey
from antiphon.workflows.author.words import prompts
from antiphon.workflows.crafting.asked import CraftAsked
from antiphon.workflows.disk import write_whole
from antiphon.workflows.loading import Loaded, load
from antiphon.workflows.places import RunPlace

if TYPE_CHECKING:
    pass

BUILTIN: Final = "plan"
ROUNDS: Final = 3
MOST_ROUNDS: Final = 10
MOST_CHARACTERS: Final = 100_000
"""Of a task."""
_MOST_VERSIONS: Final = 1_000
_NOT_ASKED: Final = ("test", "quality", "sandbox", "allow", "ask", "deny")
"""What `fix` and `build` are asked and a plan is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(CraftAsked):
    """What a person asks of a plan: the arguments of its workflow, so that a resumed run is bound to the same.

    Attributes:
        task: what is to be orchestrated, in words. name: of the plan.
        plans, runs: the folders of plans and of runs, absolute.
        rounds: how often a script is sent back at most. seed: of the variation, 0 for none.
        before: of a further version, the one that is replaced and what became of it; see `finished.Finished`.
        fork: the id of the run that goes on with a further version; "" for none.
    """

    task: str
    name: str
    plans: str
    runs: str
    rounds: int = ROUNDS
    seed: int = 0
    before: Mapping[str, Any] | None = None
    fork: str = ""

    def arguments(self) -> dict[str, Any]:
        """As `main` takes them; what was not asked for is left out."""
        given = CraftAsked.arguments(self)
        kept = {name: value for name, value in given.items() if name not in _NOT_ASKED}
        return {**kept, "rounds": self.rounds}

    @property
    def folder(self) -> Path:
        """The plan's own."""
        return Path(self.plans) / self.name


@dataclass(slots=True)
class Made:
    """What the making came to, for whoever asked for it; empty until it is over.

    Attributes:
        run: which run it was. state: as `result.Told` has it.
    """

    run: str = ""
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Planning:
    """The making of a plan, bound: what was asked, the workflow, and what came of it."""

    asked: Asked
    loaded: Loaded
    made: Made = field(default_factory=Made)

    @property
    def project(self) -> Path:
        """The folder that the plan is about."""
        return Path(self.asked.path)

    def begins(self, run: str) -> Planning:
        """Told which run it is."""
        self.made.run = run
        return self

    def value(self) -> Json:
        """What it came to, also where no script passed."""
        return summary_of(self.made.state) if self.made.state else None

    def conclude(self, place: RunPlace, run: Run, result: RunResult) -> Mapping[str, str]:
        """Write the plan's folder and the run's report, however it ended: names and sha256 of the reports."""
        kept = run.state.get(STATE)
        state: dict[str, Any] = kept if isinstance(kept, dict) else Told(name=self.asked.name).to_json()
        if result.kind == "failed" and state["state"] == "planning":
            state = {**state, "state": "failed", "reason": result.reason}
        self.made.run, self.made.state = place.run_id, state
        keep(self.asked.folder, state, self.snapshot(place.run_id))
        text = report(self.asked.task, state).encode("utf-8", "backslashreplace")
        write_whole(place.directory / "report.md", text)
        return {"report.md": hashlib.sha256(text).hexdigest()}

    def snapshot(self, run: str) -> dict[str, Json]:
        """What it was made from: task, prompts by hash, models, seed, versions."""
        before = self.asked.before or {}
        return {
            "task": self.asked.task,
            "path": self.asked.path,
            "name": self.asked.name,
            "run": run,
            "models": list[Json](self.asked.models),
            "seed": self.asked.seed,
            "rounds": self.asked.rounds,
            "prompts": dict[str, Json](prompts()),
            "roles": dict[str, Json](_roles(Path(self.asked.roles) if self.asked.roles else None)),
            "versions": {"antiphon": version("antiphon"), "python": platform.python_version()},
            "version": int(before.get("version", 0)) + 1,
            "root": str(before.get("root", "")) or self.asked.name,
            "parent": str(before.get("plan", "")),
            "replaces_run": str(before.get("run", "")),
            "because": str(before.get("reason", "")),
        }

    async def close(self) -> None:
        """Nothing is held open here: the models are the run's."""


def begin(asked: Asked) -> Planning:
    """Look at what is asked, and take the plan's name.

    Raises:
        UsageError: see `prepare`; or there is a plan of that name.
        TopUpError: the budget cannot be read.
    """
    bound = prepare(asked)
    reserve(bound.asked.folder, bound.snapshot(""))
    return bound


def prepare(asked: Asked) -> Planning:
    """Look at what is asked before anything starts.

    Raises:
        UsageError: there is no such folder, the task is empty, or a name or number is out of bounds.
        TopUpError: the budget cannot be read.
    """
    checked = _checked(asked)
    steps = {one.name: one for one in (survey, material, examine)}
    loaded = load(Path(workflow.__file__), steps=steps, builtin=BUILTIN)
    limits = loaded.manifest.limits.narrowed_by(checked.limits())
    bounded = replace(loaded, manifest=loaded.manifest.model_copy(update={"limits": limits}))
    return Planning(checked, bounded)


def most_agents(rounds: int) -> int:
    """How many subagents a plan takes at most: two shapes, an outline, a review, and the versions of the script."""
    return workflow.SHAPES + 2 + 1 + rounds


def _roles(folder: Path | None) -> dict[str, str]:
    """sha256 of what the roles are told, by name; of one whose file is bad, nothing: it answers no call either."""
    library, found = Roles(folder), dict[str, str]()
    for name in ("author", "assessor"):
        with suppress(UsageError):
            found[name] = hashlib.sha256(library.role(name).instructions.encode()).hexdigest()
    return found


def _checked(asked: Asked) -> Asked:
    path = Path(asked.path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        problem = f"{asked.path} {what}, and a plan is about a folder"
        raise UsageError(problem, advice="antiphon plan TASK --path FOLDER")
    if not asked.task.strip() or "\0" in asked.task:
        raise UsageError("the task is empty", advice='antiphon plan "what is to be done"')
    if len(asked.task) > MOST_CHARACTERS:
        raise UsageError(f"the task is too long: at most {MOST_CHARACTERS:,} characters")
    if not 0 <= asked.rounds <= MOST_ROUNDS:
        raise UsageError(f"--rounds must be 0 to {MOST_ROUNDS}, not {asked.rounds}")
    number = (asked.before or {}).get("version", 1)
    if not isinstance(number, int) or not 0 <= number <= _MOST_VERSIONS:
        raise UsageError(f"the version before is numbered {str(number)[:40]!r}, which is no version")
    check_name(asked.name)
    if Path(asked.plans) != plans_home(Path(asked.plans).parent.parent):  # written anew: never somebody's own folder
        raise UsageError(f"{asked.plans[:200]!r} is no folder of plans: those lie in .antiphon/plans")
    return replace(asked, path=str(path.resolve()))
