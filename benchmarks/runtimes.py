"""What confining a script costs: the same text in this process, in the jail and in monty, taking turns.

``uv run python benchmarks/runtimes.py [--rounds 9]`` prints wall milliseconds to start (cold: a process that has run no
guest yet; warm: the next guest of one that has), and wall microseconds per awaited call and per item of a fan-out of
1,000, of single calls and of coroutines with a call each: the least of all rounds, with its ratio to this process. The
calls are answered at once and the log is in memory, so this is what the runtime costs and not what agents do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from antiphon.engine.script import api
from antiphon.engine.script.confined import run_confined
from antiphon.engine.script.runtime import Runtime
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.runtimes import RUNTIMES, choose_runtime, standing

TRUSTED = "trusted"
CALLS = 300
WIDTH = 1_000
SCRIPT = """
async def shouted(number):
    return (await agent(f"coroutine {number}")).upper()

async def main(what, count):
    if what == "calls":
        for number in range(count):
            await agent(f"call {number}")
    if what == "leaves":
        await parallel(agent(f"leaf {number}") for number in range(count))
    if what == "coroutines":
        await parallel(shouted(number) for number in range(count))
    return count
"""
Main = Callable[..., Awaitable[Any]]


def main_in(runtime: Runtime | None) -> Main:
    """The script's main, in a guest or in this process."""
    if runtime is None:
        names: dict[str, Any] = {name: getattr(api, name) for name in ("agent", "parallel")}
        exec(SCRIPT, names)
        found: Main = names["main"]
        return found

    async def main(**arguments: Any) -> Any:
        return await run_confined(runtime, source=SCRIPT, file="script.py", arguments=arguments)

    return main


def measured(main: Main, what: str, count: int) -> float:
    """Seconds of wall time of one run of the script."""

    async def play() -> float:
        began = time.perf_counter()
        played = await memory_run(lambda: main(what=what, count=count), performers={"agent": AnsweringCalls()})
        assert played.value == count, played.result
        return time.perf_counter() - began

    return anyio.run(play)


def cold(name: str) -> float:
    """Seconds from nothing to the end of an empty script, in a process that has imported all but the runtime."""
    program = f"import json, runtimes; print(json.dumps(runtimes.first({name!r})))"
    ended = subprocess.run([sys.executable, "-c", program], cwd=sys.path[0], capture_output=True, check=True, text=True)
    seconds: float = json.loads(ended.stdout)
    return seconds


def first(name: str) -> float:
    """Seconds that the first guest of this process takes, with whatever is started for it."""
    began = time.perf_counter()
    measured(main_in(None if name == TRUSTED else choose_runtime(name)), "nothing", 0)
    return time.perf_counter() - began


WORK: Mapping[str, int] = {"nothing": 0, "calls": CALLS, "leaves": WIDTH, "coroutines": WIDTH}


def table(names: list[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """What each run took, by runtime and work; in turns, so that what else the machine does falls on all alike."""
    mains = {name: main_in(None if name == TRUSTED else choose_runtime(name)) for name in names}
    taken: dict[str, dict[str, list[float]]] = {name: {what: [] for what in WORK} for name in names}
    for turn in range(rounds + 1):
        for what, count in WORK.items():
            for name, main in mains.items():
                one = measured(main, what, count)
                if turn:  # the first warms up
                    taken[name][what].append(one)
    return taken


def per_item(taken: Mapping[str, list[float]], what: str) -> float:
    """Wall microseconds per call or item, less what a script costs that does nothing."""
    return max(0.0, min(taken[what]) - min(taken["nothing"])) / WORK[what] * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how many of each")
    rounds: int = parser.parse_args().rounds
    names = [TRUSTED]
    for name in RUNTIMES:
        found = standing(name)
        names += [name] if found.usable else []
        if not found.usable:
            print(f"{name}: not usable: {found.reason}")
    taken = table(names, rounds)
    print("| runtime | cold ms | warm ms | call µs | ratio | leaf µs | ratio | coroutine µs | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in names:
        starts = min(cold(name) for _ in range(min(rounds, 5))) * 1e3
        warm = min(taken[name]["nothing"]) * 1e3
        cells = [f"{name}", f"{starts:.0f}", f"{warm:.1f}"]
        for what in ("calls", "leaves", "coroutines"):
            own, trusted = per_item(taken[name], what), per_item(taken[TRUSTED], what)
            cells += [f"{own:.0f}", f"{own / trusted:.1f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
