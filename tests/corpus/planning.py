"""How a test makes a plan: the real workflow, preflight and runtime; only the model is a double."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.engine import Settings, parse_top_up
from antiphon.subagents.model.contract import ModelClient, Request
from antiphon.subagents.testing import Answer, FunctionModel
from antiphon.tracing import Json
from antiphon.workflows.author.launch import Asked, Planning, begin
from antiphon.workflows.author.plans import Plan, plans_home, read_plan
from antiphon.workflows.author.words import ASSESS, MEND, OUTLINE, SHAPE, WRITE
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, resume, start

MODEL = "openai/gpt-4o-mini"
MARKS = (SHAPE, OUTLINE, ASSESS, WRITE, MEND)
Say = Callable[[Request], Json] | dict[str, Json]

GOOD = """from antiphon.workflows.script import agent, parallel, phase, step

manifest = {
    "name": "one-word-each",
    "description": "One word about each file.",
    "phases": ["list", "look"],
    "limits": {"usd": "1", "agent_calls": 40, "wall_seconds": 600},
    "scope": {"read": ["**"], "write": [], "tools": ["read"], "network": []},
    "steps": ["files"],
    "roles": ["worker"],
}

WORD = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 40}}, "required": ["word"]}
MOST = 20


def look(path):
    return agent(
        f"Read the file {path} and give one word that says what it is for.",
        role="worker",
        output=WORD,
        covers=[path],
        workspace="read",
    )


async def main(match: list[str] = ["**/*.txt"]) -> dict:
    phase("list")
    every = await step("files", {"workspace": "read", "match": match})
    phase("look")
    paths = every[:MOST]
    found = await parallel([look(path) for path in paths], limits={"agent_calls": 30})
    return {
        "words": [[path, outcome.value["word"]] for path, outcome in zip(paths, found) if outcome.ok],
        "failed": [outcome.reason for outcome in found.failed()],
        "not_read": every[MOST:],
    }
"""
TESTS: list[Json] = [
    {
        "name": "a word for each of two files",
        "arguments": {},
        "answers": [
            {"name": "files", "value": ["a.txt", "b.txt"]},
            {"name": "worker", "contains": "a.txt", "value": {"word": "alpha"}},
            {"name": "worker", "contains": "b.txt", "value": {"word": "beta"}},
        ],
        "calls": {"files": 1, "worker": 2},
        "contains": ["alpha", "beta"],
    },
    {"name": "nothing to do", "answers": [{"name": "files", "value": []}], "calls": {"worker": 0}},
]
SCRIPT_SHAPE: dict[str, Json] = {
    "shape": "script",
    "reason": "Every file is a unit.",
    "rejected": [{"way": "one agent", "why": "many"}],
}
SKETCH: dict[str, Json] = {
    "rationale": "Each file alone.",
    "units": "files, from a listing",
    "done": "every listed file has a word or a failure",
    "stages": [{"phase": "look", "does": "reads one file", "over": "files", "role": "worker", "calls": "n"}],
    "rejected": [{"way": "one call", "why": "too long"}],
    "cost": "files",
}
NO_NEEDS: dict[str, Json] = {"needs": []}


def written(script: str = GOOD, tests: Sequence[Json] = TESTS, **more: Json) -> dict[str, Json]:
    """What the author hands back."""
    return {"script": script, "tests": list(tests), "arguments": {}, **more}


class Author(FunctionModel):
    """A model that plays author and assessor, by the first line of the task it is asked.

    Args:
        moves: by that line. Of several, the one whose turn it is by the attempt that the task names; the last for ever.
    """

    def __init__(self, moves: Mapping[str, Sequence[Say]]) -> None:
        super().__init__(self.answer)
        self.moves: dict[str, Sequence[Say]] = {SHAPE: [SCRIPT_SHAPE], OUTLINE: [SKETCH], ASSESS: [NO_NEEDS], **moves}

    def asked(self, mark: str) -> list[str]:
        """What was said in the requests of a mark."""
        return [said_in(request) for request in self.requests if mark_of(request) == mark]

    def answer(self, request: Request) -> Answer:
        """What it says to a request."""
        mark = mark_of(request)
        moves = self.moves[mark]
        turn = attempt_of(request) - 2 if mark == MEND else 0
        move = moves[min(turn, len(moves) - 1)]
        return Answer(move(request) if callable(move) else move)


def said_in(request: Request) -> str:
    """All that a request says to the model."""
    return "\n".join(message.text for message in request.messages)


def mark_of(request: Request) -> str:
    """Which task it is."""
    text = said_in(request)
    [mark] = [mark for mark in MARKS if f"{mark}\n" in text]
    return mark


def attempt_of(request: Request) -> int:
    """Which attempt a mending request names."""
    return int(said_in(request).rpartition("This is attempt ")[2].partition(".")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A plan that was made, or not.

    Attributes:
        planning: as it was bound. ended: how the run did.
    """

    planning: Planning
    ended: Ended

    @property
    def plan(self) -> Plan:
        """As it lies on disk."""
        return read_plan(self.planning.asked.folder)

    @property
    def state(self) -> Mapping[str, Any]:
        """What the run says of it."""
        return self.planning.made.state

    def attempt(self, number: int) -> dict[str, Any]:
        """The findings of one version, as they lie on disk."""
        file = self.plan.folder / "attempts" / f"{number:03d}" / "findings.json"
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return found


def inputs(folder: Path) -> Path:
    """A folder to plan for."""
    (folder / "project").mkdir()
    (folder / "project" / "a.txt").write_text("alpha", "utf-8")
    (folder / "project" / "README.md").write_text("# Words\n\nTwo files.\n", "utf-8")
    return folder / "project"


def wanted(folder: Path, task: str = "One word about each file", **more: Any) -> Asked:
    """What is asked, for the project and plans of a folder."""
    given: dict[str, Any] = {"name": "words", "models": (MODEL,), **more}
    return Asked(
        task=task, path=str(folder / "project"), plans=str(plans_home(folder)), runs=str(folder / "runs"), **given
    )


async def planning(asked: Asked, client: ModelClient, run: Path, *, settings: Settings | None = None) -> Made:
    """Make a plan, as `antiphon plan` does."""
    bound = begin(asked)
    place = make_run(run)
    bound.begins(place.run_id)
    ended = await start(place, bound.loaded, asked.arguments(), options(bound, client, settings))
    return Made(planning=bound, ended=ended)


async def gone_on(run: Path, client: ModelClient, *, budget: str = "") -> Made:
    """Go on with the making of a plan, as `antiphon resume` does."""
    found: list[Any] = []
    models = ModelsAsked(clients={MODEL: client})
    top_up = parse_top_up(budget) if budget else None
    options = Options(models=models, top_up=top_up)
    ended = await resume(RunPlace(run), options, bound=lambda name, bound: found.append(bound))
    return Made(planning=found[0], ended=ended)


def options(bound: Planning, client: ModelClient, settings: Settings | None = None) -> Options:
    """With what it is made."""
    return Options(
        settings=settings or Settings(),
        models=ModelsAsked(specs=(MODEL,), clients={MODEL: client}),
        project=bound.project,
        conclude=bound.conclude,
        valued=bound.value,
        closing=bound.close,
    )
