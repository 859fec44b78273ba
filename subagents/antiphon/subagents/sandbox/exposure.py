"""Which files of the machine a confined command must see so that its program runs at all, and nothing of the user's.

Everything here is read-only in every backend. Home folders, `/etc` as a whole, `/var`, `/run`, `/root`, `/srv` and
`/mnt` are not in it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import antiphon
from antiphon.subagents.sandbox import orders
from antiphon.subagents.sandbox.confinement import Confinement

SYSTEM: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"),
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/mime.types", "/etc/os-release"),
)
NETWORK: Final = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/services", "/etc/protocols", "/etc/gai.conf"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust"),
)
# Of the folder that a program's `bin` lies in. Never the folder itself: it may be ~/.local, or hold credentials.
_OF_A_PREFIX: Final = ("lib", "lib64", "libexec", "pyvenv.cfg")
_LINKS_AT_MOST: Final = 40  # as many as the kernel follows


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a command sees.

    Attributes:
        links: symbolic links to make, as (what it says, where it is); they lead to what is in `system`.
        system: real paths of programs, libraries and the interpreter.
        read, write: real paths of what the confinement grants.
    """

    links: tuple[tuple[str, str], ...]
    system: tuple[str, ...]
    read: tuple[str, ...]
    write: tuple[str, ...]


def exposure(program: str, confinement: Confinement) -> Exposure:
    """What a command sees that runs this program within this confinement.

    Args:
        program: an absolute path.
        confinement: what it may reach besides.
    """
    links, system = _system((program, *confinement.programs), confinement.network)
    read, write = real_paths(confinement.read), real_paths(confinement.write)
    return Exposure(links=links, system=system, read=tuple(read), write=tuple(write))


@lru_cache(maxsize=64)  # of few programs many commands are run, and an installation stays where it is meanwhile
def _system(programs: tuple[str, ...], network: bool) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    links: dict[str, str] = {}
    system: set[str] = set()
    installed = [path for program in programs for path in installation(program)]
    for path in (*_always(), *installed, *(NETWORK if network else ())):
        real = _follow(path, links)
        if real is not None:
            system.add(real)
    return tuple((target, link) for link, target in links.items()), outermost(system)


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths that lie in no other of them, sorted."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda one: one.rstrip("/").split("/")):
        if not (kept and is_below(path, kept[-1])):
            kept.append(path)
    return tuple(kept)


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it. Both are absolute and normal."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def installation(program: str) -> list[str]:
    """The files that an installed program needs besides the system's: its own folder of programs, and its libraries.

    Args:
        program: an absolute path; a link to a program brings both sides of it.
    """
    found: list[str] = []
    waiting, seen = [program], set[str]()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        beside = os.path.join(os.path.realpath(os.path.dirname(one)), os.path.basename(one))
        found += [one, *_prefix_of(beside), *_prefix_of(os.path.realpath(one))]
        waiting += _interpreters(os.path.realpath(one))
    return found


@cache
def _always() -> tuple[str, ...]:
    own = [orders.launcher(), *installation(orders.interpreter()), *installation(os.path.abspath(sys.executable))]
    # Programs that antiphon brings along are run from here; in an installed copy the prefix has them anyway.
    own += [os.path.realpath(folder) for folder in antiphon.__path__]
    prefixes = [os.path.join(prefix, part) for prefix in (sys.prefix, sys.base_prefix) for part in _OF_A_PREFIX]
    return (*SYSTEM, *own, *(path for path in prefixes if os.path.exists(path)))


def _prefix_of(program: str) -> list[str]:
    """What belongs to a program by where it lies: in the `bin` of some prefix, or alone."""
    folder = os.path.dirname(program)
    prefix = os.path.dirname(folder)
    if os.path.basename(folder) not in ("bin", "sbin") or prefix in ("/", "/usr", os.path.expanduser("~")):
        return [program]
    parts = [os.path.join(prefix, part) for part in _OF_A_PREFIX]
    return [folder, *(part for part in parts if os.path.exists(part))]


def _interpreters(program: str) -> list[str]:
    """The program that a script names in its first line, if this is a script."""
    try:
        with open(program, "rb") as file:
            line = file.readline(256)
    except OSError:
        return []
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    if not words or not words[0].startswith("/"):
        return []
    if os.path.basename(words[0]) != "env":
        return [words[0]]
    named = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)
    where = shutil.which(named) if named else None
    return [words[0], *([os.path.abspath(where)] if where else [])]


def _follow(path: str, links: dict[str, str]) -> str | None:
    """The real path, with every link on the way to it put into `links`; None if there is nothing."""
    waiting = [part for part in reversed(path.split("/")) if part]
    here = ""
    for _ in range(_LINKS_AT_MOST * 10):
        if not waiting:
            return here or "/"
        part = waiting.pop()
        if part in (".", ".."):
            here = os.path.dirname(here).rstrip("/") if part == ".." else here
            continue
        place = f"{here}/{part}"
        try:
            target = os.readlink(place)
        except OSError:
            if not os.path.lexists(place):
                return None
            here = place
            continue
        links[place] = target
        here = "" if target.startswith("/") else here
        waiting += [step for step in reversed(target.split("/")) if step]
    return None


def real_paths(paths: Iterable[str]) -> Iterator[str]:
    """Those that are there and lead through no link: in an audited tree one may lead anywhere."""
    return (path for path in paths if os.path.realpath(path) == path and Path(path).exists())
