"""Forks a confined process for each script. Run as a program in the sandbox, never imported.

``python -S -s -P zygote.py CONTROL_FD ORDERS_FD HOST_FD``

It loads what scripts use once, so that a guest costs a fork and not a start of Python. It holds no secret: an empty
environment, no file, no descriptor but these and those of its guests. A request on CONTROL_FD is one packet, with the
guest's channel and its *fate* as descriptors: on its fate the host learns that the guest is confined and how it ended,
and by closing it has the guest killed. It ends with CONTROL_FD or with the process of HOST_FD, and all guests with it.
"""

from __future__ import annotations

import _socket
import array
import contextlib
import gc
import json
import marshal
import os
import resource
import select
import signal
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from antiphon.subagents import launcher
    from antiphon.subagents.jail.inside import channel, world
else:
    launcher, channel, world = (types.ModuleType(name) for name in ("launcher", "channel", "world"))

_REQUEST_BYTES = 4096
_CHANNEL, _FATE, _FIRST_FREE = 0, 1, 2
_DESCRIPTORS = 2
MEMORY, SYNTAX, CRASHED, NOT_CONFINED = 71, 72, 73, 74


def load(orders: dict[str, Any]) -> dict[str, Any]:
    """Load all that guests use, and close the door to more. The names of the script API."""
    for module in (launcher, channel, world):
        exec(compile(orders["texts"][module.__name__], f"<{module.__name__}>", "exec"), module.__dict__)
    for name in orders["modules"]:
        __import__(name)
    for name in orders["lazily"]:
        with contextlib.suppress(ImportError):
            __import__(name)
    prelude: dict[str, Any] = {"__name__": "antiphon.script"}
    exec(compile(orders["texts"]["cpython"], "<cpython>", "exec"), prelude)
    prelude["text"] = compile(orders["texts"]["prelude"], "<prelude>", "exec")
    world.fix_clocks()
    world.fix_randomness()
    world.quiet()
    world.close_imports(orders["modules"])
    gc.collect()
    gc.freeze()
    return prelude


# --- a guest ----------------------------------------------------------------------------------------------------------


def become_guest(orders: dict[str, Any], prelude: dict[str, Any], asked: dict[str, Any], given: list[int]) -> NoReturn:
    """In the forked process: lose everything, say so, and run the script that comes."""
    try:
        _lose(orders, asked, given)
        _play(prelude, orders["modules"])
    finally:
        os._exit(CRASHED)  # whatever goes wrong: this process never gets to where the zygote waits


def _lose(orders: dict[str, Any], asked: dict[str, Any], given: list[int]) -> None:
    try:
        launcher.die_with(asked["zygote"])
        os.dup2(given[0], _CHANNEL)
        os.dup2(given[1], _FATE)
        os.closerange(_FIRST_FREE, asked["most_descriptors"])
        _confine(orders, asked)
        _prove()
    except (OSError, ValueError) as error:
        _tell({"refused": str(error)})
        os._exit(NOT_CONFINED)
    _tell({"confined": True})
    os.close(_FATE)


def _confine(orders: dict[str, Any], asked: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    limits = {"AS": asked["start_bytes"] + asked["memory_bytes"], "FSIZE": 0, "CORE": 0, "NPROC": 0}
    launcher.limit(limits)
    if asked["cpu_seconds"] is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (asked["cpu_seconds"], asked["cpu_seconds"] + 1))
    launcher.restrict(orders["landlock"])
    launcher.limit({"NOFILE": _FIRST_FREE})  # the ruleset was the last descriptor
    launcher.install_filter(orders["filter"])


def _prove() -> None:
    """Try what must not work: a guest whose confinement does not hold runs nothing."""
    for attempt in (lambda: os.open("/", os.O_RDONLY), os.pipe, lambda: os.kill(os.getpid(), 0)):
        try:
            attempt()
        except PermissionError:
            continue
        raise OSError("the kernel does not hold what confines it")


def _tell(what: dict[str, Any]) -> None:
    os.write(_FATE, json.dumps(what).encode())


def _play(prelude: dict[str, Any], modules: list[str]) -> NoReturn:
    talk = channel.Channel(_CHANNEL)
    try:
        world.play(json.loads(talk.receive()), prelude, talk, modules)
    except MemoryError:
        talk.end(MEMORY)
    except SyntaxError as error:
        talk.end(SYNTAX, f"{error.msg} (line {error.lineno})" if error.lineno else str(error.msg))
    except BaseException as error:
        talk.end(CRASHED, f"{type(error).__name__}: {error}")
    talk.end(0)


# --- the zygote -------------------------------------------------------------------------------------------------------


class Zygote:
    """Waits for requests and for the ends of guests."""

    def __init__(self, control: int, host: int, orders: dict[str, Any], prelude: dict[str, Any]) -> None:
        self._control = _socket.socket(fileno=control)
        self._host, self._orders, self._prelude = host, orders, prelude
        self._guests: dict[int, tuple[int, int]] = {}  # a descriptor of the process -> its id, its fate
        self._fates: dict[int, int] = {}  # a fate -> the id of its process
        self._epoll = select.epoll()
        for descriptor in (control, host):
            self._epoll.register(descriptor, select.EPOLLIN)
        self._standing = {
            "zygote": os.getpid(),
            "start_bytes": _address_space(),
            "most_descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        }

    def serve(self) -> None:
        """Until the host does not want it any more. Returns in the zygote only."""
        self._control.send(json.dumps({"ready": self._standing["start_bytes"]}).encode())
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor in self._guests:
                    self._reap(descriptor)
                elif descriptor in self._fates:
                    self._drop(descriptor)
                elif descriptor == self._host or not self._take():
                    return

    def end(self) -> None:
        """Kill all guests."""
        for pid, _ in self._guests.values():
            os.kill(pid, signal.SIGKILL)

    def _take(self) -> bool:
        """Take one request; False at the end of them."""
        room = _socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
        text, ancillary, _, _ = self._control.recvmsg(_REQUEST_BYTES, room)
        if not text:
            return False
        given = array.array("i")
        for _, _, packed in ancillary:
            given.frombytes(packed)
        if len(given) == _DESCRIPTORS:
            self._fork({**json.loads(text), **self._standing}, list(given))
            os.close(given[0])
        else:  # there was no room for them; whoever asked sees the other ends closed
            for descriptor in given:
                os.close(descriptor)
        return True

    def _fork(self, asked: dict[str, Any], given: list[int]) -> None:
        fate = given[1]
        try:
            pid = os.fork()
        except OSError as error:
            self._say(fate, {"refused": f"no process can be made: {error.strerror}"})
            os.close(fate)
            return
        if pid == 0:
            become_guest(self._orders, self._prelude, asked, given)
        try:
            process = os.pidfd_open(pid)
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._say(fate, {"refused": f"it cannot be watched: {error.strerror}"})
            os.close(fate)
            return
        self._guests[process] = (pid, fate)
        self._fates[fate] = pid
        self._epoll.register(process, select.EPOLLIN)
        self._epoll.register(fate, select.EPOLLIN)
        self._say(fate, {"started": True}, process)

    def _drop(self, fate: int) -> None:
        """The host wants a guest no more."""
        self._epoll.unregister(fate)
        os.kill(self._fates.pop(fate), signal.SIGKILL)  # not reaped yet, so the id is its own

    def _reap(self, process: int) -> None:
        pid, fate = self._guests.pop(process)
        _, status, used = os.wait4(pid, 0)
        self._epoll.unregister(process)
        os.close(process)
        if self._fates.pop(fate, None) is not None:
            self._epoll.unregister(fate)
        code, seconds = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        self._say(fate, {"ended": code, "cpu_seconds": seconds, "most_bytes": used.ru_maxrss * 1024})
        os.close(fate)

    def _say(self, fate: int, what: dict[str, Any], descriptor: int | None = None) -> None:
        rights = (
            [] if descriptor is None else [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        )
        connection = _socket.socket(fileno=fate)
        try:
            connection.sendmsg([json.dumps(what).encode()], rights, _socket.MSG_DONTWAIT)
        except OSError:
            return  # the host has gone, or looks no more
        finally:
            connection.detach()


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main(argv: list[str]) -> None:
    """Serve until the host has gone. Returns never."""
    control, told, host = map(int, argv[1:4])
    with open(told, "rb") as file:
        orders: dict[str, Any] = marshal.load(file)
    os.chdir("/")
    zygote = Zygote(control, host, orders, load(orders))
    try:
        zygote.serve()
    except Exception as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
    finally:
        zygote.end()
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv)
