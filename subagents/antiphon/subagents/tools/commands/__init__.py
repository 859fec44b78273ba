"""Tools that start programs: `run`, `run_tests`, `run_checks`, and `run_code`, which calls the others."""

from antiphon.subagents.checks.problems import Checker
from antiphon.subagents.tools.commands.checking import run_checks_tool
from antiphon.subagents.tools.commands.code import run_code
from antiphon.subagents.tools.commands.running import run_tool
from antiphon.subagents.tools.commands.testing import run_tests_tool
from antiphon.subagents.tools.contract import Tool
from antiphon.subagents.workspace.environment import Environment

__all__ = ["command_tools", "run_code"]


def command_tools(environment: Environment, checker: Checker, *, network: bool = False) -> list[Tool]:
    """The tools that start programs, for the workspaces of one project.

    Args:
        environment: of the project.
        checker: what `run_checks` looks with.
        network: commands of `run` may use the network. Then it is a tool that people are asked about.
    """
    return [run_tool(environment, network=network), run_tests_tool(environment), run_checks_tool(checker), run_code]
