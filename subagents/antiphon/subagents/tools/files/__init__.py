"""Tools that look at the files of a workspace and change them: read, list, glob, grep, edit, write, apply_patch."""

from __future__ import annotations

from antiphon.subagents.tools.contract import Tool


def file_tools() -> list[Tool]:
    """The tools, each of which needs a workspace."""
    from antiphon.subagents.tools.files.editing import edit, write
    from antiphon.subagents.tools.files.finding import glob
    from antiphon.subagents.tools.files.patching import apply_patch
    from antiphon.subagents.tools.files.reading import list_folder, read
    from antiphon.subagents.tools.files.searching import grep_tool

    return [read, list_folder, glob, grep_tool(), edit, write, apply_patch]


__all__ = ["file_tools"]
