"""The step `material`: what there is already that could do a task, or something like it, and how it went.

Today that is what ships with antiphon and the plans of this folder, with how their runs ended; `Known` is the seam by
which a library of workflows will come in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from antiphon.subagents.prompt.delimiting import legible
from antiphon.tracing import AntiphonError, Json
from antiphon.tracing.blobs import open_plain
from antiphon.tracing.query import events_of
from antiphon.workflows.approval.planned import planned_of
from antiphon.workflows.author.plans import Plan, is_intact, list_plans
from antiphon.workflows.loading import MAX_BYTES
from antiphon.workflows.places import list_runs
from antiphon.workflows.steps import step_function

MOST_KNOWN: Final = 6
"""How many earlier plans the author is shown."""
_MOST_RUNS: Final = 100
_CHARACTERS: Final = 400
_ENDINGS: Final = frozenset({"completed", "degraded", "failed", "paused", "stopped"})
SHIPPED: Final[Mapping[str, tuple[str, str, str]]] = {
    "audit": (
        "Audits a source tree: offline analysers, then with a model auditors for each lens, and verifiers.",
        "findings of security, correctness, types, dead code and the like, with evidence and a report",
        "antiphon audit PATH",
    ),
    "fix": (
        "Mends one bug: a test that shows it, and a patch, held to tests and checks.",
        "a reported failure in code",
        'antiphon fix "REPORT"',
    ),
    "build": (
        "Builds what a task asks for: cuts it into subtasks that own their files, in parallel.",
        "new or changed code",
        'antiphon build "TASK"',
    ),
}
"""What ships with antiphon: what it does, what it is for, and what is typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A workflow that there is already.

    Attributes:
        name: what it is called. does: in a sentence. good_for: what tasks. typed: how it is run.
        verdict: how it went so far: of a plan its state, and how its runs ended; "" where that is not known.
    """

    name: str
    does: str
    good_for: str = ""
    typed: str = ""
    verdict: str = ""


@step_function("material", version="1")
async def material(task: str, plans: str, runs: str, own: str = "") -> list[dict[str, Any]]:
    """What there is already: shipped workflows, then those earlier plans whose tasks share most words with this one.

    Args:
        task: in words.
        plans: the folder of plans.
        runs: the folder of runs.
        own: the plan that is being made, which is left out.
    """

    def found() -> list[dict[str, Any]]:
        return [asdict(one) for one in (*shipped(), *earlier(task, Path(plans), Path(runs), own))]

    return await anyio.to_thread.run_sync(found)


def shipped() -> list[Known]:
    """The workflows that ship with antiphon."""
    return [Known(name=name, does=does, good_for=use, typed=typed) for name, (does, use, typed) in SHIPPED.items()]


def earlier(task: str, plans: Path, runs: Path, own: str = "") -> list[Known]:
    """The earlier plans most like a task, with how they and their runs went."""
    words = _words(task)
    told = [(len(words & _words(plan.words)), plan) for plan in list_plans(plans) if plan.name != own and plan.state]
    alike = [plan for shared, plan in sorted(told, key=lambda pair: (-pair[0], pair[1].name)) if shared]
    endings = _endings(runs) if alike else {}
    return [_known(plan, endings.get(plan.name, ())) for plan in alike[:MOST_KNOWN]]


def _known(plan: Plan, endings: Iterable[str]) -> Known:
    reason = plan.about.get("reason")
    said = [plan.state, *(f"a run {ending}" for ending in endings)]
    return Known(
        name=plan.name,
        does=_short(plan.words),
        good_for=_short(reason) if isinstance(reason, str) else "",
        typed=f"antiphon run {plan.script}" if _can_be_run(plan) else "",
        verdict=", ".join(said),
    )


def _can_be_run(plan: Plan) -> bool:
    """Whether it passed, and its script says so itself: one without that line would not be confined when it is run."""
    try:
        with open_plain(plan.script) as file:
            source = file.read(MAX_BYTES + 1).decode("utf-8", "replace")
    except OSError:
        return False
    made = planned_of(source)
    return plan.state == "planned" and made is not None and made.name == plan.name and is_intact(source)


def _short(text: str) -> str:
    return legible(" ".join(text.split()))[:_CHARACTERS]


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z0-9]{3,}", text.lower()[:20_000]) if word not in _COMMON}


_COMMON: Final = frozenset(
    {"the", "and", "for", "with", "that", "this", "from", "all", "are", "not", "any", "each", "into", "its", "what"}
)


def _endings(runs: Path) -> dict[str, tuple[str, ...]]:
    """How the last runs of planned scripts ended, by the plan's name. What cannot be read is passed over."""
    found: dict[str, list[str]] = {}
    for place in list_runs(runs)[-_MOST_RUNS:]:
        try:
            made = planned_of(_beginning(place.script))
            kinds = [event.data.get("kind") for event in events_of(place.directory, ("run.ended",))] if made else []
        except (AntiphonError, OSError):
            continue
        if made is not None and kinds and isinstance(kinds[-1], str) and kinds[-1] in _ENDINGS:
            found.setdefault(made.name, []).append(kinds[-1])
    return {name: tuple(kinds) for name, kinds in found.items()}


def _beginning(script: Path) -> str:
    with open_plain(script) as file:
        return file.read(_CHARACTERS).decode("utf-8", "replace")


def as_frame(known: Iterable[Mapping[str, Any]]) -> list[Json]:
    """What the author is shown of it."""
    return [{name: value for name, value in one.items() if value} for one in known]
