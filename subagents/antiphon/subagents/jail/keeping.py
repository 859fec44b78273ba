"""The zygote as the host sees it: one for a process, started when it is first needed, and gone with it.

A thread of its own starts it and waits for its end, and lives as long: Linux ties the signal of a parent's death to the
*thread* that forked (see `process.py`). The zygote also ends when its control socket closes, and when this process
does, which a descriptor of this process tells it even where a fork of ours still holds the socket.
"""

from __future__ import annotations

import atexit
import errno
import json
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from antiphon.engine.script.guest import text_of
from antiphon.subagents.jail.modules import LAZILY, MODULES
from antiphon.subagents.sandbox import Confinement, Job, Launch, ProcessLimits, Refused, Sandbox, kernel, orders
from antiphon.subagents.sandbox.seccomp import Computing, this_machine
from antiphon.tracing import Json

START_SECONDS: Final = 20.0
_END_SECONDS: Final = 2.0
_SAID_BYTES: Final = 2000
_BUSY: Final = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)
_PACKET_BYTES: Final = 4096
_INSIDE: Final = Path(__file__).parent / "inside"
_NO_FOLDER: Final = "/nonexistent/antiphon"  # nothing is written, so there is no folder to write to
_ENVIRONMENT: Final = {"PYTHONHASHSEED": "0", "TZ": "UTC0"}
_OPTIONS: Final = ("-S", "-s", "-P", "-B", "-X", "utf8")  # not -I, which ignores PYTHONHASHSEED
_LIMITS: Final = ProcessLimits(cpu_seconds=None, file_bytes=0, processes=None, memory_bytes=None, scratch_bytes=None)


class NoZygote(Exception):
    """The zygote did not start, or is no more. The text says why."""


class Zygote:
    """A process that forks guests.

    Attributes:
        pid: of the process that was started; the zygote itself or an ancestor of it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.pid = 0
        self._sandbox = sandbox
        self._trouble = ""
        self._lost = False
        self._known, self._over = threading.Event(), threading.Event()
        self._control: socket.socket | None = None
        self._report = -1
        threading.Thread(target=self._keep, name="antiphon-zygote", daemon=True).start()

    @property
    def ready(self) -> bool:
        """It can be asked, as far as is known."""
        return self._control is not None

    @property
    def over(self) -> bool:
        """It has ended, or did not start."""
        return self._lost or self._over.is_set()

    def lose(self) -> None:
        """Note that it does not answer. Its thread cleans up behind it."""
        self._lost = True

    def wait(self) -> None:
        """Wait until it is ready. This blocks.

        Raises:
            NoZygote: it does not start.
        """
        if not self._known.wait(START_SECONDS):
            raise NoZygote(f"its first process did not start within {START_SECONDS:g} s")
        if self._trouble:
            raise NoZygote(self._trouble)

    def ask(self, request: Mapping[str, Json], descriptors: Sequence[int]) -> None:
        """Ask for a guest. This does not block.

        Raises:
            BlockingIOError: it has too much to do.
            NoZygote: it is no more.
        """
        if self._control is None:
            raise NoZygote("it has been ended")
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
        except OSError as error:
            if error.errno in _BUSY:
                raise BlockingIOError(error.errno, "it has too much to do") from None
            raise NoZygote(error.strerror or str(error)) from None

    def end(self) -> None:
        """End it and all its guests, and wait for that, but not for long."""
        if self._control is not None:
            with suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            self._over.wait(_END_SECONDS)

    # --- in its thread ----------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        try:
            with ExitStack() as ours:
                child = self._start(ours)
                said = _last_of(child)
                child.wait()
                if not self._known.is_set():
                    reason = os.read(self._report, _SAID_BYTES).decode("utf-8", "replace").removeprefix(".")
                    self._trouble = reason or said or "it ended before it was ready"
        except (Refused, OSError) as error:
            self._trouble = str(error)
        finally:
            self._control = None
            self._over.set()
            self._known.set()

    def _start(self, ours: ExitStack) -> subprocess.Popen[bytes]:
        with ExitStack() as theirs:
            control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(control.close)
            theirs.callback(far.close)
            alive, keeper = os.pipe()
            ours.callback(os.close, keeper)
            theirs.callback(os.close, alive)
            self._report, reporter = os.pipe()
            ours.callback(os.close, self._report)
            theirs.callback(os.close, reporter)
            host = os.pidfd_open(os.getpid())
            theirs.callback(os.close, host)
            told = theirs.enter_context(orders.in_memory("antiphon-zygote", _orders()))
            job = _job((far.fileno(), told, host), reporter, alive)
            with self._sandbox.prepare(job) as launch:
                child = _spawn(launch, (far.fileno(), told, host))
        self.pid = child.pid
        ours.callback(_ended, child)
        self._hear(control, child)
        return child

    def _hear(self, control: socket.socket, child: subprocess.Popen[bytes]) -> None:
        """Wait until it says that it is ready, or ends."""
        control.settimeout(START_SECONDS)
        if control.recv(_PACKET_BYTES):
            control.setblocking(False)
            self._control = control
            self._known.set()


def _orders() -> bytes:
    """What the zygote is told once: texts to load, and what confines its guests."""
    machine = this_machine()
    if machine is None:
        raise Refused("the numbers of this machine's system calls are not known", "antiphon doctor")
    texts = {name: (_INSIDE / f"{name}.py").read_text(encoding="utf-8") for name in ("channel", "world")}
    texts["launcher"] = Path(orders.launcher()).read_text(encoding="utf-8")
    texts |= {"cpython": text_of("cpython"), "prelude": text_of("prelude")}
    return marshal.dumps(
        {
            "texts": texts,
            "modules": list(MODULES),
            "lazily": list(LAZILY),
            "landlock": dict(nothing(kernel.landlock_abi())),
            "filter": Computing().assemble(machine),
        }
    )


def nothing(abi: int) -> orders.Ruleset:
    """A Landlock ruleset that governs all that this version can, and grants none of it."""
    return {
        "abi": abi,
        "filesystem": kernel.filesystem_rights(abi),
        "network": kernel.BIND_TCP | kernel.CONNECT_TCP if abi >= kernel.ABI_WITH_NETWORK else 0,
        "scoped": kernel.SCOPE_ABSTRACT_SOCKETS | kernel.SCOPE_SIGNALS if abi >= kernel.ABI_WITH_SCOPES else 0,
        "rules": [],
    }


def _job(descriptors: tuple[int, ...], report: int, alive: int) -> Job:
    return Job(
        program=os.path.abspath(sys.executable),
        arguments=(*_OPTIONS, str(_INSIDE / "zygote.py"), *map(str, descriptors)),
        cwd="/",
        env=_ENVIRONMENT,
        private=_NO_FOLDER,
        confinement=Confinement(executes=True, limits=_LIMITS),
        report=report,
        alive=alive,
    )


def _spawn(launch: Launch, descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launch.argv,
        cwd=launch.cwd,
        env=launch.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(*launch.inherit, *descriptors),
    )


def _last_of(child: subprocess.Popen[bytes]) -> str:
    """What it said last, once it has closed its standard error."""
    assert child.stderr is not None
    said = b""
    with child.stderr:
        while piece := os.read(child.stderr.fileno(), _PACKET_BYTES):
            said = (said + piece)[-_SAID_BYTES:]
    return " ".join(said.decode("utf-8", "replace").split())


def _ended(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


# --- one for this process ---------------------------------------------------------------------------------------------

_kept: dict[Sandbox, Zygote] = {}
_choosing = threading.RLock()


def zygote_of(sandbox: Sandbox) -> Zygote:
    """The zygote in this sandbox, perhaps not ready yet; a new one where the last has ended."""
    with _choosing:
        known = _kept.get(sandbox)
        if known is None or known.over:
            known = _kept[sandbox] = Zygote(sandbox)
        return known


def end_zygotes() -> None:
    """End those of this process. The next guest starts a new one."""
    with _choosing:
        ending = list(_kept.values())
        _kept.clear()
    for one in ending:
        one.end()


def _forget() -> None:
    """In a fork of this process there is no thread that keeps them, and they are not its own."""
    _kept.clear()
    _choosing.release()


atexit.register(end_zygotes)
os.register_at_fork(before=_choosing.acquire, after_in_parent=_choosing.release, after_in_child=_forget)
