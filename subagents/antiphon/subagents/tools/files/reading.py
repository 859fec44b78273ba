"""The tools `read` and `list`."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.tools.contract import ToolResult, Traits
from antiphon.subagents.tools.files.showing import about, counted, shown_lines, sized
from antiphon.subagents.tools.files.working import between_files, files_of, in_thread
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import one_line, page
from antiphon.subagents.workspace.files import MOST_BYTES, Entry, Files, NotText, Text, Walk, left_out
from antiphon.subagents.workspace.files.names import is_git

_LOOKS: Final = Traits(cost="read", paths=("path",), works=True)
_LISTS: Final = Traits(cost="read", paths=("path",), works=True, narrows=True)
_LOOKED_FOR_IN: Final = 5_000
_NEAR: Final = 5

Path = Annotated[str, Field(description="relative to the top of the workspace, with /")]


@function_tool(
    name="read",
    description=(
        "Shows a text file with line numbers (number, tab, line; these are not part of the file). Gives up to `limit`"
        " lines from line `offset` on and says how to read on. Long lines are cut. Images and other binary files are"
        " only described."
    ),
    version="1",
    traits=_LOOKS,
)
async def read(
    path: Path,
    offset: Annotated[int, Field(ge=1, description="first line to show, from 1")] = 1,
    limit: Annotated[int, Field(ge=1, le=2_000, description="lines to show at most")] = 400,
    *,
    ctx: CallContext,
) -> ToolResult:
    """Show a text file."""
    files = files_of(ctx)
    return await in_thread(lambda: _read(files, path, offset, limit))


@function_tool(
    name="list",
    description=(
        "Lists one folder, in order of names: folders end in /, links show where they lead, files have their size in"
        " bytes. Hidden and ignored names are included, .git is not. Use glob to look through folders."
    ),
    version="1",
    traits=_LISTS,
)
async def list_folder(
    path: Annotated[str, Field(description="a folder; empty for the top of the workspace")] = "",
    offset: Annotated[int, Field(ge=0, description="names to pass over")] = 0,
    *,
    ctx: CallContext,
) -> ToolResult:
    """List one folder."""
    files = files_of(ctx)
    return await in_thread(lambda: _list(files, path, offset))


def _read(files: Files, path: str, offset: int, limit: int) -> str | ToolResult:
    entry = files.look(path)
    if entry is None:
        return ToolResult(f"{one_line(path)}: there is no such file{_similar(files, path)}", failed=True)
    if entry.kind == "folder":
        return ToolResult(f"{one_line(path) or 'the top'} is a folder; use list or glob", failed=True)
    content = files.read(path)
    try:
        text = Text.of(content.data, content.path)
    except NotText as error:
        return f"{error} ({sized(content.size)}); its content is not shown"
    where = content.path if content.path == files.named(path) else f"{path} (a link to {content.path})"
    cut = f"; only the first {MOST_BYTES:,} bytes can be read here" if content.cut else ""
    count = len(text.lines)
    head = f"{one_line(where)}: {counted(count, 'line')}, {about(text, content.size)}{cut}"
    return f"{head}\n{shown_lines(text, offset, limit)}" if count else f"{head}\n(empty)"


def _similar(files: Files, path: str) -> str:
    """Files with the same name elsewhere, or one like it, for somebody who mistook the path."""
    name = path.rstrip("/").rpartition("/")[2]
    known = [found.path for found in islice(Walk(files, between=between_files).below(), _LOOKED_FOR_IN)]
    same = [one for one in known if one.rpartition("/")[2] == name] or get_close_matches(path, known, _NEAR, 0.7)
    return f"; there is: {', '.join(one_line(one) for one in same[:_NEAR])}" if same else ""


def _list(files: Files, path: str, offset: int) -> str:
    here = files.where(path)
    entries = [entry for entry in files.list(here) if not is_git(entry.name)]
    if not entries:
        return "(the folder is empty)"
    below = f"{here}/" if here else ""
    shown = [one for entry in entries if (one := files.shown(f"{below}{entry.name}", entry)) is not None]
    rows = [_entry(entry) for entry in shown]
    said = page(rows, offset=offset, limit=500, what="names") if rows else "(nothing in it may be seen)"
    return said + left_out(len(entries) - len(shown))


def _entry(entry: Entry) -> str:
    name = one_line(entry.name, 255)
    if entry.kind == "folder":
        return f"{name}/"
    if entry.kind == "link":
        return f"{name} -> {one_line(entry.target, 255)}"
    if entry.kind == "special":
        return f"{name} (a pipe, a socket or a device)"
    return f"{name}  {entry.size:,}{'  executable' if entry.mode & 0o100 else ''}"
