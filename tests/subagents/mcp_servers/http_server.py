"""The SDK's own server, over HTTP on a port of its choice, which it prints. It ends when its input does."""

import os
import socket
import sys
import threading

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer

app = MCPServer("served", log_level="CRITICAL")
cancelled: list[str] = []


@app.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@app.tool()
async def traced(ctx: Context) -> str:
    """What the request says of the trace it belongs to."""
    meta = dict(ctx.request_context.meta or {})
    return str(meta.get("traceparent", "none"))


@app.tool()
async def waits() -> str:
    """Wait until it is cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        cancelled.append("waits")
    raise AssertionError


@app.tool()
def were_cancelled() -> list[str]:
    """What was cancelled."""
    return cancelled


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(app.streamable_http_app(), log_level="critical")
    uvicorn.Server(config).run(sockets=[listening])
