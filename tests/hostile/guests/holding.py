"""Runs a technique through the real session of a real runtime, and says how it ended and what left it."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import anyio
from tests.hostile.guests.technique import MANIFEST

from antiphon.engine import Call, Degraded, Limits, Succeeded
from antiphon.engine.call import Performer
from antiphon.engine.context import CallContext
from antiphon.engine.denial import Outside
from antiphon.engine.script.confined import run_confined
from antiphon.engine.script.runtime import GuestDied, GuestLimits, Runtime, ScriptRaised
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.subagents.function import function_agent
from antiphon.subagents.testing import performers_of
from antiphon.workflows.manifest import Manifest, read_manifest
from antiphon.workflows.model_roles import ModelRoles
from antiphon.workflows.outside import outside_manifest

SMALL = GuestLimits(
    memory_bytes=64 * 2**20,
    turn_seconds=0.3,
    cpu_seconds=2.0,
    frame_bytes=2**20,
    frames=2_000,
    output_bytes=100_000,
    grace_seconds=0.3,
)
"""So small that no bomb takes long, and large enough for every honest script."""

HONEST = """
async def main():
    outcomes = await parallel([agent("a", role="echo"), agent("b", role="echo")])
    return outcomes.succeeded()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a script ended, coarsely, so that it can be published, and all that left it.

    Attributes:
        how: ``returns``, ``raises NAME`` for an exception of the script's own, ``fails`` for a call that failed and was
            not caught, ``ended: CATEGORY`` for one that was ended.
        reason: what a person is told.
        texts: its value, its errors, and everything in the log.
    """

    how: str
    reason: str
    texts: tuple[str, ...]


@function_agent("echo")
async def echo(task: str, context: CallContext) -> str:
    """The task itself."""
    return task


@function_agent("slow")
async def slow(task: str, context: CallContext) -> str:
    """Never answers."""
    await anyio.sleep_forever()
    return task


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A workflow as strictly held to its manifest as one that a model wrote."""

    manifest: Manifest
    models: ModelRoles
    performers: Mapping[str, Performer]
    strict: bool = True

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.manifest.name

    def outside(self, call: Call) -> Outside | None:
        """Why a call is outside of what the manifest declares."""
        return outside_manifest(self.manifest, self.models, call, strict=True)


@cache
def _manifest() -> Manifest:
    return read_manifest(f"{MANIFEST}async def main():\n    pass\n", "hostile.py")


async def hold(runtime: Runtime, text: str, limits: GuestLimits = SMALL) -> Ended:
    """Run a script, whatever it does, in the runtime; never raises for what the script does.

    Raises:
        TimeoutError: nothing ended it in half a minute, which is what limits are for.
    """
    ended: list[str] = []

    async def main() -> Any:
        try:
            value = await run_confined(runtime, source=text, file="hostile.py", arguments={}, limits=limits)
        except GuestDied as death:
            ended.append(f"ended: {death.category}")
            raise
        except ScriptRaised as raised:
            ended.append(_raised(str(raised)))
            raise
        ended.append("returns")
        return value

    with anyio.fail_after(10):
        ran = await performed(main)
    return Ended(how=ended[0] if ended else "fails", reason=ran.result.reason, texts=_texts(ran))


def _raised(text: str) -> str:
    """The name of what was raised. What only ends interpreters, such as SystemExit, is told in words."""
    name = re.match(r"[\w.]{1,60}", text)
    return "ends itself" if text.startswith("the script ended itself") or name is None else f"raises {name[0]}"


async def performed(main: Callable[[], Awaitable[Any]]) -> MemoryRun:
    """A run in memory, with subagents that echo and that never answer."""
    performers = performers_of(echo, slow)
    performers["step"] = AnsweringCalls()
    workflow = Held(manifest=_manifest(), models=ModelRoles(), performers=performers)
    return await memory_run(main, performers=performers, limits=Limits(agent_calls=500), workflow=workflow)


def _texts(ran: MemoryRun) -> tuple[str, ...]:
    outcome = ran.result.outcome
    value = repr(outcome.value) if isinstance(outcome, Succeeded | Degraded) else ""
    events = [json.dumps(event.data, ensure_ascii=False, default=repr) for event in ran.events()]
    return (value, ran.result.reason, *events)
