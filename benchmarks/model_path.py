"""What a request to a model costs on its way: our clients beside bare HTTP clients that do the same.

``python benchmarks/model_path.py [--quick] [--clients aiohttp,httpx2,compatible,litellm]`` starts a server of its own
in another process on this machine, which answers at once or after one second, and keeps 1, 100, 500 and 1,000 requests
in flight with each client in turn, on asyncio and on trio. It prints calls a second (and how many of those that were
due), CPU of this process for each call, all threads of it, and both as ratios to the first client of the same group:
what else the machine does falls on all of them alike, so read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import anyio

from antiphon.subagents.model import Message, ModelClient, Request
from antiphon.subagents.model.compatible import CompatibleClient
from antiphon.subagents.model.litellm_client import LitellmClient

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4096, "stream": False}
ONE_CALL = Callable[[str], Awaitable[object]]
"""One call of a client to an address."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a client, so many calls, so many of them at once, and how long the server thinks."""

    client: str
    backend: str
    in_flight: int
    latency: int
    calls: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: calls a second, and milliseconds of CPU for each."""

    per_second: float
    cpu_ms: float


class Answers(asyncio.Protocol):
    """The server's side of a connection: as little HTTP as will do, since its CPU is taken from the clients'."""

    def __init__(self, latency: int) -> None:
        self._latency = latency
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._read[:end]).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._read) < end + 4 + length:
                return
            del self._read[: end + 4 + length]
            asyncio.get_running_loop().call_later(self._latency, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            body = json.dumps(ANSWER).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def serve() -> None:
    """Listen on two ports, one for each latency, say which, and end with standard input."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(partial(Answers, latency), "127.0.0.1", 0, backlog=2048) for latency in (0, 1)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


@contextmanager
def served() -> Generator[Mapping[int, str]]:
    """The addresses of a server in another process, by its latency in seconds."""
    argv = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = process.stdout.readline().split()
        try:
            yield {latency: f"http://127.0.0.1:{port}/v1" for latency, port in enumerate(ports)}
        finally:
            process.communicate()


@asynccontextmanager
async def ours(client: ModelClient) -> AsyncGenerator[ONE_CALL]:
    """A client of ours."""
    messages = (Message(role="user", text="hi"),)
    try:
        yield lambda url: client.complete(Request(model=f"openai/m@{url}", messages=messages))
    finally:
        await client.close()


@asynccontextmanager
async def bare_httpx2() -> AsyncGenerator[ONE_CALL]:
    """One httpx2 client, as most programs have it."""
    import httpx2

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=None) as client:

        async def call(url: str) -> object:
            return (await client.post(f"{url}/chat/completions", json=ASKED)).json()

        yield call


@asynccontextmanager
async def bare_aiohttp() -> AsyncGenerator[ONE_CALL]:
    """One aiohttp session; it knows asyncio only."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(url: str) -> object:
            async with session.post(f"{url}/chat/completions", json=ASKED) as response:
                return await response.json()

        yield call


CLIENTS: Mapping[str, Callable[[], contextlib.AbstractAsyncContextManager[ONE_CALL]]] = {
    "aiohttp": bare_aiohttp,
    "httpx2": bare_httpx2,
    "compatible": lambda: ours(CompatibleClient()),
    "litellm": lambda: ours(LitellmClient()),
}
"""The bare ones first: the first of them on a backend is what the others are compared with."""


async def measure(case: Case, url: str) -> Figures:
    """Keep so many calls in flight until all are answered; imports and the first connections come before."""
    async with CLIENTS[case.client]() as call:
        await call(url)
        left = iter(range(case.calls))

        async def worker() -> None:
            for _ in left:
                await call(url)

        began, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as workers:
            for _ in range(case.in_flight):
                workers.start_soon(worker)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    return Figures(case.calls / wall, 1000 * cpu / case.calls)


def cases(clients: list[str], quick: bool) -> Iterator[list[Case]]:
    """Groups of measurements that belong side by side."""
    for backend in ("asyncio", "trio"):
        for latency in (0,) if quick else (0, 1):
            for in_flight in (1, 100) if quick else (1, 100, 500, 1000):
                calls = max(2 * in_flight, 5) if latency else max(200 if quick else 500, in_flight)
                able = [client for client in clients if client != "aiohttp" or backend == "asyncio"]
                yield [Case(client, backend, in_flight, latency, calls) for client in able]


def printed(case: Case, found: Figures, bare: Figures) -> str:
    """One line of the table."""
    due = f" ({100 * found.per_second / case.in_flight:.0f} %)" if case.latency else ""
    return (
        f"| {case.backend} | {case.latency} s | {case.in_flight:,} | {case.client} | {found.per_second:,.0f}{due} "
        f"| {found.cpu_ms:.2f} | {found.per_second / bare.per_second:.2f} | {found.cpu_ms / bare.cpu_ms:.1f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 and 100 in flight without latency only: seconds")
    parser.add_argument("--clients", default=",".join(CLIENTS), help="which, by comma; the first is compared with")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    print(
        "| backend | latency | in flight | client | calls/s (of due) | CPU ms/call | ratio of calls/s | ratio of CPU |"
    )
    print("|---|--:|--:|---|--:|--:|--:|--:|")
    with served() as urls:
        for group in cases(options.clients.split(","), options.quick):
            bare: Figures | None = None
            for case in group:
                found = anyio.run(measure, case, urls[case.latency], backend=case.backend)
                bare = bare or found
                print(printed(case, found, bare), flush=True)


if __name__ == "__main__":
    main()
