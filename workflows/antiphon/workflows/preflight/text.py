"""What preflight says, as lines for a person: an outline, what it may cost and touch, where it runs, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from antiphon.workflows.manifest import Manifest
from antiphon.workflows.preflight.model import Bound, Cost, Finding, Place, Preflight, Severity

Styled = tuple[str, str]
"""A text, and the style of `cli.terminal` that it stands in; "" for none."""
Row = tuple[Styled, ...]

MOST_PLACES: Final = 300
MOST_FINDINGS: Final = 200
_DEEPEST: Final = 40
_TITLE: Final = 100
_LISTED: Final = 12
_ALL: Final = 200  # of what it may touch: nothing of that may hide behind the rest
_ENTRY: Final = 300
_REASON: Final = 600
_FRAME: Final = 110
_STYLES: Final[dict[Severity, str]] = {"error": "bad", "warning": "warn", "note": "dim"}
_SCOPE: Final = ("read", "write", "tools", "network")
_SILENT: Final = "whatever the runtime and the person let it"
_LABEL: Final = 11


def report(preflight: Preflight, *, source: str = "") -> Iterator[Row]:
    """All of it, row by row. Nothing in it is escaped: whoever writes it to a terminal does that.

    Args:
        preflight: what there is to say.
        source: the script's text, for the lines that findings are about; "" leaves those out.
    """
    name = preflight.manifest.name if preflight.manifest else preflight.file
    verdict: Styled = (
        ("passes", "good") if preflight.passed else (f"has {_plural(len(preflight.errors), 'error')}", "bad")
    )
    yield ((name, "bold"), (" ", ""), verdict, (f"  {preflight.file}  sha256 {preflight.digest[:12]}", "dim"))
    if preflight.manifest is not None:
        if preflight.manifest.description:
            yield ((_one_line(preflight.manifest.description)[:_REASON], ""),)
        yield from _outline(preflight)
        yield from _cost(preflight.cost)
        yield from _scope(preflight.manifest)
        yield from _portability(preflight)
    yield from _findings(preflight.findings, source.split("\n") if source else ())


def frame_of(lines: Sequence[str], finding: Finding) -> Iterator[Row]:
    """The line that a finding is about, and a mark under where it begins."""
    if not 1 <= finding.line <= len(lines):
        return
    text = lines[finding.line - 1].rstrip("\r").replace("\t", " ")
    begins = max(0, min(finding.column, len(text)) - _FRAME // 2) if len(text) > _FRAME else 0
    shown, number = text[begins : begins + _FRAME], f"{finding.line:>6} | "
    yield ((number, "dim"), (shown, ""))
    column = finding.column if finding.column > 0 else len(text) - len(text.lstrip())
    yield ((" " * (len(number) + min(max(0, column - begins), len(shown))) + "^", "dim"),)


# --- the outline --------------------------------------------------------------------------------------------------


def _outline(preflight: Preflight) -> Iterator[Row]:
    outline = preflight.outline
    yield (_label("outline"), (f"phases: {_listed(outline.phases) or 'none'}", ""))
    rows = (row for place in outline.places for row in _place(place, 1))
    yield from islice(rows, MOST_PLACES)
    rest = sum(1 for _ in rows)
    if rest or not outline.complete:
        more = f"and {rest:,} more" if rest else "and what is beyond: the script has too much in it"
        yield ((f"  ... {more}", "dim"),)


def _place(place: Place, depth: int) -> Iterator[Row]:
    todo = [(place, depth)]
    while todo:
        here, level = todo.pop()
        yield _place_row(here, level)
        todo.extend((child, level + 1) for child in reversed(here.children))


def _place_row(place: Place, depth: int) -> Row:
    indent = "  " * min(depth, _DEEPEST)
    style = "bold" if place.kind in ("main", "phase") else ""
    return ((f"{indent}{head_of(place)[:_TITLE]}", style), *_often(place), (f"  line {place.line}", "dim"))


def head_of(place: Place) -> str:
    """A place in a few words: what it is, whom it asks, its title where that says more."""
    name, whom, title = place.construct or place.kind, place.role or place.step, _one_line(place.title)
    if title.startswith(name):
        return title
    return " ".join(part for part in (name, whom, "" if title in (name, whom) else title) if part)


def _often(place: Place) -> Iterator[Styled]:
    said = times(place)
    if said:
        yield f"  {said}", "bad" if place.bound.worst is None and not place.limited_by else "dim"


def times(place: Place) -> str:
    """How often a place happens, in words; "" for once."""
    bound = place.bound
    if bound.certain and bound.worst == 1 and place.kind not in ("fan-out", "loop"):
        return ""
    what = {"fan-out": "items", "loop": "rounds"}.get(place.kind, "times")
    what = what[:-1] if bound.certain and bound.worst == 1 else what
    held = f", held by {_one_line(place.limited_by)}" if place.limited_by else ""
    return f"{bound} {what}{held}"


# --- cost and scope -----------------------------------------------------------------------------------------------


def _cost(cost: Cost) -> Iterator[Row]:
    label = _label("cost")
    for name, bound in costs(cost):
        held = cost.limited_by.get(name.replace(" ", "_"), "")
        limit = f"  held by {_one_line(held)}" if held else ""
        yield (label, (f"{name:<12}", ""), (str(bound), "bad" if bound.worst is None else ""), (limit, "dim"))
        label = _label("")
    if cost.unpriced:
        yield (_label(""), (f"no price is known for what answers: {_listed(cost.unpriced)}", "warn"))
    for assumed in cost.assumed[:_LISTED]:
        yield (_label(""), (_one_line(assumed)[:_REASON], "dim"))


def costs(cost: Cost) -> Iterator[tuple[str, Bound]]:
    """Each dimension of a cost by its name for a person."""
    yield "agent calls", cost.calls
    yield "model calls", cost.model_calls
    yield "tokens", cost.tokens
    yield "usd", cost.usd
    yield "seconds", cost.seconds


def _scope(manifest: Manifest) -> Iterator[Row]:
    label = _label("scope")
    for name in _SCOPE:
        said: tuple[str, ...] = getattr(manifest.scope, name)
        silent = name not in manifest.scope.model_fields_set
        listed = _SILENT if silent else _listed(said, _ALL) or "nothing"
        yield (label, (f"{name:<12}", ""), (listed, "warn" if silent or len(said) > _ALL else ""))
        label = _label("")
    declared = (("roles", manifest.roles), ("steps", manifest.steps), ("verifies", manifest.verify))
    for name, entries in declared:
        if entries:
            yield (_label(""), (f"{name:<12}", ""), (_listed(entries, _ALL), ""))
    if manifest.models:
        named = [f"{role}: {model}" for role, model in manifest.models.items()]
        yield (_label(""), (f"{'models':<12}", ""), (_listed(named, _ALL), ""))
    limits = ", ".join(f"{name} {value}" for name, value in manifest.limits.to_json().items())
    yield (_label("limits"), (limits or "none", "" if limits else "warn"))


def _portability(preflight: Preflight) -> Iterator[Row]:
    where = preflight.portability
    if where.portable:
        yield (_label("runs in"), ("jail and monty", "good"))
        return
    yield (_label("runs in"), ("this process only" if where.trusted_only else "jail only", ""))
    told = where.trusted_only or where.needs_jail
    for finding in told[:_LISTED]:
        yield (_label(""), (f"line {finding.line}: {_one_line(finding.reason)[:_REASON]}", "dim"))
    if len(told) > _LISTED:
        yield (_label(""), (f"and {len(told) - _LISTED} more", "dim"))


# --- findings -----------------------------------------------------------------------------------------------------


def _findings(findings: Sequence[Finding], lines: Sequence[str]) -> Iterator[Row]:
    counts = {severity: sum(one.severity == severity for one in findings) for severity in _STYLES}
    said = ", ".join(_plural(count, severity) for severity, count in counts.items() if count)
    yield (_label("findings"), (said or "none", ""))
    worst_first = sorted(findings, key=lambda one: list(_STYLES).index(one.severity))[:MOST_FINDINGS]
    for finding in sorted(worst_first, key=lambda one: one.order):
        head = (f"{finding.severity:<8}", _STYLES[finding.severity])
        yield (
            head,
            (f"line {finding.line}: {_one_line(finding.reason)[:_REASON]}", ""),
            (f"  [{finding.rule}]", "dim"),
        )
        yield from frame_of(lines, finding)
        if finding.remedy:
            yield ((f"{'':8}-> ", "dim"), (_one_line(finding.remedy)[:_REASON], ""))
    if len(findings) > MOST_FINDINGS:
        yield ((f"... and {len(findings) - MOST_FINDINGS} more; --json has all", "dim"),)


def spelled_out(text: str) -> str:
    """A text in which what cannot be seen is spelled out: a picture shows it as a terminal does."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _listed(entries: Sequence[str], most: int = _LISTED) -> str:
    more = f", and {len(entries) - most} more that are not shown" if len(entries) > most else ""
    return ", ".join(_shortened(_one_line(entry)) for entry in entries[:most]) + more


def _shortened(text: str) -> str:
    return text if len(text) <= _ENTRY else f"{text[:_ENTRY]}... ({len(text):,} characters)"


def _label(text: str) -> Styled:
    return f"{text:<{_LABEL}}", "dim"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
