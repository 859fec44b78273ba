"""A transport of httpx2 whose answers have a largest size. Imported only where a server is asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx2

_EVENTS: Final = "text/event-stream"
_LONGEST_NUMBER: Final = 12


class Capped(httpx2.AsyncBaseTransport):
    """Hands on answers of at most so many bytes; one that is longer, or compressed, is an error.

    Streams of events are handed on as they are: their reader holds each event to a size.

    Args:
        inner: what sends requests.
        most: bytes of one answer.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, most: int) -> None:
        self._inner, self._most = inner, most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, and look at how large the answer is going to be."""
        response = await self._inner.handle_async_request(request)
        if self._refuses(response.headers):
            await response.aclose()
            return httpx2.Response(502, request=request)
        if not response.headers.get("content-type", "").lower().startswith(_EVENTS):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _CappedStream(response.stream, self._most)
        return response

    async def aclose(self) -> None:
        """Close what sends."""
        await self._inner.aclose()

    def _refuses(self, headers: httpx2.Headers) -> bool:
        """Whether an answer is too long, or may become any length as it is unpacked."""
        if headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            return True
        length = headers.get("content-length", "0")
        is_number = length.isascii() and length.isdigit() and len(length) <= _LONGEST_NUMBER
        return not is_number or int(length) > self._most


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for chunk in self._stream:
            left -= len(chunk)
            if left >= 0:
                yield chunk  # what is over is read and thrown away: streams that are left half-read stay open on trio
        if left < 0:
            raise httpx2.StreamError(f"an answer of more than {self._most:,} bytes")

    async def aclose(self) -> None:
        await self._stream.aclose()
