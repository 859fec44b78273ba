"""Roles of model agents: what a Markdown file with front matter says, and the fourteen that ship with antiphon.

`definition` is what a role says, `reading` makes one of a file that may come from anybody (`front_matter` is the YAML
part of that), `library` finds the roles of a project. The built-in roles are the Markdown files beside this one.
"""

from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.roles.library import BUILT_IN, Roles, built_in
from antiphon.subagents.roles.reading import RoleError, read_role, role_of

__all__ = ["BUILT_IN", "AgentLimits", "RoleDefinition", "RoleError", "Roles", "built_in", "read_role", "role_of"]
