"""bubblewrap: namespaces of its own for everything, an almost empty file system, no privileges, and our filter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.sandbox import kernel, orders
from antiphon.subagents.sandbox.confinement import MIB
from antiphon.subagents.sandbox.contract import Job, Launch, Refused
from antiphon.subagents.sandbox.exposure import Exposure, exposure, is_below, outermost
from antiphon.subagents.sandbox.leash import task_limit
from antiphon.subagents.sandbox.seccomp import Filter, this_machine

# bwrap reads the table of mounts again after each one, so a thousand take a second; 64 take 11 ms, 16 take 2.
EXACT_AT_MOST: Final = 64
NARROWED_AT_MOST: Final = 16  # where Landlock can narrow a folder to the files in it, for hardly anything
_SHARED_MEMORY_BYTES: Final = 64 * MIB
_UNLIMITED_SCRATCH_BYTES: Final = 64 * 1024 * MIB
# Of the whole machine, and writable for uid 0 without any capability: bwrap covers what it could write to as a folder.
_MACHINE: Final = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus")
_FIXED: Final = ("--unshare-all", "--new-session", "--die-with-parent", "--cap-drop", "ALL", "--clearenv")


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Confines by bubblewrap.

    Attributes:
        program: where bwrap is.
    """

    program: str

    @property
    def name(self) -> str:
        """As typed after `--sandbox`."""
        return "bubblewrap"

    @property
    def confines(self) -> bool:
        """It does."""
        return True

    def find(self, program: str, search: str) -> str | None:
        """Where PATH has it."""
        return shutil.which(program, path=search)

    @contextmanager
    def prepare(self, job: Job) -> Generator[Launch]:
        """Start bwrap with an empty environment, which is readable inside; it runs the launcher."""
        machine = this_machine()
        if machine is None:
            raise Refused("no numbers of this machine's system calls are known", "antiphon doctor")
        seen = exposure(job.program, job.confinement)
        mounted, narrowed = shown(seen.read, NARROWED_AT_MOST if kernel.landlock_abi() else EXACT_AT_MOST)
        given: orders.Orders = {
            "report": job.report,
            "alive": job.alive,
            "parent": 0,  # not in the namespace; bwrap dies with antiphon, and this with bwrap
            "limits": job.confinement.limits.resources() | task_limit(job.confinement.limits),
            "leash": job.leash,
            "landlock": _narrow(seen, job) if narrowed else None,
        }
        program = Filter(network=job.confinement.network, metadata=True).assemble(machine)
        with ExitStack() as stack:
            told = stack.enter_context(orders.written(given))
            filtered = stack.enter_context(orders.in_memory("antiphon-filter", program))
            options = [*_FIXED, "--seccomp", str(filtered), *_options(job, seen, mounted)]
            content = b"".join(os.fsencode(option) + b"\0" for option in options)
            listed = stack.enter_context(orders.in_memory("antiphon-options", content))
            yield Launch(
                argv=(self.program, "--args", str(listed), "--", *orders.command(told, job.program, job.arguments)),
                env={},
                cwd="/",
                inherit=(told, filtered, listed, *job.inherited),
                namespaced=True,
                shell_status=True,
            )


def shown(read: tuple[str, ...], at_most: int = EXACT_AT_MOST) -> tuple[tuple[str, ...], bool]:
    """What to mount so that these can be read, and whether that is more than these: each mount costs."""
    exact = outermost(read)
    if len(exact) <= at_most:
        return exact, False
    folders = outermost(os.path.dirname(path) for path in exact)
    while len(folders) > at_most:
        folders = outermost(os.path.dirname(folder) for folder in folders)
    return folders, True


def _narrow(seen: Exposure, job: Job) -> orders.Ruleset | None:
    """Where folders were mounted for the files in them, Landlock grants the files alone; if the kernel has it."""
    abi = kernel.landlock_abi()
    if not abi:
        return None
    rights = kernel.READ_FILE
    own = ["/dev", "/proc", job.private]
    if not any(is_below(path, "/tmp") for path in seen.read):  # a grant of /tmp would grant what is mounted in it
        own.append("/tmp")
    system = (*own, *seen.system, *seen.write)
    rules = [*((path, rights, True) for path in system), *((path, rights, False) for path in seen.read)]
    return {"abi": abi, "filesystem": rights, "network": 0, "scoped": 0, "rules": rules}


def _options(job: Job, seen: Exposure, read: tuple[str, ...]) -> Iterator[str]:
    """In the order in which bwrap does them: what covers a folder comes before what is put into it."""
    confinement = job.confinement
    scratch = str(confinement.limits.scratch_bytes or _UNLIMITED_SCRATCH_BYTES)
    if confinement.network:
        yield "--share-net"
    yield from ("--size", scratch, "--tmpfs", "/tmp")
    for path in (*seen.system, *read):
        yield from ("--ro-bind", path, path)
    yield from ("--proc", "/proc")
    for path in _MACHINE:
        yield from ("--ro-bind-try", path, path)
    yield from ("--dev", "/dev")
    yield from ("--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    yield from ("--size", scratch, "--perms", "0700", "--tmpfs", job.private)
    for target, link in _own_links(seen, read):
        yield from ("--symlink", target, link)
    for path in seen.write:
        yield from ("--bind", path, path)
        if os.path.lexists(pointer := os.path.join(path, ".git")):
            yield from ("--ro-bind", pointer, pointer)
    for name, value in job.env.items():
        yield from ("--setenv", name, value)
    yield from ("--remount-ro", "/", "--chdir", job.cwd)


def _own_links(seen: Exposure, read: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The links that are not in a folder that is mounted with all that it holds."""
    mounted = (*seen.system, *read, *seen.write)
    for target, link in seen.links:
        if not any(is_below(link, folder) for folder in mounted):
            yield target, link
