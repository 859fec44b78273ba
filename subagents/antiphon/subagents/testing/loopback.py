"""The application behind `LoopbackServer`. Imports Starlette and uvicorn, so it is imported only when one starts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, cast

import anyio
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from antiphon.subagents.model.contract import Completion, Usage
from antiphon.subagents.testing.doubles import Good, completed, counted
from antiphon.subagents.testing.served import Asked, Served, answered, broken, failed
from antiphon.subagents.testing.tally import Billed, Tally
from antiphon.subagents.testing.wire import request_of, response_of, stream_of, usage_out

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Said = Served | Good
Answering = Callable[[Asked], Said | Awaitable[Said]]


def application(answer: Answering, tally: Tally, models: tuple[str, ...]) -> Starlette:
    """The routes of an OpenAI-compatible provider."""

    async def chat(http: HttpRequest) -> Response:
        return await _chat(http, answer, tally)

    async def listing(_: HttpRequest) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in models]})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", listing, methods=["GET"]),
        ]
    )


def protocol_of(tally: Tally) -> type[asyncio.Protocol]:
    """Uvicorn's protocol on h11, which also counts connections and lends its transport to whoever cuts it."""

    class Counting(H11Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            tally.connection_made()
            self.app_state = {**self.app_state, "transport": transport}
            super().connection_made(cast("asyncio.Transport", transport))

        def connection_lost(self, exc: Exception | None) -> None:
            tally.connection_lost()
            super().connection_lost(exc)

    return Counting


async def _chat(http: HttpRequest, answer: Answering, tally: Tally) -> Response:
    raw = await http.body()
    try:
        body = json.loads(raw)
        request = request_of(body)
    except ValueError as error:
        return _Reply(_refusal(str(error)), None, tally)
    asked = Asked(
        number=len(tally.asked) + 1, request=request, body=body, path=http.url.path, seen=tally.times_seen(raw)
    )
    tally.came(asked)
    try:
        given = answer(asked)
        said = await given if isawaitable(given) else given
    except Exception as error:
        tally.errors.append(error)
        said = broken()
    return _Reply(said if isinstance(said, Served) else answered(said), asked, tally)


def _refusal(problem: str) -> Served:
    return failed(400, f"Invalid request: {problem}", sort="invalid_request_error", code="invalid_request")


class _Reply(Response):
    """A response that waits, breaks and lies as it was told."""

    def __init__(self, served: Served, asked: Asked | None, tally: Tally) -> None:
        self._served, self._asked, self._tally = served, asked, tally
        self._billed = served.billed or Usage()
        content = served.body or b""
        if served.said is not None and asked is not None:
            completion = completed(asked.request, served.said, counted)
            assert completion.usage is not None
            self._billed = served.billed or completion.usage
            content = served.body if served.body is not None else self._content(completion, asked)
        form = "text/event-stream" if _streams(asked) and served.body is None else "application/json"
        super().__init__(content, served.status, dict(served.headers), form)

    def _content(self, completion: Completion, asked: Asked) -> bytes:
        usage = usage_out(self._billed) if self._served.usage == "true" else self._served.usage
        body = response_of(completion, number=asked.number, usage=usage)
        if _streams(asked):
            options = asked.body.get("stream_options")
            return stream_of(body, with_usage=isinstance(options, dict) and "include_usage" in options)
        return json.dumps(body).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. What became of it is written down before the client can know."""
        served = self._served
        if await _gone_within(served.wait_seconds, receive):
            return self._write_down("abandoned")
        if served.cut == "before":
            return await self._break(scope, receive)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if await _gone_within(served.body_wait_seconds, receive):
            return self._write_down("abandoned")
        body = bytes(self.body)
        if served.cut:
            sent = body[: len(body) // 2] if served.cut == "body" else b""
            await send({"type": "http.response.body", "body": sent, "more_body": True})
            return await self._break(scope, receive)
        self._write_down(served.kind)
        await send({"type": "http.response.body", "body": body})

    def _write_down(self, kind: str) -> None:
        asked, served = self._asked, self._served
        if asked is None:
            return
        told = kind == served.kind and not served.cut and served.body is None and served.usage == "true"
        known = told or self._billed == Usage()
        billed = Billed(number=asked.number, kind=kind, usage=self._billed, known=known, model=asked.request.model)
        self._tally.ended(billed)

    async def _break(self, scope: Scope, receive: Receive) -> None:
        """Close the connection as it is, and see it gone."""
        self._write_down(self._served.kind)
        scope["state"]["transport"].close()
        await _gone_within(60.0, receive)


def _streams(asked: Asked | None) -> bool:
    return asked is not None and asked.body.get("stream") is True


async def _gone_within(seconds: float, receive: Receive) -> bool:
    """Wait so long; True as soon as the client is not there any more."""
    if seconds <= 0:
        return False
    with anyio.move_on_after(seconds):
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False
