"""The policy of a run's tools: what its manifest says that it may touch, and what a person and a project hold it to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from antiphon.subagents.tools.policy import MODES, Policy, Rule, Scope
from antiphon.tracing import Json
from antiphon.workflows.manifest import Manifest

_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsAsked:
    """What a person, and the project's configuration, ask of the tools of a run. Part of the run's opened facts.

    Attributes:
        rules: of the command line, and of the configuration, which never has one that allows.
        after: what must have succeeded before a tool is called, by the tool's name.
    """

    rules: tuple[Rule, ...] = ()
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def then(self, later: ToolsAsked) -> ToolsAsked:
        """These, with what was asked later: a later rule replaces an earlier one about the same, all others hold on."""
        about = {(rule.tool, rule.paths) for rule in later.rules}
        kept = tuple(rule for rule in self.rules if (rule.tool, rule.paths) not in about)
        names = dict.fromkeys((*self.after, *later.after))
        after = {name: _joined(self.after.get(name, ()), later.after.get(name, ())) for name in names}
        return ToolsAsked(rules=(*kept, *later.rules), after=after)

    def to_json(self) -> dict[str, Json]:
        """As it is in the log; empty where nothing was asked."""
        said: dict[str, Json] = {}
        if self.rules:
            said["rules"] = [rule.to_json() for rule in self.rules]
        if self.after:
            said["after"] = {name: list[Json](names) for name, names in self.after.items()}
        return said

    @classmethod
    def of(cls, said: object) -> ToolsAsked:
        """The same, read back from a log that may come from anybody: what is not of the right type is not there."""
        found = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        after = found.get("after")
        held = cast("dict[str, object]", after) if isinstance(after, dict) else {}
        return cls(rules=tuple(_rules(found.get("rules"))), after={name: _texts(names) for name, names in held.items()})


def policy_of(manifest: Manifest, *asked: ToolsAsked) -> Policy:
    """The policy of a workflow.

    Args:
        manifest: its scope denies what is outside, where it says anything of that.
        asked: by the project's configuration and by the person, in this order.
    """
    after: dict[str, tuple[str, ...]] = {}
    for one in asked:
        after |= {name: _joined(after.get(name, ()), names) for name, names in one.after.items()}
    rules = tuple(rule for one in asked for rule in one.rules)
    return Policy(rules=rules, scopes=(scope_of(manifest),), after=after)


def scope_of(manifest: Manifest) -> Scope:
    """What a manifest says that its calls may touch; of what it does not speak, nothing is said."""
    scope = manifest.scope
    said: dict[str, tuple[str, ...]] = {name: getattr(scope, name) for name in scope.model_fields_set}
    return Scope(**said)


def _joined(some: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def _rules(said: object) -> Iterator[Rule]:
    for one in cast("list[object]", said)[:_MOST] if isinstance(said, list) else []:
        given = cast("dict[str, object]", one) if isinstance(one, dict) else {}
        tool, mode = given.get("tool"), given.get("mode")
        if isinstance(tool, str) and isinstance(mode, str) and mode in MODES:
            source = given.get("source")
            paths = _texts(given.get("paths"))
            yield Rule(tool=tool, mode=MODES[mode], paths=paths, source=source if isinstance(source, str) else "")


def _texts(said: object) -> tuple[str, ...]:
    given = cast("list[object]", said) if isinstance(said, list) else []
    return tuple(text for text in given[:_MOST] if isinstance(text, str))
