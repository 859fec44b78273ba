"""Model agents for a run in memory: what `antiphon.engine.testing.memory_run` is given as performers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.engine import Approvals, Performer
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import Role
from antiphon.subagents.model.contract import Model, ModelClient
from antiphon.subagents.model.registry import Models
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing.doubles import model

if TYPE_CHECKING:
    from antiphon.subagents.model.sending import Sender
    from antiphon.subagents.tools.contract import Tool
    from antiphon.subagents.tools.policy import Policy
    from antiphon.subagents.workspace.contract import Workspaces

WORKER = RoleDefinition(name="worker", instructions="Do the task.", framing="task")
"""The role where none is given."""


@dataclass(slots=True)
class GivenModels(Models):
    """Models as a test made them.

    Attributes:
        given: by name; a name that is not there is looked up as `Models` does.
    """

    given: Mapping[str, Model] = field(default_factory=dict[str, Model])

    def model_for(self, role: str, named: str | None = None) -> Model:
        """See `Models.model_for`."""
        found = self.given.get(named or self.roles.get(role) or self.default or "")
        return found or Models.model_for(self, role, named)


def model_agents(
    answering: ModelClient | Model | Models,
    *definitions: RoleDefinition,
    tools: Iterable[Tool] = (),
    sender: Sender | None = None,
    schemas: Mapping[str, object] | None = None,
    workspaces: Workspaces | None = None,
    policy: Policy | None = None,
) -> dict[str, Performer]:
    """Performers for `memory_run`: models answer agent calls, a person approvals.

    ::

        client = ScriptedModel({"Audit a.py": ['{"findings": []}']})
        ran = await memory_run(main, performers=model_agents(client, RoleDefinition(name="auditor", instructions="…")))

    Args:
        answering: what answers: a client (as a model that can everything and costs nothing), a model, or models, which
            stay the caller's to close.
        definitions: the roles; one called "worker" by default.
        tools: what roles may name; without any, none of them has tools, whatever it names.
        sender: what requests are sent with; one with the default patience.
        schemas: named types for ``output="name"``; by default findings, verdict and facts, which become records.
        workspaces: where calls with ``workspace=`` work; see `testing.workspaces`.
        policy: what tools may do.
    """
    # Imported here, so that a test of function agents does not pay for the loop.
    from antiphon.subagents.answers import SCHEMAS
    from antiphon.subagents.answers.recording import Recording
    from antiphon.subagents.loop.agent import ModelAgent
    from antiphon.subagents.model.sending import Sender

    models, sender = _models(answering), sender or Sender()
    by_name = {tool.spec.name: tool for tool in tools}
    roles: dict[str, Role] = {}
    for one in definitions or (WORKER,):
        recording = Recording(framing=one.framing)
        definition = one if by_name else one.model_copy(update={"tools": ()})
        roles[one.name] = ModelAgent(definition, models, sender, tools=by_name, after=recording, policy=policy)
    agents = Agents(roles, SCHEMAS if schemas is None else schemas, workspaces=workspaces)
    return {"agent": agents, "approval": Approvals()}


def _models(answering: ModelClient | Model | Models) -> Models:
    if isinstance(answering, Models):
        return answering
    one = answering if isinstance(answering, Model) else model(answering)
    return GivenModels(default=one.name, given={one.name: one})
