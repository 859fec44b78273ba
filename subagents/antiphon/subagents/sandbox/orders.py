"""What the launcher is told, as a file that only it can read: arguments would be visible to every user."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

_LAUNCHER = str(Path(__file__).parent.with_name("launcher.py"))


class Orders(TypedDict):
    """What the launcher is to do before it becomes the program. Written by `Ordered`, read by `launcher.py`.

    Keys:
        report, alive: see `Job`.
        parent: whose child the launcher must still be, and with whom it dies; 0 where it is nobody's it knows.
        limits: by RLIMIT name. leash: a descriptor to write `0` to, None for none.
        landlock: the ruleset, None for none.
        seccomp: the filter, None for none.
        privileges: keep those there are. supervise: stay as the parent of the program, and end all its descendants.
        finally_run: a command to run when the program was cut short.
    """

    report: int
    alive: int
    parent: int
    limits: dict[str, int]
    leash: NotRequired[int | None]
    landlock: NotRequired[Ruleset | None]
    seccomp: NotRequired[bytes | None]
    privileges: NotRequired[bool]
    supervise: NotRequired[bool]
    finally_run: NotRequired[list[str]]


class Ruleset(TypedDict):
    """A Landlock ruleset: bits of what it governs, and paths with what is granted below them.

    Keys:
        abi: the version of the interface to speak. filesystem, network, scoped: what is denied but by rule.
        rules: path, access, and whether it may lead through symbolic links.
    """

    abi: int
    filesystem: int
    network: int
    scoped: int
    rules: list[tuple[str, int, bool]]


def interpreter() -> str:
    """The Python that runs the launcher: this one, without the links a virtual environment makes to it."""
    return os.path.realpath(sys.executable)


def launcher() -> str:
    """The file that it runs."""
    return os.path.realpath(_LAUNCHER)


def command(orders: int, program: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """The launcher's command line. `orders` is a descriptor it inherits."""
    return (interpreter(), "-I", "-S", launcher(), str(orders), program, *arguments)


@contextmanager
def written(orders: Orders) -> Generator[int]:
    """A descriptor with the orders, open until the context ends."""
    content: dict[str, Any] = {**orders}
    with in_memory("antiphon-orders", marshal.dumps(content)) as descriptor:
        yield descriptor


@contextmanager
def in_memory(name: str, content: bytes) -> Generator[int]:
    """A descriptor that reads this content, which is on no disk."""
    descriptor = os.memfd_create(name)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
