"""A provider on this machine: OpenAI-compatible, over real HTTP, with the answers and the faults that a test wants."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from antiphon.engine import UsageError
from antiphon.subagents.testing.served import Asked, answered
from antiphon.subagents.testing.tally import Tally

if TYPE_CHECKING:
    from uvicorn import Server

    from antiphon.subagents.testing.loopback import Answering, Said

_PATIENCE_SECONDS = 30.0


def say_what_was_asked(asked: Asked) -> Said:
    """The default answer: the last message's text."""
    return answered(asked.request.messages[-1].text)


def _listener() -> socket.socket:
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; else answers are 40 ms late.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


class LoopbackServer:
    """Serves ``/v1/chat/completions`` and ``/v1/models`` on 127.0.0.1, at a port of its own, from a thread of its own.

    ::

        with LoopbackServer(lambda asked: "yes" if asked.seen else rate_limited(retry_after=1)) as server:
            models = Models.of([server.model])
            ...
        assert server.tally.kinds == {"rate_limit_exceeded": 1, "answered": 1}

    It ends with the context, whatever is open then; a daemon thread, it never keeps a process alive.

    Args:
        answer: what to do with a request: a `Served`, a completion or a text. May be async; runs on the server's loop.
        models: what ``/v1/models`` lists.

    Attributes:
        tally: what it counted.
        url: its base, ``http://127.0.0.1:PORT/v1``, once started.

    Raises:
        UsageError: Starlette or uvicorn is not installed.
    """

    def __init__(self, answer: Answering = say_what_was_asked, *, models: tuple[str, ...] = ("scripted",)) -> None:
        self.tally = Tally()
        self.url = ""
        self._answer, self._models = answer, models
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def model(self) -> str:
        """What stands after ``--model`` to be answered by this server, with tools and schema."""
        return f"openai/{self._models[0]}@{self.url}#tools,schema"

    def start(self) -> None:
        """Listen; on return it answers."""
        server, listener = self._prepared()
        port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(server, listener, ready), name=f"loopback server {port}", daemon=True
        )
        self._server, self.url = server, f"http://127.0.0.1:{port}/v1"
        self._thread.start()
        if not ready.wait(_PATIENCE_SECONDS):
            raise RuntimeError(f"the loopback server at {self.url} did not start")

    def stop(self) -> None:
        """Close every connection, answered or not, and end the thread."""
        loop, thread = self._loop, self._thread
        if thread is None:
            return
        if loop is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._end)
        thread.join(_PATIENCE_SECONDS)
        self._thread = None
        if thread.is_alive():
            raise RuntimeError(f"the loopback server at {self.url} did not stop")

    def __enter__(self) -> LoopbackServer:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. Raises what the answering function raised, unless something else is on its way."""
        self.stop()
        if error is None and self.tally.errors:
            raise self.tally.errors[0]

    def _prepared(self) -> tuple[Server, socket.socket]:
        try:
            import uvicorn

            from antiphon.subagents.testing.loopback import application, protocol_of
        except ImportError as error:
            raise UsageError(
                f"the loopback server needs {error.name or 'starlette and uvicorn'}, which is not installed",
                advice="install antiphon with the extra `testing`: antiphon[testing]",
            ) from None
        config = uvicorn.Config(
            application(self._answer, self.tally, self._models),
            http=protocol_of(self.tally),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config), _listener()

    def _serve(self, server: Server, listener: socket.socket, ready: threading.Event) -> None:
        async def serving() -> None:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(ready.set)
            await server.serve(sockets=[listener])

        with asyncio.Runner() as runner:
            runner.run(serving())

    def _end(self) -> None:
        server = self._server
        if server is None:
            return
        server.should_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.abort()
