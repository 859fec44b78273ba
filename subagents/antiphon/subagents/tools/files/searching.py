"""The tool `grep`: our own search in the sandbox, with a time limit; of many files ripgrep, if there, picks which."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import anyio.to_thread
from pydantic import Field

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.sandbox import Container
from antiphon.subagents.tools.apart import Apart, Script, apart
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, Traits
from antiphon.subagents.tools.files import ripgrep
from antiphon.subagents.tools.files.finding import PathPattern
from antiphon.subagents.tools.files.working import between_files, files_of
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import more, one_line, page, within
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.subagents.workspace.files import Files, Walk
from antiphon.tracing import Json

PAGE: Final = 100
"""Matching lines of one answer."""
MOST_MATCHES: Final = 5_000
"""Matching lines after which a search ends."""
MOST_FILES: Final = 50_000
MANY_FILES: Final = 500
"""So many files, and ripgrep is asked first."""
SEARCH_SECONDS: Final = 20.0
_SEARCHER: Final = Script(file=Path(__file__).resolve().with_name("searcher.py"), name="grep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A search.

    Attributes:
        pattern: what for. literal: it is text and no regular expression. ignore_case, context, offset: as the tool.
        files: where, below the root; sorted. left_out: what is not searched, by reason.
    """

    pattern: str
    literal: bool
    ignore_case: bool
    context: int
    offset: int
    files: tuple[str, ...]
    left_out: Counter[str]


def grep_tool(seconds: float = SEARCH_SECONDS) -> Tool:
    """The tool `grep`.

    Args:
        seconds: wall time that one search may take.
    """

    @function_tool(
        name="grep",
        description=(
            "Searches files line by line for a regular expression (or text, with literal=true). Gives up to 100"
            " matching lines with their numbers, by file, and says how to read on. Files that .gitignore leaves out are"
            " left out unless `ignored` is true; binary and very large files always are, and that is said."
        ),
        version="1",
        traits=Traits(cost="read", paths=("path",), works=True, narrows=True),
    )
    async def grep(
        pattern: Annotated[str, Field(min_length=1, max_length=2_000)],
        path: Annotated[str, Field(description="file or folder to look in; empty for the whole workspace")] = "",
        glob: Annotated[str, Field(max_length=1_000, description="only files that fit, such as *.py")] = "",
        literal: bool = False,
        ignore_case: bool = False,
        context: Annotated[int, Field(ge=0, le=20, description="lines to show around each match")] = 0,
        ignored: bool = False,
        files_only: Annotated[bool, Field(description="only the files, with how many lines match")] = False,
        offset: Annotated[int, Field(ge=0, description="matching lines (or files) to pass over")] = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        """Search files."""
        files = files_of(ctx)
        try:
            listed, left_out = await anyio.to_thread.run_sync(lambda: _listed(files, path, glob, ignored=ignored))
        except UsageError as error:
            return ToolResult(str(error), failed=True)
        wanted = Wanted(
            pattern=pattern,
            literal=literal,
            ignore_case=ignore_case,
            context=context,
            offset=0 if files_only else offset,
            files=listed,
            left_out=left_out,
        )
        found = await _searched(wanted, files, ctx, seconds)
        if wrong := next((str(one["wrong"]) for one in found.answers if "wrong" in one), ""):
            raise Misfit(f"pattern is no regular expression: {one_line(wrong)}; literal=true takes it as text")
        if found.trouble and not found.answers:
            return ToolResult(f"the search did not come to its end: {found.trouble}", failed=True)
        return ToolResult(_files(found, wanted, offset) if files_only else _lines(found, wanted))

    return grep


async def _searched(wanted: Wanted, files: Files, ctx: CallContext, seconds: float) -> Apart:
    sandbox = workspace_of(ctx).sandbox
    looked_at = await _worth_it(wanted, files, ctx, seconds)
    job: dict[str, Json] = {
        "root": str(files.root),
        "files": list(looked_at),
        "pattern": wanted.pattern,
        "literal": wanted.literal,
        "ignore_case": wanted.ignore_case,
        "context": wanted.context,
        "offset": wanted.offset,
        "limit": PAGE,
        "most": MOST_MATCHES,
    }
    return await apart(replace(_SEARCHER, seconds=seconds), job, ctx=ctx, sandbox=sandbox, read=(str(files.root),))


async def _worth_it(wanted: Wanted, files: Files, ctx: CallContext, seconds: float) -> Sequence[str]:
    """The files to search: all of few, and of many those that ripgrep finds something in."""
    program = shutil.which("rg")
    if program is None or len(wanted.files) < MANY_FILES or isinstance(workspace_of(ctx).sandbox, Container):
        return wanted.files
    options = [*(["--fixed-strings"] if wanted.literal else []), *(["--ignore-case"] if wanted.ignore_case else [])]
    found = await ripgrep.narrowed(
        program,
        wanted.pattern,
        wanted.files,
        root=files.root,
        options=options,
        ctx=ctx,
        sandbox=workspace_of(ctx).sandbox,
        seconds=seconds,
    )
    return wanted.files if found is None else found


def _listed(files: Files, path: str, glob: str, *, ignored: bool) -> tuple[tuple[str, ...], Counter[str]]:
    fits = PathPattern(glob) if glob else None
    top = files.where(path)
    below = f"{top}/" if top else ""
    walk = Walk(files, ignored=ignored, between=between_files)
    found: list[str] = []
    for one in walk.below(path):
        wanted = fits is None or fits(one.path.removeprefix(below)) or fits(one.path)
        if one.entry.kind != "file" or not wanted:
            continue
        if len(found) == MOST_FILES:
            walk.left_out[f"files beyond the first {MOST_FILES:,}"] += 1
        else:
            found.append(one.path)
    return tuple(sorted(found)), walk.left_out


def _files(found: Apart, wanted: Wanted, offset: int) -> str:
    rows = [f"{one_line(str(one['path']))}: {one['count']}" for one in found.answers if "path" in one]
    if not rows:
        return _nothing(found, wanted)
    return page(rows, offset=offset, limit=500, what="files") + _notes(found, wanted)


def _lines(found: Apart, wanted: Wanted) -> str:
    """The matching lines by file. Lines that do not fit are counted from the first that is left out."""
    total = sum(int(one["count"]) for one in found.answers if "path" in one)
    if not total:
        return _nothing(found, wanted)
    if wanted.offset >= total:
        return f"(there are only {total:,} matching lines)"
    rows = [row for one in found.answers if one.get("lines") for row in _rows(one, context=wanted.context)]
    taken = within([text for text, _ in rows])
    shown = wanted.offset + sum(matches for _, matches in rows[: len(taken)])
    said = [*taken, more(total - shown, "matching lines", shown)] if shown < total else taken
    return "\n".join(said) + _notes(found, wanted)


def _rows(one: Any, *, context: int) -> list[tuple[str, int]]:
    """The rows of one file, and with each how many matching lines are in it; its name is in the first one's."""
    rows: list[tuple[str, int]] = []
    last = 0
    head = f"{one_line(str(one['path']))}\n"
    for number, text, matches in one["lines"]:
        gap = "     --\n" if context and last and number > last + 1 else ""
        mark = ":" if matches else "-"
        rows.append((f"{head}{gap}{int(number):>6}{mark} {one_line(str(text))}", int(bool(matches))))
        head, last = "", int(number)
    return rows


def _nothing(found: Apart, wanted: Wanted) -> str:
    return f"no line matches in {len(wanted.files):,} files" + _notes(found, wanted)


def _notes(found: Apart, wanted: Wanted) -> str:
    counts = Counter(wanted.left_out)
    for one in found.answers:
        counts.update({str(why): int(count) for why, count in dict(one.get("left_out") or {}).items()})
    said = [f"not searched: {count:,} {why}" for why, count in sorted(counts.items())]
    if found.trouble:
        said.append(f"the search did not come to its end: {found.trouble}")
    if sum(int(one.get("count", 0)) for one in found.answers) >= MOST_MATCHES:
        said.append(f"it ended at {MOST_MATCHES:,} matching lines; narrow it")
    return "".join(f"\n({one})" for one in said)
