"""The tools `edit` and `write`."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.tools.contract import ToolResult, Traits
from antiphon.subagents.tools.files.nearest import nearest
from antiphon.subagents.tools.files.showing import counted, excerpt, numbered, sized
from antiphon.subagents.tools.files.working import files_to_change, in_thread
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.workspace.files import Files, NotText, Put, Text

_CHANGES: Final = Traits(cost="write", paths=("path",), works=True)
_PLACES_SAID: Final = 10

Path = Annotated[str, Field(description="relative to the top of the workspace, with /")]


@function_tool(
    name="edit",
    description=(
        "Replaces text in a file. `old` must be in the file exactly, white space and indentation included, without the"
        " line numbers that read shows; and exactly once, unless `all` is true. Add lines around it to make it unique."
        " Answers with the changed lines."
    ),
    version="1",
    traits=_CHANGES,
)
async def edit(
    path: Path,
    old: Annotated[str, Field(min_length=1, description="the text as it is in the file")],
    new: Annotated[str, Field(description="what replaces it; empty to remove it")],
    all: Annotated[bool, Field(description="replace every occurrence")] = False,  # what a model reads
    *,
    ctx: CallContext,
) -> ToolResult:
    """Replace text in a file."""
    files = files_to_change(ctx)
    return await in_thread(lambda: _edit(files, path, old, new, everywhere=all))


@function_tool(
    name="write",
    description=(
        "Writes a whole file: a new one, folders included, or in the place of an existing one, of which nothing is"
        " kept. To change a part of a file use edit or apply_patch."
    ),
    version="1",
    traits=_CHANGES,
)
async def write(
    path: Path, content: Annotated[str, Field(description="all of the file")], *, ctx: CallContext
) -> ToolResult:
    """Write a whole file."""
    files = files_to_change(ctx)
    return await in_thread(lambda: _write(files, path, content))


def _edit(files: Files, path: str, old: str, new: str, *, everywhere: bool) -> str | ToolResult:
    held = files.read(path)
    if held.cut:
        return ToolResult(f"{path}: with {held.size:,} bytes it is too large to edit; use run", failed=True)
    text = Text.of(held.data, path)
    if old == new:
        return ToolResult(f"{path}: old and new are the same; nothing was changed", failed=True)
    old, new = _with_its_ends(text, old, new)
    count = text.text.count(old)
    if count == 0:
        said = f"{path}: there is no such text in it; nothing was changed. {nearest(text, old)}"
        return ToolResult(said, failed=True)
    if count > 1 and not everywhere:
        return ToolResult(_ambiguous(text, path, old, count), failed=True)
    return _replaced(files, path, held.data, text, (old, new), count)


def _replaced(files: Files, path: str, held: bytes, text: Text, change: tuple[str, str], count: int) -> str:
    old, new = change
    first = text.text.count("\n", 0, text.text.index(old)) + 1
    after = text.holding(text.text.replace(old, new))
    files.change([Put(path, after.data(path), before=held)])
    times = "" if count == 1 else f" in {count} places"
    return f"{path}: replaced{times}; it is now, around line {first}:\n" + excerpt(
        after, first, first + new.count("\n")
    )


def _with_its_ends(text: Text, old: str, new: str) -> tuple[str, str]:
    """What is looked for and what replaces it, with the line ends of the file where those written are not in it."""
    if text.crlf and old not in text.text:
        return _crlf(old), _crlf(new)
    return old, _crlf(new) if text.crlf and "\n" not in old else new


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _ambiguous(text: Text, path: str, old: str, count: int) -> str:
    lines: list[int] = []
    place = text.text.find(old)
    while place >= 0 and len(lines) < _PLACES_SAID:
        lines.append(text.text.count("\n", 0, place) + 1)
        place = text.text.find(old, place + len(old))
    said = [numbered(text.lines[line - 1 : line], line)[0] for line in lines]
    more = f"\n… and {count - len(lines)} more" if count > len(lines) else ""
    return (
        f"{path}: that text is in it {count} times, so nothing was changed. Add lines around it to make it unique, or"
        " say all=true. It begins in:\n" + "\n".join(said) + more
    )


def _write(files: Files, path: str, content: str) -> str:
    entry = files.look(path)
    if entry is None:
        data = content.encode("utf-8")
        files.change([Put(path, data, before="absent")])
        return f"{path}: new, {sized(len(data))}, {counted(len(Text(content).lines), 'line')}"
    held = files.read(path)
    before = _text(held.data, path)
    text = _in_its_form(before, content)
    data = text.data(path)
    if data == held.data:
        return f"{path}: it holds exactly that already"
    files.change([Put(path, data, before=None if held.cut else held.data)])
    kept = ", with the CRLF line ends that it had" if before is not None and before.crlf and "\r\n" in text.text else ""
    count = len(text.lines)
    was, now = _size(before, held.size), f"{counted(count, 'line')} ({sized(len(data))})"
    return f"{path}: replaced {was} by {now}{kept}; it begins now:\n" + excerpt(text, 1, min(10, count))


def _size(before: Text | None, size: int) -> str:
    return sized(size) if before is None else f"{counted(len(before.lines), 'line')} ({sized(size)})"


def _text(data: bytes, path: str) -> Text | None:
    try:
        return Text.of(data, path)
    except NotText:
        return None


def _in_its_form(before: Text | None, content: str) -> Text:
    """The content with the line ends and the byte order mark of what it replaces."""
    if before is None:
        return Text(content)
    written = _crlf(content) if before.crlf and "\r" not in content else content
    if before.mark:
        return before.holding(written.removeprefix("\ufeff"))
    try:
        # The encoding that the new content declares counts, if it is one that can write it.
        own = Text.of(written.encode(before.encoding, "strict"), "")
    except (UnicodeEncodeError, NotText):
        return Text(written)
    return Text(written, own.encoding)
