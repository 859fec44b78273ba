"""What every rule of preflight looks at: a script that was read and not executed, and what is known around it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.tools.policy import Scope
from antiphon.tracing import Json
from antiphon.workflows.manifest import Manifest
from antiphon.workflows.preflight.model import Finding, Need, Outline
from antiphon.workflows.syntax.kinds import FANOUTS, LAZY, Kinds
from antiphon.workflows.syntax.scopes import Script

PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": ("task",),
    "step": ("name", "args"),
    "approve": ("question", "details"),
    "choose": ("question", "options"),
    "workflow": ("name", "args"),
    "parallel": ("calls",),
    "pipeline": ("items",),
    "race": ("calls",),
    "quorum": ("calls", "need"),
    "branch": ("name", "call"),
    "phase": ("title",),
    "fail": ("reason", "partial"),
    "put": ("key", "value"),
    "get": ("key", "default"),
    "log": ("text",),
    "claims": ("of",),
    "synthesize": (),
    "now": (),
    "random": (),
    "replan": ("reason", "results"),
}
"""What each name of the API takes by position."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One place where a script calls a name of the API.

    Attributes:
        name: which name. node: the call.
    """

    name: str
    node: ast.Call

    @property
    def line(self) -> int:
        """Where it is written."""
        return self.node.lineno

    def argument(self, name: str) -> ast.expr | None:
        """What a parameter was given, by keyword or by place; None where nothing was, or where that is computed."""
        for keyword in self.node.keywords:
            if keyword.arg == name:
                return keyword.value
        places = PARAMETERS.get(self.name, ())
        if name not in places:
            return None
        index = places.index(name)
        before = self.node.args[: index + 1]
        if len(before) <= index or any(isinstance(one, ast.Starred) for one in before):
            return None
        return before[index]

    @property
    def spread(self) -> bool:
        """Whether some of its arguments are not written out (``*a``, ``**b``)."""
        starred = any(isinstance(one, ast.Starred) for one in self.node.args)
        return starred or any(keyword.arg is None for keyword in self.node.keywords)

    @property
    def is_fanout(self) -> bool:
        """Whether it is a fan-out."""
        return self.name in FANOUTS

    @property
    def is_lazy(self) -> bool:
        """Whether what it gives has to be awaited."""
        return self.name in LAZY


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A script, read, and what is known around it.

    Attributes:
        file: its name. source: its text.
        script: its places, scopes and names. kinds: what its expressions plainly are.
        manifest: what it declares; None where that cannot be read, which is a finding already.
        arguments: what main is given, as far as that is known.
        granted: what it may touch at most; None where nobody said.
        needs: what the task needs, by whoever reviewed it without seeing the script.
        roles: the definitions of the declared roles that a role file describes, by name.
        functions: the names of the roles that the script defines itself, with ``@function_agent``.
        steps: the steps that it may call: those it defines and those that antiphon has.
        outline: what it does.
    """

    file: str
    source: str
    script: Script
    kinds: Kinds
    manifest: Manifest | None = None
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])
    granted: Scope | None = None
    needs: tuple[Need, ...] = ()
    roles: Mapping[str, RoleDefinition] = field(default_factory=dict[str, RoleDefinition])
    functions: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    outline: Outline = field(default_factory=Outline)

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every place where the script calls a name of the API, by line."""
        found = [
            Site(name, node)
            for node in self.script.nodes
            if (name := self.kinds.api_name(node))
            if isinstance(node, ast.Call)
        ]
        return tuple(sorted(found, key=lambda site: (site.node.lineno, site.node.col_offset)))

    @cached_property
    def main(self) -> ast.AsyncFunctionDef | None:
        """The coroutine function that the run calls."""
        found = [one for one in self.script.tree.body if isinstance(one, ast.AsyncFunctionDef) and one.name == "main"]
        return found[-1] if found else None

    def named(self, *names: str) -> Iterator[Site]:
        """The sites of some names of the API."""
        return (site for site in self.sites if site.name in names)

    def site(self, node: ast.AST) -> Site | None:
        """The site at a place, or None."""
        name = self.kinds.api_name(node)
        return Site(name, node) if name and isinstance(node, ast.Call) else None

    def text(self, node: ast.expr | None) -> str | None:
        """The text that an expression plainly is: a literal, or a name that is only ever one."""
        seen = 0
        while isinstance(node, ast.Name) and seen < _DEEPEST:
            binding = self.script.only_binding(node)
            node, seen = (binding.value if binding is not None else None), seen + 1
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

    def role(self, site: Site) -> str | None:
        """Which role a call of `agent` or `choose` asks; None where that is computed, or it asks no role."""
        default = {"agent": "worker", "choose": "judge"}.get(site.name)
        given = site.argument("role")
        if default is None or (site.spread and given is None):
            return None
        return default if given is None else self.text(given)

    def output(self, site: Site) -> str | None:
        """The name of the type of what a call of `agent` gives: its own, or its role's; None where there is no name."""
        given = site.argument("output")
        if given is not None:
            return self.text(given)
        definition = self.roles.get(self.role(site) or "")
        return definition.output if definition is not None else None


_DEEPEST: Final = 20
Rule = Callable[[Examined], Iterator[Finding]]
"""One rule of preflight: what it has to say about a script."""
