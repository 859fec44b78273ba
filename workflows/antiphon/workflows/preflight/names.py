"""Names in a script that mean nothing: undefined ones, unknown arguments of the API, and what the manifest lacks."""

from __future__ import annotations

import ast
import builtins
import difflib
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from antiphon.workflows.preflight.examined import Examined, Site
from antiphon.workflows.preflight.model import Finding, Severity
from antiphon.workflows.syntax.scopes import SCRIPT, SCRIPT_NAMES, finds_api_as_globals

_GIVEN: Final = frozenset(
    {"__name__", "__file__", "__doc__", "__annotations__", "__spec__", "__builtins__", "reveal_type"}
)
_MOST: Final = 100


def names(examined: Examined) -> Iterator[Finding]:
    """Every finding about names."""
    yield from _undefined(examined)
    yield from _arguments(examined)
    yield from _undeclared(examined)
    yield from _unused(examined)


def _finding(rule: str, line: int, severity: Severity, reason: str, remedy: str) -> Finding:
    return Finding(rule=rule, line=line, severity=severity, reason=reason, remedy=remedy)


# --- names that mean nothing --------------------------------------------------------------------------------------


def _undefined(examined: Examined) -> Iterator[Finding]:
    script = examined.script
    if script.starred - {SCRIPT}:
        return  # nobody knows what another module's star brings
    known = _bound_aside(script.tree)
    seen: set[str] = set()
    for (home, name), uses in script.uses.items():
        if home is not None or name in seen or name in known or _is_known(examined, name):
            continue
        seen.add(name)
        if len(seen) > _MOST:
            return
        first = min(uses, key=lambda use: (use.lineno, use.col_offset))
        yield _finding(
            "undefined-name", first.lineno, "error", f"{_shown(name)} is not defined anywhere", _meant(examined, name)
        )


def _is_known(examined: Examined, name: str) -> bool:
    if hasattr(builtins, name) or name in _GIVEN:
        return True
    return name in SCRIPT_NAMES and SCRIPT in examined.script.starred


def _bound_aside(tree: ast.Module) -> set[str]:
    """What is imported for the type checker alone, or bound by a statement that scopes do not follow."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def _meant(examined: Examined, name: str) -> str:
    if name in SCRIPT_NAMES:
        return f"add it to the import: from {SCRIPT} import {name}"
    known = [*examined.script.module.bindings, *SCRIPT_NAMES, *dir(builtins)]
    close = difflib.get_close_matches(name[:60], known, n=1)
    return f"did you mean {close[0]!r}?" if close else "define it, or take it as a parameter of main"


# --- arguments of the API -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _signatures() -> dict[str, inspect.Signature]:
    from antiphon.workflows import script

    offered: dict[str, Any] = {name: getattr(script, name) for name in SCRIPT_NAMES if hasattr(script, name)}
    return {name: inspect.signature(one) for name, one in offered.items() if inspect.isfunction(one)}


def _arguments(examined: Examined) -> Iterator[Finding]:
    for site in examined.sites:
        signature = _signatures().get(site.name)
        if signature is not None:
            yield from _unknown(site, signature)
            yield from _count(site, signature)


def _unknown(site: Site, signature: inspect.Signature) -> Iterator[Finding]:
    accepted = [one.name for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_POSITIONAL]
    for keyword in site.node.keywords:
        if keyword.arg is None or keyword.arg in accepted:
            continue
        close = difflib.get_close_matches(keyword.arg[:60], accepted, n=1)
        meant = f"did you mean {close[0]}=...? " if close else ""
        listing = ", ".join(accepted) or "nothing"
        reason = f"{site.name}() has no parameter {_shown(keyword.arg)}"
        yield _finding("unknown-argument", keyword.value.lineno, "error", reason, f"{meant}it takes {listing}")


def _count(site: Site, signature: inspect.Signature) -> Iterator[Finding]:
    """Too many by position, or one that it needs is missing."""
    if site.spread:
        return
    parameters = list(signature.parameters.values())
    places = [one for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    takes_more = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)
    given = len(site.node.args)
    if given > len(places) and not takes_more:
        reason = f"{site.name}() takes {len(places)} arguments by position, and {given} are given"
        yield _finding(
            "unknown-argument", site.line, "error", reason, f"write them by name: {site.name}{signature}"[:200]
        )
    named = {keyword.arg for keyword in site.node.keywords} | {one.name for one in places[:given]}
    for one in parameters:
        needed = one.default is inspect.Parameter.empty and one.kind is not inspect.Parameter.VAR_POSITIONAL
        if needed and one.name not in named:
            reason = f"{site.name}() needs {one.name}, which is not given"
            yield _finding("missing-argument", site.line, "error", reason, f"{site.name}(..., {one.name}=...)")


# --- what the manifest declares -----------------------------------------------------------------------------------


def _undeclared(examined: Examined) -> Iterator[Finding]:
    manifest = examined.manifest
    if manifest is None:
        return
    for site in examined.named("agent", "choose"):
        yield from _missing(examined, site, "role", examined.role(site), manifest.roles)
    for site in examined.named("step"):
        yield from _missing(examined, site, "step", examined.text(site.argument("name")), manifest.steps)
    for site in examined.named("phase"):
        title = examined.text(site.argument("title"))
        if title is not None and title not in manifest.phases:
            reason = f"phase({_shown(title)}) is not among the manifest's phases ({_listed(manifest.phases)})"
            yield _finding(
                "undeclared-phase", site.line, "warning", reason, f'add "{title[:60]}" to phases in the manifest'
            )


def _missing(examined: Examined, site: Site, sort: str, name: str | None, declared: Sequence[str]) -> Iterator[Finding]:
    if name is None or name in declared:
        return
    reason = f"{site.name}() asks the {sort} {_shown(name)}, which the manifest does not declare ({_listed(declared)})"
    close = difflib.get_close_matches(name[:60], declared, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    yield _finding(
        f"undeclared-{sort}", site.line, "error", reason, f'{meant}add "{name[:60]}" to {sort}s in the manifest'
    )


def _unused(examined: Examined) -> Iterator[Finding]:
    manifest = examined.manifest
    if manifest is None:
        return
    line = line_of_manifest(examined)
    roles = _asked(examined, examined.named("agent", "choose"), examined.role)
    yield from _never("role", manifest.roles, roles, line)
    yield from _never("step", manifest.steps, _asked(examined, examined.named("step"), _named(examined, "name")), line)
    yield from _never(
        "phase", manifest.phases, _asked(examined, examined.named("phase"), _named(examined, "title")), line
    )


def _named(examined: Examined, parameter: str) -> Callable[[Site], str | None]:
    return lambda site: examined.text(site.argument(parameter))


def _asked(examined: Examined, sites: Iterator[Site], name_of: Callable[[Site], str | None]) -> set[str] | None:
    """What is asked for; None where some of it is computed, or may be asked for elsewhere."""
    found = [name_of(site) for site in sites]
    elsewhere = any(module.startswith("antiphon.") and module != SCRIPT for module in examined.script.modules)
    critics = {text for node in examined.script.nodes if (text := _critic(examined, node))}
    return None if None in found or elsewhere else {name for name in found if name is not None} | critics


def _critic(examined: Examined, node: ast.AST) -> str:
    if examined.kinds.api_name(node) != "Critic" or not isinstance(node, ast.Call):
        return ""
    named = [one.value for one in node.keywords if one.arg == "role"]
    return examined.text(named[0] if named else node.args[0] if node.args else None) or ""


def _never(sort: str, declared: Sequence[str], asked: set[str] | None, line: int) -> Iterator[Finding]:
    for name in declared if asked is not None else ():
        if asked is not None and name not in asked:
            reason = f"the manifest declares the {sort} {_shown(name)}, and nothing in the script uses it"
            yield _finding(f"unused-{sort}", line, "note", reason, f"take it out of {sort}s in the manifest")


def line_of_manifest(examined: Examined) -> int:
    """Where the manifest stands; the first line where there is none."""
    bindings = examined.script.module.bindings.get("manifest", [])
    return min((getattr(one.node, "lineno", 1) for one in bindings), default=1)


def no_import(examined: Examined) -> Iterator[Finding]:
    """Names of the API that a trusted file would have to import."""
    """A script that finds the API as globals runs confined only."""
    if examined.sites and finds_api_as_globals(examined.script):
        first = examined.sites[0]
        reason = f"{first.name}() is used without an import: a confined script has it, a trusted file does not"
        yield _finding("no-import", first.line, "note", reason, f"from {SCRIPT} import {first.name}, ... runs in both")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")


def _listed(entries: Sequence[str]) -> str:
    return ", ".join(entries)[:200] or "it declares none"
