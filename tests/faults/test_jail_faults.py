"""The jail when something is killed: the host, the process that guests are forked from, a guest."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, Program
from antiphon.subagents.jail import JailRuntime, end_zygotes, probe_jail
from antiphon.subagents.jail.keeping import zygote_of
from antiphon.subagents.sandbox import BACKENDS
from antiphon.subagents.sandbox.watch import descendants

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="there are jails on Linux only"),
]
ENDLESS = Program(source="print('here')\nwhile True: pass", file="script.py", token="root")
WAITING = Program(source="async def main(): return await agent('x')", file="script.py", token="root")


@pytest.fixture(params=BACKENDS)
def runtime(request: pytest.FixtureRequest) -> JailRuntime:
    """The jail in each sandbox that works here."""
    tried = probe_jail(request.param)
    if tried.runtime is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.runtime


def all_die(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether these processes end within some seconds; they are waited for, not polled."""
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if not select.select([descriptor], [], [], seconds)[0]:
                    return False
            finally:
                os.close(descriptor)
    return True


def family(runtime: JailRuntime) -> list[int]:
    """The process that was started for the jail, and all below it: the last ones are guests."""
    first = zygote_of(runtime.sandbox).pid
    return [first, *descendants(first)]


async def death(guest: Guest) -> GuestDied:
    """How it died, after its last frame."""
    try:
        while await guest.receive() is not None:
            pass
    except GuestDied as died:
        return died
    pytest.fail("it ended by itself")


async def ends_well(runtime: JailRuntime) -> bool:
    async with runtime.guest(WAITING, GuestLimits()) as guest:
        frame = json.loads(await guest.receive() or "")
        await guest.send(json.dumps({"id": frame["id"], "value": 7}))
        return bool(json.loads(await guest.receive() or "")["value"] == 7)


@pytest.mark.parametrize("which", ["first", "second", "forking"])
async def test_guests_of_a_killed_zygote_end_and_the_next_has_a_new_one(runtime: JailRuntime, which: str) -> None:
    await runtime.warm()
    without = family(runtime)
    async with runtime.guest(WAITING, GuestLimits()) as waiting, runtime.guest(ENDLESS, GuestLimits()) as computing:
        assert "agent" in (await waiting.receive() or "")
        everybody = family(runtime)
        os.kill({"first": without[0], "second": without[1], "forking": without[-1]}[which], signal.SIGKILL)
        for guest in (waiting, computing):
            assert (await death(guest)).category == "crashed"
        assert await ends_well(runtime)
    assert len(everybody) == len(without) + 2
    assert all_die(everybody)
    assert not set(family(runtime)) & set(everybody)


async def test_a_zygote_killed_before_a_guest_begins_is_replaced(runtime: JailRuntime) -> None:
    for _ in range(3):
        await runtime.warm()
        os.kill(family(runtime)[-1], signal.SIGKILL)
        assert await ends_well(runtime)


async def test_guests_begun_while_the_zygote_is_killed_end_or_are_well(runtime: JailRuntime) -> None:
    await runtime.warm()
    ended: list[bool] = []

    async def one() -> None:
        try:
            ended.append(await ends_well(runtime))
        except GuestDied as died:
            ended.append(died.category == "crashed")

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one)
        os.kill(family(runtime)[-1], signal.SIGKILL)
    assert ended == [True] * 10
    assert await ends_well(runtime)


async def test_a_killed_guest_takes_nobody_with_it(runtime: JailRuntime) -> None:
    await runtime.warm()
    without = family(runtime)
    async with runtime.guest(WAITING, GuestLimits()) as other, runtime.guest(ENDLESS, GuestLimits()) as guest:
        assert "agent" in (await other.receive() or "")
        pid = (set(family(runtime)) - set(without)).pop()
        victim, survivor = (other, guest) if pid == min(set(family(runtime)) - set(without)) else (guest, other)
        os.kill(pid, signal.SIGKILL)
        assert (await death(victim)).category == "crashed"
        assert await ends_well(runtime)
        await survivor.kill("enough")
    assert family(runtime) == without


async def test_a_zygote_that_is_ended_is_gone_with_all_its_guests(runtime: JailRuntime) -> None:
    async with runtime.guest(ENDLESS, GuestLimits()) as guest:
        everybody = family(runtime)
        await anyio.to_thread.run_sync(end_zygotes)
        assert all_die(everybody)
        assert (await death(guest)).category == "crashed"
    assert await ends_well(runtime)


HOST = """
import os, sys, anyio
from antiphon.engine.script.runtime import GuestLimits, Program
from antiphon.subagents.jail import choose_jail
backend, name, ready, forked = sys.argv[1:]
program = Program(source="print(1)\\nwhile True: pass", file="s", token="t")
async def main():
    async with choose_jail(name).guest(program, GuestLimits()) as guest:
        if forked == "forked" and os.fork() == 0:  # holds all that we hold, and stays
            os.write(int(ready), b"%d " % os.getpid())
            os.close(int(ready))
            os.read(0, 1)
            os._exit(0)
        os.write(int(ready), b".")
        os.close(int(ready))
        await anyio.sleep_forever()
anyio.run(main, backend=backend)
"""


@pytest.mark.parametrize(("backend", "forked"), [("asyncio", "forked"), ("trio", "alone")])
def test_everything_dies_when_antiphon_is_killed(runtime: JailRuntime, backend: str, forked: str) -> None:
    ready, theirs = os.pipe()
    command = [sys.executable, "-c", HOST, backend, runtime.sandbox.name, str(theirs), forked]
    with subprocess.Popen(command, pass_fds=(theirs,), stdin=subprocess.PIPE) as host:
        os.close(theirs)
        said = b""
        while piece := os.read(ready, 100):
            said += piece
        fork = [int(word) for word in said.replace(b".", b" ").split()]
        inside = [pid for pid in descendants(host.pid) if pid not in fork]
        assert len(inside) >= 3
        assert any("zygote.py" in Path(f"/proc/{pid}/cmdline").read_text() for pid in inside)
        host.kill()
        assert all_die(inside)
        assert all(not select.select([pidfd], [], [], 0)[0] for pidfd in map(os.pidfd_open, fork))
    assert all_die(fork)
    os.close(ready)


def test_nothing_stays_when_antiphon_ends_by_itself(runtime: JailRuntime) -> None:
    code = """
import sys, anyio
from antiphon.subagents.jail import choose_jail
from antiphon.subagents.jail.keeping import zygote_of
from antiphon.subagents.sandbox.watch import descendants
runtime = choose_jail(sys.argv[1])
anyio.run(runtime.warm)
first = zygote_of(runtime.sandbox).pid
print(first, *descendants(first))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, runtime.sandbox.name], capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    assert all_die([int(word) for word in ended.stdout.split()])


@pytest.mark.long
async def test_a_guest_that_waits_long_lives(runtime: JailRuntime) -> None:
    """A thread of trio's expires after ten seconds without work; what dies with such a thread would die then."""
    async with runtime.guest(WAITING, GuestLimits(turn_seconds=5)) as guest:
        frame = json.loads(await guest.receive() or "")
        with anyio.move_on_after(15):
            pytest.fail(f"it said {await guest.receive()}")
        await guest.send(json.dumps({"id": frame["id"], "value": "whole"}))
        assert json.loads(await guest.receive() or "")["value"] == "whole"
