"""Runs model agents once to be warm, then forks a child for each line: ``BACKEND DIRECTORY MODEL KILL_AT``.

A child runs model agents, or goes on with them. It sends itself SIGKILL when it records its KILL_AT-th event (0:
never), and gets it from here when the line ``kill`` comes while it runs: so neither depends on time. Its exit code, or
-signal, is printed once it has ended.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from pydantic import BaseModel

from antiphon.engine import Limits, Run, Settings
from antiphon.engine.script.api import agent, parallel
from antiphon.subagents.model.contract import Price
from antiphon.subagents.model.rates import Rates
from antiphon.subagents.model.registry import Models
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import LoopbackServer, model_agents
from antiphon.subagents.tools import function_tool
from antiphon.tracing import Json, Watcher, open_log

AGENTS, AT_ONCE = 8, 4
PRICE = Price(input="0.000001", output="0.000004")
COUNTER = RoleDefinition(
    name="counter",
    instructions="Look the document up page by page, then say how many lines it has.",
    tools=("look_up",),
    limits=AgentLimits(max_tokens=300),
)


class Count(BaseModel):
    """What each agent is asked for."""

    lines: int


@function_tool
async def look_up(document: int, page: int) -> str:
    """Look one page of a document up."""
    await anyio.lowlevel.checkpoint()
    return f"page {page} has {document * 7 + page} lines"


async def main() -> list[int]:
    """The same value however often it is interrupted."""
    found = await parallel(
        agent(f"How many lines has document {n}?", role="counter", output=Count) for n in range(AGENTS)
    )
    return [count.lines for count in found.succeeded()]


def dying(at: int) -> Watcher:
    """Ends this very process when it records its `at`-th event."""
    recorded = 0

    def look(kind: str, path: str, when: float, data: Mapping[str, Json]) -> None:
        nonlocal recorded
        recorded += 1
        if recorded == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return look


async def perform(directory: Path, name: str, kill_at: int) -> int:
    """Start the run, or resume it; the exit code that the command line would give."""
    models = Models.of([name], prices={name: PRICE})
    sender = Sender(rates={models.model_for("counter").provider: Rates(start=AT_ONCE, jitter_seconds=0.0)})
    async with models, open_log(directory) as log:
        log.watch(dying(kill_at))
        run = Run(
            log,
            run_id="killed",
            limits=Limits.parse({"usd": "1"}),
            performers=model_agents(models, COUNTER, tools=[look_up], sender=sender),
            settings=Settings(attempts=AT_ONCE),
        )
        result = await run.execute(main)
        await run.close(result)
        if result.outcome is not None:
            (directory / "value.json").write_text(json.dumps(result.outcome.value))
    return result.exit_code


def child(words: list[str]) -> None:
    """In the forked process: never returns."""
    code = 70
    try:
        backend, directory, name, kill_at = words
        code = anyio.run(perform, Path(directory), name, int(kill_at), backend=backend)
    finally:
        os._exit(code)


def lines() -> Iterator[str]:
    """Lines of standard input; unbuffered, because it is also waited for."""
    rest = b""
    while piece := os.read(0, 65536):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in whole)


def ended(line: str, coming: Iterator[str]) -> int:
    """How a child of this line ended."""
    reading, held_open = os.pipe()
    pid = os.fork()
    if not pid:
        child(line.split())
    os.close(held_open)
    if 0 in select.select([reading, 0], [], [])[0] and next(coming, "kill") == "kill":
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(reading)
    return os.waitstatus_to_exitcode(status)


def warm_up() -> None:
    """Run once in each way, against a model that only repeats: what is imported and built by that, children share."""
    with LoopbackServer() as server, TemporaryDirectory() as folder:
        for form in ("openai", "compatible"):
            for backend in ("asyncio", "trio"):
                name = server.model.replace("openai/", f"{form}/", 1)
                anyio.run(perform, Path(folder, form, backend), name, 0, backend=backend)


def serve() -> None:
    """Serve until standard input ends."""
    warm_up()
    gc.collect()
    gc.freeze()
    coming = lines()
    for line in coming:
        if line != "kill":  # one that came when its child had ended already
            os.write(1, f"{ended(line, coming)}\n".encode())


if __name__ == "__main__":
    serve()
