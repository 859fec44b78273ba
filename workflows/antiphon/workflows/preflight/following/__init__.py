"""Follows what a script does and how often, without executing anything of it: names, values, sizes, rounds.

One class in layers, each in a module: expressions, what is gathered from them, calls, the script API, functions, loops,
statements. A value is followed as far as a bound of it can be proved (`values`), and no further than a number of steps.
"""

from antiphon.workflows.preflight.following.constructs import BETWEEN
from antiphon.workflows.preflight.following.rounds import BUDGET, ENDLESS
from antiphon.workflows.preflight.following.statements import Statements

__all__ = ["BETWEEN", "BUDGET", "ENDLESS", "Statements"]
