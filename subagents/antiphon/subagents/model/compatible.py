"""A slim client for any server that speaks OpenAI's chat completions: ``compatible/NAME@http://host:port/v1``.

What litellm does for these servers, at a fraction of its CPU (benchmarks/model_path.py), natively on asyncio and trio:
for a model of one's own that answers hundreds of agents at once.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import anyio

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model.catalogue import capabilities
from antiphon.subagents.model.classify import Failure, Wire, classified, judged, late, no_answer
from antiphon.subagents.model.contract import Completion, Request
from antiphon.subagents.model.guard import check_allowed
from antiphon.subagents.model.keys import NO_KEY, key_for, unsent_key, variable_of
from antiphon.subagents.model.naming import ModelName, taken_apart
from antiphon.subagents.model.openai_form import NoAnswer, answered, asked

if TYPE_CHECKING:
    import ssl

    import httpx2

MOST_IN_POOL = 16
"""Most requests in flight in one pool, which looks through all its connections for each request: beyond some tens that
costs more than the request. The first pool with room is taken, so few connections serve few requests."""
MOST_BYTES = 64 * 1024 * 1024
"""An answer larger than this is not read to its end."""
IDLE_SECONDS = 60.0
CONNECT_SECONDS = 20.0


class CompatibleClient:
    """Sends requests to OpenAI-compatible servers. Nothing is imported or opened before the first one.

    The key is ``COMPATIBLE_API_KEY``, if there is one (``OPENAI_API_KEY`` for a name that begins with ``openai/``);
    over plain http it is sent to this machine only.

    Args:
        api_base: address for models that name none; None if each has to.
        most_in_pool: requests in flight at which another connection pool is begun.
    """

    def __init__(self, api_base: str | None = None, *, most_in_pool: int = MOST_IN_POOL) -> None:
        self._api_base = api_base
        self._most_in_pool = most_in_pool
        self._pools: list[_Pool] = []
        self._closed = False

    @property
    def pools(self) -> int:
        """How many connection pools were begun."""
        return len(self._pools)

    async def complete(self, request: Request) -> Completion:
        """One answer to one request, tried once; `ModelClient.complete` says what it raises."""
        parts = taken_apart(request.model)
        url = parts.url or self._api_base
        if url is None:
            raise UsageError(f"{parts.full} has no address", advice=f"write {parts.full}@http://host:port/v1")
        check_allowed(url)
        with anyio.move_on_after(request.timeout_seconds), self._taken() as pool:
            return await _asked(pool, f"{url}/chat/completions", request, parts)
        raise late(request, sent=True)

    async def close(self) -> None:
        """Close every socket; afterwards it sends nothing any more. A second time does nothing."""
        self._closed = True
        for pool in self._pools:
            await pool.client.aclose()

    @contextmanager
    def _taken(self) -> Generator[httpx2.AsyncClient]:
        """The first pool with room, or a new one."""
        if self._closed:
            raise UsageError("this model client is closed")
        pool = next((pool for pool in self._pools if pool.busy < self._most_in_pool), None)
        if pool is None:
            pool = _Pool(_new_client())
            self._pools.append(pool)
        pool.busy += 1
        try:
            yield pool.client
        finally:
            pool.busy -= 1


@dataclass(slots=True)
class _Pool:
    """Connections, and how many requests are in flight on them."""

    client: httpx2.AsyncClient
    busy: int = 0


async def _asked(pool: httpx2.AsyncClient, url: str, request: Request, parts: ModelName) -> Completion:
    body = {"model": parts.name, **asked(request, marks=capabilities(request.model).caching), "stream": False}
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    headers["authorization"] = f"Bearer {key_for(parts.provider, url)}"
    wire, failure = Wire(), None
    try:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        async with pool.stream("POST", url, content=content, headers=headers) as response:
            wire = Wire(sent=True, status=response.status_code, headers=dict(response.headers))
            answer = await _read(response)
        if wire.status == 200:
            return answered(_json(answer))
        failure = judged(_failure(wire, answer))
    except NoAnswer as error:
        failure = no_answer(parts.full, error)
    except Exception as error:
        failure = classified(error, wire)
    # Raised out here: as its context, the library's own error would carry the request along, and with it the key.
    raise _with_key_named(failure, parts.provider, url)


async def _read(response: httpx2.Response) -> bytes:
    read = bytearray()
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > MOST_BYTES:
            raise InfrastructureError("network", f"an answer of more than {MOST_BYTES >> 20} MB was not read")
    return bytes(read)


def _json(answer: bytes) -> object:
    try:
        return cast(object, json.loads(answer))
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"it is no JSON ({error})") from None


def _failure(wire: Wire, answer: bytes) -> Failure:
    # As it stands: message, type and code are all looked at, whatever the server calls them.
    return Failure(wire.status, answer[:20_000].decode("utf-8", "replace"), wire.headers, sent=True)


def _with_key_named(failure: Exception, provider: str, url: str) -> Exception:
    if not isinstance(failure, InfrastructureError) or failure.category != "authentication":
        return failure
    unset = f"{variable_of(provider)} is not set" if key_for(provider, url) == NO_KEY else ""
    why = unsent_key(provider, url) or unset
    return InfrastructureError("authentication", f"{failure.reason} ({why})") if why else failure


def _new_client() -> httpx2.AsyncClient:
    import httpx2

    # How many requests are in flight is decided above; a limit here would be a second queue that nobody sees.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)
    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
    return httpx2.AsyncClient(limits=limits, timeout=timeout, verify=_tls(), follow_redirects=False)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # One for all pools: it takes longer to make than a request.
    import httpx2

    return httpx2.create_ssl_context()
