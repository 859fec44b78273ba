"""Tools that know code: Python's symbols, references, renaming and completion by jedi; documentation of packages."""

from __future__ import annotations

from antiphon.subagents.tools.code.asking import Installed
from antiphon.subagents.tools.contract import Tool


def code_tools(environment: Installed) -> list[Tool]:
    """The tools.

    Args:
        environment: the project's (`antiphon.subagents.workspace.environment.environment_of`): which packages are
            installed. They are read as text, and nothing of them is imported.
    """
    from antiphon.subagents.tools.code.documentation import docs_tool
    from antiphon.subagents.tools.code.renaming import rename_tool
    from antiphon.subagents.tools.code.symbols import complete_tool, references_tool, symbols_tool

    makers = (symbols_tool, references_tool, rename_tool, complete_tool, docs_tool)
    return [make(environment) for make in makers]


__all__ = ["Installed", "code_tools"]
