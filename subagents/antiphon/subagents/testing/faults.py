"""Faults by seed: a share of a server's answers goes wrong, the same ones whatever the order in which requests come."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from antiphon.subagents.testing.doubles import Good
from antiphon.subagents.testing.served import (
    Asked,
    Served,
    broken,
    cut,
    malformed,
    misreported,
    overloaded,
    rate_limited,
)

if TYPE_CHECKING:
    from antiphon.subagents.testing.loopback import Answering, Said

Fault = Callable[[Good], Served]
"""What becomes of an answer that would have been good."""

PASSING: Final[Sequence[Fault]] = (
    lambda said: rate_limited(0.01),
    lambda said: rate_limited(0, date=True),
    lambda said: overloaded(503),
    lambda said: overloaded(529),
    lambda said: broken(500),
    malformed,
    lambda said: cut(said, "before"),
    lambda said: cut(said, "headers"),
    lambda said: cut(said, "body"),
    lambda said: misreported(said, None),
)
"""Faults after which asking again helps, and answers that do not say what they cost."""


class Faults:
    """Answers as `answer` does, but a share of the good answers meets a fault.

    ``LoopbackServer(Faults(answer, share=0.2, seed=7))``. Which request meets which depends on the seed, on what it
    says and on how often it came before; so a retry may succeed, and no timing decides.

    Args:
        answer: what to do with a request that meets none.
        share: how many of all requests meet one, from 0 to 1.
        seed: another one makes other requests fail.
        faults: which there are; each is as likely.
    """

    def __init__(
        self, answer: Answering, *, share: float = 0.2, seed: int = 0, faults: Sequence[Fault] = PASSING
    ) -> None:
        self._answer, self._share, self._seed, self._faults = answer, share, seed, faults

    def __call__(self, asked: Asked) -> Said | Awaitable[Said]:
        """The answer, or what becomes of it."""
        digest = sha256(f"{self._seed}/{asked.seen}/{json.dumps(asked.body, sort_keys=True)}".encode()).digest()
        if int.from_bytes(digest[:8]) >= self._share * 2**64:
            return self._answer(asked)
        return self._faulty(asked, self._faults[int.from_bytes(digest[8:16]) % len(self._faults)])

    async def _faulty(self, asked: Asked, fault: Fault) -> Said:
        given = self._answer(asked)
        said = await given if isawaitable(given) else given
        if not isinstance(said, Served):
            return fault(said)
        return fault(said.said) if said.status == 200 and said.said is not None else said
