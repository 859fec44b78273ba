"""subagents: what answers an agent call. Function agents and program agents now, model agents next; one contract.

`function` is the contract (`Role`) and its simplest kind. `agents` performs calls for the engine: it finds the role and
holds it to its criterion. `program` answers by running a program (`process`), and turns its output into `records`: the
immutable claims and coverage that a synthesis is a view of. Importing this floor imports no model SDK.
"""

from antiphon.subagents.agents import Agents, SeesInputs
from antiphon.subagents.function import FunctionAgent, Role, function_agent
from antiphon.subagents.process import Completed, ProcessLimits, Unavailable, run_command
from antiphon.subagents.program import Invocation, Program, ProgramAgent, UnreadableOutput
from antiphon.subagents.records import (
    Actor,
    Claim,
    Coverage,
    Evidence,
    Key,
    Malformed,
    Record,
    Severity,
    file_span,
    from_json,
)

__all__ = [
    "Actor",
    "Agents",
    "Claim",
    "Completed",
    "Coverage",
    "Evidence",
    "FunctionAgent",
    "Invocation",
    "Key",
    "Malformed",
    "ProcessLimits",
    "Program",
    "ProgramAgent",
    "Record",
    "Role",
    "SeesInputs",
    "Severity",
    "Unavailable",
    "UnreadableOutput",
    "file_span",
    "from_json",
    "function_agent",
    "run_command",
]
