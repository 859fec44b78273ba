"""What a workflow file imports: ``from antiphon.workflows.script import agent, parallel, phase, …`` (DESIGN §4).

One rule: awaiting a call gives its value or raises `CallFailed`; a branch boundary gives an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.engine.amount import Amount
from antiphon.engine.branch import current_branch
from antiphon.engine.call import Critic
from antiphon.engine.context import CallContext
from antiphon.engine.errors import AgentFailure, CallFailed, InfrastructureError
from antiphon.engine.outcome import Outcome, Outcomes, Tally
from antiphon.engine.script.api import (
    agent,
    approve,
    branch,
    budget,
    choose,
    fail,
    get,
    log,
    now,
    parallel,
    phase,
    pipeline,
    put,
    quorum,
    race,
    random,
    replan,
    step,
    workflow,
)
from antiphon.subagents.function import function_agent
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.workflows.steps import step_function


def claims(of: object = None, *, phase: str | None = None, status: str | None = None) -> list[Any]:
    """The run's claims, over its records, so that nothing can be forgotten; in the order of their ids.

    Args:
        of: what a fan-out or call gave: only claims recorded below it. None for all.
        phase: only claims recorded in this phase.
        status: only claims of which the verdicts so far come to this: confirmed, refuted, disputed or unverified.
    """
    here = current_branch()
    here.run.check()
    return list(here.run.host["claims"](here, of, phase, status))


def synthesize(*, planned: Sequence[str] | Mapping[str, Sequence[str]] = ()) -> Any:
    """Merge all records of the run, hiding no conflict. Units of `planned` that no call covered degrade the run.

    Args:
        planned: the units that were to be looked at, or for each unit the checks that were to do it.
    """
    here = current_branch()
    here.run.check()
    return here.run.host["synthesize"](here, planned)


__all__ = [
    "AgentFailure",
    "Amount",
    "CallContext",
    "CallFailed",
    "Critic",
    "InfrastructureError",
    "Outcome",
    "Outcomes",
    "Tally",
    "agent",
    "approve",
    "branch",
    "budget",
    "choose",
    "claims",
    "fail",
    "function_agent",
    "get",
    "log",
    "now",
    "parallel",
    "phase",
    "pipeline",
    "put",
    "quorum",
    "race",
    "random",
    "replan",
    "step",
    "step_function",
    "synthesize",
    "workflow",
    "workspace_of",
]
