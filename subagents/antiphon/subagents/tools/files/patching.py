"""The tool `apply_patch`: all of a patch, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.tools.contract import ToolResult, Traits
from antiphon.subagents.tools.files.patches import MOST_CHARACTERS, FilePatch, read_patch
from antiphon.subagents.tools.files.placing import HunkMisfit, Placed, Placing
from antiphon.subagents.tools.files.working import between_files, files_to_change, in_thread
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import one_line, within
from antiphon.subagents.workspace.files import Files, PathRefused, Put, Remove, Text

_MISFITS_SAID: Final = 3
_MISFITS_LOOKED_AT: Final = 20


class PatchMisfit(UsageError):
    """A patch does not fit the files. Nothing was changed."""


@function_tool(
    name="apply_patch",
    description=(
        "Changes, adds, deletes and renames files by one patch: all of it or nothing. Takes a unified diff (paths from"
        " the top of the workspace) or the form `*** Begin Patch` with `*** Update File: PATH`, `*** Add File: PATH`,"
        " `*** Delete File: PATH`, `*** Move to: PATH`, `@@ LINE BEFORE`, and lines that begin with a space, - or +."
        " Context and removed lines must be exactly as in the file; line numbers may be off. On failure it says which"
        " hunk, and what the file has there."
    ),
    version="1",
    traits=Traits(cost="write", paths=(), works=True),
)
async def apply_patch(
    patch: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)], *, ctx: CallContext
) -> ToolResult:
    """Apply a patch to the files of the workspace."""
    files = files_to_change(ctx)
    return await in_thread(lambda: patch_files(files, patch, between_files))


def paths_in(patch: str) -> list[str]:
    """The paths that a patch changes, as it has them: for a policy on paths.

    Raises:
        PatchUnreadable: it is no patch.
    """
    return [path for one in read_patch(patch) for path in (one.path, one.to) if path]


def _go_on() -> None:
    """Nothing asks for an end."""


def patch_files(files: Files, patch: str, between: Callable[[], None] = _go_on) -> str:
    """Apply a patch, all of it or nothing; what became of each file, in words. Blocks.

    Args:
        files: what it is applied to.
        patch: in the unified form, or in that of `*** Begin Patch`.
        between: called between two hunks; what it raises ends the work before anything is changed.

    Raises:
        PatchUnreadable: it is no patch.
        PatchMisfit: a hunk does not fit.
        PathRefused: a file of it is not there, or is there already, or is never changed.
    """
    working = _Working(files, between)
    parts = read_patch(patch)
    for part in parts:
        for path in (part.path, part.to):
            files.named(path)  # every name, before anything is read
    for part in parts:
        working.add(part)
    if working.misfits:
        raise PatchMisfit(_said(working.misfits))
    changes = working.changes()
    if not changes:
        return "the patch changes nothing: the files are already so"
    files.change(changes)
    return "\n".join(within(working.told))


def _said(misfits: list[str]) -> str:
    more = len(misfits) - _MISFITS_SAID
    said = "\n\n".join(
        [*misfits[:_MISFITS_SAID], *([f"… and {more} more hunks do not fit, at least"] if more > 0 else [])]
    )
    return f"nothing was changed.\n{said}"


@dataclass(frozen=True, slots=True)
class _State:
    """A file as it is or is to be: its bytes, and whether it may be run."""

    data: bytes
    executable: bool


@dataclass(slots=True)
class _Working:
    """The files that a patch speaks of: as they are, and as they are to be."""

    files: Files
    between: Callable[[], None]
    misfits: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])
    _before: dict[str, _State | None] = field(default_factory=dict[str, _State | None])
    _after: dict[str, _State | None] = field(default_factory=dict[str, _State | None])

    def add(self, part: FilePatch) -> None:
        """What one part of the patch makes of its file."""
        path = self.files.named(part.path)
        if not path:
            raise PathRefused(part.path, "it is the workspace itself, not a file")
        state = self._state(path)
        if part.act == "add":
            if state is not None:
                raise PathRefused(path, "the patch adds it, and there is such a file already; change it instead")
            state = _State(b"", executable=False)
        elif state is None:
            raise PathRefused(path, f"the patch {part.act}s it, and there is no such file")
        if part.act == "delete" and not part.checked:
            self._becomes(path, None, f"{one_line(path)}: deleted")
            return
        self._content(part, path, state)

    def _content(self, part: FilePatch, path: str, state: _State) -> None:
        made = self._placed(part, path, state)
        if made is None:
            return
        text, placed = made
        if part.act == "delete":
            if text.text:
                self.misfits.append(
                    f"{one_line(path)}: the patch deletes it, and there are lines that it does not know"
                )
            self._becomes(path, None, f"{one_line(path)}: deleted")
            return
        executable = state.executable if part.executable is None else part.executable
        after = _State(text.data(path) if part.hunks else state.data, executable)
        target = self.files.named(part.to) if part.to else path
        if target != path:
            self._moves(path, target)
        self._becomes(target, after, _told(part, path, target, placed))

    def _moves(self, path: str, target: str) -> None:
        if self._state(target) is not None:
            raise PathRefused(target, f"the patch moves {path} there, and there is such a file already")
        self._after[path] = None

    def _placed(self, part: FilePatch, path: str, state: _State) -> tuple[Text, list[Placed]] | None:
        """The text with all hunks; None where one does not fit, which is kept to be told."""
        placing = Placing(Text.of(state.data, path))
        fits = True
        for hunk in part.hunks:
            self.between()
            try:
                placing.add(hunk)
            except HunkMisfit as misfit:
                fits = False
                if len(self.misfits) >= _MISFITS_LOOKED_AT:
                    break
                self.misfits.append(f"{one_line(path)}, hunk {hunk.number} of {len(part.hunks)}: {misfit}")
        return (placing.made(), placing.placed) if fits else None

    def _state(self, path: str) -> _State | None:
        if path not in self._after:
            self._before[path] = self._after[path] = self._read(path)
        return self._after[path]

    def _read(self, path: str) -> _State | None:
        if self.files.look(path) is None:
            return None
        content = self.files.read(path)
        if content.cut:
            raise PathRefused(path, f"with {content.size:,} bytes it is too large to be patched")
        return _State(content.data, executable=bool(content.mode & 0o100))

    def _becomes(self, path: str, state: _State | None, told: str) -> None:
        self._after[path] = state
        self.told.append(told)

    def changes(self) -> list[Put | Remove]:
        """All that is to be done; what must be gone first comes first."""
        removed: list[Put | Remove] = []
        put: list[Put | Remove] = []
        for path, after in self._after.items():
            before = self._before.get(path)
            if after is None and before is not None:
                removed.append(Remove(path, before.data))
            elif after is not None and after != before:
                mode = None if before is not None and before.executable == after.executable else after.executable
                put.append(Put(path, after.data, mode, "absent" if before is None else before.data))
        return [*removed, *put]


def _told(part: FilePatch, path: str, target: str, placed: list[Placed]) -> str:
    comes = sum(line[0] == "+" for hunk in part.hunks for line in hunk.lines)
    goes = sum(line[0] == "-" for hunk in part.hunks for line in hunk.lines)
    what = "added" if part.act == "add" else "changed" if part.hunks else "mode changed" if target == path else ""
    said = ", ".join(one for one in (what, f"moved to {one_line(target)}" if target != path else "") if one)
    lines = f" (+{comes} -{goes})" if part.hunks else ""
    moved = [f"hunk {one.hunk.number} is at line {one.line}" for one in placed if one.moved and one.hunk.at]
    return f"{one_line(path)}: {said}{lines}" + (f"; {', '.join(moved[:5])}" if moved else "")
