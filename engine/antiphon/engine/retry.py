"""Retry: what an attempt does when the other side is busy. Never applied to cancellation, nor without an end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import isnan
from random import Random
from typing import Generic, TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base

T = TypeVar("T")


def retry_after_of(error: Exception) -> float | None:
    """The seconds that the other side asked to wait: the error's own `retry_after`, if that is a time at all."""
    asked = getattr(error, "retry_after", None)
    if not isinstance(asked, int | float) or isnan(asked):
        return None
    return max(0.0, float(asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, how long and how patiently to try again.

    Attributes:
        attempts: Tries in all, the first included; at least 1.
        total_seconds: No try begins later than this after the first one began; `None` means no limit.
        initial_seconds: The pause after the first failure; it doubles with each further one.
        maximum_seconds: The longest pause, unless the other side asks for a longer one.
        asked_seconds: The longest pause that the other side can ask for; it may name a year, or be wrong.
        seed: Fixes the jitter, together with the key of a run.
    """

    attempts: int = 4
    total_seconds: float | None = 120.0
    initial_seconds: float = 0.5
    maximum_seconds: float = 30.0
    asked_seconds: float = 300.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"a retry policy needs at least 1 attempt, not {self.attempts}")

    async def run(
        self,
        fn: Callable[[], Awaitable[T]],
        *,
        retryable: Callable[[Exception], bool],
        retry_after: Callable[[Exception], float | None] = retry_after_of,
        on_retry: Callable[[Exception, float], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        key: str = "",
    ) -> T:
        """Call `fn` until it succeeds, fails for good, or the policy gives up.

        Args:
            fn: One try.
            retryable: Whether another try may help after this error.
            retry_after: The seconds that the other side asked to wait; a longer wait than is left ends the tries.
            on_retry: Told of each error that is followed by another try, with the seconds until then.
            sleep: Waits for so many seconds.
            key: Whose tries these are, such as a branch's path: others with the same seed pause differently.

        Raises:
            Exception: The last error of `fn`.
        """
        began = anyio.current_time()
        try:
            return await fn()
        except Exception as error:
            if self.attempts == 1 or not retryable(error):
                raise
            failed = error
        # Only now is tenacity worth its cost: a first try that succeeds, which nearly all do, never gets here.
        pause = _Pause(self, Random(f"{self.seed}/{key}"), retry_after)
        retrying = AsyncRetrying(
            sleep=sleep,
            stop=stop_after_attempt(self.attempts) | _OutOfTime(began, self.total_seconds),
            wait=pause,
            retry=retry_if_exception(lambda error: isinstance(error, Exception) and retryable(error)),
            before_sleep=None if on_retry is None else _Told(on_retry),
            reraise=True,
        )
        return await retrying(_Tries(fn, failed).next)


@dataclass(slots=True)
class _Tries(Generic[T]):
    """The tries of one run, as tenacity sees them: the first has failed already."""

    fn: Callable[[], Awaitable[T]]
    failed: Exception | None

    async def next(self) -> T:
        if self.failed is not None:
            error, self.failed = self.failed, None
            raise error
        return await self.fn()


@dataclass(frozen=True, slots=True)
class _Pause:
    """Exponential with jitter, or as long as the other side asked."""

    policy: RetryPolicy
    random: Random
    retry_after: Callable[[Exception], float | None]

    def __call__(self, state: RetryCallState) -> float:
        doubled = self.policy.initial_seconds * 2.0 ** min(state.attempt_number - 1, 60)
        jittered = min(doubled, self.policy.maximum_seconds) * self.random.uniform(0.5, 1.0)
        return max(jittered, self.asked(_error(state)))

    def asked(self, error: Exception) -> float:
        """The seconds that the other side asked for, as far as the policy listens."""
        return min(self.retry_after(error) or 0.0, self.policy.asked_seconds)


@dataclass(frozen=True, slots=True)
class _OutOfTime(stop_base):
    """Whether the next try would begin too late, on the backend's clock (tenacity's own looks at the real one)."""

    began: float
    total_seconds: float | None

    def __call__(self, state: RetryCallState) -> bool:
        if self.total_seconds is None:
            return False
        return anyio.current_time() + state.upcoming_sleep - self.began > self.total_seconds


@dataclass(frozen=True, slots=True)
class _Told:
    on_retry: Callable[[Exception, float], None]

    def __call__(self, state: RetryCallState) -> None:
        self.on_retry(_error(state), state.upcoming_sleep)


def _error(state: RetryCallState) -> Exception:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, Exception)
    return error
