"""One asyncio loop in a thread of its own, for libraries that know only asyncio; called from asyncio and trio alike.

Such a library keeps tasks, clients and queues on the loop that first called it. Here that is always this one, so
nothing of it is left on a caller's loop, and its work never keeps a caller's loop from turning.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")

GRACE_SECONDS = 5.0
"""How long a cancelled job may take to let go of what it holds."""
THREADS = 8
"""For what a library does in threads of its loop. Many would only fight for the interpreter."""


class AsyncioThread:
    """An asyncio loop that runs jobs for callers on any loop.

    Cancelling a caller cancels its job, and waits until the job has ended, so that its sockets are closed by then.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_Threads(THREADS, thread_name_prefix=name))
        # A daemon: who forgets to close it must not keep the process from ending.
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()

    async def run(self, begin: Callable[[], Awaitable[T]]) -> T:
        """What the job that `begin` makes on the thread's loop returns, or what it raises.

        Raises:
            RuntimeError: the thread was closed.
        """
        job = _Job(begin, _ringing())
        # An empty context: the caller's says, among other things, that this is trio.
        self._loop.call_soon_threadsafe(job.start, context=Context())
        try:
            await job.ended.wait()
        finally:
            if not job.ended.is_set():
                self._loop.call_soon_threadsafe(job.cancel)
                with anyio.move_on_after(GRACE_SECONDS, shield=True):
                    await job.ended.wait()
        return job.result()

    async def close(self) -> None:
        """Cancel what still runs and end the thread. A second time does nothing."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._loop.stop)
            await anyio.to_thread.run_sync(partial(self._thread.join, 2 * GRACE_SECONDS), abandon_on_cancel=True)

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_ended(asyncio.all_tasks(self._loop)))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()


class _Job(Generic[T]):
    """One job: made, cancelled and finished on the thread's loop, waited for on the caller's."""

    def __init__(self, begin: Callable[[], Awaitable[T]], bell: tuple[anyio.Event, Callable[[], object]]) -> None:
        self._begin, (self.ended, self._ring) = begin, bell
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def result(self) -> T:
        if self._task is None or not self._task.done() or self._task.cancelled():
            raise RuntimeError("the asyncio thread ended before its job did")
        return self._task.result()

    async def _run(self) -> T:
        return await self._begin()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()
        # The caller's loop may be gone by now, and then nobody waits.
        with contextlib.suppress(RuntimeError):
            self._ring()


class _Threads(ThreadPoolExecutor):
    """Threads that leave no coroutine behind: one that its cancelled caller did not take over is closed."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done = super().submit(fn, *args, **kwargs)
        caller = _current_task()
        if caller is not None:
            caller.add_done_callback(lambda _: done.add_done_callback(_close_unstarted))
        return done


def _close_unstarted(done: Future[Any]) -> None:
    result = None if done.cancelled() or done.exception() else done.result()
    if inspect.iscoroutine(result) and inspect.getcoroutinestate(result) == inspect.CORO_CREATED:
        result.close()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _ringing() -> tuple[anyio.Event, Callable[[], object]]:
    """An event of the caller's loop, and what sets it from another thread without waiting for that loop."""
    event, loop = anyio.Event(), anyio.lowlevel.current_token().native_token
    if isinstance(loop, asyncio.AbstractEventLoop):
        return event, partial(loop.call_soon_threadsafe, event.set)
    import trio

    return event, partial(cast(trio.lowlevel.TrioToken, loop).run_sync_soon, event.set)


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    mine = asyncio.current_task()
    left = [task for task in tasks if task is not mine]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=GRACE_SECONDS)
