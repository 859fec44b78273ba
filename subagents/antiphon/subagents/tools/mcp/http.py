"""The SDK's transport for streamable HTTP, over a client that is held to a size and looks at no environment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from antiphon.subagents.model.guard import check_allowed
from antiphon.subagents.tools.mcp.stdio import LINE_BYTES

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

CONNECT_SECONDS: Final = 15.0


@asynccontextmanager
async def http_transport(url: str, headers: Mapping[str, str], read_seconds: float) -> AsyncGenerator[TransportStreams]:
    """Streams of messages to and from a URL.

    Proxies and credentials of the environment are not used, redirects are followed within the URL's own origin only,
    and an answer may not be compressed, as a small one could become any size.

    Args:
        url: where the server listens.
        headers: of every request.
        read_seconds: how long an open answer may be silent.

    Raises:
        RealRequestForbidden: that is not this machine, and requests beyond it are forbidden.
    """
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    from antiphon.subagents.tools.mcp.capped import Capped

    check_allowed(url)
    async with (
        httpx2.AsyncClient(
            headers={**headers, "accept-encoding": "identity"},
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=read_seconds),
            transport=Capped(httpx2.AsyncHTTPTransport(), LINE_BYTES),
            trust_env=False,
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=LINE_BYTES) as streams,
    ):
        yield streams
