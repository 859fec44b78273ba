"""Calls that wait for each other without needing to."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final, cast

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.targets import Spot
from antiphon.workflows.syntax.kinds import FANOUTS
from antiphon.workflows.syntax.scopes import SCRIPT, Comprehension

RULE: Final = "awaits-in-sequence"
_INDEPENDENT: Final = frozenset({"agent", "branch", "step", "log"})
_TIMELY: Final = FANOUTS | {"phase", "put", "get", "claims", "synthesize", "approve", "now", "random", "fail", "replan",
                            "workflow", "choose"}  # fmt: skip


def awaits_in_sequence(reading: Reading) -> Iterator[Finding]:
    """Every loop that asks one after the other, and every second of two calls that knows nothing of the first."""
    for node in reading.script.nodes:
        if reading.is_inside_role(node):
            continue
        if isinstance(node, ast.For):
            yield from _loop(reading, node)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp):
            yield from _comprehension(reading, node)
        elif isinstance(node, ast.Dict | ast.List | ast.Tuple):
            yield from _side_by_side(reading, node)
        for name in ("body", "orelse", "finalbody"):
            block = cast("list[ast.AST] | None", getattr(node, name, None))
            if isinstance(block, list):
                yield from _block(reading, [one for one in block if isinstance(one, ast.stmt)])


# --- loops --------------------------------------------------------------------------------------------------------


def _loop(reading: Reading, loop: ast.For) -> Iterator[Finding]:
    """A loop whose rounds do not need each other."""
    sites = [site for site in reading.within(loop) if not _is_before(loop, site.node)]
    asking = [site for site in sites if site.name == "agent"]
    awaited = next((one for one in ast.walk(loop) if isinstance(one, ast.Await) and not _is_before(loop, one)
                    and any(site.name == "agent" for site in reading.within(one))), None)  # fmt: skip
    if awaited is None or not asking or any(site.name not in _INDEPENDENT for site in sites):
        return
    if any(_works(reading, site) for site in asking) or _is_cut_short(reading, loop) or _is_nested(loop):
        return
    if _measures(reading, loop) or _is_carried(reading, loop, sites):
        return
    steps = any(site.name == "step" for site in sites)
    over = f"{reading.shown(loop.target)} in {reading.shown(loop.iter)}"
    reason = (
        f"the rounds of `for {over}` do not need each other, and each waits for the one before: the run takes as long"
        " as all of them together"
    )
    remedy = (
        f"await parallel(... for {reading.shown(loop.target)} in {reading.shown(loop.iter)}), or pipeline() for steps"
    )
    yield reading.finding(RULE, awaited, "note" if steps else "warning", reason, remedy)


def _comprehension(reading: Reading, node: ast.ListComp | ast.SetComp | ast.DictComp) -> Iterator[Finding]:
    """`[await agent(...) for ...]`: a comprehension waits for each item before it begins the next."""
    made = node.value if isinstance(node, ast.DictComp) else node.elt
    awaited = next((one for one in ast.walk(made) if isinstance(one, ast.Await)), None)
    sites = reading.within(made)
    asking = [site for site in sites if site.name == "agent"]
    if awaited is None or not asking or any(site.name not in _INDEPENDENT for site in sites):
        return
    if any(_works(reading, site) for site in asking) or any(isinstance(one, ast.NamedExpr) for one in ast.walk(node)):
        return
    if _is_own_recursion(reading, awaited):
        return
    over = " ".join(f"for {reading.shown(one.target)} in {reading.shown(one.iter)}" for one in node.generators)
    yield reading.finding(
        RULE,
        awaited,
        "note" if any(site.name == "step" for site in sites) else "warning",
        f"each item of `{over}` waits for the one before, and needs nothing of it: the run takes as long as all of them"
        " together",
        f"await parallel(... {over}), and then .succeeded() and .failed() of what it gives",
    )


def _side_by_side(reading: Reading, node: ast.Dict | ast.List | ast.Tuple) -> Iterator[Finding]:
    """`{"a": await agent(...), "b": await agent(...)}`."""
    parts = node.values if isinstance(node, ast.Dict) else node.elts
    awaited = [one for one in parts if isinstance(one, ast.Await)]
    asking = [site for one in awaited for site in reading.within(one) if site.name == "agent"]
    if len(awaited) > 1 and len(asking) >= len(awaited) and not any(_works(reading, site) for site in asking):
        reason = "these are awaited one after the other, and none needs another: they could run at the same time"
        yield reading.finding(RULE, awaited[1], "note", reason, "await parallel([...]) gives the outcome of each")


def _is_own_recursion(reading: Reading, awaited: ast.Await) -> bool:
    """Whether a function awaits itself, which other rules speak of."""
    call = awaited.value
    return isinstance(call, ast.Call) and reading.calls.function(call) is reading.function_around(awaited)


def _is_before(loop: ast.For, node: ast.AST) -> bool:
    """Whether a place belongs to what the loop goes over, which is asked once."""
    return any(node is one for one in ast.walk(loop.iter))


def _is_nested(loop: ast.For) -> bool:
    """Whether a loop inside does the asking; it is looked at by itself."""
    return any(isinstance(one, ast.For | ast.While | ast.AsyncFor) and one is not loop and
               any(isinstance(inner, ast.Await) for inner in ast.walk(one)) for one in ast.walk(loop))  # fmt: skip


def _works(reading: Reading, site: Site) -> bool:
    """Whether a call changes files that the next may read."""
    workspace = site.argument("workspace")
    return site.spread or (workspace is not None and reading.examined.text(workspace) != "read")


def _is_cut_short(reading: Reading, loop: ast.For) -> bool:
    return any(isinstance(one, ast.Break | ast.Return | ast.Raise) for one in ast.walk(loop))


def _measures(reading: Reading, loop: ast.For) -> bool:
    calls = [one for one in ast.walk(loop) if isinstance(one, ast.Call)]
    return any(reading.script.origin(one.func).startswith(f"{SCRIPT}.budget.") for one in calls)


def _is_carried(reading: Reading, loop: ast.For, sites: Sequence[Site]) -> bool:
    """Whether what one round leaves behind may be seen by the next."""
    changed = set(_changed(reading, loop))
    tests = [one.test for one in ast.walk(loop) if isinstance(one, ast.If | ast.While | ast.IfExp)]
    given = [loop.iter, *tests]
    for site in sites:
        if site.name != "log":
            given += [*site.node.args, *(keyword.value for keyword in site.node.keywords)]
    if any(isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) for one in ast.walk(loop)):
        return True
    return any(not changed.isdisjoint(reading.came_from(one)) for one in given)


def _changed(reading: Reading, loop: ast.For) -> Iterator[Spot]:
    """The names that a round reads before it sets them, or changes in place."""
    first: dict[Spot, ast.Name] = {}
    stored: set[Spot] = set()
    set_by_loop = {id(one) for one in ast.walk(loop.target)}
    for one in ast.walk(loop):
        if not isinstance(one, ast.Name) or id(one) in set_by_loop:
            continue
        cell = reading.edges.cell(one)
        if cell is None or _is_inner(reading, one):
            continue
        earlier = first.get(cell)
        if earlier is None or _order(one) < _order(earlier):
            first[cell] = one
        if isinstance(one.ctx, ast.Store):
            stored.add(cell)
        elif _is_changed_in_place(reading, one):
            yield cell
    targets = {reading.edges.cell(one) for one in ast.walk(loop.target) if isinstance(one, ast.Name)}
    for cell in stored - targets:
        around = reading.script.parents.get(first[cell])
        read_first = isinstance(first[cell].ctx, ast.Load) or isinstance(around, ast.AugAssign)
        if (read_first or _is_own_value(reading, cell, loop)) and not _is_number(reading, cell, loop):
            yield cell


def _is_number(reading: Reading, cell: Spot, loop: ast.For) -> bool:
    """Whether all that a round does to a name is to count it up: `n += 1`."""
    stores = [one for one in ast.walk(loop) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    around = [reading.script.parents.get(one) for one in stores if reading.edges.cell(one) == cell]
    return all(isinstance(one, ast.AugAssign) and isinstance(one.value, ast.Constant) for one in around)


def _is_inner(reading: Reading, name: ast.Name) -> bool:
    scope = reading.script.resolve(name)
    return scope is not None and isinstance(scope.node, Comprehension | ast.Lambda)


def _order(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _is_own_value(reading: Reading, cell: Spot, loop: ast.For) -> bool:
    """`draft = await agent(f"Improve {draft}")`: the name stands first, and its old value is read."""
    for one in ast.walk(loop):
        if isinstance(one, ast.Assign) and any(
            isinstance(target, ast.Name) and reading.edges.cell(target) == cell for target in one.targets
        ):
            reads = (part for part in ast.walk(one.value) if isinstance(part, ast.Name))
            if any(reading.edges.cell(part) == cell for part in reads):
                return True
    return False


def _is_changed_in_place(reading: Reading, name: ast.Name) -> bool:
    around = reading.script.parents.get(name)
    if isinstance(around, ast.Attribute):
        call = reading.script.parents.get(around)
        statement = reading.script.parents.get(call) if call is not None else None
        return isinstance(call, ast.Call) and isinstance(statement, ast.Expr)
    return isinstance(around, ast.Subscript) and around.value is name and isinstance(around.ctx, ast.Store)


# --- one after the other ------------------------------------------------------------------------------------------


def _block(reading: Reading, block: Sequence[ast.stmt]) -> Iterator[Finding]:
    """The second of two neighbours that could have begun with the first."""
    before: list[ast.stmt] = []
    for statement in block:
        asking = _asks(reading, statement)
        if asking is None:
            if not _is_quiet(reading, statement):
                before = []
            continue
        if before and not any(_needs(reading, asking, one) for one in before):
            first = reading.statement(before[-1])
            assert first is not None
            reason = f"this waits for line {first.lineno}, and needs nothing of it: both could run at the same time"
            remedy = "first, second = await parallel([...]) gives both outcomes; each is asked for `.ok`"
            yield reading.finding(RULE, asking, "note", reason, remedy)
            before = []
        before.append(statement)


def _asks(reading: Reading, statement: ast.stmt) -> ast.expr | None:
    """The one thing that a plain statement awaits, if that is agents alone, and changes nothing for others."""
    match statement:
        case ast.Assign(value=ast.Await(value=awaited)) | ast.AnnAssign(value=ast.Await(value=awaited)):
            pass
        case _:
            return None
    sites = reading.within(awaited)
    agents = [site for site in sites if site.name == "agent"]
    allowed = FANOUTS | {"agent"}
    if not agents or any(site.name not in allowed for site in sites) or any(_works(reading, one) for one in agents):
        return None
    return awaited


def _is_quiet(reading: Reading, statement: ast.stmt) -> bool:
    """Whether a statement between the two only computes."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    return not any(site for site in reading.within(statement)) and not any(
        isinstance(one, ast.Await) for one in ast.walk(statement)
    )


def _needs(reading: Reading, asking: ast.expr, earlier: ast.stmt) -> bool:
    awaited = _asks(reading, earlier)
    assert awaited is not None
    parts = [one for one in ast.walk(asking) if isinstance(one, ast.expr)]
    targets = earlier.targets if isinstance(earlier, ast.Assign) else [getattr(earlier, "target", awaited)]
    cells = {reading.edges.cell(one) for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    if any(site.name == "claims" for site in reading.within(asking)):
        return True
    given = [
        value
        for site in reading.within(asking)
        for value in [*site.node.args, *(keyword.value for keyword in site.node.keywords)]
    ]
    return any(not cells.isdisjoint(reading.came_from(one)) for one in [*parts, *given])
