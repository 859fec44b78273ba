"""Branches that change the same thing at the same time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding, Severity
from antiphon.workflows.preflight.rules.reading import Item, Reading, Repeat
from antiphon.workflows.preflight.rules.texts import words_of
from antiphon.workflows.syntax.scopes import Function

RULE: Final = "parallel-writers"
_WRITING_TOOLS: Final = frozenset(
    {"edit", "write", "apply_patch", "rename_symbol", "run", "run_code", "run_tests", "run_checks"}
)
_WRITE_TO: Final = re.compile(
    r"\b(?:write|append|add|save|record|put|edit|update|modify|change|insert|rewrite|extend)\b[^.;:\n]{0,80}?"
    r"(?<![\w/.\0-])(?P<path>(?:[\w-]+/)*[\w-]+\.[A-Za-z]\w{0,5})(?![\w/\0])",
    re.IGNORECASE,
)


def parallel_writers(reading: Reading) -> Iterator[Finding]:
    """Every fan-out whose branches write into one workspace, one file, or under one key."""
    for site in reading.fan_outs():
        window = site.argument("concurrency")
        if isinstance(window, ast.Constant) and window.value == 1:
            continue
        for item in _items(reading, site):
            yield from _of_item(reading, item)
        yield from _between_items(reading, reading.items(site))


def _items(reading: Reading, site: Site) -> list[tuple[ast.AST, Sequence[ast.AST]]]:
    """The pieces that run many times at once, each with what differs between its branches."""
    if site.name != "pipeline":
        return [(item.element, _targets(item.repeats)) for item in reading.items(site) if item.repeats]
    return [(stage, ()) for stage in reading.branches(site)]


def _targets(repeats: Sequence[Repeat]) -> list[ast.AST]:
    return [one.target for one in repeats if not isinstance(one, ast.While | ast.BinOp)]


def _of_item(reading: Reading, item: tuple[ast.AST, Sequence[ast.AST]]) -> Iterator[Finding]:
    piece, targets = item
    for site in reading.within(piece):
        if site.name == "agent":
            yield from _same_workspace(reading, site, piece, targets)
            yield from _same_file(reading, site, piece, targets)
        elif site.name == "put":
            yield from _same_key(reading, site, piece, targets)
        elif site.name == "step":
            yield from _same_path(reading, site, piece, targets)


def _differs(reading: Reading, value: ast.expr, piece: ast.AST, targets: Sequence[ast.AST]) -> bool:
    """Whether a value differs between the branches: it depends on everything that repeats them."""
    if isinstance(piece, Function | ast.Lambda):
        cells = {(reading.script.inner[piece], one.arg) for one in [*piece.args.args]}
        return not cells.isdisjoint(reading.came_from(value)) or reading.examined.text(value) is None
    return bool(targets) and all(reading.depends_on(value, [target]) for target in targets)


def _same_workspace(reading: Reading, site: Site, piece: ast.AST, targets: Sequence[ast.AST]) -> Iterator[Finding]:
    workspace = site.argument("workspace")
    if workspace is None or not _is_named(reading, workspace) or _differs(reading, workspace, piece, targets):
        return
    if (severity := _writing(reading, site)) is not None:
        yield _conflict(reading, site, f"{reading.shown(workspace)}", severity)


def _is_named(reading: Reading, workspace: ast.expr) -> bool:
    """Whether a workspace is plainly one of a name, and not the project as it was, nor none."""
    if isinstance(workspace, ast.Constant) and workspace.value is None:
        return False
    name = reading.text(workspace)
    return name not in (None, "read") or isinstance(workspace, ast.JoinedStr)


def _writing(reading: Reading, site: Site) -> Severity | None:
    """How sure it is that a call changes files: by its role's own tools; None where it has none that do."""
    definition = reading.definition(site)
    if definition is None:
        return "error" if reading.is_own_role(site) else "warning"
    return "error" if not definition.tools or _WRITING_TOOLS & set(definition.tools) else None


def _conflict(reading: Reading, site: Site, name: str, severity: Severity) -> Finding:
    role = reading.examined.role(site) or "agent"
    return reading.finding(
        RULE,
        site.node,
        severity,
        f"all branches of {role!r} work in the one workspace {name} at the same time, and what one writes another"
        " overwrites or is refused",
        'give each a workspace of its own (workspace=f"try-{number}") and put them together with step("merge", ...)',
    )


def _between_items(reading: Reading, items: Sequence[Item]) -> Iterator[Finding]:
    """Calls that are written out one by one, and name one workspace."""
    seen: dict[str, Severity | None] = {}
    for item in items:
        if item.repeats:
            continue
        for site in reading.within(item.element):
            name = reading.text(site.argument("workspace")) if site.name == "agent" else None
            if name in (None, "read"):
                continue
            severity = _writing(reading, site)
            if name in seen and (worst := seen[name] or severity) is not None:
                yield _conflict(reading, site, repr(name), worst)
            seen[str(name)] = severity or seen.get(str(name))


# --- files and keys -----------------------------------------------------------------------------------------------


def _same_file(reading: Reading, site: Site, piece: ast.AST, targets: Sequence[ast.AST]) -> Iterator[Finding]:
    """A task that tells every branch to write to one file, each in a workspace of its own."""
    workspace, task = site.argument("workspace"), site.argument("task")
    if workspace is None or task is None or reading.text(workspace) == "read":
        return
    if not _differs(reading, workspace, piece, targets) or _writing(reading, site) is None:
        return
    if found := _WRITE_TO.search(words_of(reading, task).gapped):
        yield reading.finding(
            RULE,
            site.node,
            "warning",
            f"every branch is told to write to {found['path']!r}: the patches of all of them change one file and do"
            " not go together",
            "let each branch hand back what it has, and write the file once after the fan-out",
        )


def _same_key(reading: Reading, site: Site, piece: ast.AST, targets: Sequence[ast.AST]) -> Iterator[Finding]:
    key, value = site.argument("key"), site.argument("value")
    if key is None or value is None or reading.examined.text(key) is None or isinstance(value, ast.Constant):
        return
    if not isinstance(piece, Function) and _differs(reading, key, piece, targets):
        return
    yield reading.finding(
        RULE,
        site.node,
        "warning",
        f"all branches put their value under the one key {reading.shown(key)}: the last to end replaces the others",
        'make the key the branch\'s own (put(f"result/{item}", ...)), or return the value from the branch',
    )


def _same_path(reading: Reading, site: Site, piece: ast.AST, targets: Sequence[ast.AST]) -> Iterator[Finding]:
    """A step that is given one path, and in each branch something else that an agent wrote."""
    given = site.argument("args")
    if not isinstance(given, ast.Dict):
        return
    paths = [value for value in given.values if _is_path(reading.examined.text(value))]
    written = [value for value in given.values if reading.sites_behind(value, "agent", strictly=True)]
    if paths and written and not any(_differs(reading, one, piece, targets) for one in paths):
        yield reading.finding(
            RULE,
            site.node,
            "warning",
            f"every branch hands what an agent wrote to the step {reading.shown(site.argument('name'))} for the one"
            f" path {reading.shown(paths[0])}, at the same time",
            "collect the values, and call the step once after the fan-out; or give each branch a path of its own",
        )


def _is_path(text: str | None) -> bool:
    return text is not None and bool(re.fullmatch(r"(?:[\w.-]+/)*[\w-]+\.\w{1,6}", text))
