"""What `show` says of a run before its tree: how it stands, what it cost, what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from antiphon.engine.amount import DIMENSIONS, SCALED, Amount, to_nano
from antiphon.workflows.cli.story import Entry, Story
from antiphon.workflows.cli.terminal import Paper, Piece, cut
from antiphon.workflows.cli.tree import as_line, tree_json
from antiphon.workflows.cli.untrusted import mapping, mappings, sequence
from antiphon.workflows.cli.words import STYLE_OF, amount, counts, duration, moment, plural, quantity, said, size

_SHOWN = 10
_LONGEST = 400
_LABEL_COLUMNS = 10


def print_account(paper: Paper, story: Story) -> None:
    """Write everything but the tree."""
    seen = story.glance
    told = said(seen.state) + (f" in {seen.owner}" if seen.owner is not None else "")
    # The tree has its own order; what heads it is the run's name and standing.
    paper.line(
        Piece(seen.run_id, "bold"), f"  {seen.workflow}  ", Piece(told, STYLE_OF.get(seen.state, "warn")), _took(story)
    )
    columns, paper.columns = paper.columns, None  # what is said here is for reading whole and for copying
    for label, text in _rows(story):
        paper.line(Piece(f"  {label:<{_LABEL_COLUMNS}}", "dim"), cut(text, _LONGEST, paper.mark))
    _print_census(paper, mapping(story.ending.get("census")))
    paper.columns = columns


def _took(story: Story) -> str:
    root = story.root
    return f"  {duration(root.seconds)}" if root.seconds is not None else ""


def _rows(story: Story) -> Iterator[tuple[str, str]]:
    seen = story.glance
    if story.damage or seen.problem:
        yield "damaged", f"{story.damage or seen.problem} What follows is what could be read before it."
    if story.tombstone:
        yield from _tombstone_rows(story)
    if seen.started is not None:
        yield "started", moment(seen.started) + (f", {plural(story.epoch, 'attempt')}" if story.epoch > 1 else "")
    reason = str(story.ending.get("reason", ""))
    if reason:
        yield "reason", reason
    yield "calls", counts(_calls(story)) or "none"
    yield from _cost_rows(story)
    if story.reused:
        yield "reused", _reuse(story)
    yield from _some("cut off" if seen.state != "running" else "in flight", _in_flight(story))
    asked = {path: question.partition("\n")[0] for path, question in seen.pending.items()}
    yield from _some("asks", [f"{question}  ({path})" for path, question in asked.items()])
    denied = [_denied(mapping(entry)) for entry in sequence(story.ending.get("denied"))]
    yield from _some("denied", denied, most=10)
    missing = [" ".join(map(str, sequence(entry))) for entry in sequence(story.ending.get("missing"))]
    yield from _some("missing", missing, most=3)
    yield from _some("unawaited", list(map(str, sequence(story.ending.get("unawaited")))))
    yield from _some("decisions", [f"{d.path} {d.decision}: {as_line(d.value)}" for d in story.decisions], most=3)
    yield from _some("notes", [f"{text}  ({path})" for path, text in story.notes], most=5)
    yield from _some("controls", story.controls, most=5)
    yield from _some("reports", list(story.reports))
    if story.too_deep:
        yield "left out", f"{plural(story.too_deep, 'event')} at places that no run of ours has"
    if story.head:
        yield "log", f"{plural(story.events, 'event')}, head {story.head}"


def _tombstone_rows(story: Story) -> Iterator[tuple[str, str]]:
    removed = mapping(story.tombstone.get("removed"))
    parts = [plural(removed["events"], "event")] if isinstance(removed.get("events"), int) else []
    for one, name in (("blob", "blobs"), ("patch", "patches")):
        files, count = (mapping(removed.get(name)).get(part) for part in ("files", "bytes"))
        if isinstance(files, int) and isinstance(count, int) and files:
            parts.append(f"{plural(files, one, name)} ({size(count)})")
    when = moment(story.glance.cleaned_at or 0)
    yield "cleaned", f"{when}; removed: {', '.join(parts) or 'nothing'}. The tree is gone, the ending is kept."


def _cost_rows(story: Story) -> Iterator[tuple[str, str]]:
    journal = story.journal
    if journal is None or story.tombstone:
        yield "spent", amount(mapping(story.ending.get("spent")))
        return
    yield "spent", amount(journal.spent.to_json())
    for name, (spent, limit) in limited(story).items():
        yield "limit", f"{quantity(name, spent)} of {quantity(name, limit)} {name.replace('_', ' ')}"
    if journal.top_ups:
        yield "topped up", "; ".join(str(top_up) for top_up in journal.top_ups)
    if journal.estimated:
        yield "estimated", f"{amount(journal.estimated.to_json())}: was under way at a stop, and counts whole"


def limited(story: Story) -> dict[str, tuple[int, int]]:
    """Spent and limit of each dimension that the run's manifest limits, as raw counts, top-ups included."""
    journal = story.journal
    if journal is None:
        return {}
    raised = Amount.total(journal.top_ups)
    found: dict[str, tuple[int, int]] = {}
    for name in DIMENSIONS:
        limit = _limit(name, story.limits.get(name))
        if limit is not None:
            found[name] = journal.spent.count(name), limit + raised.count(name)
    return found


def _limit(name: str, value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return to_nano(value, up=False) if name in SCALED else int(value)
    except (ValueError, OverflowError):
        return None


def _calls(story: Story) -> dict[str, int]:
    """Calls by outcome: as the tree has them, or as the ending told where the tree is gone."""
    return dict(story.root.tally) or story.glance.calls


def _reuse(story: Story) -> str:
    parts = [f"{plural(story.reused, 'call')} replayed", f"{story.performed:,} performed"]
    if story.rebound:
        parts.append(f"{story.rebound:,} found at another place")
    saved = mapping(story.ending.get("saved"))
    if saved:
        parts.append(f"saved {amount(saved)}")
    return "; ".join(parts)


def _in_flight(story: Story) -> list[str]:
    return [f"{entry.path} {entry.sort} {entry.label or entry.name}" for entry in story.in_flight]


def _denied(entry: dict[str, Any]) -> str:
    """What was outside of the manifest; the field that would declare it; how often."""
    field, often = entry.get("field") or "of several fields", entry.get("count")
    return f"{entry.get('what', '')} ({field})" + (f", {often:,} times" if isinstance(often, int) and often > 1 else "")


def _some(label: str, texts: list[str], most: int = _SHOWN) -> Iterator[tuple[str, str]]:
    for text in texts[:most]:
        yield label, text
    if len(texts) > most:
        yield label, f"and {len(texts) - most:,} more (--json has all)"


def _print_census(paper: Paper, census: object) -> None:
    for title, table in mappings(census).items():
        numbers = [f"{table[name]:,} {name}" for name in ("planned", "started") if isinstance(table.get(name), int)]
        ended = counts(table)
        label = f"phase {title}" if title else "no phase"
        paper.line(Piece("  branches  ", "dim"), f"{label}: {', '.join(numbers)}" + (f"; {ended}" if ended else ""))


def story_json(story: Story, entry: Entry, depth: int | None) -> str:
    """All of it as one JSON object on one line; the tree from `entry` on."""
    seen, journal = story.glance, story.journal
    facts: dict[str, Any] = {
        "run": seen.run_id,
        "directory": str(seen.directory),
        "workflow": seen.workflow,
        "state": seen.state,
        "owner": {"pid": seen.owner.pid, "host": seen.owner.host} if seen.owner is not None else None,
        "damage": story.damage or seen.problem or None,
        "started": seen.started,
        "ended": seen.ended,
        "cleaned": seen.cleaned_at,
        "saved": seen.saved,
        "attempts": story.epoch,
        "reason": story.ending.get("reason", ""),
        "events": story.events,
        "head": story.head,
        "arguments": story.opened.get("arguments"),
        "calls": _calls(story),
        "census": mapping(story.ending.get("census")),
        "spent": journal.spent.to_json() if journal is not None else seen.spent,
        "estimated": journal.estimated.to_json() if journal is not None else {},
        "limits": {name: {"spent": spent, "limit": limit} for name, (spent, limit) in limited(story).items()},
        "top_ups": [top_up.to_json() for top_up in journal.top_ups] if journal is not None else [],
        "reuse": {"reused": story.reused, "rebound": story.rebound, "performed": story.performed},
        "in_flight": [{"path": e.path, "call": e.sort, "name": e.label or e.name} for e in story.in_flight],
        "pending": seen.pending,
        "missing": sequence(story.ending.get("missing")),
        "denied": sequence(story.ending.get("denied")),
        "unawaited": sequence(story.ending.get("unawaited")),
        "decisions": [{"path": d.path, "decision": d.decision, "value": d.value} for d in story.decisions],
        "notes": [{"path": path, "text": text} for path, text in story.notes],
        "reports": story.reports,
        "value": story.ending.get("value"),
        "tree": None if story.tombstone else tree_json(entry, depth),
    }
    return json.dumps(facts)
