"""The roles and steps that a script may ask: those it defines, read from its text, and those that antiphon has."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.roles.library import Roles
from antiphon.tracing.errors import AntiphonError
from antiphon.workflows.manifest import Manifest
from antiphon.workflows.preflight.following.calls import PYTHONS
from antiphon.workflows.preflight.model import NEVER, ONCE, UNKNOWN, Bound, Finding, Severity
from antiphon.workflows.preflight.pricing import Figures
from antiphon.workflows.syntax.kinds import Kinds
from antiphon.workflows.syntax.scopes import SCRIPT, Function
from antiphon.workflows.working import STEPS

_HARMLESS: Final = PYTHONS | {"pydantic", "annotated_types", "typing_extensions", "__future__"}

_ALIKE: Final = 0.86
"""How alike two names are that are likely one, mistyped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a script finds around it.

    Attributes:
        definitions: of the declared roles that a role file describes. functions: roles that the script defines, with
            what a call of each costs. steps: that it may call. findings: what is declared and there is not.
    """

    definitions: Mapping[str, RoleDefinition] = field(default_factory=dict[str, RoleDefinition])
    functions: Mapping[str, Figures] = field(default_factory=dict[str, Figures])
    steps: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()


def around(kinds: Kinds, manifest: Manifest | None, library: Roles, line: int, *, planned: bool) -> Around:
    """What a script finds around it.

    Args:
        kinds: the script.
        manifest: what it declares; None where that cannot be read.
        library: the roles that have a file.
        line: where the manifest stands.
        planned: whether a model wrote it: then nobody lends it roles or steps of their own.
    """
    functions = {name: _figures(function, mark) for name, function, mark in _marked(kinds, "function_agent")}
    steps = frozenset({*STEPS, *(name for name, _, _ in _marked(kinds, "step_function"))})
    declared = () if manifest is None else manifest.roles
    definitions: dict[str, RoleDefinition] = {}
    findings: list[Finding] = []
    for name in declared:
        if name in functions:
            continue
        try:
            if name in library:
                definitions[name] = library.role(name)
            elif _has_nothing_else(kinds):
                findings.append(_absent("role", name, [*functions, *library.names()], line, planned=planned))
        except AntiphonError as error:
            findings.append(_bad(name, line, error))
    if manifest is not None and _has_nothing_else(kinds):
        missing = [name for name in manifest.steps if name not in steps]
        findings += [_absent("step", name, sorted(steps), line, planned=planned) for name in missing]
    return Around(definitions=definitions, functions=functions, steps=steps, findings=tuple(findings))


def _has_nothing_else(kinds: Kinds) -> bool:
    """Whether everything that a script has is in its text: nothing it imports could define a role or a step."""
    return all(module == SCRIPT or module.partition(".")[0] in _HARMLESS for module in kinds.script.modules)


def _absent(sort: str, name: str, known: Sequence[str], line: int, *, planned: bool) -> Finding:
    """A role or step that there is not. Whoever runs the script may lend it one, so that alone does not refuse it."""
    shown = repr(name if len(name) <= 60 else f"{name[:57]}...")
    close = difflib.get_close_matches(name[:60], known, n=1, cutoff=_ALIKE)
    severity: Severity = "error" if planned else "warning" if close else "note"
    reason = f"the manifest declares the {sort} {shown}, and neither this file nor antiphon has one"
    mark = "function_agent" if sort == "role" else "step_function"
    file = f", or write .antiphon/roles/{name[:60]}.md" if sort == "role" else ""
    meant = f"did you mean {close[0]!r}? " if close else ""
    remedy = f"{meant}define it with @{mark}({shown}){file}"
    return Finding(rule=f"undefined-{sort}", line=line, severity=severity, reason=reason, remedy=remedy)


def _bad(name: str, line: int, error: AntiphonError) -> Finding:
    remedy = error.advice or "mend the role's file"
    return Finding(
        rule="undefined-role", line=line, severity="error", reason=f"role {name[:60]!r}: {error}", remedy=remedy
    )


# --- roles and steps of the script itself -------------------------------------------------------------------------


def _marked(kinds: Kinds, mark: str) -> Iterator[tuple[str, ast.AST, ast.Call]]:
    """The functions that are decorated with ``@mark("name")``."""
    for node in kinds.script.nodes:
        for decorator in node.decorator_list if isinstance(node, Function) else ():
            if isinstance(decorator, ast.Call) and kinds.api_name(decorator) == mark:
                given = [*decorator.args, *(one.value for one in decorator.keywords if one.arg == "name")]
                if given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
                    yield given[0].value, node, decorator


def _figures(function: ast.AST, mark: ast.Call) -> Figures:
    """What a function agent costs: its floor is to be expected; one that attempts nothing costs nothing."""
    floor = next((one.value for one in mark.keywords if one.arg == "floor"), None)
    attempts = any(isinstance(one, ast.Attribute) and one.attr == "attempt" for one in ast.walk(function))
    seconds = Bound(expected=0, worst=None)
    if floor is None and not attempts:
        return Figures(calls=ONCE, seconds=seconds)
    given = _amounts(floor) if isinstance(floor, ast.Call) else {}
    parts = {name: Bound(expected=given.get(name, 0), worst=None) for name in ("model_calls", "usd")}
    return Figures(calls=ONCE, tokens=UNKNOWN if attempts else NEVER, seconds=seconds, **parts)


def _amounts(floor: ast.Call) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in floor.keywords:
        if one.arg and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str | int | float):
            try:
                found[one.arg] = float(Decimal(str(one.value.value)[:40]))
            except (InvalidOperation, OverflowError):
                continue
    return found
