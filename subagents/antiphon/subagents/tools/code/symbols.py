"""The tools `symbols`, `references` and `complete`: Python code by jedi and by its syntax."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.tools.code.asking import Asked, Installed, ask, only_python
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import one_line, page, within
from antiphon.subagents.workspace.files import PathRefused
from antiphon.tracing import Json

LOOKS: Final = Traits(cost="read", paths=("path",), works=True)
_SEARCHES: Final = Traits(cost="read", paths=("path",), works=True, narrows=True)
_DOCUMENTATION: Final = 2_000
_OTHERS_SAID: Final = 10

Name = Annotated[str, Field(min_length=1, max_length=200, description="an identifier")]
Path = Annotated[str, Field(description="a Python file, relative to the top of the workspace")]
Lined = Annotated[int, Field(ge=1, description="the line in which the name stands, from 1")]
Offset = Annotated[int, Field(ge=0, description="answers to pass over")]


def identifier(name: str, what: str = "name") -> None:
    """Refuse what is no name. Raises `Misfit`."""
    if not name.isidentifier():
        raise Misfit(f"{what} has to be one identifier, not {one_line(name, 80)!r}")


def symbols_tool(installed: Installed) -> Tool:
    """The tool `symbols`."""

    @function_tool(
        name="symbols",
        description=(
            "Definitions in Python code. With `path`: all that a file defines. With `name` (dotted for what is in a"
            " class): where the workspace defines it. With `path`, `line` and `name`: where what is used in that line"
            " is defined, installed packages included, and its documentation. Other languages: use grep."
        ),
        version="1",
        traits=_SEARCHES,
    )
    async def symbols(
        name: Annotated[str, Field(max_length=200)] = "",
        path: Annotated[str, Field(description="a file; with `name` alone also a folder")] = "",
        line: Annotated[int, Field(ge=0)] = 0,
        offset: Offset = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        """Definitions in Python code."""
        if not name and not path:
            raise Misfit("symbols takes a name, or the path of a file, or both")
        try:
            if name and line:
                return await _definition(name, path, line, ctx, installed)
            return await _defined(name, path, offset, ctx, installed)
        except UsageError as error:
            return ToolResult(str(error), failed=True)

    return symbols


def references_tool(installed: Installed) -> Tool:
    """The tool `references`."""

    @function_tool(
        name="references",
        description=(
            "Where a Python name is used in the workspace: give a place where it stands (`path`, `line`, `name`)."
            " Other names that are spelled alike are told apart. Also says which files have the word elsewhere, as in"
            " comments and strings."
        ),
        version="1",
        traits=LOOKS,
    )
    async def references(path: Path, line: Lined, name: Name, offset: Offset = 0, *, ctx: CallContext) -> ToolResult:
        """Where a Python name is used."""
        identifier(name)
        try:
            asked = await ask("references", {"line": line, "name": name}, ctx=ctx, installed=installed, path=path)
        except UsageError as error:
            return ToolResult(str(error), failed=True)
        rows = [_reference(one) for one in asked.answers if "path" in one]
        if not rows:
            return ToolResult(f"nothing is known of {name!r} in {one_line(path)}, line {line}" + notes(asked))
        return ToolResult(page(sorted(rows), offset=offset, what="places") + others(asked) + notes(asked))

    return references


def complete_tool(installed: Installed) -> Tool:
    """The tool `complete`."""

    @function_tool(
        name="complete",
        description=(
            "Names that could follow a piece of Python code: attributes behind a dot, names in scope, parameters,"
            " modules behind `import`. The code is thought of as written on a line of its own behind `line`; nothing is"
            " changed."
        ),
        version="1",
        traits=LOOKS,
    )
    async def complete(
        path: Path,
        line: Annotated[int, Field(ge=0, description="the line after which the code would stand")],
        text: Annotated[str, Field(max_length=500, description="the code up to where it goes on, as `self.client.`")],
        offset: Offset = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        """Names that could follow a piece of Python code."""
        if "\n" in text:
            raise Misfit("text has to be on one line")
        try:
            asked = await ask(
                "complete", {"line": line, "text": text}, ctx=ctx, installed=installed, path=path, whole=False
            )
        except UsageError as error:
            return ToolResult(str(error), failed=True)
        rows = [f"{one_line(str(one['name']))}  {one_line(str(one['kind']))}" for one in asked.answers]
        said = page(rows, offset=offset, what="names") if rows else "nothing is known that could follow"
        return ToolResult(said + notes(asked))

    return complete


async def _defined(name: str, path: str, offset: int, ctx: CallContext, installed: Installed) -> ToolResult:
    """What a file defines, or where a name is defined."""
    if name and not all(part.isidentifier() for part in name.split(".")):
        raise Misfit(f"name has to be an identifier, or several with dots, not {one_line(name, 80)!r}")
    question = "named" if name else "outline"
    asked = await ask(question, {"name": name}, ctx=ctx, installed=installed, path=path, whole=bool(name))
    if name and path.endswith((".py", ".pyi")):
        asked = Asked(tuple(one for one in asked.answers if one.get("path") == path), asked.files, asked.notes)
    rows = [_defines(one, full=bool(name)) for one in asked.answers]
    if rows:
        return ToolResult(page(rows, offset=offset, what="definitions") + notes(asked))
    if not name:
        return ToolResult("it defines nothing" + notes(asked))
    where = f"{len(asked.files):,} Python files"
    return ToolResult(f"{name!r} is defined in none of {where}; {only_python('', re.escape(name))}" + notes(asked))


async def _definition(name: str, path: str, line: int, ctx: CallContext, installed: Installed) -> ToolResult:
    identifier(name.rpartition(".")[2])
    if not path:
        raise PathRefused(path, "with a line, the path of its file is needed")
    given: dict[str, Json] = {"line": line, "name": name.rpartition(".")[2]}
    asked = await ask("definition", given, ctx=ctx, installed=installed, path=path, whole=False)
    if not asked.answers:
        return ToolResult(f"nothing is known of {name!r} in {one_line(path)}, line {line}" + notes(asked))
    found = within(_found(one) for one in asked.answers)
    left = len(asked.answers) - len(found)
    more = f"\n\n(and {left} more places)" if left else ""
    return ToolResult("\n\n".join(found) + more + notes(asked))


def _defines(one: Mapping[str, Any], *, full: bool) -> str:
    where = f"{one_line(str(one['path']))}:{int(one['line'])}: " if full else f"{int(one['line']):>6}  "
    kind = one_line(str(one["kind"]), 20)
    return f"{where}{kind} {one_line(str(one['name']), 300)}{one_line(str(one.get('signature', '')), 400)}"


def _found(one: Mapping[str, Any]) -> str:
    path = one_line(str(one["path"])) or "(built in)"
    where = f"{path}:{int(one['line'])}" if one.get("inside") else f"{path}:{int(one['line'])} (not of the workspace)"
    said = "\n".join(one_line(row) for row in str(one.get("documentation", ""))[:_DOCUMENTATION].split("\n"))
    head = f"{where}: {one_line(str(one['kind']), 20)} {one_line(str(one.get('full', '')), 300)}"
    return f"{head}\n{said}".rstrip()


def _reference(one: Mapping[str, Any]) -> str:
    mark = " (definition)" if one.get("definition") else ""
    outside = "" if one.get("inside") else " (not of the workspace)"
    text = one_line(str(one.get("text", "")), 300).strip()
    return f"{one_line(str(one['path']))}:{int(one['line'])}:{mark}{outside} {text}"


def others(asked: Asked) -> str:
    """Where else the word is."""
    found = [(str(path), int(count)) for one in asked.answers for path, count in dict(one.get("others", {})).items()]
    if not found:
        return ""
    said = ", ".join(f"{one_line(path)} ({count})" for path, count in sorted(found)[:_OTHERS_SAID])
    more = f" and {len(found) - _OTHERS_SAID} more files" if len(found) > _OTHERS_SAID else ""
    return f"\n(other lines with the word, such as comments, strings and what could not be followed: {said}{more})"


def notes(asked: Asked) -> str:
    """What may be missing."""
    return "".join(f"\n({note})" for note in asked.notes)
