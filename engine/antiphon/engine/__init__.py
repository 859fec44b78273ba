"""The engine: running things. Branches, limits, budget, journal, fan-out; it knows no model and no claim.

Read in this order: `outcome` (what a branch ends as), `branch` (a place in the call tree), `call` (what is asked and
lent), `perform` (one call, from journal or for the first time), `fanout` (many), `run` (one execution), and beside
them `budget` (reserved before it is spent) and `journal` (never performed again). `script` is what a script sees.
"""

from antiphon.engine.amount import Amount
from antiphon.engine.approval import Approvals
from antiphon.engine.attempt import Attempt
from antiphon.engine.branch import Branch, current_branch
from antiphon.engine.budget import Budget
from antiphon.engine.call import Call, Critic, Performer, Prepared, Record
from antiphon.engine.carve import BudgetRefused, WindDown
from antiphon.engine.context import CallContext
from antiphon.engine.errors import (
    AgentFailure,
    CallFailed,
    HabitError,
    InfrastructureError,
    MalformedOutput,
    ManifestError,
    ParameterError,
    Stopped,
    UndeclaredError,
    UsageError,
)
from antiphon.engine.journal import Journal, read_journal
from antiphon.engine.limits import Limits, parse_top_up
from antiphon.engine.outcome import (
    Cancelled,
    Census,
    Degraded,
    Denied,
    Failed,
    Missing,
    Outcome,
    Outcomes,
    OverBudget,
    Skipped,
    Succeeded,
    Tally,
    TimedOut,
)
from antiphon.engine.output import OutputType, SchemaMismatch, output_type
from antiphon.engine.result import RunResult
from antiphon.engine.run import Run
from antiphon.engine.script.fingerprint import source_fingerprint
from antiphon.engine.settings import Settings

__all__ = [
    "AgentFailure",
    "Amount",
    "Approvals",
    "Attempt",
    "Branch",
    "Budget",
    "BudgetRefused",
    "Call",
    "CallContext",
    "CallFailed",
    "Cancelled",
    "Census",
    "Critic",
    "Degraded",
    "Denied",
    "Failed",
    "HabitError",
    "InfrastructureError",
    "Journal",
    "Limits",
    "MalformedOutput",
    "ManifestError",
    "Missing",
    "Outcome",
    "Outcomes",
    "OutputType",
    "OverBudget",
    "ParameterError",
    "Performer",
    "Prepared",
    "Record",
    "Run",
    "RunResult",
    "SchemaMismatch",
    "Settings",
    "Skipped",
    "Stopped",
    "Succeeded",
    "Tally",
    "TimedOut",
    "UndeclaredError",
    "UsageError",
    "WindDown",
    "current_branch",
    "output_type",
    "parse_top_up",
    "read_journal",
    "source_fingerprint",
]
