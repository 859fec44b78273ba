"""Any provider that litellm knows, on asyncio and trio: tried once, cancelled down to the socket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model.catalogue import LOCAL, capabilities
from antiphon.subagents.model.classify import Wire, classified, late, no_answer
from antiphon.subagents.model.contract import Completion, Request
from antiphon.subagents.model.guard import check_allowed
from antiphon.subagents.model.keys import key_for, unsent_key
from antiphon.subagents.model.naming import ModelName, taken_apart
from antiphon.subagents.model.openai_form import NoAnswer, answered, asked

if TYPE_CHECKING:
    import aiohttp

    from antiphon.subagents.model.litellm_home import Home

LATER_SECONDS = 30.0
"""How much later than ours litellm's own deadline is: ours ends the request, and says so."""


class LitellmClient:
    """Sends requests through litellm. Nothing is imported or opened before the first one.

    Keys come from the environment, by the names that litellm documents (``OPENAI_API_KEY``, ``ANTHROPIC_API_KEY`` …).

    Args:
        api_base: address of the server for models that name none; None for each provider's own.
    """

    def __init__(self, api_base: str | None = None) -> None:
        self._api_base = api_base
        self._home: Home | None = None
        self._moving = anyio.Lock()
        self._closed = False

    async def complete(self, request: Request) -> Completion:
        """One answer to one request, tried once; `ModelClient.complete` says what it raises."""
        self._check_open()
        parts = taken_apart(request.model)
        check_allowed(target_of(parts, self._api_base))
        home = await self._at_home()
        wire: list[Wire] = []
        with anyio.move_on_after(request.timeout_seconds):
            return await self._asked(home, request, parts, wire)
        raise late(request, sent=not wire or wire[-1].sent is not False)

    async def close(self) -> None:
        """Let go of sockets and threads; afterwards it sends nothing any more. A second time does nothing."""
        self._closed = True
        async with self._moving:
            home, self._home = self._home, None
        if home is not None:
            from antiphon.subagents.model.litellm_home import move_out

            await move_out(home)

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("this model client is closed")

    async def _at_home(self) -> Home:
        if self._home is not None:
            return self._home
        async with self._moving:
            self._check_open()
            if self._home is None:
                from antiphon.subagents.model.litellm_home import move_in

                self._home = await move_in()
            return self._home

    async def _asked(self, home: Home, request: Request, parts: ModelName, wire: list[Wire]) -> Completion:
        try:
            answer = await home.ask(wire, lambda pool: self._arguments(request, parts, pool))
            return answered(_plain(answer))
        except NoAnswer as error:
            failure: Exception = no_answer(parts.full, error)
        except Exception as error:
            failure = classified(error, wire[-1] if wire else Wire())
        # Raised out here: as its context, litellm's own error would carry headers along, and with them the key.
        raise await self._with_key_named(failure, home, parts)

    def _arguments(self, request: Request, parts: ModelName, pool: aiohttp.ClientSession) -> dict[str, Any]:
        url = parts.url or self._api_base
        arguments: dict[str, Any] = {
            "model": parts.full,
            **asked(request, marks=capabilities(request.model).caching),
            "stream": False,
            "num_retries": 0,
            "max_retries": 0,
            "shared_session": pool,
        }
        if request.timeout_seconds is not None:
            arguments["timeout"] = request.timeout_seconds + LATER_SECONDS
        if url:
            arguments |= {"api_base": url, "api_key": key_for(parts.provider, url)}
        return arguments

    async def _with_key_named(self, failure: Exception, home: Home, parts: ModelName) -> Exception:
        """The same failure; where a key is missing, with the name of the variable that should hold it."""
        if not isinstance(failure, InfrastructureError) or failure.category != "authentication":
            return failure
        unsent = unsent_key(parts.provider, parts.url or self._api_base)
        missing = await anyio.to_thread.run_sync(_missing_keys, home.litellm, parts)
        why = unsent or (f"not set: {', '.join(missing)}" if missing else "")
        return InfrastructureError("authentication", f"{failure.reason} ({why})") if why else failure


def target_of(parts: ModelName, api_base: str | None = None) -> str:
    """Where a request to a model would go: an address, or the model's full name where only litellm knows that."""
    prefix = parts.provider.upper()
    named = parts.url or api_base or os.environ.get(f"{prefix}_API_BASE") or os.environ.get(f"{prefix}_BASE_URL")
    return named or ("http://localhost" if parts.provider in LOCAL else parts.full)


def _plain(answer: object) -> object:
    """An answer of litellm's as plain data."""
    dump = getattr(answer, "model_dump", None)
    return dump(warnings=False) if callable(dump) else answer


def _missing_keys(litellm: Any, parts: ModelName) -> list[str]:
    try:
        told = cast("Mapping[str, object]", litellm.validate_environment(model=parts.full))
    except Exception:
        return []
    missing = told.get("missing_keys")
    return [str(name) for name in cast("list[object]", missing)] if isinstance(missing, list) else []
