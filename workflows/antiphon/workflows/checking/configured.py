"""What a project's own configuration asks for: its formatter, and the lint rules that it chose itself.

Only ruff, which is always here and executes nothing of what it reads; and only where the project configures it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from antiphon.engine import Amount, CallContext
from antiphon.subagents.checks import NotChecked, Problem
from antiphon.subagents.process import Completed, Unavailable, run_command
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.sandbox import Confinement, Sandbox
from antiphon.subagents.workspace.looking import read_text
from antiphon.workflows.audit.hits import Job
from antiphon.workflows.audit.presence import find
from antiphon.workflows.audit.table import ruff

FORMAT: Final = "ruff format"
LINT: Final = "ruff, as configured"
_SECONDS: Final = 120.0
# In versions to 0.16, and since; relative to where it is started, or absolute.
_WOULD: Final = re.compile(r"^(?:Would reformat: (.+)|\s*--> (.+):\d+:\d+)$")
_MOST_FILES: Final = 2_000


def is_configured(root: Path) -> bool:
    """Whether a tree configures ruff. Blocks."""
    named = any(read_text(root / name) for name in ("ruff.toml", ".ruff.toml"))
    return named or "[tool.ruff" in read_text(root / "pyproject.toml")


async def check_configured(
    root: Path, units: Sequence[str], *, sandbox: Sandbox, ctx: CallContext
) -> tuple[list[Problem], list[NotChecked]]:
    """What the project's own rules say of some of its Python files.

    Args:
        root: the tree.
        units: the files, relative to it.
        sandbox: what confines ruff.
        ctx: of the call that this is done for.

    Returns:
        The problems, and what could not be checked, and why.
    """
    program = find("ruff", root)
    if program is None:
        return [], [NotChecked(FORMAT, "it was not found on this machine"), NotChecked(LINT, "it was not found")]
    files = tuple(str(root / unit) for unit in units[:_MOST_FILES])
    shared = ("--no-cache", "--force-exclude")
    formats = await _run(
        (program, "format", "--check", "--no-cache", "--force-exclude", "--", *files), root, sandbox, ctx
    )
    lints = await _run((program, "check", *shared, "--output-format", "json", "--", *files), root, sandbox, ctx)
    problems, failed = _formats(formats, root)
    more, also = _lints(lints, root)
    return [*problems, *more], [*failed, *also]


async def _run(argv: tuple[str, ...], root: Path, sandbox: Sandbox, ctx: CallContext) -> Completed | Unavailable:
    async with ctx.attempt(Amount(), sort="process", name=f"ruff {argv[1]}, as configured") as attempt:
        ended = await run_command(
            argv,
            cwd=root,
            timeout_seconds=_SECONDS,
            output_limit=4 << 20,
            sandbox=sandbox,
            confinement=Confinement(read=(str(root),)),
        )
        attempt.not_billed()
    return ended


def _formats(ended: Completed | Unavailable, root: Path) -> tuple[list[Problem], list[NotChecked]]:
    if isinstance(ended, Unavailable) or ended.exit not in (0, 1):
        return [], [NotChecked(FORMAT, _why(ended))]
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    named = {_unit(found[1] or found[2], root) for line in lines if (found := _WOULD.match(line))}
    text = "it is not formatted as the project asks for"
    return [Problem(FORMAT, "format", path, None, text, "low") for path in sorted(named)], []


def _lints(ended: Completed | Unavailable, root: Path) -> tuple[list[Problem], list[NotChecked]]:
    if isinstance(ended, Unavailable) or ended.exit not in (0, 1):
        return [], [NotChecked(LINT, _why(ended))]
    try:
        reading = ruff.read(ended, Job("", str(root)))
    except UnreadableOutput as error:
        return [], [NotChecked(LINT, error.reason)]
    return [Problem(LINT, hit.rule, _unit(hit.path, root), hit.line, hit.text, "low") for hit in reading.hits], []


def _unit(path: str, root: Path) -> str:
    return path.removeprefix(f"{root}/")


def _why(ended: Completed | Unavailable) -> str:
    if isinstance(ended, Unavailable):
        return f"it could not be started: {ended.reason}"
    words = " ".join(ended.stderr[-300:].decode("utf-8", "backslashreplace").split())
    return f"it ended with status {ended.exit}" + (f": {words}" if words else "")
