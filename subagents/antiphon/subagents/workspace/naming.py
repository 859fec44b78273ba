"""Names: of workspaces, which a script chooses, and of the states of a workspace, which git gives."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from antiphon.engine import UsageError
from antiphon.subagents.workspace.contract import READ

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_TREE: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def checked_name(name: object) -> str:
    """The name of a workspace, which is also that of a folder and of a file.

    Raises:
        UsageError: it cannot be one.
    """
    if isinstance(name, str) and _NAME.fullmatch(name) and ".." not in name and not name.endswith(".lock"):
        return name
    raise UsageError(
        f"{str(name)[:100]!r} cannot be the name of a workspace",
        advice=f"letters, digits, '.', '_' and '-', at most 64; {READ!r} is the one that nobody changes",
    )


def checked_tree(tree: object) -> str:
    """The id of a state.

    Raises:
        UsageError: it cannot be one.
    """
    if isinstance(tree, str) and _TREE.fullmatch(tree):
        return tree
    raise UsageError(
        f"{str(tree)[:100]!r} is no state of a workspace", advice="a state is what step('tree', …) or `left` says"
    )


def folder_name(name: str) -> str:
    """What its folder is called: names that differ by case alone get folders that differ by more."""
    if name == name.lower():
        return name
    return f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def run_folder(run_id: str, place: str) -> str:
    """What the folder of a run's workspaces is called.

    Args:
        run_id: as the run says; a run may come from elsewhere, so it may be anything.
        place: where the run's directory is, as two copies of a run may go on at once.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", run_id)[:60] or "run"
    return f"{plain}-{hashlib.sha256(f'{run_id} {place}'.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
