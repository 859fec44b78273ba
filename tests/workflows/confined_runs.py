"""Scripts in the style a model writes, run in any runtime with the same host: its roles and steps, its log compared."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import anyio

from antiphon.engine import AgentFailure, Amount, CallContext, InfrastructureError, Run, Settings
from antiphon.subagents.function import Role, function_agent
from antiphon.subagents.records import Actor, Finding, FindingKey
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.tracing import Event, Json, read_log
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, resume, start
from antiphon.workflows.runtimes import RuntimeAsked
from antiphon.workflows.steps import StepFunction, step_function

SCRIPTS = Path(__file__).with_name("data") / "scripts"


def _number(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0]


async def worked(task: str, ctx: CallContext) -> str:
    """What a worker answers."""
    return f"done: {task}" + (f" ({len(ctx.frames)} frames)" if ctx.frames else "")


@function_agent("worker")
async def worker(task: str, ctx: CallContext) -> str:
    """Does it."""
    return await worked(task, ctx)


@function_agent("finder")
async def finder(task: str, ctx: CallContext) -> list[str]:
    """Finds something in it, more in some than in others."""
    return [f"{word}-{number}" for word in task.split()[1:2] for number in range(_number(task) % 3 + 1)]


@function_agent("scorer", output=int)
async def scorer(task: str, ctx: CallContext) -> int:
    """Scores it from 0 to 9."""
    return _number(task) % 10


@function_agent("verifier")
async def verifier(task: str, ctx: CallContext) -> dict[str, str]:
    """Takes a position, or cannot be reached."""
    number = _number(f"{task} {ctx.frames[-1]}")
    if number % 7 == 0:
        raise InfrastructureError("network", "no route to the provider")
    return {"position": ("refute", "confirm", "cannot_tell")[number % 3]}


@function_agent("judge")
async def judge(task: str, ctx: CallContext) -> Any:
    """Picks one of the options that the task lists."""
    options = [json.loads(line.removeprefix("- ")) for line in task.splitlines() if line.startswith("- ")]
    return options[_number(task) % len(options)]


@function_agent("planner")
async def planner(task: str, ctx: CallContext) -> dict[str, Any]:
    """Plans what its task names."""
    plans: dict[str, dict[str, Any]] = {
        "write": {"do": "write", "what": "a letter"},
        "score": {"do": "score", "each": ["x", "y", "z"]},
        "pick": {"do": "pick", "from": ["left", "right"]},
    }
    return plans.get(task.removeprefix("Plan: "), {"do": "rest"})


@function_agent("auditor")
async def auditor(task: str, ctx: CallContext) -> str:
    """Claims something about a file."""
    path = task.removeprefix("Audit ")
    ctx.records.add(
        Finding(
            record="claim",
            sort="finding",
            key=FindingKey(path=path, rule="no-auth", symbol="delete"),
            rule="no-auth",
            title=f"no check in {path}",
            text="delete does not check who asks",
            severity="high",
            severity_by="auditor",
            actor=Actor(tool="auditor"),
            line=3,
        )
    )
    return path


@function_agent("broken")
async def broken(task: str, ctx: CallContext) -> str:
    """Fails at its task."""
    raise AgentFailure(f"cannot do {task}")


@function_agent("away")
async def away(task: str, ctx: CallContext) -> str:
    """Cannot be reached."""
    raise InfrastructureError("environment", "it is not installed")


class Begun:
    """How many slow ones began in a run, so that nobody wins before it is decided who was in the race."""

    def __init__(self) -> None:
        self.count, self.more = 0, anyio.Event()


_BEGUN: WeakKeyDictionary[Run, Begun] = WeakKeyDictionary()


@function_agent("slow")
async def slow(task: str, ctx: CallContext) -> str:
    """Never ends by itself."""
    begun = _BEGUN.setdefault(ctx.run, Begun())
    begun.count += 1
    begun.more.set()
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


@function_agent("quick")
async def quick(task: str, ctx: CallContext) -> str:
    """Ends once as many slow ones have begun as its task says at its end."""
    begun = _BEGUN.setdefault(ctx.run, Begun())
    while begun.count < int(task.split()[-1]):
        begun.more = anyio.Event()
        await begun.more.wait()
    return f"done: {task}"


@function_agent("writer")
async def writer(task: str, ctx: CallContext) -> str:
    """Writes ``name=content`` in its workspace."""
    name, _, content = task.partition("=")
    await anyio.Path(workspace_of(ctx).root, name).write_text(f"{content}\n")
    return name


@function_agent("paid", floor=Amount(model_calls=1))
async def paid(task: str, ctx: CallContext) -> str:
    """Costs something."""
    async with ctx.attempt(Amount(usd="0.02"), name="fake") as attempt:
        attempt.settle(Amount(usd="0.01", model_calls=1))
    return "paid"


@step_function("list_files", version="1")
def list_files(path: str) -> list[str]:
    """What there is."""
    return [f"{path}/{name}.py" for name in ("app", "db", "web", "cli")]


_ANSWERING = (worker, finder, scorer, verifier, judge, planner, auditor, broken, away, slow, quick, writer, paid)
ROLES: Mapping[str, Role] = {role.name: role for role in _ANSWERING}
STEPS: Mapping[str, StepFunction] = {"list_files": list_files}


def options(runtime: str = "", roles: Mapping[str, Role] = ROLES) -> Options:
    """Those of a run in this runtime, with the host's roles and steps; whatever it asks is answered with yes."""
    asked = RuntimeAsked(name=runtime)
    return Options(runtime=asked, roles=roles, steps=STEPS, settings=Settings(answers={"*": True}))


async def run_in(
    runtime: str,
    script: Path,
    directory: Path,
    arguments: Mapping[str, Json] | None = None,
    roles: Mapping[str, Role] = ROLES,
) -> Ended:
    """Run a script in a runtime, in a new run directory."""
    asked = options(runtime, roles)
    loaded = load(script, roles=roles, steps=STEPS, runtime=asked.runtime)
    assert loaded.runtime == (runtime or "trusted")
    place = make_run(directory)
    return await start(place, loaded, loaded.parameters.validate(arguments or {}), asked)


async def resumed_in(runtime: str, place: RunPlace) -> Ended:
    """Go on with a run, in a runtime."""
    return await resume(place, options(runtime))


_TIMED = ("span", "parent", "own", "spent", "seconds")


def _what(event: Event) -> tuple[str, ...]:
    """What an event says that must be the same wherever the script ran."""
    said = {name: value for name, value in event.data.items() if name not in _TIMED}
    if event.kind == "decision":
        said["value"] = _decided(said["value"])
    return event.path, event.kind, json.dumps(said, sort_keys=True)


def _decided(value: Any) -> Any:
    """A decision without the mark of what it was about: that of script code is not the same in every runtime."""
    if not isinstance(value, dict):
        return value
    said = cast("dict[str, Any]", value)
    return {name: one for name, one in said.items() if name not in ("items", "mark", "seconds")}


def journal(place: RunPlace) -> Counter[tuple[str, ...]]:
    """The log as what it comes to: each event's path, kind, and what it says; in no order, as timing decides that."""
    aside = {"run.epoch", "run.opened", "run.started", "run.resumed", "run.ended", "input", "runtime"}
    return Counter(_what(event) for event in read_log(place.directory) if event.kind not in aside)


def performed(place: RunPlace) -> list[str]:
    """The calls that were begun in the newest attempt, by path."""
    begun: list[str] = []
    for event in read_log(place.directory):
        if event.kind == "run.epoch":
            begun.clear()
        if event.kind == "call.started":
            begun.append(event.path)
    return sorted(begun)
