"""What a run made of the project's files: the folder it began with, as the log says it, and the patches it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from antiphon.engine import RunResult
from antiphon.engine.outcome import Missing
from antiphon.subagents.workspace.contract import Base
from antiphon.tracing import Json
from antiphon.workflows.disk import write_whole
from antiphon.workflows.places import RunPlace

if TYPE_CHECKING:
    from antiphon.subagents.workspace.live import RunWorkspaces

BASE: Final = "workspaces"
"""The event that says what every workspace of a run begins as."""
FOLDER: Final = "patches"
_MOST_NOTES: Final = 100
_ID_CHARACTERS: Final = (40, 64)


def project_of(folder: Path) -> Path:
    """The project that a folder belongs to: the nearest one around it that git or antiphon knows, else itself."""
    here = folder.absolute()
    for around in (here, *here.parents):
        if (around / ".git").exists() or (around / "antiphon.toml").is_file():
            return around
    return here


def base_json(base: Base) -> dict[str, Json]:
    """As it is in the log."""
    return {"tree": base.tree, "head": base.head, "root": str(base.root), "notes": list[Json](base.notes)}


def base_of(said: Sequence[Mapping[str, Any]]) -> Base | None:
    """The same, read back from a log that may come from anybody; None where nothing there can be one."""
    for data in said:
        match data:
            case {"tree": str(tree), "head": str(head), "root": str(root)} if _is_id(tree):
                notes = data.get("notes")
                told = cast("list[object]", notes)[:_MOST_NOTES] if isinstance(notes, list) else []
                return Base(
                    tree=tree,
                    head=head if _is_id(head) else "",
                    root=Path(root.replace("\0", "")),
                    notes=tuple(str(note)[:1_000] for note in told),
                )
            case _:
                pass
    return None


def _is_id(text: str) -> bool:
    return len(text) in _ID_CHARACTERS and all(letter in "0123456789abcdef" for letter in text)


async def write_patches(place: RunPlace, workspaces: RunWorkspaces) -> tuple[dict[str, str], list[Missing]]:
    """Write what each named workspace came to as a patch against the base.

    Returns:
        Their names in the run, and sha256; and which workspaces have none, such as for being too large.
    """
    written: dict[str, str] = {}
    lacking: list[Missing] = []
    for patch in await workspaces.patches():
        if patch.problem:
            lacking.append(Missing("", "failed", f"there is no patch of the workspace {patch.name!r}: {patch.problem}"))
            continue
        file = place.directory / FOLDER / f"{patch.name}.patch"
        file.parent.mkdir(exist_ok=True)
        write_whole(file, patch.diff)
        written[f"{FOLDER}/{file.name}"] = hashlib.sha256(patch.diff).hexdigest()
    return written, lacking


def lacks(result: RunResult, lacking: Sequence[Missing]) -> RunResult:
    """The same without patches that it should have left."""
    if not lacking:
        return result
    kind = "degraded" if result.kind == "completed" else result.kind
    reason = result.reason or lacking[0].reason
    return replace(result, kind=kind, reason=reason, missing=(*result.missing, *lacking))
