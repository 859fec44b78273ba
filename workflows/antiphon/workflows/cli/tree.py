"""Drawing a run's tree: failures first, the many that went well as one line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from antiphon.engine.amount import from_nano
from antiphon.workflows.cli.story import CUT_OFF, FLYING, Entry, in_order
from antiphon.workflows.cli.terminal import Paper, Part, Piece
from antiphon.workflows.cli.words import STYLE_OF, counts, duration, plural, said

DEPTH = 4
_FOLD = 12
_NARROW = 60
_SHOWN_WHEN_FOLDED = 8
_GOOD = frozenset({"succeeded", ""})
_BAD_FIRST = ("failed", "timed_out", "over_budget", "denied", FLYING, CUT_OFF, "degraded", "cancelled", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a tree is drawn.

    Attributes:
        depth: how many levels below the first are drawn.
        epoch: the run's last attempt; what only an earlier one spoke of is marked.
        unfolded: the path whose children are all drawn, however many.
    """

    depth: int = DEPTH
    epoch: int = 0
    unfolded: str = ""


def draw(paper: Paper, entry: Entry, drawing: Drawing) -> None:
    """Draw an entry and what is below it."""
    paper.line(*_words(paper, entry, entry.path, drawing))
    _draw_below(paper, entry, "", drawing)


def _draw_below(paper: Paper, entry: Entry, indent: str, drawing: Drawing) -> None:
    if drawing.depth <= 0:
        return
    groups = list(_by_phase(entry))
    for place, (title, children) in enumerate(groups):
        last = place == len(groups) - 1
        if title is None:
            _draw_children(paper, entry, children, indent, drawing, more=not last)
            continue
        tally = sum((child.tally for child in children), Counter[str]())
        elbow, further = _elbow(paper, last)
        paper.line(Piece(indent + elbow, "dim"), Piece(f"phase {title}", "bold"), Piece(f"  {counts(tally)}", "dim"))
        _draw_children(paper, entry, children, indent + further, drawing, more=False)


def _by_phase(entry: Entry) -> Iterator[tuple[str | None, list[Entry]]]:
    """The children, those of a phase that this entry itself began together; in order."""
    group: list[Entry] = []
    title: str | None = None
    for child in in_order(entry):
        phase = child.phase or _phase_below(child)
        now = phase if phase in entry.phases else None
        if group and now != title:
            yield title, group
            group = []
        title = now
        group.append(child)
    if group:
        yield title, group


def _phase_below(entry: Entry) -> str:
    """The phase of a place that only its children tell of."""
    return next((child.phase for child in entry.children.values() if child.phase), "")


def _draw_children(
    paper: Paper, entry: Entry, children: Sequence[Entry], indent: str, drawing: Drawing, *, more: bool
) -> None:
    folds = len(children) > _FOLD and entry.path != drawing.unfolded
    shown = _worth_showing(children) if folds else list(children)
    hidden = _rest(children, shown) if folds else None
    below = replace(drawing, depth=drawing.depth - 1)
    for place, child in enumerate(shown):
        last = not more and hidden is None and place == len(shown) - 1
        elbow, further = _elbow(paper, last)
        leaf = _standing_for(child)
        name = child.path.rpartition("/")[2]
        paper.line(Piece(indent + elbow, "dim"), *_words(paper, leaf, name, drawing))
        # Below a call are those that it made itself, as of its critic; it replays with them.
        _draw_below(paper, leaf, indent + further, replace(below, epoch=0) if leaf.reused else below)
    if hidden is not None:
        paper.line(Piece(f"{indent}{_elbow(paper, not more)[0]}{paper.mark} {hidden}", "dim"))


def _worth_showing(children: Sequence[Entry]) -> list[Entry]:
    """A few of many: what went worst, in its own order within each kind."""
    unwell = [child for child in children if _kind(child) not in _GOOD]
    unwell.sort(key=lambda child: _BAD_FIRST.index(_kind(child)) if _kind(child) in _BAD_FIRST else 99)
    return unwell[:_SHOWN_WHEN_FOLDED]


def _rest(children: Sequence[Entry], shown: Sequence[Entry]) -> str | None:
    left = Counter(_kind(child) or "unknown" for child in children)
    left.subtract(_kind(child) or "unknown" for child in shown)
    count = left.total()
    if not count:
        return None
    kinds = [kind for kind in left if left[kind]]
    more = f"{count:,} more" if shown else f"{count:,}"
    return f"{more} {said(kinds[0])}" if len(kinds) == 1 else f"{more}: {counts(left)}"


def _kind(child: Entry) -> str:
    """How a child ended; for a place that only its children tell of, how the worst of them did."""
    if child.kind:
        return child.kind
    return next((kind for kind in _BAD_FIRST if child.tally[kind]), "succeeded")


def _standing_for(child: Entry) -> Entry:
    """The call that a fan-out's item consists of, in its place; how the item ended says more than how the call did."""
    only = next(iter(child.children.values()), None)
    if child.sort not in ("", "item") or only is None or len(child.children) > 1 or not only.is_call:
        return child
    return replace(only, kind=child.kind, reason=child.reason or only.reason) if child.kind else only


def _elbow(paper: Paper, last: bool) -> tuple[str, str]:
    if paper.letters:
        return ("└─ ", "   ") if last else ("├─ ", "│  ")
    return ("`- ", "   ") if last else ("|- ", "|  ")


def _words(paper: Paper, entry: Entry, name: str, drawing: Drawing) -> Iterator[Part]:
    kind = _kind(entry)
    style = STYLE_OF.get(kind, "warn")
    mixed = kind in _GOOD and any(entry.tally[bad] for bad in _BAD_FIRST)
    yield Piece(*(_glyph(paper, "degraded"), "warn") if mixed else (_glyph(paper, kind), style))
    yield f" {name}"
    title = _title(entry)
    if title:
        yield f" {title}"
    if kind not in _GOOD and kind != "completed":
        yield Piece(f"  {said(kind)}", style)
        if entry.category:
            yield Piece(f" ({entry.category})", style)
    if not entry.is_call and entry.tally.total() > 1:
        yield Piece(f"  {counts(entry.tally)}", "dim")
    if paper.columns is None or paper.columns >= _NARROW:
        yield Piece("".join(f"  {fact}" for fact in _facts(entry, drawing)), "dim")
    if entry.reason and kind not in _GOOD:
        yield f"  {entry.reason}"


def _title(entry: Entry) -> str:
    if entry.is_call:
        title = entry.label or entry.name
        return title if entry.sort == "agent" else f"{entry.sort} {title}"
    if entry.sort in ("", "item", "branch"):
        return ""
    if entry.items is not None:
        return f"{entry.sort} of {entry.items:,}"
    return f"{entry.sort} {entry.name}".strip()


def _facts(entry: Entry, drawing: Drawing) -> Iterator[str]:
    if entry.seconds is not None:
        yield duration(entry.seconds)
    usd = entry.spent.count("usd")
    if usd:
        yield f"{from_nano(usd):,f} usd" + (" (estimated)" if entry.estimated else "")
    if entry.attempts > 1:
        yield plural(entry.attempts, "attempt")
    if entry.reused:
        yield "reused"
    elif entry.epoch and entry.epoch < drawing.epoch:
        yield f"not reached again since attempt {entry.epoch}"


def _glyph(paper: Paper, kind: str) -> str:
    if kind in ("succeeded", "completed", ""):
        return paper.glyph("✓", "+")
    if kind in (FLYING, "running"):
        return paper.glyph("▸", ">")
    if kind in ("degraded", "cancelled", "skipped", CUT_OFF, "paused", "stopped", "interrupted"):
        return paper.glyph("◌", "~")
    return paper.glyph("✗", "x")


def tree_json(entry: Entry, depth: int | None = None) -> dict[str, Any]:
    """The tree as JSON; `depth` levels of it, or all."""
    facts: dict[str, Any] = {
        "path": entry.path,
        "sort": entry.sort,
        "name": entry.name,
        "label": entry.label,
        "phase": entry.phase,
        "kind": entry.kind,
        "reason": entry.reason,
        "category": entry.category,
        "items": entry.items,
        "started": entry.started,
        "ended": entry.ended,
        "seconds": entry.seconds,
        "attempts": entry.attempts,
        "reused": entry.reused,
        "attempt_of_run": entry.epoch,
        "spent": entry.spent.to_json(),
        "calls": dict(sorted(entry.tally.items())),
    }
    kept = {name: value for name, value in facts.items() if value not in ("", None, 0, False, {})}
    if entry.children and depth != 0:
        inner = None if depth is None else depth - 1
        kept["children"] = [tree_json(child, inner) for child in in_order(entry)]
    return kept


def as_line(value: Any) -> str:
    """A recorded value in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
