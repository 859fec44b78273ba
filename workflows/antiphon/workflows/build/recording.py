"""What became of each subtask, as records: its patch, how its criterion went, and whether it is in the whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from antiphon.engine import CallContext
from antiphon.subagents.function import function_agent
from antiphon.subagents.records import Actor, CommandRun, Coverage, Patch, PatchKey, Verdict, capped
from antiphon.subagents.records.claims import numbered
from antiphon.subagents.records.coverage import CoverageState
from antiphon.subagents.workspace.contract import Workspace

CHECK: Final = "integrated"
MOST_PATCHES: Final = 200
MOST_REPLACED: Final = 100_000
_HUNK: Final = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@function_agent("recorder", version="1")
async def recorder(task: str, ctx: CallContext) -> None:
    """Record one subtask: what its frame says of it, and what its workspace, where it has one, holds."""
    said = cast("dict[str, Any]", ctx.frames[-1])
    unit, state, reason = str(said["unit"]), said["state"], str(said["reason"])
    done: CoverageState = "done" if state == "integrated" else "failed"
    ctx.records.add(Coverage(record="coverage", unit=unit, check=CHECK, state=done, reason=capped(reason)))
    if ctx.workspace is None:
        return
    diff = await cast(Workspace, ctx.workspace).diff(str(said["since"]), str(said["until"]))
    evidence = _evidence(said)
    for patch in numbered(_patches(diff, unit, str(said["since"]), evidence)):
        ctx.records.add(patch)
        if evidence is not None:
            ctx.records.add(_verdict(patch, evidence))


def _evidence(said: Mapping[str, Any]) -> CommandRun | None:
    run = said.get("criterion")
    if not isinstance(run, dict):
        return None
    run = cast("dict[str, Any]", run)
    return CommandRun(
        kind="command", argv=_words(str(run["command"])), exit=int(run["exit"]), sha256=str(run["sha256"])
    )


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return (command,)


def _verdict(patch: Patch, evidence: CommandRun) -> Verdict:
    """What the criterion says of a patch: it was run, and is of another lineage than whoever wrote the patch."""
    return Verdict(
        record="verdict",
        of=patch.id,
        stance="confirm" if evidence.exit == 0 else "refute",
        actor=Actor(tool="criterion", lineage="criterion"),
        method="tests",
        reason=f"the subtask's criterion ended with exit {evidence.exit}",
        evidence=(evidence,),
    )


def _patches(diff: str, unit: str, base: str, evidence: CommandRun | None) -> Iterator[Patch]:
    """The changes of a patch in git's form as claims: one for each run of lines. Binary content makes none."""
    for number, (path, start, end, text) in enumerate(hunks(diff)):
        if number >= MOST_PATCHES or len(text) > MOST_REPLACED:
            return
        yield Patch(
            record="claim",
            sort="patch",
            key=PatchKey(base=base, path=path, start_line=start, end_line=end),
            replacement=text,
            text=f"the change of {path} for the subtask {unit}",
            actor=Actor(tool="build", lens=unit, lineage=f"build/{unit}"),
            evidence=(evidence,) if evidence is not None else (),
        )


def hunks(diff: str) -> Iterator[tuple[str, int, int, str]]:
    """The runs of lines that a patch in git's form replaces: path, first line, last line, and what becomes of them.

    Lines that only stand around a change are replaced by themselves.
    """
    path, lines = "", [f"{line}\n" for line in diff.split("\n")]
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("diff --git "):
            path = ""
        elif line.startswith(("--- a/", "+++ b/")):
            path = line[6:].rstrip("\n").rstrip("\t")
        elif (hit := _HUNK.match(line)) and path:
            old, new = int(hit[2] or 1), int(hit[4] or 1)
            at, text = _after(lines, at, old, new)
            start = int(hit[1]) if old else int(hit[1]) + 1
            yield path, max(1, start), max(1, start) + old - 1, text


def _after(lines: list[str], at: int, old: int, new: int) -> tuple[int, str]:
    """Where a hunk ends, and what its lines become."""
    kept: list[str] = []
    while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith("\\")):
        line = lines[at]
        at += 1
        match line[:1]:
            case "-":
                old -= 1
            case "+":
                new -= 1
                kept.append(line[1:])
            case "\\":  # "No newline at end of file" is about the line before it
                if kept and lines[at - 2].startswith(("+", " ")):
                    kept[-1] = kept[-1].rstrip("\n")
            case _:
                old, new = old - 1, new - 1
                kept.append(line[1:])
    return at, "".join(kept)
