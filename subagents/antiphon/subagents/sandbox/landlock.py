"""Landlock, a filter of system calls, no privileges, and a parent that ends every descendant. Needs nothing installed.

Weaker than bubblewrap in two ways that the kernel gives no means against: names, sizes and times of files everywhere
can be asked for (not their content, nor what a folder holds), and other processes of the user are visible in `/proc`
(not their memory or environment).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.sandbox import kernel, orders
from antiphon.subagents.sandbox.confinement import Confinement
from antiphon.subagents.sandbox.contract import Job, Launch, Refused
from antiphon.subagents.sandbox.exposure import exposure
from antiphon.subagents.sandbox.leash import task_limit
from antiphon.subagents.sandbox.seccomp import Filter, this_machine

_READ: Final = kernel.READ_FILE | kernel.READ_DIR
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Of the machine, not of other processes; `self` is the program's own process and not its children's.
_PROC: Final = (
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/vm", "/proc/sys/kernel/osrelease", "/sys/devices/system/cpu"),
)


@dataclass(frozen=True, slots=True)
class Landlock:
    """Confines by Landlock.

    Attributes:
        abi: the version to speak, at most the kernel's.
    """

    abi: int

    @property
    def name(self) -> str:
        """As typed after `--sandbox`."""
        return "landlock"

    @property
    def confines(self) -> bool:
        """It does."""
        return True

    def find(self, program: str, search: str) -> str | None:
        """Where PATH has it."""
        return shutil.which(program, path=search)

    @contextmanager
    def prepare(self, job: Job) -> Generator[Launch]:
        """The launcher, which stays as the parent of the program that it confines."""
        machine = this_machine()
        if machine is None or not self.abi:
            raise Refused("there is no Landlock, or the filter does not know this machine", "antiphon doctor")
        _keep_git_out(job.confinement)
        allowed = Filter(
            network=job.confinement.network,
            signals=self.abi >= kernel.ABI_WITH_SCOPES,
            truncation=self.abi >= kernel.ABI_WITH_TRUNCATE,
        )
        given: orders.Orders = {
            "report": job.report,
            "alive": job.alive,
            "parent": os.getpid(),
            "limits": job.confinement.limits.resources() | task_limit(job.confinement.limits),
            "leash": job.leash,
            "landlock": self.ruleset(job),
            "seccomp": allowed.assemble(machine),
            "supervise": True,
        }
        with orders.written(given) as descriptor:
            argv = orders.command(descriptor, job.program, job.arguments)
            inherit = (descriptor, *job.inherited)
            yield Launch(argv=argv, env=job.env, cwd=job.cwd, inherit=inherit, supervised=True)

    def ruleset(self, job: Job) -> orders.Ruleset:
        """What it may reach. All else of files, of TCP, of abstract sockets and of signals is denied."""
        network = 0 if job.confinement.network else kernel.BIND_TCP | kernel.CONNECT_TCP
        return {
            "abi": self.abi,
            "filesystem": kernel.filesystem_rights(self.abi),
            "network": network if self.abi >= kernel.ABI_WITH_NETWORK else 0,
            "scoped": kernel.SCOPE_ABSTRACT_SOCKETS | kernel.SCOPE_SIGNALS if self.abi >= kernel.ABI_WITH_SCOPES else 0,
            "rules": list(self._rules(job)),
        }

    def _rules(self, job: Job) -> Iterator[tuple[str, int, bool]]:
        """Path, access, and whether a link may be followed: on the system's own paths only."""
        seen = exposure(job.program, job.confinement)
        run = kernel.EXECUTE if job.confinement.executes else 0
        rights = kernel.filesystem_rights(self.abi)
        change = rights & ~(kernel.MAKE_CHAR | kernel.MAKE_BLOCK | kernel.IOCTL_DEV | kernel.EXECUTE)
        device = (kernel.READ_FILE | kernel.WRITE_FILE | kernel.TRUNCATE) & rights
        yield from ((path, _READ | kernel.EXECUTE, True) for path in seen.system)
        yield from ((path, _READ, True) for path in (*_PROC, "/proc/self"))
        yield from ((path, device, True) for path in _DEVICES)
        yield from ((path, _READ | run, False) for path in seen.read)
        yield from ((path, change | run, False) for path in seen.write)
        yield (os.path.realpath(job.private), change | kernel.EXECUTE, False)


def _keep_git_out(confinement: Confinement) -> None:
    """Refuse a writable repository: rules only add, so a `.git` in a writable folder could not be kept from change."""
    for folder in confinement.write:
        if os.path.lexists(os.path.join(folder, ".git")):
            raise Refused(f"Landlock cannot keep {folder}/.git from being changed", "install bubblewrap")
