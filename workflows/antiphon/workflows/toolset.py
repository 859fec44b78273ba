"""The tools that every run has: what roles may name without anything being configured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from antiphon.subagents.tools.contract import Tool


def toolset(project: Path, *, tests: str = "") -> dict[str, Tool]:
    """All built-in tools, by name. They are offered by what a role names and where a call works.

    Args:
        project: the folder that workspaces are made of; its environment is what commands run in.
        tests: the command line that runs its tests; "" for what is found.
    """
    from antiphon.subagents.tools.code import code_tools
    from antiphon.subagents.tools.commands import command_tools
    from antiphon.subagents.tools.files import file_tools
    from antiphon.subagents.tools.git import git_tools
    from antiphon.subagents.workspace.environment import environment_of
    from antiphon.workflows.checking import AnalyserChecker

    environment = replace(environment_of(project), tests=tests)
    commands = command_tools(environment, AnalyserChecker())
    return by_name([*file_tools(), *code_tools(environment), *commands, *git_tools()])


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """The tools by the name that a model calls them by."""
    named: dict[str, Tool] = {}
    for tool in tools:
        assert tool.spec.name not in named, tool.spec.name
        named[tool.spec.name] = tool
    return named
