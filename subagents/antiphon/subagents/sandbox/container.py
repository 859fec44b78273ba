"""A container of docker or podman, from an image that the user names. The program comes from it, the files do not."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from antiphon.subagents.sandbox import orders
from antiphon.subagents.sandbox.bubblewrap import shown
from antiphon.subagents.sandbox.confinement import MIB, ProcessLimits
from antiphon.subagents.sandbox.contract import Job, Launch, Refused
from antiphon.subagents.sandbox.exposure import outermost, real_paths

Engine = Literal["docker", "podman"]

# The engine's own statuses: it failed; the program cannot be executed, or is not there. The last two may be the
# program's as well; then it is not the engine that speaks.
_FAILED, _NOT_STARTED = 125, frozenset({126, 127})
_SPEAKS: Final = (b"Error: ", b"docker: ", b'{"msg":')
# What the engine's client needs of this process's environment. The command in the container sees none of it.
_OF_THE_CLIENT: Final = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "TMPDIR")
_DESCRIPTORS_AND_PROCESSES: Final = 16384
_UNLIMITED_SCRATCH_BYTES: Final = 64 * 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Confines by a container.

    Attributes:
        engine: whose. client: where its program is.
        image: the image to run; it must be on this machine, nothing is pulled.
        limited: the engine can limit memory and processes by cgroup. Where it cannot (podman only) antiphon counts them
            itself, as for other sandboxes.
    """

    engine: Engine
    client: str
    image: str
    limited: bool = True

    @property
    def name(self) -> str:
        """As typed after `--sandbox`."""
        return f"{self.engine}:{self.image}"

    @property
    def confines(self) -> bool:
        """It does."""
        return True

    def find(self, program: str, search: str) -> str | None:
        """The name as it is: only the image knows."""
        return program

    @contextmanager
    def prepare(self, job: Job) -> Generator[Launch]:
        """The engine's client below our launcher, which removes the container if it is not wanted any more."""
        label = f"antiphon-{os.getpid()}-{os.urandom(6).hex()}"
        given: orders.Orders = {
            "report": job.report,
            "alive": job.alive,
            "parent": os.getpid(),
            "limits": {},
            "privileges": True,
            "supervise": True,
            "finally_run": [self.client, "rm", "--force", label],
        }
        with orders.written(given) as descriptor:
            argv = orders.command(descriptor, self.client, self.arguments(job, label))
            yield Launch(
                argv=argv,
                env={name: os.environ[name] for name in _OF_THE_CLIENT if name in os.environ},
                cwd="/",
                inherit=(descriptor, job.report, job.alive),
                supervised=True,
                shell_status=True,
                refused=_refused,
            )

    def arguments(self, job: Job, label: str) -> list[str]:
        """The client's arguments."""
        confinement = job.confinement
        network = [] if confinement.network else ["--network", "none"]
        fixed = ["run", "--rm", "--pull", "never", "--name", label, *network, "--read-only", "--cap-drop", "ALL"]
        security = ["--security-opt", "no-new-privileges", "--log-driver", "none", *self._user()]
        environment = [f"--env={name}={value}" for name, value in job.env.items() if name != "PATH"]
        return [
            *(*fixed, *security, *self._limits(confinement.limits), *_mounts(job), *environment),
            *("--workdir", job.cwd, f"--entrypoint={job.program}", self.image, *job.arguments),
        ]

    def _user(self) -> list[str]:
        mapped = ["--userns", "keep-id"] if self.engine == "podman" and os.geteuid() != 0 else []
        return [*mapped, "--user", f"{os.geteuid()}:{os.getegid()}"]

    def _limits(self, limits: ProcessLimits) -> list[str]:
        # An engine that may not raise limits fails for trying, so these say less.
        kept = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        ulimits = {name: _at_most(resource.getrlimit(which)[1]) for name, which in kept.items()}
        ulimits |= {name.lower(): value for name, value in limits.resources().items() if name != "AS"}
        said = [f"--ulimit={name}={value}:{value}" for name, value in ulimits.items()]
        if not self.limited:
            return [*said, "--cgroups=disabled"]
        processes = [] if limits.processes is None else [f"--pids-limit={limits.processes}"]
        memory = [] if limits.memory_bytes is None else [f"--memory={limits.memory_bytes}"]
        return [*said, *processes, *memory]


def _refused(status: int, said: bytes) -> bool:
    return status == _FAILED or (status in _NOT_STARTED and said.startswith(_SPEAKS))


def _at_most(limit: int) -> int:
    return _DESCRIPTORS_AND_PROCESSES if limit == resource.RLIM_INFINITY else min(limit, _DESCRIPTORS_AND_PROCESSES)


def client_of(engine: Engine) -> str | None:
    """Where the engine's client is."""
    found = shutil.which(engine)
    return os.path.abspath(found) if found else None


def _mounts(job: Job) -> Iterator[str]:
    scratch = f"size={job.confinement.limits.scratch_bytes or _UNLIMITED_SCRATCH_BYTES}"
    for place in outermost(("/tmp", job.private)):
        yield f"--tmpfs={place}:rw,exec,nosuid,nodev,mode=1777,{scratch}"
    read, _ = shown(tuple(real_paths(job.confinement.read)))
    for path in read:
        yield _mount(path, ",ro")
    for path in real_paths(job.confinement.write):
        yield _mount(path, "")
        if os.path.lexists(pointer := os.path.join(path, ".git")):
            yield _mount(pointer, ",ro")
    if os.path.dirname(job.private) == "/tmp":
        yield f"--tmpfs={job.private}:rw,exec,nosuid,nodev,mode=0700,{scratch}"


def _mount(path: str, options: str) -> str:
    if any(sign in path for sign in ',"\n\r'):
        raise Refused(f"a container cannot be given {path!r}: its name has a comma, a quote or a new line", "rename it")
    return f"--mount=type=bind,src={path},dst={path}{options}"
