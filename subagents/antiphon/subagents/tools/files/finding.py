"""The tool `glob`."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.ignore_patterns import Patterns
from antiphon.subagents.tools.contract import Misfit, ToolResult, Traits
from antiphon.subagents.tools.files.working import between_files, files_of, in_thread
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import page
from antiphon.subagents.workspace.files import Files, Walk

MOST_PATTERNS: Final = 64
_BRACES: Final = re.compile(r"\{([^{}]*)\}")

Pattern = Annotated[str, Field(min_length=1, max_length=1_000)]


@function_tool(
    name="glob",
    description=(
        "Lists the files below a folder whose path fits a pattern, sorted: `*` and `?` within a name, `**` any folders,"
        " `[ab]`, `{a,b}`. A pattern without / fits names in any folder. Files that .gitignore leaves out are left out"
        " unless `ignored` is true; .git always is."
    ),
    version="1",
    traits=Traits(cost="read", paths=("path",), works=True, narrows=True),
)
async def glob(
    pattern: Pattern,
    path: Annotated[str, Field(description="folder to look in; empty for the whole workspace")] = "",
    ignored: bool = False,
    offset: Annotated[int, Field(ge=0, description="files to pass over")] = 0,
    *,
    ctx: CallContext,
) -> ToolResult:
    """List files by a pattern of their paths."""
    files = files_of(ctx)
    return await in_thread(lambda: _glob(files, pattern, path, offset, ignored=ignored))


def _glob(files: Files, pattern: str, path: str, offset: int, *, ignored: bool) -> str:
    top = files.where(path)
    below = f"{top}/" if top else ""
    pattern = pattern.removeprefix(f"{files.root}/").removeprefix("./")
    fits = PathPattern(pattern)
    walk = Walk(files, ignored=ignored, between=between_files)
    found = sorted(
        one.path for one in walk.below(path) if fits(one.path.removeprefix(below)) or (below and fits(one.path))
    )
    notes = "".join(f"\n(not looked at: {count:,} {why})" for why, count in sorted(walk.left_out.items()))
    if not found:
        hint = "" if ignored else "; ignored files were left out (ignored=true shows them)"
        return f"no file fits {pattern!r}{hint}{notes}"
    return page(found, offset=offset, limit=500, what="files") + notes


class PathPattern:
    """A pattern of paths, with alternatives in braces; matched in time that does not explode.

    Args:
        pattern: as in a shell; without `/` it fits the last segment alone.

    Raises:
        Misfit: its braces stand for too many patterns.
    """

    def __init__(self, pattern: str) -> None:
        # A leading "!" or "#" means something to an ignore file; here it is a character.
        written = [f"\\{one}" if one[:1] in ("!", "#") else one for one in _alternatives(pattern)]
        # An ignore file takes "a/" for a folder and all in it, and so does this; but "a" alone is no folder here.
        self._each = [Patterns.of([one]) for one in written]

    def __call__(self, path: str) -> bool:
        """Whether a file's path fits."""
        return any(one.decides(path, folder=False) for one in self._each)


def _alternatives(pattern: str) -> list[str]:
    """The patterns that one with braces stands for. Raises `Misfit` for too many."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        one = waiting.pop()
        if len(done) + len(waiting) >= MOST_PATTERNS:
            raise Misfit(f"the pattern stands for more than {MOST_PATTERNS} patterns; use fewer braces")
        found = _BRACES.search(one)
        if found is None:
            done.append(f"{one}**" if one.endswith("/") else one)
        else:
            waiting += [one[: found.start()] + each + one[found.end() :] for each in found[1].split(",")]
    return done
