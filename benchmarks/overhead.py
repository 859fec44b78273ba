"""What the engine costs beside a bare anyio task group, per subagent of three turns and three tool calls.

``uv run python benchmarks/overhead.py`` prints a table; each row is a process of its own, in which the bare task group
and antiphon take turns, so that a noisy machine disturbs both. Columns: CPU per subagent of either (all threads, the
median of the turns), their ratio, wall time, peak memory, and memory per live subagent (all of them in flight at once).
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel

from antiphon.engine import Amount, CallContext, Limits, Run, Settings
from antiphon.engine.script.api import agent, parallel
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import function_agent
from antiphon.tracing import Json, open_log
from antiphon.tracing.log import Event, Stamp, Watcher

TURNS = 3
PRICE = Amount(usd="0.001", input_tokens=900, output_tokens=100)
FLOOR = Amount(usd="0.003", model_calls=TURNS, tool_calls=TURNS)


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    n: int
    backend: str
    log: bool
    spans: bool
    budget: bool
    turns: int = 5


async def fake_model() -> None:
    """A model that answers at once and for free."""
    await anyio.lowlevel.checkpoint()


@function_agent("worker", floor=FLOOR, version="1")
async def metered(task: str, ctx: CallContext) -> int:
    """Three model turns, each with a tool call, each reserved and settled."""
    for _ in range(TURNS):
        async with ctx.attempt(PRICE, name="fake") as turn:
            await fake_model()
            turn.settle(PRICE)
        async with ctx.attempt(sort="tool", name="grep") as tool:
            await fake_model()
            tool.settle()
    return len(task)


@function_agent("worker", version="1")
async def unmetered(task: str, ctx: CallContext) -> int:
    """The same turns and tool calls, with nothing reserved and no attempt recorded."""
    for _ in range(TURNS):
        await fake_model()
        await fake_model()
    return len(task)


async def bare_agent(task: str, results: list[int]) -> None:
    """The same work in a bare task."""
    for _ in range(TURNS):
        await fake_model()
        await fake_model()
    results.append(len(task))


async def bare(n: int) -> None:
    """N bare tasks in one task group."""
    results: list[int] = []
    async with anyio.create_task_group() as tasks:
        for index in range(n):
            tasks.start_soon(bare_agent, f"task {index}", results)
    assert len(results) == n


class NoLog:
    """A log that keeps nothing, to measure what keeping costs."""

    head, epoch = "", 1

    def __init__(self) -> None:
        self._stamp = Stamp(0, time.time())

    def enqueue(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """Keep nothing."""
        return self._stamp

    async def append(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """Keep nothing."""
        await anyio.lowlevel.checkpoint()
        return self._stamp

    async def flush(self) -> None:
        """Nothing to flush."""

    def redact(self, text: str) -> str:
        """Redact nothing."""
        return text

    def events(self) -> Sequence[Event]:
        """No history."""
        return ()

    def watch(self, watcher: Watcher) -> None:
        """Nobody is told."""


async def ours(cell: Cell, folder: Path) -> None:
    """N subagents in one fan-out of one run."""
    opened: AbstractAsyncContextManager[Any] = open_log(folder) if cell.log else nullcontext(NoLog())
    limits = Limits.parse({"usd": "1000000", "agent_calls": 10**9}) if cell.budget else Limits()
    async with opened as log:
        settings = Settings(spans=cell.spans, window=max(1_000, 1), attempts=1_000)
        role = metered if cell.budget else unmetered
        run = Run(log, run_id="bench", limits=limits, performers={"agent": Agents({"worker": role})}, settings=settings)

        async def main() -> int:
            found = await parallel(agent(f"task {index}") for index in range(cell.n))
            return len(found.succeeded())

        result = await run.execute(main)
        assert result.outcome is not None
        assert result.outcome.value == cell.n
        await run.close(result)


def measured(work: Callable[[], Awaitable[None]], backend: str) -> tuple[float, float]:
    """CPU seconds (all threads) and wall seconds of one go."""
    gc.collect()
    gc.freeze()
    cpu, wall = time.process_time(), time.perf_counter()
    anyio.run(work, backend=backend)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    gc.unfreeze()
    return spent


def run_cell(cell: Cell) -> dict[str, float]:
    """The figures of one row."""
    bare_cpu: list[float] = []
    cpu: list[float] = []
    wall: list[float] = []
    gc.set_threshold(50_000, 10, 10)  # as `antiphon run` sets it, for both
    turns = cell.turns if cell.n < 10_000 else 3
    for _ in range(turns):
        repeat = max(1, 1_000 // cell.n)
        for _ in range(repeat):
            bare_cpu.append(measured(lambda: bare(cell.n), cell.backend)[0] / cell.n)
            with tempfile.TemporaryDirectory() as folder:
                spent = measured(lambda: ours(cell, Path(folder)), cell.backend)
            cpu.append(spent[0] / cell.n)
            wall.append(spent[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    bare_us, ours_us = statistics.median(bare_cpu) * 1e6, statistics.median(cpu) * 1e6
    return {
        "bare_us": bare_us,
        "us": ours_us,
        "ratio": ours_us / bare_us,
        "wall": statistics.median(wall),
        "peak_mb": peak,
    }


async def live_memory(n: int) -> float:
    """Bytes per subagent when all N are in flight at once, each inside an attempt."""
    inside, full, go = 0, anyio.Event(), anyio.Event()

    @function_agent("worker", floor=FLOOR, version="1")
    async def waiting(task: str, ctx: CallContext) -> int:
        nonlocal inside
        async with ctx.attempt(PRICE) as turn:
            inside += 1
            if inside == n:
                full.set()
            await go.wait()
            turn.settle(PRICE)
        return 1

    log = cast(Any, NoLog())
    settings = Settings(window=n, attempts=n)
    run = Run(
        log,
        run_id="memory",
        limits=Limits.parse({"usd": "1000000"}),
        performers={"agent": Agents({"worker": waiting})},
        settings=settings,
    )
    gc.collect()
    before = _resident()
    per_agent: list[float] = []

    async def look() -> None:
        await full.wait()
        gc.collect()
        per_agent.append((_resident() - before) / n)
        go.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)

        async def main() -> None:
            await parallel(agent(f"task {index}") for index in range(n))

        await run.execute(main)
    return per_agent[0]


def _resident() -> int:
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def child(*words: str) -> dict[str, float]:
    """Run one row in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    return cast(dict[str, float], json.loads(done.stdout))


ALL_ON = (True, True, True)
SWITCHES = [(log, spans, budget) for log in (False, True) for spans in (False, True) for budget in (False, True)]


def table(sizes: list[int], backends: list[str], *, switches: bool) -> None:
    """Print the table."""
    heads = f"{'log':4} {'spans':5} {'budget':6} {'bare µs':>8} {'µs':>8} {'ratio':>6} {'wall s':>7} {'MB':>6}"
    print(f"{'N':>6} {'backend':8} {heads}")
    for backend in backends:
        per_agent = {n: row(Cell(n, backend, *ALL_ON)) for n in sizes}
        if switches:
            for combination in SWITCHES[:-1]:
                row(Cell(1_000, backend, *combination))
        if {100, 10_000} <= per_agent.keys():
            print(f"{backend}: N=10,000 costs {per_agent[10_000] / per_agent[100]:.2f}x of N=100, per subagent")
        live = child("--memory", backend)["bytes"] / 1024
        print(f"{backend}: {live:.1f} KB per live subagent (10,000 in flight)", flush=True)


def row(cell: Cell) -> float:
    """Measure and print one row; microseconds of CPU per subagent."""
    figures = child("--cell", json.dumps(asdict(cell)))
    on = f"{_on(cell.log):4} {_on(cell.spans):5} {_on(cell.budget):6}"
    cost = f"{figures['bare_us']:8.1f} {figures['us']:8.1f} {figures['ratio']:6.1f}"
    print(f"{cell.n:>6} {cell.backend:8} {on} {cost} {figures['wall']:7.2f} {figures['peak_mb']:6.0f}", flush=True)
    return figures["us"]


def _on(switch: bool) -> str:
    return "on" if switch else "off"


def main() -> None:
    """Parse the command line; a row when asked for one, else the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="*", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--backend", nargs="*", default=["asyncio", "trio"])
    parser.add_argument("--switches", action="store_true", help="log, spans and budget each on and off at N=1,000")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cell:
        print(json.dumps(run_cell(Cell(**json.loads(given.cell)))))
    elif given.memory:
        print(json.dumps({"bytes": anyio.run(live_memory, 10_000, backend=given.memory)}))
    else:
        table(given.n, given.backend, switches=given.switches)


if __name__ == "__main__":
    main()
