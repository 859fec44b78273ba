"""Ripgrep, where it is installed, says which of many files are worth a closer look by our own search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from antiphon.engine import Amount, CallContext
from antiphon.subagents.process import Unavailable, run_command
from antiphon.subagents.sandbox import Confinement, Sandbox

_OUTPUT_BYTES: Final = 16 * 1024 * 1024
_OPTIONS: Final = (
    *("--files-with-matches", "--null", "--no-config", "--no-messages", "--text"),
    *("--hidden", "--no-ignore", "--no-follow", "--threads", "2"),
)
_RAN: Final = (0, 1)


async def narrowed(
    program: str,
    pattern: str,
    files: Sequence[str],
    *,
    root: Path,
    options: Sequence[str],
    ctx: CallContext,
    sandbox: Sandbox,
    seconds: float,
) -> tuple[str, ...] | None:
    """Those of some files that ripgrep finds a match in; None where it cannot say, as its expressions are not Python's.

    Args:
        program: where it is.
        pattern: a regular expression that Python takes.
        files: below the root.
        root: of the workspace.
        options: more of ripgrep's.
        ctx: of the call.
        sandbox: what confines it.
        seconds: wall time it may take.
    """
    tops = sorted({one.split("/", 1)[0] for one in files})
    if sum(map(len, tops)) > _OUTPUT_BYTES // 256:
        tops = ["."]
    async with ctx.attempt(Amount(), sort="process", name="grep") as attempt:
        ended = await run_command(
            [program, *_OPTIONS, *options, "--regexp", pattern, "--", *(f"./{one}" for one in tops)],
            cwd=root,
            timeout_seconds=seconds,
            output_limit=_OUTPUT_BYTES,
            sandbox=sandbox,
            confinement=Confinement(read=(str(root),)),
        )
        attempt.not_billed()
    if isinstance(ended, Unavailable) or ended.truncated or ended.timed_out or ended.exit not in _RAN:
        return None
    said = {one.decode("utf-8", "surrogateescape").removeprefix("./") for one in ended.stdout.split(b"\0")}
    return tuple(one for one in files if one in said)
