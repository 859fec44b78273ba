"""Scripts in the jail: what they can do, that they repeat, what they may use, and that nothing of them stays."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from antiphon.engine.errors import UsageError
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, Program
from antiphon.subagents.jail import MODULES, JailRuntime, JailUnusable, choose_jail, probe_jail
from antiphon.subagents.jail.keeping import zygote_of
from antiphon.subagents.sandbox import BACKENDS, Container, Sandbox, Unconfined, probe
from antiphon.subagents.sandbox.watch import descendants
from antiphon.tracing import Json

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="there are jails on Linux only"),
]
NOW = 1_700_000_000.25
# How a script gets at what it was not given: what holds then is the kernel.
REACH = "found = print.__func__.__globals__\nos, ctypes = found['os'], found['ctypes']\n"


@pytest.fixture(params=BACKENDS)
def runtime(request: pytest.FixtureRequest) -> JailRuntime:
    """The jail in each sandbox that works here."""
    tried = probe_jail(request.param)
    if tried.runtime is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.runtime


@pytest.fixture
def any_runtime() -> JailRuntime:
    tried = probe_jail()
    if tried.runtime is None:
        pytest.skip(tried.reason)
    return tried.runtime


def program(source: str, seed: str = "seed", **arguments: Json) -> Program:
    return Program(source=source, file="script.py", token="root", arguments=arguments, seed=seed, now=NOW)


async def frames(guest: Guest, replies: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """All that it asks for; what wants an answer gets the one that is named, or null."""
    asked: list[dict[str, Any]] = []
    while (text := await guest.receive()) is not None:
        frame = json.loads(text)
        asked.append(frame)
        if frame["do"] not in ("end", "print"):
            await guest.send(json.dumps({"id": frame["id"], "value": (replies or {}).get(frame["do"])}))
    return asked


async def run(
    runtime: JailRuntime, source: str, limits: GuestLimits | None = None, seed: str = "seed"
) -> list[dict[str, Any]]:
    async with runtime.guest(program(source, seed), limits or GuestLimits()) as guest:
        return await frames(guest)


async def value(runtime: JailRuntime, source: str, seed: str = "seed") -> Any:
    """What `main` returned."""
    last = (await run(runtime, source, seed=seed))[-1]
    assert "value" in last, last
    return last["value"]


async def death(runtime: JailRuntime, source: str, **limits: Any) -> GuestDied:
    with pytest.raises(GuestDied) as caught:
        await run(runtime, source, GuestLimits(**limits))
    return caught.value


# --- what they can do -------------------------------------------------------------------------------------------------


async def test_a_script_speaks_in_frames(runtime: JailRuntime) -> None:
    source = """
async def main(name):
    print("hello", name, sep=", ")
    put("key", [name])
    return {"said": get("key"), "answer": await agent("what?")}
"""
    async with runtime.guest(program(source, name="you"), GuestLimits()) as guest:
        asked = await frames(guest, {"get": "this", "call": 42})
    assert [frame["do"] for frame in asked] == ["print", "put", "get", "call", "end"]
    assert asked[0]["text"] == "hello, you\n"
    assert asked[1]["value"] == ["you"]
    assert asked[3]["call"]["args"]["task"] == "what?"
    assert asked[4]["value"] == {"said": "this", "answer": 42}
    assert [frame["id"] for frame in asked] == [1, 2, 3, 4, 5]


async def test_the_whole_language_is_there(any_runtime: JailRuntime) -> None:
    source = """
from __future__ import annotations
import dataclasses, datetime, enum, re, statistics, typing
from collections import Counter, namedtuple
from contextlib import contextmanager

class Kind(enum.StrEnum):
    GOOD = "good"

@dataclasses.dataclass(frozen=True)
class Found:
    kind: Kind
    shared: typing.ClassVar[int] = 3
    lines: list[int] = dataclasses.field(default_factory=list)

class Better(Found):
    def __len__(self):
        return len(self.lines)

@contextmanager
def opened():
    yield Better(Kind.GOOD, [1, 2])

async def numbers():
    for n in range(3):
        yield n

async def main():
    with opened() as found:
        match found:
            case Better(kind=Kind.GOOD):
                parsed = datetime.datetime.strptime("2026-01-02", "%Y-%m-%d")
    counted = [n async for n in numbers()]
    Point = namedtuple("Point", "x y")
    return [len(found), parsed.year, counted, Point(1, 2).y, statistics.mean([1, 2]), f"{re.sub('a', 'b', 'aa')!r}"]
"""
    assert await value(any_runtime, source) == [2, 2026, [0, 1, 2], 2, 1.5, "'bb'"]


async def test_what_computes_can_be_imported_and_nothing_else(any_runtime: JailRuntime) -> None:
    refused = (
        "os",
        "sys",
        "subprocess",
        "socket",
        "ctypes",
        "importlib",
        "gc",
        "inspect",
        "threading",
        "asyncio",
        "io",
    )
    source = f"""
async def main():
    could, told = [], ""
    for name in {(*MODULES, *refused)!r}:
        try:
            __import__(name)
            could.append(name)
        except ImportError as error:
            told = str(error)
    return [could, told]
"""
    could, told = await value(any_runtime, source)
    assert could == list(MODULES)
    assert told.startswith("a confined script cannot import 'io'; there are: abc, ")
    assert "zlib" in told


@pytest.mark.parametrize("name", ["open", "input", "exec", "eval", "compile", "breakpoint"])
async def test_what_is_not_given_is_told_in_words(any_runtime: JailRuntime, name: str) -> None:
    ended = (await run(any_runtime, f"async def main(): {name}('x')"))[-1]
    assert f"a confined script has no {name}()" in ended["error"]


async def test_a_script_that_does_not_parse_is_told_with_its_line(any_runtime: JailRuntime) -> None:
    died = await death(any_runtime, "async def main():\n    return (\n")
    assert (died.category, "line 2" in died.reason) == ("syntax", True)
    assert (await death(any_runtime, "(" * 5000 + ")" * 5000)).category == "syntax"
    assert (await death(any_runtime, "x = 1\0")).category == "syntax"


async def test_what_is_deep_is_an_error_of_the_script(any_runtime: JailRuntime) -> None:
    ended = (await run(any_runtime, "def f(): return f()\nasync def main(): f()"))[-1]
    assert "RecursionError" in ended["described"]


# --- they repeat ------------------------------------------------------------------------------------------------------

TELLING = """
import datetime, random, time, uuid
async def main():
    told = [time.time(), time.time_ns(), time.monotonic(), time.perf_counter(), time.strftime("%c"), time.ctime()]
    told += [time.localtime().tm_zone, time.asctime(), time.gmtime().tm_year, time.clock_gettime(0)]
    told += [str(datetime.datetime.now()), str(datetime.datetime.now(datetime.UTC)), repr(datetime.date.today())]
    told += [repr(datetime.datetime.utcnow()), type(datetime.datetime.today()) is datetime.datetime]
    chance = [random.random(), random.Random().random(), random.SystemRandom().random(), random.Random(7).random()]
    chance += [str(uuid.uuid4()), str(uuid.uuid1()), random.sample(range(100), 5)]
    return [told, [hash("x"), hash(b"y"), list({"a", "b", "c", "d", "e"})], chance]
"""


async def test_clocks_and_randomness_are_fixed(any_runtime: JailRuntime) -> None:
    first, second, other = [await value(any_runtime, TELLING, seed=seed) for seed in ("one", "one", "two")]
    assert first == second
    assert other[:2] == first[:2]
    assert first[0][:4] == [NOW, int(NOW * 1e9), NOW, NOW]
    assert "2023-11-14 22:13:20.250000" in first[0]
    assert "2023-11-14 22:13:20.250000+00:00" in first[0]
    assert "datetime.date(2023, 11, 14)" in first[0]
    assert first[0][-1] is True
    same = [one == two for one, two in zip(first[2], other[2], strict=True)]
    assert same == [False, False, False, True, False, False, False]


async def test_they_repeat_in_every_sandbox() -> None:
    jails = [tried.runtime for tried in map(probe_jail, BACKENDS) if tried.runtime is not None]
    told = [await value(runtime, TELLING) for runtime in jails]
    assert all(one == told[0] for one in told)


async def test_what_one_script_changes_no_other_sees(any_runtime: JailRuntime) -> None:
    await value(any_runtime, "import json\njson.loads.mark = 1\nvars(json)['mark'] = 1\nasync def main(): return None")
    assert await value(any_runtime, "import json\nasync def main(): return hasattr(json, 'mark')") is False


# --- what they may use ------------------------------------------------------------------------------------------------


async def test_one_that_computes_too_long_is_ended(any_runtime: JailRuntime) -> None:
    died = await death(any_runtime, "async def main():\n    while True: pass", turn_seconds=0.2)
    assert (died.category, died.reason) == ("turn", "it computed for more than 0.2 s without waiting for an answer")


async def test_one_that_waits_may_wait(any_runtime: JailRuntime) -> None:
    async with any_runtime.guest(
        program("async def main(): return await agent('x')"), GuestLimits(turn_seconds=0.05)
    ) as guest:
        frame = json.loads(await guest.receive() or "")
        with anyio.move_on_after(0.2):
            await guest.receive()
        await guest.send(json.dumps({"id": frame["id"], "value": 1}))
        assert (await frames(guest))[-1]["value"] == 1


async def test_one_that_says_it_waits_and_computes_is_ended(any_runtime: JailRuntime) -> None:
    lie = REACH + "os.write(0, b'W' + (1).to_bytes(4, 'big') + bytes(4))\nwhile True: pass"
    assert (await death(any_runtime, lie, turn_seconds=0.15)).category == "turn"


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_what_it_computes_in_all_is_limited(any_runtime: JailRuntime) -> None:
    died = await death(any_runtime, "async def main():\n    while True: pass", cpu_seconds=1, turn_seconds=60)
    assert (died.category, died.reason) == ("cpu", "it computed for more than 1 s in all")


async def test_memory_is_limited(runtime: JailRuntime) -> None:
    limits = GuestLimits(memory_bytes=64 * 2**20)
    ended = (await run(runtime, "async def main(): return len(bytearray(1 << 30))", limits))[-1]
    assert ended["described"].startswith("MemoryError")
    assert (await run(runtime, "async def main(): return len(bytearray(1 << 25))", limits))[-1]["value"] == 1 << 25


async def test_one_that_takes_all_memory_is_ended(any_runtime: JailRuntime) -> None:
    source = """
hog = None
async def main():
    global hog
    size = 1 << 24
    while size:
        try:
            hog = (hog, bytearray(size))
        except MemoryError:
            size //= 2
    while True:
        hog = (hog,)
"""
    died = await death(any_runtime, source, memory_bytes=32 * 2**20)
    assert (died.category, died.reason) == ("memory", "it needed more than 32 MiB")


@pytest.mark.parametrize(
    ("source", "category"),
    [
        ("async def main(): put('k', 'x' * 20_000)", "frames"),
        ("async def main():\n    while True: put('k', 1)", "frames"),
        (REACH + "os.write(0, b'nonsense, and more of it')", "protocol"),
        (REACH + "os.write(0, b'F' + bytes(4) + (3).to_bytes(4, 'big') + b'\\xff\\xff\\xff')", "protocol"),
        (REACH + "os.write(0, b'F' + bytes(4) + b'\\xff' * 4)", "frames"),
        (REACH + "os.write(0, b'W' + b'\\xff' * 4 + bytes(4))", "protocol"),
        (REACH + "os.write(0, b'W' + bytes(8))", "protocol"),
        (REACH + "os.write(0, b'L' + bytes(4) + b'\\xff' * 4)", "protocol"),
        (REACH + "os.write(0, b'F' + bytes(4) + (9).to_bytes(4, 'big') + b'x')\nos._exit(0)", "crashed"),
        (REACH + "os._exit(3)", "crashed"),
        (REACH + "os.close(0)\nwhile True: pass", "crashed"),
        (REACH + "ctypes.string_at(0)", "crashed"),
        (REACH + "os.abort()", "crashed"),
        ("async def main():\n    json = log.__globals__['_a_json']\n    json.dumps = None", "crashed"),
    ],
)
async def test_what_no_script_does_ends_it(any_runtime: JailRuntime, source: str, category: str) -> None:
    assert (await death(any_runtime, source, frame_bytes=10_000, frames=50)).category == category


async def test_what_it_prints_is_cut_and_that_is_said_once(any_runtime: JailRuntime) -> None:
    source = "async def main():\n    for _ in range(9): print('x' * 40)"
    asked = await run(any_runtime, source, GuestLimits(output_bytes=100))
    told = "".join(frame["text"] for frame in asked if frame["do"] == "print")
    assert told.startswith(("x" * 40 + "\n") * 2 + "x" * 18)
    assert told.count("dropped") == 1
    assert len(told) < 200


async def test_one_that_takes_no_answers_is_ended(any_runtime: JailRuntime) -> None:
    source = REACH + "while True: pass"
    async with any_runtime.guest(program(source), GuestLimits(turn_seconds=0.2)) as guest:
        await guest.send("x" * 10_000_000)
        with pytest.raises(GuestDied, match="turn"):
            await guest.receive()


# --- nothing of them stays --------------------------------------------------------------------------------------------


def processes(runtime: JailRuntime) -> set[int]:
    return set(descendants(zygote_of(runtime.sandbox).pid))


ENDLESS = "async def main():\n    print('here')\n    while True: now()"


async def test_leaving_early_leaves_no_process(runtime: JailRuntime) -> None:
    await runtime.warm()
    before = processes(runtime)
    async with runtime.guest(program(ENDLESS), GuestLimits()) as guest:
        assert "here" in (await guest.receive() or "")
        assert len(processes(runtime)) == len(before) + 1
    assert processes(runtime) == before
    with pytest.raises(ZeroDivisionError):
        async with runtime.guest(program("while True: pass"), GuestLimits()):
            raise ZeroDivisionError
    assert processes(runtime) == before


async def test_cancellation_leaves_no_process(runtime: JailRuntime) -> None:
    await runtime.warm()
    before = processes(runtime)
    finished: list[object] = []

    async def one(started: anyio.Event) -> None:
        async with runtime.guest(program(ENDLESS), GuestLimits()) as guest:
            await guest.receive()
            started.set()
            finished.append(await frames(guest))

    started = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(one, started)
        await started.wait()
        group.cancel_scope.cancel()
    assert not finished, "cancellation was swallowed"
    assert processes(runtime) == before
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with runtime.guest(program(ENDLESS), GuestLimits()):
            pytest.fail("it began although it was cancelled")
    assert scope.cancelled_caught
    assert processes(runtime) == before


async def test_one_is_killed_with_the_reason_that_is_given(any_runtime: JailRuntime) -> None:
    async with any_runtime.guest(program("while True: pass"), GuestLimits()) as guest:
        await guest.kill("it swallowed its cancellation")
        await guest.kill("again")
        for _ in range(2):
            with pytest.raises(GuestDied) as caught:
                await guest.receive()
            assert (caught.value.category, caught.value.reason) == ("killed", "it swallowed its cancellation")
        await guest.send("{}")


async def test_killing_wakes_who_waits(any_runtime: JailRuntime) -> None:
    async with any_runtime.guest(program("async def main(): await agent('x')"), GuestLimits()) as guest:
        assert "agent" in (await guest.receive() or "")
        async with anyio.create_task_group() as group:
            group.start_soon(guest.kill, "enough")
            with pytest.raises(GuestDied, match="enough"):
                await guest.receive()


async def test_fifty_at_once(any_runtime: JailRuntime) -> None:
    await any_runtime.warm()
    before = processes(any_runtime)
    said: dict[int, Any] = {}

    async def one(number: int) -> None:
        async with any_runtime.guest(
            program(f"async def main(): return await agent('x') + {number}"), GuestLimits()
        ) as guest:
            said[number] = (await frames(guest, {"call": 1000}))[-1]["value"]

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(one, number)
    assert said == {number: 1000 + number for number in range(50)}
    assert processes(any_runtime) == before


async def test_no_descriptor_is_left_open(any_runtime: JailRuntime) -> None:
    await value(any_runtime, "async def main(): return 1")
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        await value(any_runtime, "async def main(): return 1")
    assert len(os.listdir("/proc/self/fd")) == len(before)


# --- where there is none ----------------------------------------------------------------------------------------------


@pytest.fixture
def fresh() -> None:
    probe_jail.cache_clear()


@pytest.mark.usefixtures("fresh")
async def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(JailUnusable, match=r"system calls of x86_64 and aarch64, not riscv64") as caught:
        choose_jail()
    assert isinstance(caught.value, UsageError)
    assert "monty" in (caught.value.advice or "")
    probe_jail.cache_clear()


@pytest.mark.parametrize("sandbox", [Unconfined(consented=True), Container(engine="podman", client="/x", image="y")])
async def test_what_leaves_privileges_is_no_place_for_guests(sandbox: Sandbox) -> None:
    with pytest.raises(JailUnusable, match="is no sandbox to fork scripts in"):
        JailRuntime(sandbox)


@pytest.mark.usefixtures("fresh")
async def test_a_sandbox_that_does_not_work_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not probe_jail("nonsense").usable
    monkeypatch.setenv("PATH", "")
    probe.cache_clear()
    tried = probe_jail("bubblewrap")
    assert (tried.usable, "bwrap is not on PATH" in tried.reason) == (False, True)
    probe.cache_clear()
    probe_jail.cache_clear()
