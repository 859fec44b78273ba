"""The monty runtime: scripts of the portable dialect in monty's own interpreter, asked for frames and given replies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import CallContext
from antiphon.engine.branch import Branch
from antiphon.engine.call import Call, Prepared
from antiphon.engine.errors import AgentFailure
from antiphon.engine.script.confined import run_confined
from antiphon.engine.script.monty import MontyRuntime, MontyUnusable, monty_problem, monty_version
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, Program
from antiphon.engine.testing import Answer, AnsweringCalls, MemoryRun, memory_run

pytest.importorskip("pydantic_monty")
pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

NOW = 1_000_000_000.5
Frame = dict[str, Any]


def program(source: str, **arguments: Any) -> Program:
    return Program(source=source, file="script.py", token="T", arguments=arguments, seed="seed", now=NOW)


def main_of(*lines: str) -> str:
    return "async def main():\n" + "\n".join(f"    {line}" for line in lines) + "\n"


async def frames_of(
    source: str,
    answer: Callable[[Frame], Frame] = lambda _frame: {"value": None},
    *,
    limits: GuestLimits | None = None,
    **arguments: Any,
) -> list[Frame]:
    """Every frame of a script, each answered at once."""
    frames: list[Frame] = []
    async with MontyRuntime().guest(program(source, **arguments), limits or GuestLimits()) as guest:
        while (text := await guest.receive()) is not None:
            frame = json.loads(text)
            frames.append(frame)
            if frame["do"] not in ("end", "print"):
                await guest.send(json.dumps({"id": frame["id"], **answer(frame)}))
    return frames


async def value_of(source: str, **arguments: Any) -> Any:
    return (await frames_of(source, **arguments))[-1]["value"]


async def death_of(source: str, **limits: Any) -> GuestDied:
    with pytest.raises(GuestDied) as raised:
        await frames_of(source, limits=GuestLimits(**limits))
    return raised.value


# --- frames -----------------------------------------------------------------------------------------------------------


async def test_a_script_speaks_in_frames() -> None:
    source = "async def main(n):\n    log('x')\n    print('a', 1)\n    return [n, await agent('q')]\n"
    log, printed, call, end = await frames_of(source, lambda frame: {"value": f"for {frame['do']}"}, n=3)
    assert (log["do"], log["at"], log["text"]) == ("log", "T", "x")
    assert (printed["do"], printed["text"]) == ("print", "a 1\n")
    assert call["call"] == {"name": "agent", "args": {"task": "q", "role": "worker"}}
    assert end == {"id": 4, "at": "T", "do": "end", "value": [3, "for call"]}


async def test_an_exception_of_main_is_described_with_the_line_of_the_script() -> None:
    end = (await frames_of("def f():\n    raise KeyError('why')\n\nasync def main():\n    return f()\n"))[-1]
    assert end["described"] == "KeyError: 'why' (script.py:2 in f)"


async def test_an_exception_at_the_top_of_the_script_is_described_too() -> None:
    end = (await frames_of("x = 1\ny = x / 0\n"))[-1]
    assert (end["do"], end["described"]) == ("end", "ZeroDivisionError: division by zero (script.py:2 in <module>)")


async def test_a_cancelled_script_ends_cancelled() -> None:
    source = main_of("try: await agent('q')", "except Exception: return 1")
    frames = await frames_of(source, lambda _frame: {"cancel": True})
    assert frames[-1]["cancelled"] is True


async def test_a_failing_call_raises_what_portable_scripts_catch() -> None:
    source = main_of("try: await agent('q')", "except CallFailed as error: return str(error)")
    frames = await frames_of(source, lambda _frame: {"failed": "timed_out: too late"})
    assert frames[-1]["value"] == "timed_out: too late"


async def test_what_a_script_calls_its_own_things_changes_nothing_of_the_api() -> None:
    source = "class Record: pass\nclass Outcome: pass\nlist = dict = isinstance = len = 3\n" + main_of(
        "return [await agent('a', covers=('x',)), Record is not None]"
    )
    assert (await frames_of(source, lambda _frame: {"value": "b"}))[-1]["value"] == ["b", True]


async def test_a_call_is_begun_once() -> None:
    end = (await frames_of(main_of("a = agent('q')", "await a", "await a")))[-1]
    assert "already awaited" in end["described"]
    end = (await frames_of(main_of("a = agent('q')", "await parallel([a])", "await a"), answer=_nothing_fanned))[-1]
    assert "is awaited twice" in end["described"]


def _nothing_fanned(frame: Frame) -> Frame:
    return {"value": {"outcomes": [], "complete": True} if frame["do"] == "fan" else None}


async def test_clocks_stand_still_and_randomness_is_of_the_seed() -> None:
    source = main_of(
        "import datetime, random, time",
        "return [time.time(), datetime.datetime.now().isoformat(), random.random(), list({'b', 'a', 'c'}), hash('a')]",
    )
    first, second = await value_of(source), await value_of(source)
    assert first == second
    assert first[:2] == [NOW, "2001-09-09T01:46:40.500000"]


# --- what ends a guest ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "category"),
    [
        (["while True: pass"], "turn"),
        (["x = 3", "while True: x = x * x % (10 ** 300000 + 1)"], "turn"),
        (["x = []", "while True: x.append('y' * 1000000)"], "memory"),
        (["return 'x' * 10 ** 12"], "memory"),
        (["while True: log('x')"], "frames"),
        (["while True:", "    try: nothing_of_that_name()", "    except NameError: pass"], "frames"),
        (["log('x' * 200000)"], "frames"),
        (["_a_tell('no frame')"], "protocol"),
        (["_a_tell(3)"], "protocol"),
        (["_a_send(7, '{\"id\": 8}')"], "protocol"),
        (["yield 1"], "syntax"),
        (["raise SystemExit(0)"], "crashed"),
    ],
)
async def test_a_guest_that_goes_beyond_what_it_may_is_ended(lines: list[str], category: str) -> None:
    died = await death_of(
        main_of(*lines), turn_seconds=0.2, memory_bytes=32 << 20, frames=200, frame_bytes=100_000, cpu_seconds=5.0
    )
    assert died.category == category
    assert str(died).startswith(f"the script was ended ({category}): ")


async def test_what_it_computes_in_all_is_limited_too() -> None:
    source = main_of("while True:", "    log('x')", "    sum(range(300000))")
    assert (await death_of(source, turn_seconds=5.0, cpu_seconds=0.1)).category == "cpu"


async def test_a_text_that_monty_does_not_run_is_refused_with_its_line() -> None:
    died = await death_of("x = 1\nclass A(Exception):\n    pass\n")
    assert "script.py:2: monty does not run this: class inheritance" in died.reason
    assert "--runtime jail" in (died.advice or "")


async def test_a_frame_answered_by_another_number_ends_the_guest() -> None:
    source = main_of('await _a_send(7, \'{"id": 7, "id": 9}\')')
    async with MontyRuntime().guest(program(source), GuestLimits()) as guest:
        await guest.receive()
        with pytest.raises(GuestDied, match="protocol"):
            await guest.send('{"id": 9, "value": null}')


@pytest.mark.parametrize(
    "given",
    [
        "",
        "3",
        "b'x'",
        "deep",
        "round",
        "lambda: 1",
        "Box()",
        "ValueError('x')",
        "10 ** 4000",
        "*many",
        "'x', 3",
        "x='{}'",
    ],
)
async def test_whatever_a_script_hands_to_the_host_ends_only_the_script(given: str) -> None:
    source = f"""
class Box: pass
deep = []
for _ in range(100000): deep = [deep]
round = []
round.append(round)
many = ['x' * 1000] * 1000
async def main():
    _a_tell({given})
"""
    assert (await death_of(source, frame_bytes=100_000)).category == "protocol"


@pytest.mark.parametrize(
    "line",
    [
        "open('/etc/passwd')",
        "import os; os.listdir('/')",
        "import os; os.environ['HOME']",
        "from pathlib import Path; Path('/etc/passwd').read_text()",
        "__import__('os')",
        "import subprocess",
        "import socket",
        "import ctypes",
        "import time; time.sleep(1)",
        "input()",
        "exit()",
        "import os; os.urandom(8)",
    ],
)
async def test_a_script_reaches_nothing(line: str) -> None:
    end = (await frames_of(main_of(line)))[-1]
    assert end["do"] == "end"
    assert end["described"].endswith("(script.py:2 in main)")


async def test_a_guest_that_is_killed_while_it_waits() -> None:
    async with MontyRuntime().guest(program(main_of("await agent('q')")), GuestLimits()) as guest:
        await guest.receive()
        await guest.kill("enough")
        await guest.send('{"id": 1, "value": 2}')
        with pytest.raises(GuestDied, match=r"\(killed\): enough"):
            await guest.receive()


async def test_a_guest_that_is_killed_while_it_computes() -> None:
    limits = GuestLimits(turn_seconds=600.0)
    async with MontyRuntime().guest(program(main_of("log('on')", "while True: pass")), limits) as guest:
        frame = json.loads(await guest.receive() or "")
        await guest.send(json.dumps({"id": frame["id"], "value": None}))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guest.kill, "enough")
            with pytest.raises(GuestDied, match=r"\(killed\): enough"):
                await guest.receive()


async def test_leaving_a_guest_that_computes_ends_its_process() -> None:
    limits = GuestLimits(turn_seconds=600.0)
    pids: list[int] = []
    with anyio.CancelScope() as scope:
        async with MontyRuntime().guest(program(main_of("log('on')", "while True: pass")), limits) as guest:
            pids += _children("monty")
            frame = json.loads(await guest.receive() or "")
            await guest.send(json.dumps({"id": frame["id"], "value": None}))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(guest.receive)
                await anyio.lowlevel.checkpoint()
                scope.cancel()
    assert scope.cancelled_caught
    assert len(pids) > len(_children("monty"))


def _children(name: str) -> list[int]:
    """The processes that this one started."""
    found = Path("/proc/self/task").glob("*/children")
    pids = [int(pid) for file in found for pid in file.read_text().split()]
    return [pid for pid in pids if name in Path(f"/proc/{pid}/cmdline").read_text()]


async def test_a_guest_takes_many_long_replies() -> None:
    source = main_of("found = await parallel(one(i) for i in range(20))", "return [o.value for o in found]")
    source += "async def one(i): return len(await agent(str(i)))\n"
    with anyio.fail_after(60):
        run = await ran(source, answer=_long)
    assert run.value == [2_000_000] * 20


async def _long(_call: Call, _context: CallContext) -> object:
    return "x" * 2_000_000


async def test_a_guest_that_takes_no_replies_is_ended() -> None:
    source = main_of(
        "for i in range(300): _a_send(i + 1, '{\"id\": ' + str(i + 1) + '}')", "_a_ask(301, '{\"id\": 301}')"
    )
    async with MontyRuntime().guest(program(source), GuestLimits()) as guest:
        with pytest.raises(GuestDied, match="takes no replies"):
            await _answered_at_length(guest)


async def _answered_at_length(guest: Guest) -> None:
    while (text := await guest.receive()) is not None:
        number = json.loads(text)["id"]
        assert number <= 300
        await guest.send(json.dumps({"id": number, "value": "x" * (1 << 20)}))


async def test_fifty_guests_at_once() -> None:
    ended: list[Any] = []

    async def one(number: int) -> None:
        ended.append(await value_of("async def main(n): return n * 2\n", n=number))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    assert sorted(ended) == [2 * number for number in range(50)]


# --- with the engine --------------------------------------------------------------------------------------------------


async def _answer(call: Call, _context: CallContext) -> object:
    if call.task == "never":
        await anyio.sleep_forever()
    if str(call.task).startswith("bad"):
        raise AgentFailure("no luck")
    return call.task


async def ran(source: str, limits: GuestLimits | None = None, answer: Answer = _answer, **arguments: Any) -> MemoryRun:
    async def main() -> Any:
        return await run_confined(MontyRuntime(), source=source, file="script.py", arguments=arguments, limits=limits)

    return await memory_run(main, performers={"agent": AnsweringCalls(answer)})


FANNED = """
async def inner(i):
    first = await agent(f"a{i}")
    rest = await parallel(agent(f"{first}.{j}") for j in range(3))
    return rest.succeeded()

async def main(n):
    phase("find")
    found = await parallel(inner(i) for i in range(n))
    return [outcome.value for outcome in found], found.census.to_json()
"""


async def test_nested_fan_outs_keep_their_places() -> None:
    run = await ran(FANNED, n=4)
    values, census = run.value
    assert values == [[f"a{i}.{j}" for j in range(3)] for i in range(4)]
    assert census == {"planned": 4, "started": 4, "succeeded": 4}
    paths = {event.path for event in run.events("call.ended")}
    assert paths == {f"main/0/{i}/0" for i in range(4)} | {f"main/0/{i}/1/{j}/0" for i in range(4) for j in range(3)}


async def test_a_thousand_branches() -> None:
    source = "async def one(i): return await agent(f'a{i}')\n" + main_of(
        "found = await parallel(one(i) for i in range(1000))", "return [o.value for o in found]"
    )
    assert (await ran(source)).value == [f"a{i}" for i in range(1000)]


DESIGN = Path(__file__).with_name("data") / "missing_authorization.txt"


async def test_the_example_of_the_design() -> None:
    asked: list[tuple[str, Any]] = []

    def claims(_here: Branch, of: Any, phase: Any, status: Any) -> list[dict[str, Any]]:
        asked.append(("claims", (len(list(of)), phase, status)))
        return [{"id": f"c{i}", "rule": "r"} for i in range(2)]

    def synthesize(_here: Branch, planned: Any) -> dict[str, Any]:
        asked.append(("synthesize", planned))
        return {"gaps": []}

    async def main() -> Any:
        source = DESIGN.read_text(encoding="utf-8")
        return await run_confined(MontyRuntime(), source=source, file="script.py", arguments={"repo": "."})

    run = await memory_run(
        main,
        performers={"agent": _AnyOutput(_position), "step": AnsweringCalls(_position)},
        host={"claims": claims, "synthesize": synthesize},
    )
    assert run.value == {"gaps": []}
    assert asked == [("claims", (4, None, None)), ("synthesize", ["a.py", "b.py"])]
    assert len(run.events("call.ended")) == 1 + 2 * 2 + 2 * 3


class _AnyOutput(AnsweringCalls):
    """Knows no schemas by name: takes any value for one."""

    def prepare(self, call: Call) -> Prepared:
        return super().prepare(replace(call, output=None))


async def _position(call: Call, _context: CallContext) -> object:
    return ["a.py", "b.py"] if call.sort == "step" else {"position": "refute" if call.about == "c0" else "cannot_tell"}


CONSTRUCTS = """
def vote(value):
    return {"yes": True, "no": False}.get(value)

async def refused():
    fail("not this one")

async def stay():
    await agent("never")

async def main():
    tally = await quorum([agent("yes"), agent("no"), agent("bad"), agent("yes")], need=2, vote=vote)
    first = await race([stay(), agent("x")])
    staged = await pipeline([1, 2], lambda n: agent(f"p{n}"), lambda text: text.upper())
    some = await parallel([agent("u") for _ in range(5)], until=lambda ended: len(ended) == 2, concurrency=1)
    named = await branch("named", refused())
    put("k", [1, {"a": 2}])
    return {
        "tally": [tally.decided, list(tally.votes)],
        "first": first,
        "staged": [[o.item, o.value] for o in staged],
        "some": [o.kind for o in some],
        "named": [named.ok, named.kind, named.reason],
        "got": get("k"),
    }
"""


async def test_every_construct() -> None:
    assert (await ran(CONSTRUCTS)).value == {
        "tally": ["yes", [True, False, None, True]],
        "first": "x",
        "staged": [[1, "P1"], [2, "P2"]],
        "some": ["succeeded", "succeeded", "skipped", "skipped", "skipped"],
        "named": [False, "failed", "not this one"],
        "got": [1, {"a": 2}],
    }


async def test_a_guest_that_swallows_cancellation_is_killed() -> None:
    source = """
async def stay():
    while True:
        try:
            await agent("never")
        except BaseException:
            pass

async def main():
    return await race([stay(), agent("x")])
"""
    run = await ran(source, GuestLimits(grace_seconds=0.1))
    assert run.result.kind == "failed"
    assert "killed" in run.result.reason


async def test_what_main_raised_is_what_the_run_failed_for() -> None:
    run = await ran(main_of("await agent('bad')"))
    assert (run.result.kind, run.result.reason) == ("failed", "no luck")
    run = await ran(main_of("raise ValueError('own')"))
    assert "ValueError: own (script.py:2 in main)" in run.result.reason


# --- the pool ---------------------------------------------------------------------------------------------------------

HOST = """
import anyio, sys
from pathlib import Path
from antiphon.engine.script.monty import MontyRuntime
from antiphon.engine.script.runtime import GuestLimits, Program

async def main():
    limits = GuestLimits(turn_seconds=600.0)
    source = 'async def main():\\n    log("on")\\n    while True: pass\\n'
    async with MontyRuntime().guest(Program(source=source, file="s.py", token="T"), limits) as guest:
        await guest.receive()
        await guest.send('{"id": 1, "value": null}')
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guest.receive)
            children = [file.read_text() for file in Path("/proc/self/task").glob("*/children")]
            print(*" ".join(children).split(), flush=True)

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker that computes ends with its turn")
async def test_nothing_is_left_of_a_host_that_was_killed(anyio_backend_name: str) -> None:
    command = [sys.executable, "-c", HOST, anyio_backend_name]
    async with await anyio.open_process(command) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in (await process.stdout.receive()).split()]
        process.kill()
    assert pids
    with anyio.fail_after(20):
        for pid in pids:
            while _lives(pid):
                await anyio.lowlevel.checkpoint()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_without_monty_there_is_a_clear_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert monty_problem() is None
    assert monty_version()
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    monkeypatch.setitem(sys.modules, "pydantic_monty._binary", None)
    with pytest.raises(MontyUnusable, match="pydantic-monty is not installed") as raised:
        MontyRuntime()
    assert raised.value.advice == "pip install 'antiphon[monty]'"
    assert monty_version() is None
