"""What one command may reach, and how much of the machine it may use. Data only; the backends make it true."""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """Limits on a command. Each process is limited by the operating system; their sum by whoever watches the command.

    Attributes:
        cpu_seconds: of processor time for each process, None for no limit.
        address_space_bytes: of virtual memory for each process, None for no limit. Runtimes that reserve much more than
            they use (node, Java, Go) do not start with a small one; `memory_bytes` is what they use.
        file_bytes: largest file that may be written, None for no limit.
        processes: how many processes the command may be at a time, threads not counted; None for no limit.
        memory_bytes: of resident memory for all its processes together, None for no limit.
        scratch_bytes: that its private folder may hold, None for no limit.
    """

    cpu_seconds: int | None = 600
    address_space_bytes: int | None = None
    file_bytes: int | None = 64 * MIB
    processes: int | None = 256
    memory_bytes: int | None = 4096 * MIB
    scratch_bytes: int | None = 512 * MIB

    def resources(self) -> dict[str, int]:
        """What the launcher sets, by RLIMIT name. Core dumps are always off: they would hold the audited code."""
        named = {"CPU": self.cpu_seconds, "AS": self.address_space_bytes, "FSIZE": self.file_bytes}
        return {"CORE": 0} | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What one command may reach besides the system's programs and libraries, and the interpreter that runs antiphon.

    Attributes:
        read: files and folders that it may read, as absolute real paths. One that leads through a symbolic link is not
            granted: in an audited tree it may lead anywhere.
        write: folders that it may change, as absolute real paths. A `.git` in one of them stays read-only: what is
            written there is executed by the next git command of the user.
        programs: other programs that it may start, by absolute path: their installations are seen like the system's. A
            container has its own.
        network: it may use the network.
        executes: it executes code of what it reads (a build script, a plugin), and does not only parse it.
        limits: how much it may use.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    network: bool = False
    executes: bool = False
    limits: ProcessLimits = field(default_factory=ProcessLimits)

    def __post_init__(self) -> None:
        """Refuse what could mean another place than it says.

        Raises:
            ValueError: a path is not absolute, not normal, or holds a NUL.
        """
        for path in (*self.read, *self.write, *self.programs):
            if not path.startswith("/") or "\0" in path or os.path.normpath(path) != path:
                raise ValueError(f"not an absolute, normal path: {path!r}")
