"""The tools of every run, and the roles that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.subagents.roles.library import Roles
from antiphon.subagents.tools.contract import changes
from antiphon.workflows.toolset import by_name, toolset


def test_every_tool_that_a_built_in_role_names_is_there(tmp_path: Path) -> None:
    tools = toolset(tmp_path)
    roles = Roles(None)
    named = {name: set(roles.role(name).tools) for name in roles.names()}
    assert {name: tools_of - tools.keys() for name, tools_of in named.items() if tools_of - tools.keys()} == {}
    assert set().union(*named.values()) >= {"read", "edit", "run_tests", "git_diff"}


def test_those_who_judge_cannot_change_what_they_judge(tmp_path: Path) -> None:
    tools = toolset(tmp_path)
    for name in ("planner", "critic", "reviewer", "judge", "verifier", "auditor", "researcher"):
        assert not [tool for tool in Roles(None).role(name).tools if changes(tools[tool])], name


def test_every_tool_says_what_it_takes_and_is_described_for_a_model(tmp_path: Path) -> None:
    for name, tool in toolset(tmp_path).items():
        parameters = tool.spec.parameters["properties"]
        assert isinstance(parameters, dict)
        assert set(tool.traits.paths) <= parameters.keys(), name
        assert 40 <= len(tool.spec.description) <= 1_500, name
        assert tool.traits.works, name


def test_two_tools_of_one_name_are_refused(tmp_path: Path) -> None:
    first = next(iter(toolset(tmp_path).values()))
    with pytest.raises(AssertionError):
        by_name([first, first])
