"""Checks of a working tree: its tests, and what linters, type checkers and security analysers complain of."""

from antiphon.subagents.checks.cases import CaseState
from antiphon.subagents.checks.comparing import Compared, compare
from antiphon.subagents.checks.problems import (
    Checker,
    CheckRun,
    NotChecked,
    Problem,
    at_least,
    in_order,
    new_problems,
)
from antiphon.subagents.checks.running import run_tests
from antiphon.subagents.checks.testing import TestRun

__all__ = [
    "CaseState",
    "CheckRun",
    "Checker",
    "Compared",
    "NotChecked",
    "Problem",
    "TestRun",
    "at_least",
    "compare",
    "in_order",
    "new_problems",
    "run_tests",
]
