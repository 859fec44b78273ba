"""What `antiphon doctor` finds: sandboxes, runtimes, the kernel, analysers, the place for runs; each really tried."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import anyio

from antiphon.engine.script.monty import MontyRuntime, MontyUnusable, monty_version
from antiphon.engine.script.runtime import GuestLimits, Program, Runtime
from antiphon.subagents.jail import probe_jail
from antiphon.subagents.sandbox import BACKENDS, BANNER, Probe, Sandbox, SandboxUnusable, choose, probe
from antiphon.subagents.sandbox.container import client_of
from antiphon.subagents.sandbox.kernel import landlock_abi, user_namespaces
from antiphon.tracing.errors import AntiphonError
from antiphon.workflows.audit.presence import NotRun, look_for
from antiphon.workflows.audit.table import TABLE
from antiphon.workflows.cli.configuration import configuration
from antiphon.workflows.places import runs_home

State = Literal["yes", "weaker", "no", "absent"]

_CONTAINERS: Final = ("docker", "podman")
_SCRIPT: Final = Program(source="async def main():\n    return 6 * 7\n", file="doctor.py", token="doctor")
_SCRIPT_VALUE: Final = 42
_SCRIPT_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was looked at.

    Attributes:
        name: what. state: whether it works; "absent" is what nobody has to have.
        told: what came out. advice: what to type to have it.
    """

    name: str
    state: State
    told: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found.

    Attributes:
        sections: what was looked at, by what it belongs to.
        sandbox: the name of the one that is used. why: why that one.
        confined: it keeps commands from something. writable: runs can be written.
    """

    sections: Mapping[str, tuple[Item, ...]]
    sandbox: str
    why: str
    confined: bool
    writable: bool

    @property
    def healthy(self) -> bool:
        """Everything that an audit needs works."""
        return self.confined and self.writable

    @property
    def verdict(self) -> str:
        """One line."""
        where = "" if self.writable else "; runs cannot be written"
        return f"commands run in {self.sandbox if self.confined else 'no sandbox'}: {self.why}{where}"

    def to_json(self) -> dict[str, object]:
        """The same for programs."""
        items = {title: [asdict(item) for item in items] for title, items in self.sections.items()}
        chosen = {"name": self.sandbox, "why": self.why, "confines": self.confined}
        return {"healthy": self.healthy, "sandbox": chosen, "runs_writable": self.writable, "sections": items}


def examine(wanted: str | None = None, runs_dir: Path | None = None) -> Examination:
    """Look at this machine.

    Args:
        wanted: a sandbox to try besides those that are always tried; the examination is then about that one.
        runs_dir: where runs are to live; by default where the configuration says.
    """
    probes = [probe(name) for name in BACKENDS]
    if wanted not in (None, "none", *BACKENDS):
        probes.append(probe(str(wanted)))
    sandbox, why = _choice(wanted)
    home = _home(runs_dir)
    return Examination(
        sections={
            "sandboxes": (*map(_of_probe, probes), *_clients()),
            "runtimes": (_jail(), _monty()),
            "kernel": tuple(_kernel()),
            "python": tuple(_python()),
            "analysers": tuple(_analysers(sandbox)),
            "runs": (home,),
        },
        sandbox=sandbox.name if sandbox else str(wanted),
        why=why,
        confined=sandbox is not None and sandbox.confines,
        writable=home.state == "yes",
    )


def _choice(wanted: str | None) -> tuple[Sandbox | None, str]:
    try:
        sandbox = choose(wanted)
    except SandboxUnusable as error:
        return None, error.reason
    if sandbox.confines:
        return sandbox, "it was asked for, and works" if wanted else "it is the best of those that work"
    return sandbox, "that was asked for" if wanted else BANNER


def _of_probe(tried: Probe) -> Item:
    if not tried.usable:
        return Item(tried.name, "no", tried.reason, tried.advice)
    took = f"tried in {tried.seconds * 1000:.0f} ms"
    return Item(tried.name, "weaker" if tried.reason else "yes", f"{tried.reason}; {took}" if tried.reason else took)


def _clients() -> Iterator[Item]:
    for engine in _CONTAINERS:
        client = client_of("docker" if engine == "docker" else "podman")
        if client is None:
            yield Item(engine, "absent", "it is not on PATH")
        else:
            told = f"{client}; used only when asked for, with an image that holds the analysers"
            yield Item(engine, "absent", told, f"antiphon doctor --sandbox {engine}:IMAGE")


def _jail() -> Item:
    """The runtime that confines what a model wrote, tried with a script."""
    tried = probe_jail()
    facts = ", ".join(tried.facts)
    if tried.runtime is None:
        return Item("jail", "no", f"{tried.reason} ({facts})", tried.advice)
    trouble = anyio.run(_trouble, tried.runtime)
    if trouble:
        return Item("jail", "no", f"{trouble} ({facts})", "antiphon run FILE --runtime monty")
    told = f"{tried.reason}; {facts}" if tried.reason else facts
    return Item("jail", "weaker" if tried.reason else "yes", told, tried.advice)


def _monty() -> Item:
    """The portable runtime, which nobody has to have."""
    try:
        runtime = MontyRuntime()
    except MontyUnusable as error:
        return Item("monty", "absent", error.reason, error.advice or "")
    trouble = anyio.run(_trouble, runtime)
    told = f"pydantic-monty {monty_version()}"
    return Item("monty", "no" if trouble else "yes", f"{trouble} ({told})" if trouble else told)


async def _trouble(runtime: Runtime) -> str:
    """Why a short script did not run to its end; "" if it did."""
    try:
        async with runtime.guest(_SCRIPT, GuestLimits(turn_seconds=_SCRIPT_SECONDS)) as guest:
            said = await guest.receive()
    except AntiphonError as error:
        return error.message
    return "" if said is not None and json.loads(said).get("value") == _SCRIPT_VALUE else "its script came to nothing"


def _kernel() -> Iterator[Item]:
    yield Item(platform.system() or "unknown", "yes", f"{platform.release()} on {platform.machine()}")
    abi = landlock_abi()
    yield Item("Landlock", "yes" if abi else "absent", f"version {abi} of its interface" if abi else "not there")
    forbidden = user_namespaces()
    state: State = "weaker" if forbidden else "yes"
    yield Item("user namespaces", state, forbidden or "nothing is known to forbid them")


def _python() -> Iterator[Item]:
    yield Item(platform.python_version(), "yes", sys.executable)
    uid = os.geteuid()
    told = "root: what runs without a sandbox may do everything" if uid == 0 else "an ordinary user"
    yield Item(f"uid {uid}", "weaker" if uid == 0 else "yes", told)


def _analysers(sandbox: Sandbox | None) -> Iterator[Item]:
    """Each asked for its version in the sandbox that it would run in."""
    for found in anyio.run(partial(look_for, TABLE, _NOWHERE, sandbox)):
        if isinstance(found, NotRun):
            yield Item(found.tool, "absent", found.reason, found.advice)
        else:
            yield Item(found.entry.tool, "yes", f"{found.version}, for {', '.join(found.entry.lenses)}")


_NOWHERE: Final = Path("/nonexistent/antiphon")  # no tree is audited, so no place is one whose programs are not run


def _home(runs_dir: Path | None) -> Item:
    """Whether runs can be written, by writing: permissions alone do not tell (read-only mounts, quotas)."""
    try:
        home = runs_home(runs_dir or configuration().runs_dir)
    except AntiphonError as error:
        return Item("configuration", "no", error.message, error.advice or "")
    there = next((folder for folder in (home, *home.parents) if folder.is_dir()), home)
    try:
        with tempfile.TemporaryFile(dir=there):
            return Item(str(home), "yes", "can be written")
    except OSError as error:
        return Item(str(home), "no", error.strerror or str(error), "antiphon audit PATH --runs-dir DIR")
