"""The tool `docs`: what the installed versions of the project's packages say of themselves, found by words (BM25)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import anyio.to_thread
from pydantic import Field

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.prompt.files import TextFile
from antiphon.subagents.prompt.index import Index
from antiphon.subagents.tools.apart import Apart, Script, apart
from antiphon.subagents.tools.code.asking import Installed, NotAnswered
from antiphon.subagents.tools.contract import Tool, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import more, one_line
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.tracing import Json

READ_SECONDS: Final = 30.0
"""For one package; for all of them half as long."""
_READ_CHARACTERS: Final = 12_000_000
_ANSWERS: Final = 8
_COUNTED: Final = 200
"""The best answers; nobody reads on behind these."""
_ANSWER_CHARACTERS: Final = 2_500
_LEFT_SAID: Final = 15
_MOST_SHELVES: Final = 32
_COLLECTOR: Final = Script(
    file=Path(__file__).resolve().with_name("collector.py"), name="docs", seconds=READ_SECONDS + 15, packages=False
)


def docs_tool(installed: Installed) -> Tool:
    """The tool `docs`; what it read of the packages it keeps for as long as somebody has the tool."""
    library = _Library(installed)

    @function_tool(
        name="docs",
        description=(
            "Searches the documentation of the project's installed Python packages, in the versions that are installed:"
            " README, signatures and docstrings. Give words or names that would be in it; `package` narrows it to one"
            " package and reads all of that."
        ),
        version="1",
        traits=Traits(cost="read", works=True),
    )
    async def docs(
        query: Annotated[
            str, Field(min_length=1, max_length=500, description="words, or a name such as `open_process`")
        ],
        package: Annotated[str, Field(max_length=200, description="as installed or as imported")] = "",
        offset: Annotated[int, Field(ge=0, description="answers to pass over")] = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        """Search the documentation of installed packages."""
        try:
            return ToolResult(await library.said(query, package, offset, ctx))
        except UsageError as error:
            return ToolResult(str(error), failed=True)

    return docs


@dataclass(slots=True)
class _Shelf:
    """What was read of one package, or of all."""

    index: Index
    packages: int
    left: tuple[str, ...]
    trouble: str

    def said(self, query: str, offset: int) -> str:
        found = list(islice(self.index.search(query), _COUNTED))
        rows = [_entry(one.path, one.text) for one in found[offset : offset + _ANSWERS]]
        if len(found) > offset + _ANSWERS:
            rows.append(more(len(found) - offset - _ANSWERS, "answers", offset + _ANSWERS))
        elif len(found) == _COUNTED:
            rows.append(f"(the best {_COUNTED} answers end here; use more telling words)")
        if not rows:
            rows.append(f"nothing in the documentation of {self.packages} packages has these words")
        return "\n\n".join(rows) + self._notes()

    def _notes(self) -> str:
        said = ""
        if self.left:
            names = ", ".join(one_line(name, 80) for name in self.left[:_LEFT_SAID])
            many = f" and {len(self.left) - _LEFT_SAID} more" if len(self.left) > _LEFT_SAID else ""
            said = f"\n\n(not read, or only in part, as they are large: {names}{many}; name one as `package`)"
        return f"{said}\n(not all was read: {self.trouble})" if self.trouble else said


def _entry(path: str, text: str) -> str:
    cut = text[:_ANSWER_CHARACTERS]
    body = "\n".join(one_line(line) for line in cut.split("\n"))
    rest = "\n…" if len(text) > len(cut) else ""
    return f"## {one_line(path, 300)}\n{body.rstrip()}{rest}"


@dataclass(slots=True)
class _Library:
    """The shelves that were asked for, by package; "" for all of them."""

    installed: Installed
    shelves: dict[str, _Shelf] = field(default_factory=dict[str, _Shelf])
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def said(self, query: str, package: str, offset: int, ctx: CallContext) -> str:
        """What a package says; it is read when it is first asked for. An index is for one thread at a time.

        Raises:
            NotAnswered: it is not installed, or nothing is.
        """
        async with self.lock:
            if package not in self.shelves:
                if len(self.shelves) >= _MOST_SHELVES:
                    self.shelves.pop(next(iter(self.shelves)))
                self.shelves[package] = await self._read(package, ctx)
            return await anyio.to_thread.run_sync(self.shelves[package].said, query, offset)

    async def _read(self, package: str, ctx: CallContext) -> _Shelf:
        site = list(self.installed.site_packages)
        if not site:
            raise NotAnswered("no Python packages of this project are installed (it has no .venv)")
        seconds = READ_SECONDS if package else READ_SECONDS / 2
        job: dict[str, Json] = {
            "site": list(site),
            "package": package,
            "seconds": seconds,
            "characters": _READ_CHARACTERS,
        }
        found = await apart(_COLLECTOR, job, ctx=ctx, sandbox=workspace_of(ctx).sandbox, read=site)
        nothing: Mapping[str, Any] = {}
        end = next((one for one in found.answers if "done" in one), nothing)
        if not end and not any("text" in one for one in found.answers):
            raise NotAnswered(f"the packages could not be read: {found.trouble or 'nothing was said'}")
        if end and not end.get("packages"):
            raise NotAnswered(f"there is no package {one_line(package, 100)!r} among those installed")
        return await anyio.to_thread.run_sync(_indexed, found, end)


def _indexed(found: Apart, end: Mapping[str, Any]) -> _Shelf:
    index = Index()
    index.add(_files(found.answers))
    left = tuple(str(name) for name in end.get("left") or ())
    return _Shelf(index, int(end.get("packages") or 0), left, found.trouble)


def _files(answers: Iterable[Mapping[str, Any]]) -> Iterable[TextFile]:
    for one in answers:
        if "text" in one:
            where = f"{str(one['package'])[:200]} {str(one['version'])[:100]}: {str(one['name'])[:500]}"
            content = "\n".join(part for part in (str(one["signature"]), str(one["text"])) if part)
            yield TextFile(where, content.encode("utf-8", "replace"))
