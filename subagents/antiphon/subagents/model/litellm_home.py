"""Where litellm lives: imported on first use, kept quiet and off the network, on one asyncio thread with one pool.

litellm keeps clients, queues and settings for the whole process and ties them to the loop that first used them. So all
clients of a process share one home, and the last to leave ends it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import os
import threading
import warnings
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import anyio.to_thread

from antiphon.subagents.model.classify import Wire
from antiphon.subagents.model.portal import AsyncioThread

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

# litellm is untyped where it matters and different in every version: what is used of it is written out in `_quieted`.
Litellm = Any

OFF_THE_NETWORK = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
}
"""Each of these files litellm otherwise fetches: the first while it is imported, the others during a call."""
NOISY = (r"litellm(\.|$)", r"pydantic(\.|$)")
"""Modules that warn of litellm's own types, while it is imported and while it works."""
CLOSING_SECONDS = 5.0
IDLE_SECONDS = 60.0
"""How long a connection that nobody uses is kept."""

_seen: ContextVar[list[Wire] | None] = ContextVar("antiphon_wire", default=None)
_importing = threading.Lock()


class Home:
    """litellm on its thread. Made by `move_in`, left by `move_out`."""

    def __init__(self, litellm: Litellm) -> None:
        self.litellm = litellm
        self.users = 0
        self._thread = AsyncioThread("litellm")
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, wire: list[Wire], arguments: Callable[[aiohttp.ClientSession], dict[str, Any]]) -> object:
        """One call of litellm's `acompletion`, on its thread.

        Args:
            wire: gets what was seen of the request, the latest last.
            arguments: of the call, given the pool.
        """
        return await self._thread.run(lambda: self._asked(wire, arguments))

    async def on_thread(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Run something on litellm's own loop."""
        return await self._thread.run(begin)

    async def close(self) -> None:
        """Close every socket and end the thread."""
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            await self._thread.run(self._let_go)
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            await self._thread.close()

    async def _asked(self, wire: list[Wire], arguments: Callable[[aiohttp.ClientSession], dict[str, Any]]) -> object:
        _seen.set(wire)
        _without_logging()
        return await self.litellm.acompletion(**arguments(self._pool()))

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = _new_pool()
        return self._session

    async def _let_go(self) -> None:
        """Close what litellm made on this loop, and then our own pool."""
        # litellm keys what it keeps by the loop's id; another loop may get the same id later.
        mine = f"-{id(asyncio.get_running_loop())}"
        cache = getattr(self.litellm, "in_memory_llm_clients_cache", None)
        kept = cast("dict[str, object]", getattr(cache, "cache_dict", {}))
        for key in [key for key in kept if key.endswith(mine)]:
            await _closed(kept.pop(key))
        if self._session is not None:
            await self._session.close()


@dataclass(slots=True)
class _Shared:
    lock: threading.Lock = field(default_factory=threading.Lock)
    home: Home | None = None


_shared = _Shared()


async def move_in() -> Home:
    """The home that all clients of this process share; the first waits while litellm is imported, in a thread."""
    litellm = await anyio.to_thread.run_sync(imported, abandon_on_cancel=True)
    with _shared.lock:
        home = _shared.home = _shared.home or Home(litellm)
        home.users += 1
    return home


async def move_out(home: Home) -> None:
    """Leave; the last one closes it."""
    with _shared.lock:
        home.users -= 1
        last = home.users == 0
        if last and _shared.home is home:
            _shared.home = None
    if last:
        await home.close()


def imported() -> Litellm:
    """litellm, with what talks to others than the provider turned off. Takes seconds the first time: not for a loop."""
    with _importing:
        os.environ.update(OFF_THE_NETWORK)
        # Unless told that it is in production, litellm reads the nearest `.env` above its own files into the
        # environment: inside a project's .venv that is the project's, and may name other keys and other servers.
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
        for module in NOISY:
            warnings.filterwarnings("ignore", module=module)
        return _quieted(importlib.import_module("litellm"))


def _quieted(litellm: Litellm) -> Litellm:
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.set_verbose = False
    litellm.num_retries = None
    litellm.drop_params = False
    litellm.cache = None
    litellm.model_fallbacks = None
    for callbacks in ("callbacks", "input_callback", "success_callback", "failure_callback", "service_callback"):
        setattr(litellm, callbacks, [])
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def _without_logging() -> None:
    """Tell litellm that this is an inner call, which it does not log: a fifth of its CPU, and no task is left."""
    try:
        context = importlib.import_module("litellm._internal_context")
        context.is_internal_call.set(True)
    except (ImportError, AttributeError):
        # Another version: it logs to nobody, as there are no callbacks.
        return


def _new_pool() -> aiohttp.ClientSession:
    import aiohttp

    traced = aiohttp.TraceConfig()
    traced.on_request_start.append(_started)
    traced.on_connection_create_end.append(_connected)
    traced.on_connection_reuseconn.append(_connected)
    traced.on_request_end.append(_answered)
    # No limit of its own: how many requests are in flight is decided above, and a second queue would only hide them.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[traced], trust_env=False
    )


async def _started(session: aiohttp.ClientSession, context: SimpleNamespace, told: object) -> None:
    _see(Wire(sent=False))


async def _connected(session: aiohttp.ClientSession, context: SimpleNamespace, told: object) -> None:
    _see(Wire(sent=True))


async def _answered(
    session: aiohttp.ClientSession, context: SimpleNamespace, told: aiohttp.TraceRequestEndParams
) -> None:
    _see(Wire(sent=True, status=told.response.status, headers=dict(told.response.headers)))


def _see(wire: Wire) -> None:
    seen = _seen.get()
    if seen is not None:
        seen.append(wire)


async def _closed(client: object) -> None:
    close = getattr(client, "aclose", None) or getattr(client, "close", None)
    try:
        waiting = close() if callable(close) else None
        if inspect.isawaitable(waiting):
            await waiting
    except Exception as error:  # A stranger's client; whatever it says, the others have to be closed too.
        logging.getLogger(__name__).debug("closing one of litellm's clients: %s", error)
