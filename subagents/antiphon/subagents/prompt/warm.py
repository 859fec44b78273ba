"""The first of many goes ahead: siblings that share a long prefix wait until the provider has it in its prompt cache.

Providers write a prefix to their cache when they answer the first request that has it, so that a thousand siblings sent
at once all pay for reading it afresh. With this on, the first request of each prefix goes alone, and the others follow
when it is over: answered, failed or cancelled, whichever it is. Off unless asked for: it costs one answer's time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from typing import Final

import anyio

from antiphon.subagents.model.contract import Completion, Model, ModelClient, Request
from antiphon.subagents.model.registry import Models

MOST_WAIT_SECONDS: Final = 60.0
"""So long others wait for the first: one that hangs costs time, and nothing else."""


class Warm:
    """Holds back all but the first request of each prefix until the first is over. One a run.

    Args:
        most_wait_seconds: how long to hold one back; None for no limit.
    """

    def __init__(self, most_wait_seconds: float | None = MOST_WAIT_SECONDS) -> None:
        self._over: dict[str, anyio.Event] = {}
        self._most_wait_seconds = most_wait_seconds

    @asynccontextmanager
    async def ahead(self, request: Request) -> AsyncGenerator[None]:
        """Send the request inside this. A request without a cache marker is never held back."""
        prefix = prefix_of(request)
        over = self._over.get(prefix) if prefix else None
        if not prefix or (over is not None and over.is_set()):
            yield
        elif over is not None:
            with anyio.move_on_after(self._most_wait_seconds):
                await over.wait()
            yield
        else:
            first = self._over[prefix] = anyio.Event()
            try:
                yield
            finally:
                first.set()


class WarmClient:
    """A client whose first request of each prefix goes ahead of the others.

    It wraps the client because that is called last, with budget, permit and rates already had: the first is never one
    that waits for what those behind it hold.
    """

    def __init__(self, client: ModelClient, warm: Warm) -> None:
        self._client, self._warm = client, warm

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient.complete`."""
        async with self._warm.ahead(request):
            return await self._client.complete(request)

    async def close(self) -> None:
        """See `ModelClient.close`."""
        await self._client.close()


def warmed(model: Model, warm: Warm) -> Model:
    """The model, its first requests going ahead; as it is where its provider takes no cache markers."""
    return replace(model, client=WarmClient(model.client, warm)) if model.can.caching else model


class WarmModels(Models):
    """The models of a run, the first request of each prefix going ahead: ``WarmModels.of(specs)``."""

    @cached_property
    def warm(self) -> Warm:
        """What holds the others back; one for all models."""
        return Warm()

    def model_for(self, role: str, named: str | None = None) -> Model:
        """See `Models.model_for`."""
        return warmed(super().model_for(role, named), self.warm)


def prefix_of(request: Request) -> str:
    """A hash of what siblings share: model, tools and the messages up to the last marker; "" without marker.

    A marker on the very last message is for the turns to come of this one conversation, and does not count.
    """
    marked = [place for place, message in enumerate(request.messages[:-1]) if message.cached]
    if not marked:
        return ""
    said = [[message.role, message.text] for message in request.messages[: marked[-1] + 1]]
    text = json.dumps([request.model, [spec.name for spec in request.tools], said])
    return hashlib.sha256(text.encode()).hexdigest()
