"""Which tools are on this machine, where, and in which version. Nothing inside the audited tree is ever a tool."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anyio

from antiphon.subagents.process import Completed, run_command
from antiphon.subagents.sandbox import Confinement, Sandbox
from antiphon.workflows.audit.table import Entry

DATA = Path(__file__).resolve().parent / "data"
RUNNERS = Path(__file__).resolve().parent / "runners"
_VERSION_SECONDS = 60.0
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Present:
    """A tool that can be run: how its command line begins, its version, and what it reads of its own installation."""

    entry: Entry
    argv: tuple[str, ...]
    version: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotRun:
    """A tool that is not run: which views are not taken for it, why, and what to type to have it."""

    tool: str
    lenses: tuple[str, ...]
    reason: str
    advice: str = ""


async def look_for(entries: Sequence[Entry], root: Path, sandbox: Sandbox | None = None) -> list[Present | NotRun]:
    """Look for some tools, in order; those on PATH are asked for their versions all at once.

    Args:
        entries: the tools.
        root: the audited folder: what is inside it is not run.
        sandbox: what confines the commands that ask for versions.
    """
    found: dict[str, Present | NotRun] = {}

    async def one(entry: Entry) -> None:
        found[entry.tool] = await _look(entry, root, sandbox)

    async with anyio.create_task_group() as group:
        for entry in entries:
            group.start_soon(partial(one, entry))
    return [found[entry.tool] for entry in entries]


async def _look(entry: Entry, root: Path, sandbox: Sandbox | None) -> Present | NotRun:
    if entry.asks.module:
        return _module(entry)
    program = find(entry.asks.program, root)
    if program is None:
        return _missing(entry, "it was not found on this machine")
    needs = (*(filled(path, root) for path in entry.reads), *_needs(program))
    said = await run_command(
        [program, *entry.asks.version],
        env={name: filled(value, root) for name, value in entry.environment.items()},
        timeout_seconds=_VERSION_SECONDS,
        output_limit=65_536,
        sandbox=sandbox,
        confinement=Confinement(read=needs),
    )
    if not isinstance(said, Completed):
        return _missing(entry, f"it could not be started: {said.reason}")
    number = _VERSION.search(said.stdout.decode("utf-8", "replace"))
    if said.exit != 0 or number is None:
        return _missing(entry, f"it is there, but does not say its version: {_last_words(said)}")
    return _new_enough(entry, (program,), number.group(), needs)


def _last_words(said: Completed) -> str:
    words = " ".join((said.stderr or said.stdout)[-200:].decode("utf-8", "backslashreplace").split())
    return words or ("it took too long" if said.timed_out else "it says nothing")


def _module(entry: Entry) -> Present | NotRun:
    try:
        number = version(entry.asks.distribution)
    except PackageNotFoundError:
        return _missing(entry, "it is not installed beside antiphon")
    # Isolated from the environment and the working folder: with plain -m, a yaml.py lying there would be imported.
    module = entry.asks.module
    argv = (str(RUNNERS / module),) if module.endswith(".py") else ("-m", module)
    return _new_enough(entry, (sys.executable, "-I", *argv), number)


def _needs(program: str) -> tuple[str, ...]:
    """What a program of node reads besides its own folder: the packages beside it."""
    real = Path(program).resolve()
    outer = next((folder for folder in reversed(real.parents) if folder.name == "node_modules"), None)
    return (str(outer),) if outer else ()


def _new_enough(entry: Entry, argv: tuple[str, ...], number: str, needs: tuple[str, ...] = ()) -> Present | NotRun:
    said = _VERSION.match(number)
    if said and tuple(map(int, said.group().split("."))) < entry.asks.oldest:
        oldest = ".".join(map(str, entry.asks.oldest))
        return _missing(entry, f"it is there in version {number}, and {oldest} is the oldest that is understood")
    return Present(entry, argv, number, needs)


def _missing(entry: Entry, reason: str) -> NotRun:
    return NotRun(entry.tool, tuple(entry.lenses), reason, entry.advice)


def filled(word: str, root: Path) -> str:
    """A word of an entry's options or environment, with what its placeholders stand for."""
    rustup = os.path.realpath(os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup"))
    return word.replace("{data}", str(DATA)).replace("{root}", str(root)).replace("{rustup}", rustup)


def find(program: str, root: Path) -> str | None:
    """Where a program is: beside this Python, else on PATH; never inside the audited tree.

    What is beside this Python is trusted wherever it lies, as this Python itself is.
    """
    beside = shutil.which(program, path=sysconfig.get_path("scripts"))
    if beside is not None:
        return os.path.abspath(beside)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not os.path.isabs(folder) or _inside(Path(folder), root):
            continue
        found = shutil.which(program, path=folder)
        if found is not None and not _inside(Path(found), root):
            return found
    return None


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return True
