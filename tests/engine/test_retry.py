"""Retries: jittered, bounded in tries and time, patient when asked, and never a second chance for cancellation."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine.retry import RetryPolicy

pytestmark = pytest.mark.anyio


class Busy(Exception):
    """The other side is busy."""

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Broken(Exception):
    """Trying again does not help."""


def busy(error: Exception) -> bool:
    return isinstance(error, Busy)


def failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """A function that raises these, one a call, and then succeeds; and when it was called."""
    left, called = list(errors), list[float]()

    async def fn() -> str:
        called.append(anyio.current_time())
        await checkpoint()
        if left:
            raise left.pop(0)
        return "done"

    return fn, called


QUICK = RetryPolicy(attempts=4, total_seconds=10, initial_seconds=0.002, maximum_seconds=0.004)


async def test_success_needs_one_try() -> None:
    fn, called = failing()
    assert await QUICK.run(fn, retryable=busy) == "done"
    assert len(called) == 1


async def test_it_tries_until_it_succeeds_and_tells_of_every_pause() -> None:
    fn, called = failing(Busy(), Busy())
    told: list[tuple[str, float]] = []
    assert await QUICK.run(fn, retryable=busy, on_retry=lambda error, pause: told.append((str(error), pause))) == "done"
    assert len(called) == 3
    assert [error for error, _ in told] == ["busy", "busy"]
    assert 0.001 <= told[0][1] <= 0.002 <= told[1][1] <= 0.004


async def test_the_last_error_is_raised_itself() -> None:
    errors = [Busy() for _ in range(4)]
    fn, called = failing(*errors)
    with pytest.raises(Busy) as caught:
        await QUICK.run(fn, retryable=busy)
    assert caught.value is errors[-1]
    assert len(called) == 4


async def test_what_cannot_be_helped_is_not_tried_again() -> None:
    fn, called = failing(Busy(), Broken())
    with pytest.raises(Broken):
        await QUICK.run(fn, retryable=busy)
    assert len(called) == 2


async def test_one_attempt_means_no_retry() -> None:
    fn, called = failing(Busy())
    with pytest.raises(Busy):
        await RetryPolicy(attempts=1).run(fn, retryable=busy)
    assert len(called) == 1


async def test_it_waits_as_long_as_the_other_side_asks() -> None:
    fn, called = failing(Busy(retry_after=0.02))
    await QUICK.run(fn, retryable=busy)
    assert called[1] - called[0] >= 0.02


@pytest.mark.parametrize("asked", [float("nan"), -3.0])
async def test_what_is_no_time_is_not_waited_for(asked: float) -> None:
    fn, called = failing(Busy(retry_after=asked))
    told: list[float] = []
    await QUICK.run(fn, retryable=busy, on_retry=lambda _, pause: told.append(pause))
    assert told[0] <= 0.002
    assert len(called) == 2


@pytest.mark.parametrize("asked", [86_400.0, float("inf")])
async def test_it_waits_no_longer_than_the_policy_listens(asked: float) -> None:
    fn, _ = failing(Busy(retry_after=asked))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    policy = RetryPolicy(total_seconds=None, asked_seconds=60.0)
    assert await policy.run(fn, retryable=busy, sleep=sleep) == "done"
    assert slept == [60.0]


async def test_no_try_begins_after_the_total_time() -> None:
    fn, called = failing(Busy(retry_after=11))
    with pytest.raises(Busy):
        await QUICK.run(fn, retryable=busy)
    assert len(called) == 1


async def test_without_a_total_only_the_tries_count() -> None:
    fn, called = failing(Busy(), Busy())
    assert await RetryPolicy(total_seconds=None, initial_seconds=0.001).run(fn, retryable=busy) == "done"
    assert len(called) == 3


async def test_the_jitter_is_fixed_by_seed_and_key() -> None:
    async def pauses(seed: int, key: str) -> list[float]:
        policy = RetryPolicy(attempts=3, initial_seconds=0.001, seed=seed)
        told: list[float] = []
        fn, _ = failing(Busy(), Busy())
        await policy.run(fn, retryable=busy, key=key, on_retry=lambda _, pause: told.append(pause))
        return told

    assert await pauses(1, "a") == await pauses(1, "a")
    assert await pauses(1, "a") != await pauses(1, "b")
    assert await pauses(1, "a") != await pauses(2, "a")


@pytest.mark.parametrize("failures", [0, 1])
async def test_a_cancelled_try_is_never_repeated(failures: int) -> None:
    called = 0

    async def fn() -> None:
        nonlocal called
        called += 1
        if called <= failures:
            raise Busy
        tasks.cancel_scope.cancel()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        await QUICK.run(fn, retryable=lambda _: True)
        raise AssertionError("went on")
    assert called == failures + 1


async def test_a_cancelled_pause_ends_at_once() -> None:
    fn, called = failing(Busy(retry_after=5))
    async with anyio.create_task_group() as tasks:
        await QUICK.run(fn, retryable=busy, on_retry=lambda _error, _pause: tasks.cancel_scope.cancel())
        raise AssertionError("went on")
    assert len(called) == 1


def test_a_policy_has_at_least_one_attempt() -> None:
    with pytest.raises(ValueError, match="at least 1 attempt"):
        RetryPolicy(attempts=0)
