"""Judges who are all asked the same in the same words."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Item, Reading, Repeat
from antiphon.workflows.preflight.rules.verifying import is_verifier

RULE: Final = "identical-framing"
_SEEN: Final = ("task", "question", "options", "role", "context", "model", "about", "workspace", "covers")
_CLAIMING: Final = frozenset({"audit", "research"})
_JUDGING: Final = frozenset({"refutation", "judgement", "critique", "review"})


def identical_framings(reading: Reading) -> Iterator[Finding]:
    """Every vote, or fan-out of judges, whose branches see the same task, role, context and model."""
    for site in reading.fan_outs():
        if site.name in ("parallel", "quorum"):
            items = reading.items(site)
            found = next((one for item in items if (one := _repeated(reading, site, item))), None)
            found = found or _written_twice(reading, site, items)
            if found is not None:
                yield found


def _judges(reading: Reading, around: Site, site: Site) -> bool:
    """Whether a call is one voice among several about what is true, and not one of several drafts to choose from."""
    if around.name == "quorum" or is_verifier(reading, site):
        return True
    definition = reading.definition(site)
    claims = reading.examined.output(site) in ("findings", "facts")
    return claims or (definition is not None and definition.framing in _JUDGING | _CLAIMING)


def _repeated(reading: Reading, around: Site, item: Item) -> Finding | None:
    """An item that is made again and again, and is the same each time."""
    asked = [site for site in reading.within(item.element) if site.name in ("agent", "choose")]
    if len(asked) != 1:
        return None
    for repeat in item.repeats:
        if _is_same(reading, item, asked[0], repeat) and _is_many(repeat):
            return _found(reading, around, asked[0], reading.shown(_said(repeat)))
    return None


def _said(repeat: Repeat) -> ast.AST:
    return repeat.iter if isinstance(repeat, ast.comprehension | ast.For | ast.AsyncFor) else repeat


def _is_many(repeat: Repeat) -> bool:
    """Whether something is repeated more than once, as far as that is written."""
    match repeat:
        case ast.comprehension(iter=source) | ast.For(iter=source):
            pass
        case ast.BinOp(right=source):
            return not (isinstance(source, ast.Constant) and source.value in (0, 1))
        case _:
            return True
    match source:
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=0 | 1)]):
            return False
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return len(elements) > 1
        case _:
            return True


def _is_same(reading: Reading, item: Item, site: Site, repeat: Repeat) -> bool:
    """Whether what a judge sees does not change with one of the loops around it."""
    if isinstance(repeat, ast.BinOp | ast.While):
        return True
    names = [one for one in ast.walk(repeat.target) if isinstance(one, ast.Name)]
    seen = [value for name in _SEEN if (value := site.argument(name)) is not None]
    if site.spread or not names:
        return False
    if _may_branch(reading, item, site) and reading.depends_on(item.element, [repeat.target]):
        return False
    if not any(reading.depends_on(value, [repeat.target]) for value in seen):
        return not _is_source_of_others(reading, item, repeat)
    return _only_numbered(reading, seen, repeat)


def _may_branch(reading: Reading, item: Item, site: Site) -> bool:
    """Whether a call stands in a function that may go another way for each item."""
    function = reading.function_around(site.node)
    if function is reading.function_around(item.element):
        return False
    return any(isinstance(one, ast.If | ast.IfExp | ast.Match | ast.Try) for one in ast.walk(function))


def _is_source_of_others(reading: Reading, item: Item, repeat: Repeat) -> bool:
    """Whether a later loop goes over what this one gives, and may end as different items."""
    assert not isinstance(repeat, ast.BinOp | ast.While)
    later = item.repeats[item.repeats.index(repeat) + 1 :]
    return any(
        not isinstance(one, ast.BinOp | ast.While) and reading.depends_on(one.iter, [repeat.target]) for one in later
    )


def _only_numbered(reading: Reading, seen: Sequence[ast.expr], repeat: Repeat) -> bool:
    """Whether nothing but a number differs: `f"Judge {i}: ..." for i in range(3)`."""
    match repeat:
        case (
            ast.comprehension(target=ast.Name() as target, iter=source)
            | ast.For(target=ast.Name() as target, iter=source)
        ):
            pass
        case _:
            return False
    if reading.kinds.builtin(source) != "range":
        return False
    cell = reading.edges.cell(target)
    uses = reading.script.uses.get((reading.script.resolve(target), target.id), [])
    if not uses or not all(isinstance(reading.script.parents.get(use), ast.FormattedValue) for use in uses):
        return False
    return all(cell not in reading.came_from(value) or _is_text(value) for value in seen)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.JoinedStr)


def _written_twice(reading: Reading, around: Site, items: Sequence[Item]) -> Finding | None:
    """Judges that are written out one by one, in the same words."""
    seen: dict[str, Site] = {}
    for item in items:
        asked = [site for site in reading.within(item.element) if site.name == "agent"]
        if item.repeats or len(asked) != 1 or not _judges(reading, around, asked[0]) or asked[0].spread:
            continue
        site = asked[0]
        if site.node is item.element:
            mark = " ".join(ast.dump(value) if (value := site.argument(name)) else "-" for name in _SEEN)
        else:
            mark = ast.dump(item.element)
        if mark in seen:
            return _found(reading, around, site, f"line {seen[mark].line} and here")
        seen[mark] = site
    return None


def _found(reading: Reading, around: Site, site: Site, over: str) -> Finding:
    role = reading.examined.role(site) or "the judge"
    what = "votes" if around.name == "quorum" else "branches"
    return reading.finding(
        RULE,
        site.node,
        "warning" if _judges(reading, around, site) else "note",
        f"the {what} of this {around.name}() ({over}) ask {role!r} the same task in the same context: they share one"
        " framing and its mistakes, and their agreement says no more than one of them",
        "give each a stance, evidence or model of its own: agent(task, context=[stance], ...) for stance in STANCES",
    )
