"""Git of a workspace, run on the host against the run's own repository: status, diff, log, blame, commit, branch."""

from antiphon.subagents.tools.contract import Tool
from antiphon.subagents.tools.git.changing import git_branch, git_commit
from antiphon.subagents.tools.git.looking import git_blame, git_diff, git_log, git_status

__all__ = ["git_tools"]


def git_tools() -> list[Tool]:
    """The tools of this package."""
    return [git_status, git_diff, git_log, git_blame, git_commit, git_branch]
