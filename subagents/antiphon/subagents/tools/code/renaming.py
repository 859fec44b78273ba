"""The tool `rename_symbol`: jedi says where a name stands, and each place is checked before any file is changed."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from typing import Any

import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.tools.code.asking import Asked, Installed, NotAnswered, ask
from antiphon.subagents.tools.code.symbols import Lined, Name, Path, identifier, notes, others
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, Traits
from antiphon.subagents.tools.files.working import files_to_change
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import one_line, page
from antiphon.subagents.workspace.files import Files, Put, Text


def rename_tool(installed: Installed) -> Tool:
    """The tool `rename_symbol`."""

    @function_tool(
        name="rename_symbol",
        description=(
            "Renames a Python function, class, method, variable or parameter in all files of the workspace where it is"
            " used, all or none: give a place where it stands (`path`, `line`, `name`). Comments and strings are not"
            " changed; files that still have the word are told. Modules are not renamed."
        ),
        version="1",
        traits=Traits(cost="write", paths=("path",), works=True),
    )
    async def rename_symbol(path: Path, line: Lined, name: Name, new_name: Name, *, ctx: CallContext) -> ToolResult:
        """Rename a Python name everywhere."""
        files = files_to_change(ctx)
        identifier(name)
        identifier(new_name, "new_name")
        if keyword.iskeyword(new_name):
            raise Misfit(f"new_name: {new_name!r} is a keyword")
        if new_name == name:
            raise Misfit("new_name is the name that it has")
        try:
            asked = await ask("references", {"line": line, "name": name}, ctx=ctx, installed=installed, path=path)
            places = _places(asked, name)
            said = await anyio.to_thread.run_sync(_rename, files, places, name, new_name)
        except UsageError as error:
            return ToolResult(str(error), failed=True)
        return ToolResult(said + others(asked) + notes(asked))

    return rename_symbol


Places = dict[str, set[tuple[int, int]]]


def _places(asked: Asked, name: str) -> Places:
    """Line and column of every place, by file.

    Raises:
        NotAnswered: it is not the workspace's own, not in files that are worked on, or no name of code.
    """
    if any("there may be more" in note or "only the first" in note for note in asked.notes):
        raise NotAnswered(f"not all places are known, so nothing was changed: {'; '.join(asked.notes)}")
    found: Places = {}
    for one in asked.answers:
        if "path" in one:
            _check(one, name, asked.files)
            found.setdefault(str(one["path"]), set()).add((int(one["line"]), int(one["column"])))
    if not found:
        raise NotAnswered(f"nothing is known of {name!r} there; edit or apply_patch can change text")
    return found


def _check(one: Mapping[str, Any], name: str, files: Iterable[str]) -> None:
    path = one_line(str(one["path"]))
    if one.get("kind") == "module":
        raise NotAnswered(f"{name!r} is a module; move its file, and change the imports that references shows")
    if not one.get("inside"):
        raise NotAnswered(f"{name!r} is defined outside of the workspace ({path}), so nothing was changed")
    if one["path"] not in files:
        raise NotAnswered(f"{name!r} also stands in {path}, which is ignored, so nothing was changed")


def _rename(files: Files, places: Places, name: str, new_name: str) -> str:
    changes: list[Put] = []
    rows: list[str] = []
    for path, where in sorted(places.items()):
        held = files.read(path)
        text = Text.of(held.data, path)
        after = text.holding(_with(text.text, where, name, new_name, path))
        changes.append(Put(path, after.data(path), before=held.data))
        rows.append(f"{one_line(path)}: {', '.join(str(line) for line in sorted({line for line, _ in where}))}")
    files.change(changes)
    count = sum(len(where) for where in places.values())
    head = f"renamed {name} to {new_name} in {count} places of {len(places)} files; lines:"
    return f"{head}\n{page(rows, what='files', limit=100)}"


def _with(text: str, where: Iterable[tuple[int, int]], name: str, new_name: str, path: str) -> str:
    """The text with a new name in all places; each is looked at first, as they come from a stranger."""
    lines = text.split("\n")
    for line, column in sorted(where, reverse=True):
        here = lines[line - 1] if 0 < line <= len(lines) else ""
        before, after = here[:column], here[column + len(name) :]
        stands = here[column : column + len(name)] == name and not (before[-1:] + after[:1]).isidentifier()
        if not stands or column < 0:
            raise NotAnswered(f"{one_line(path)}, line {line}: {name!r} is not where it was; nothing was changed")
        lines[line - 1] = before + new_name + after
    return "\n".join(lines)
