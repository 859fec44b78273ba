"""The asyncio thread: jobs answer callers on either backend, and a caller's cancellation reaches its job."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from antiphon.subagents.model.portal import AsyncioThread

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

mark = ContextVar("mark", default="none")


@pytest.fixture
async def thread() -> AsyncIterator[AsyncioThread]:
    thread = AsyncioThread("portal test")
    yield thread
    await thread.close()


def named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


class Held:
    """A job that waits for ever, and says when it began and when it was cancelled."""

    def __init__(self) -> None:
        self.began, self.let_go = threading.Event(), threading.Event()

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.let_go.set()


async def until(event: threading.Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, 20)


async def test_a_job_runs_on_the_threads_own_loop(thread: AsyncioThread) -> None:
    async def where() -> str:
        assert asyncio.get_running_loop()
        return threading.current_thread().name

    assert await thread.run(where) == "portal test"


async def test_what_a_job_raises_is_raised_in_its_caller(thread: AsyncioThread) -> None:
    async def fails() -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        await thread.run(fails)


async def test_a_job_sees_nothing_of_its_callers_context(thread: AsyncioThread) -> None:
    async def seen() -> str:
        before = mark.get()
        mark.set("by a job")
        return before

    mark.set("by the caller")
    assert [await thread.run(seen), await thread.run(seen)] == ["none", "none"]


async def test_many_jobs_are_in_flight_at_once(thread: AsyncioThread) -> None:
    together = asyncio.Barrier(50)

    async def meets() -> None:
        await together.wait()

    async with anyio.create_task_group() as callers:
        for _ in range(50):
            callers.start_soon(thread.run, meets)
    assert not together.broken


async def test_cancelling_a_caller_ends_its_job_before_the_caller_goes_on(thread: AsyncioThread) -> None:
    held = Held()
    async with anyio.create_task_group() as callers:
        callers.start_soon(thread.run, held.run)
        await until(held.began)
        callers.cancel_scope.cancel()
    assert held.let_go.is_set()


async def test_a_deadline_ends_a_job_too(thread: AsyncioThread) -> None:
    held = Held()
    with anyio.move_on_after(0.05) as scope:
        await thread.run(held.run)
    assert scope.cancelled_caught
    assert held.let_go.is_set()


async def test_a_coroutine_made_in_a_thread_for_a_cancelled_job_is_closed(thread: AsyncioThread) -> None:
    began, go_on, made = threading.Event(), threading.Event(), list[Coroutine[Any, Any, None]]()

    async def never_awaited() -> None:
        raise AssertionError("it was run")

    def makes_one() -> Coroutine[Any, Any, None]:
        began.set()
        go_on.wait(20)
        made.append(never_awaited())
        return made[0]

    async def hands_it_over() -> None:
        await (await asyncio.get_running_loop().run_in_executor(None, makes_one))

    async with anyio.create_task_group() as callers:
        callers.start_soon(thread.run, hands_it_over)
        await until(began)
        callers.cancel_scope.cancel()
    go_on.set()
    await thread.close()
    await until_closed(made)


async def until_closed(made: list[Coroutine[Any, Any, None]]) -> None:
    """Wait for the executor's thread."""
    with anyio.fail_after(20):
        while not made or inspect.getcoroutinestate(made[0]) != inspect.CORO_CLOSED:
            await anyio.lowlevel.checkpoint()


async def test_closing_ends_what_runs_and_the_thread() -> None:
    thread, held = AsyncioThread("portal to close"), Held()
    async with anyio.create_task_group() as callers:

        async def waits() -> None:
            with pytest.raises(RuntimeError, match="ended before its job"):
                await thread.run(held.run)

        callers.start_soon(waits)
        await until(held.began)
        await thread.close()
    assert held.let_go.is_set()
    assert named("portal to close") == []


async def test_closing_twice_does_nothing_more_and_nothing_runs_afterwards() -> None:
    thread = AsyncioThread("portal closed")
    await thread.close()
    await thread.close()
    with pytest.raises(RuntimeError):
        await thread.run(Held().run)
