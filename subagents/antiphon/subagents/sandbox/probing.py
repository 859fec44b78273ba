"""Which sandboxes work on this machine, found out by using them, and which one to take.

Nothing is concluded from versions or settings: a kernel may have user namespaces and an AppArmor profile that forbids
them, a bwrap may be there and set up wrongly. Each backend runs one small command, and has to keep it from a file.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, cast, get_args

from antiphon.engine.errors import UsageError
from antiphon.subagents.sandbox import kernel
from antiphon.subagents.sandbox.bare import Unconfined
from antiphon.subagents.sandbox.bubblewrap import Bubblewrap
from antiphon.subagents.sandbox.confinement import Confinement
from antiphon.subagents.sandbox.container import Container, Engine, client_of
from antiphon.subagents.sandbox.contract import Sandbox
from antiphon.subagents.sandbox.landlock import Landlock
from antiphon.subagents.sandbox.seccomp import this_machine

Backend = Literal["bubblewrap", "landlock"]
BACKENDS: Final[tuple[Backend, ...]] = get_args(Backend)
"""What is tried when nobody asks for one, best first."""
CHOICES: Final = "bubblewrap, landlock, docker:IMAGE, podman:IMAGE or none"

_TRY_SECONDS: Final = 20.0
_ALIASES: Final = {"bwrap": "bubblewrap"}
_INSTALL_BWRAP: Final = "apt install bubblewrap (Debian, Ubuntu) or dnf install bubblewrap (Fedora)"
_ALLOW_NAMESPACES: Final = (
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), kernel.unprivileged_userns_clone=1"
    " (Debian) or user.max_user_namespaces=15000 (RHEL), whichever your kernel has"
)
_NEW_KERNEL: Final = "boot a kernel of version 5.13 or later with lsm=landlock,... on its command line"


class SandboxUnusable(UsageError):
    """The sandbox that was asked for does not work here, or there is none of that name."""

    def __init__(self, wanted: str, reason: str, advice: str) -> None:
        self.wanted, self.reason = wanted, reason
        super().__init__(f"the sandbox {wanted!r} cannot be used: {reason}", advice=advice)


@dataclass(frozen=True, slots=True)
class Probe:
    """What came out of trying one backend.

    Attributes:
        name: as typed after `--sandbox`.
        sandbox: to use it; None if it is not usable.
        reason: why it is not usable, or what is weaker than it could be; empty if nothing is.
        advice: what to type to have it.
        seconds: how long the try took.
    """

    name: str
    sandbox: Sandbox | None
    reason: str = ""
    advice: str = ""
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """It confined a real command."""
        return self.sandbox is not None


@cache
def probe(name: str) -> Probe:
    """Try one backend, once in the life of this process. This blocks for some 50 ms.

    Args:
        name: what `choose` takes, but for "none".
    """
    started = time.monotonic()
    name = _ALIASES.get(name, name)
    engine, colon, image = name.partition(":")
    if sys.platform != "linux" and (name in _PROBES or colon):
        found = Probe(name, None, "it needs Linux", "run antiphon in a Linux virtual machine or container")
    elif name in _PROBES:
        found = _PROBES[name]()
    elif colon and image and engine in get_args(Engine):
        found = _container(cast(Engine, engine), image)
    else:
        found = Probe(name, None, "there is none of that name", f"choose {CHOICES}")
    return replace(found, seconds=time.monotonic() - started)


def choose(wanted: str | None = None) -> Sandbox:
    """The sandbox to run commands in.

    Args:
        wanted: one of `CHOICES`, as the user typed it; None or "auto" for the best that works.

    Returns:
        A sandbox that was just used. Without `wanted` and where none works, one that does not confine and refuses what
        executes code of the tree; `confines` tells.

    Raises:
        SandboxUnusable: the one that was asked for does not work; the message says why, and what to type.
    """
    if wanted == "none":
        return Unconfined(consented=True)
    if wanted in (None, "", "auto"):
        found = next((probe(name).sandbox for name in BACKENDS if probe(name).usable), None)
        return found or Unconfined()
    assert wanted is not None
    tried = probe(wanted)
    if tried.sandbox is None:
        raise SandboxUnusable(wanted, tried.reason, tried.advice)
    return tried.sandbox


def _bubblewrap() -> Probe:
    program = shutil.which("bwrap")
    if program is None or not os.path.isabs(program):
        return Probe("bubblewrap", None, "bwrap is not on PATH", _INSTALL_BWRAP)
    if this_machine() is None:
        return Probe(
            "bubblewrap", None, "the filter of system calls has no numbers for this machine", "use docker:IMAGE"
        )
    sandbox = Bubblewrap(program)
    trouble = _trouble(sandbox)
    if trouble is None:
        return Probe("bubblewrap", sandbox)
    known = kernel.user_namespaces()
    return Probe("bubblewrap", None, f"{trouble} ({known})" if known else trouble, _ALLOW_NAMESPACES)


def _landlock() -> Probe:
    abi = kernel.landlock_abi()
    if not abi:
        return Probe("landlock", None, "this kernel has no Landlock, or has it switched off", _NEW_KERNEL)
    if this_machine() is None:
        return Probe("landlock", None, "the filter of system calls has no numbers for this machine", "use docker:IMAGE")
    sandbox = Landlock(abi)
    trouble = _trouble(sandbox)
    if trouble is not None:
        return Probe("landlock", None, trouble, _NEW_KERNEL)
    older = abi < kernel.ABI_WITH_SCOPES
    weaker = f"version {abi} cannot scope signals, so a command cannot signal its own processes either" if older else ""
    return Probe("landlock", sandbox, weaker)


_PROBES: Final[dict[str, Callable[[], Probe]]] = {"bubblewrap": _bubblewrap, "landlock": _landlock}


def _container(engine: Engine, image: str) -> Probe:
    name, client = f"{engine}:{image}", client_of(engine)
    if client is None:
        return Probe(name, None, f"{engine} is not on PATH", f"install {engine}, then: {engine} pull {image}")
    sandbox = Container(engine=engine, client=client, image=image)
    trouble = _trouble(sandbox)
    if trouble is None:
        return Probe(name, sandbox)
    if engine == "podman":
        counted = replace(sandbox, limited=False)
        if _trouble(counted) is None:
            return Probe(name, counted, f"cgroups are not usable, so antiphon counts processes itself: {trouble}")
    return Probe(name, None, trouble, f"check that `{engine} run --rm {image}` works; or: {engine} pull {image}")


def _trouble(sandbox: Sandbox) -> str | None:
    """Run one command that tries to read a file it was not given; why the sandbox is not to be used."""
    from antiphon.subagents.process import Completed, run_here  # it imports the backends, so not the other way round

    with tempfile.NamedTemporaryFile(prefix="antiphon-probe-") as file:
        secret = os.urandom(16).hex().encode()
        file.write(secret)
        file.flush()
        argv = ["cat", "/proc/self/status", file.name]
        ended = run_here(argv, sandbox=sandbox, confinement=Confinement(), timeout_seconds=_TRY_SECONDS)
    if not isinstance(ended, Completed):
        return ended.reason
    if ended.timed_out:
        return f"it did not run `cat` within {_TRY_SECONDS:g} s"
    if secret in ended.stdout:
        return "it let a command read a file that it was not given"
    if b"NoNewPrivs:\t1" not in ended.stdout or b"Seccomp:\t2" not in ended.stdout:
        return "it does not keep a command from gaining privileges, or does not filter its system calls"
    return None
