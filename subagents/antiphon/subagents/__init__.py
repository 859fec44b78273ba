"""subagents: what answers an agent call: function agents, program agents, model agents. One contract.

`function` is the contract (`Role`) and its simplest kind. `agents` performs calls for the engine: it finds the role and
holds it to its criterion. `program` answers by running a program (`process`) in a `sandbox`; `loop` by asking a `model`
in a conversation, as a role (`roles`) says, with `tools`, in a workspace. Both make `records`: the immutable claims,
verdicts and coverage that a synthesis is a view of. Importing this floor imports no model SDK.
"""

from antiphon.subagents.agents import Agents, SeesInputs
from antiphon.subagents.function import FunctionAgent, Role, function_agent
from antiphon.subagents.loop import ModelAgent
from antiphon.subagents.model import Models
from antiphon.subagents.process import Completed, ProcessLimits, Unavailable, run_command
from antiphon.subagents.program import Invocation, Program, ProgramAgent, UnreadableOutput
from antiphon.subagents.records import (
    Actor,
    Claim,
    Coverage,
    Evidence,
    Fact,
    FactKey,
    FileSpan,
    Finding,
    FindingKey,
    Link,
    Malformed,
    Passage,
    Patch,
    PatchKey,
    Record,
    Resolution,
    Severity,
    Verdict,
    file_span,
    from_json,
)
from antiphon.subagents.roles import RoleDefinition, Roles
from antiphon.subagents.sandbox import Confinement, Sandbox, SandboxUnusable
from antiphon.subagents.sandbox import choose as choose_sandbox
from antiphon.subagents.tools import Policy, Tool, ToolResult, Traits, function_tool
from antiphon.subagents.workspace import RunWorkspaces, Workspace, workspace_of

__all__ = [
    "Actor",
    "Agents",
    "Claim",
    "Completed",
    "Confinement",
    "Coverage",
    "Evidence",
    "Fact",
    "FactKey",
    "FileSpan",
    "Finding",
    "FindingKey",
    "FunctionAgent",
    "Invocation",
    "Link",
    "Malformed",
    "ModelAgent",
    "Models",
    "Passage",
    "Patch",
    "PatchKey",
    "Policy",
    "ProcessLimits",
    "Program",
    "ProgramAgent",
    "Record",
    "Resolution",
    "Role",
    "RoleDefinition",
    "Roles",
    "RunWorkspaces",
    "Sandbox",
    "SandboxUnusable",
    "SeesInputs",
    "Severity",
    "Tool",
    "ToolResult",
    "Traits",
    "Unavailable",
    "UnreadableOutput",
    "Verdict",
    "Workspace",
    "choose_sandbox",
    "file_span",
    "from_json",
    "function_agent",
    "function_tool",
    "run_command",
    "workspace_of",
]
