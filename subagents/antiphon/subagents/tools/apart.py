"""Work on what a model or a workspace may have made to hang or crash whoever looks at it: in a process of its own.

The process runs one of our own scripts in the sandbox, reads only what it is granted, writes nothing, and is ended when
its time is over. What it answers is taken as data from a stranger.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import anyio.to_thread

from antiphon.engine import Amount, CallContext
from antiphon.subagents.process import Completed, Unavailable, run_command
from antiphon.subagents.sandbox import Confinement, Container, ProcessLimits, Sandbox, choose
from antiphon.subagents.sandbox.confinement import MIB
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.tracing import Json

_OUTPUT_BYTES: Final = 16 * MIB
_LIMITS: Final = ProcessLimits(processes=8, memory_bytes=2048 * MIB)
_SAID_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Apart:
    """What a script said.

    Attributes:
        answers: the objects that it wrote, a line each, up to where it ended.
        trouble: why there may be more than these; "" where it came to its end.
    """

    answers: tuple[Mapping[str, Any], ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One of our own scripts.

    Attributes:
        file: it. name: what a person reads while it runs. seconds: wall time that it may take.
        packages: whether it imports what is installed with antiphon.
    """

    file: Path
    name: str
    seconds: float = 20.0
    packages: bool = False


async def apart(
    script: Script, job: Mapping[str, Json], *, ctx: CallContext, sandbox: Sandbox, read: Sequence[str]
) -> Apart:
    """Run a script on a job; one process attempt of the call, which costs no tool call.

    Args:
        script: it gets the name of a file that holds the job, and writes JSON, an object a line.
        job: what it is to do.
        ctx: of the call that it is run for.
        sandbox: what confines it.
        read: files and folders that it may read, absolute and real.
    """
    async with ctx.attempt(Amount(), sort="process", name=script.name) as attempt:
        ended = await _run(script, job, await anyio.to_thread.run_sync(_here, sandbox), read)
        attempt.not_billed()
    if isinstance(ended, Unavailable):
        return Apart((), f"{ended.reason}; {ended.advice}")
    return await anyio.to_thread.run_sync(_read, script, ended)


def _here(sandbox: Sandbox) -> Sandbox:
    """What confines our own scripts: a container has the programs of its image, and these are not among them."""
    return choose() if isinstance(sandbox, Container) else sandbox


async def _run(
    script: Script, job: Mapping[str, Json], sandbox: Sandbox, read: Sequence[str]
) -> Completed | Unavailable:
    with private_folder() as folder:
        file = Path(folder, "job.json")
        await anyio.to_thread.run_sync(file.write_text, json.dumps(job), "utf-8")
        flags = ("-I", "-B") if script.packages else ("-I", "-B", "-S")
        return await run_command(
            [sys.executable, *flags, "-X", "utf8", str(script.file), str(file)],
            timeout_seconds=script.seconds,
            output_limit=_OUTPUT_BYTES,
            sandbox=sandbox,
            confinement=Confinement(read=(str(file), *read), limits=_LIMITS),
        )


def _read(script: Script, ended: Completed) -> Apart:
    answers: list[Mapping[str, Any]] = []
    for line in ended.stdout.split(b"\n"):
        try:
            answer: Any = json.loads(line) if line else None
        except (ValueError, RecursionError):  # of the last line, where it was cut off
            continue
        if isinstance(answer, dict):
            answers.append(cast("dict[str, Any]", answer))
    return Apart(tuple(answers), _trouble(script, ended))


def _trouble(script: Script, ended: Completed) -> str:
    if ended.timed_out:
        return f"it took longer than {script.seconds:g} s and was ended"
    if ended.truncated:
        return f"it found more than {_OUTPUT_BYTES // MIB} MiB and was ended"
    if ended.excess is not None:
        return f"it used more than it may ({ended.excess}) and was ended"
    if ended.exit == 0:
        return ""
    said = " ".join(ended.stderr[-_SAID_CHARACTERS:].decode("utf-8", "replace").split())
    return f"it ended with {ended.exit}: {said}" if said else f"it ended with {ended.exit}"
