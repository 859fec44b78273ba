"""The runtime `jail`: CPython, confined by the kernel. Where the kernel cannot do that, there is no jail."""

from __future__ import annotations

import platform
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

import anyio.to_thread

from antiphon.engine.errors import UsageError
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, Program
from antiphon.subagents.jail.guest import JailGuest
from antiphon.subagents.jail.keeping import NoZygote, Zygote, zygote_of
from antiphon.subagents.sandbox import BACKENDS, Bubblewrap, Landlock, Sandbox, kernel, probe
from antiphon.subagents.sandbox.seccomp import this_machine
from antiphon.subagents.sandbox.syscalls import MACHINES

_ATTEMPTS: Final = 3
_OTHER: Final = "antiphon run FILE --runtime monty"
_NEW_KERNEL: Final = (
    "boot Linux 5.13 or later with lsm=landlock,... on its command line; or: antiphon run FILE --runtime monty"
)


class JailUnusable(UsageError):
    """There is no jail on this machine, or not as it was asked for."""

    def __init__(self, reason: str, advice: str) -> None:
        self.reason = reason
        super().__init__(f"the runtime 'jail' cannot be used: {reason}", advice=advice)


@dataclass(frozen=True, slots=True)
class JailRuntime:
    """Runs scripts in processes that can compute and speak to antiphon, and nothing else.

    Guests are forks of one warm process, which this one starts when it first needs it and which ends with it.

    Attributes:
        sandbox: what that process runs in. Guests are confined more than that, by themselves: without any path of the
            file system, and with a short list of system calls.
    """

    sandbox: Sandbox

    def __post_init__(self) -> None:
        """Refuse what leaves privileges to its processes.

        Raises:
            JailUnusable: the sandbox confines nothing, or does so by somebody else's hands.
        """
        if not isinstance(self.sandbox, Bubblewrap | Landlock):
            raise JailUnusable(f"{self.sandbox.name} is no sandbox to fork scripts in", "antiphon doctor")

    @property
    def name(self) -> str:
        """As typed after ``--runtime``."""
        return "jail"

    @asynccontextmanager
    async def guest(self, program: Program, limits: GuestLimits) -> AsyncGenerator[Guest]:
        """See `Runtime`.

        Raises:
            JailUnusable: the process that guests are forked from does not start.
            GuestDied: the guest could not be started.
        """
        guest = await self._begun(program, limits)
        try:
            yield guest
        finally:
            await guest.end()

    async def warm(self) -> None:
        """Start the process that guests are forked from, if it is not there: the next guest then costs a fork.

        Raises:
            JailUnusable: it does not start.
        """
        await self._zygote()

    async def _begun(self, program: Program, limits: GuestLimits) -> JailGuest:
        trouble = ""
        for _ in range(_ATTEMPTS):  # a zygote that was killed is found out when it is asked
            zygote, guest, is_there = await self._zygote(), _new_guest(limits), False
            try:
                await guest.begin(zygote, program)
                is_there = True
            except NoZygote as error:
                trouble = str(error)
                zygote.lose()
            finally:
                if not is_there:
                    await guest.end()
            if is_there:
                return guest
        raise GuestDied("crashed", f"it could not be started: {trouble}")

    async def _zygote(self) -> Zygote:
        zygote = zygote_of(self.sandbox)
        if not zygote.ready:
            try:
                await anyio.to_thread.run_sync(zygote.wait, abandon_on_cancel=True)
            except NoZygote as error:
                raise JailUnusable(str(error), f"antiphon doctor; or: {_OTHER}") from None
        return zygote


def _new_guest(limits: GuestLimits) -> JailGuest:
    try:
        return JailGuest(limits)
    except OSError as error:
        raise GuestDied("crashed", f"it could not be started: {error.strerror}", advice="raise `ulimit -n`") from None


@dataclass(frozen=True, slots=True)
class JailProbe:
    """Whether scripts can be jailed here.

    Attributes:
        runtime: to do it; None if it cannot be done.
        reason: why not, or what is weaker than it could be; empty if nothing is.
        advice: what to type to have it.
        facts: what it rests on: the machine, the kernel, Landlock's version, what is around it.
    """

    runtime: JailRuntime | None
    reason: str = ""
    advice: str = ""
    facts: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """The kernel can do it, and what is around it confined a real command."""
        return self.runtime is not None


@cache
def probe_jail(wanted: str | None = None) -> JailProbe:
    """Find out whether scripts can be jailed here, once in the life of this process. This blocks for some 50 ms.

    Args:
        wanted: the sandbox around it, "bubblewrap" or "landlock"; None for the best that works.
    """
    facts: tuple[str, ...] = (f"{platform.machine()}, Linux {platform.release()}",)
    if sys.platform != "linux":
        return JailProbe(None, "it needs Linux", _OTHER, (sys.platform,))
    if this_machine() is None:
        known = " and ".join(MACHINES)
        return JailProbe(None, f"its filter has system calls of {known}, not {platform.machine()}", _OTHER, facts)
    abi = kernel.landlock_abi()
    if not abi:
        return JailProbe(None, "this kernel has no Landlock, or has it switched off", _NEW_KERNEL, facts)
    facts = (*facts, f"Landlock version {abi}")
    tried = [probe(name) for name in BACKENDS if wanted in (None, name)]
    found = next((one for one in tried if one.sandbox is not None), None)
    if found is None or found.sandbox is None:
        reason = "; ".join(f"{one.name}: {one.reason}" for one in tried) or f"there is no sandbox {wanted!r}"
        return JailProbe(None, reason, "antiphon doctor", facts)
    without = next((f"no bubblewrap around it: {one.reason}" for one in tried if not one.usable), "")
    return JailProbe(
        JailRuntime(found.sandbox), without, tried[0].advice if without else "", (*facts, f"{found.name} around it")
    )


def choose_jail(wanted: str | None = None) -> JailRuntime:
    """The jail of this machine.

    Args:
        wanted: as in `probe_jail`.

    Raises:
        JailUnusable: there is none; the message says why, and what to type.
    """
    tried = probe_jail(wanted)
    if tried.runtime is None:
        raise JailUnusable(tried.reason, tried.advice)
    return tried.runtime
