"""What was not looked at, what is not there any more, and what nobody could read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from antiphon.workflows.report.document import (
    Block,
    Item,
    Line,
    Paragraph,
    Said,
    Section,
    first_of,
    listed,
    many,
    name_of,
    section,
)
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.phrases import subject
from antiphon.workflows.synthesis import Gap

SHOWN_GAPS = 40
_SHOWN_SUFFIXES = 12
_NAMED_ALONE = 3
_SHOWN_UNITS = 12
_GAPS = {
    "unreadable": "could not be read",
    "failed": "a check failed on it",
    "partial": "a check saw only a part of it",
    "missing": "planned, and nothing came back",
}


def gaps(material: Material) -> Section:
    """Files that were not looked at, or not by everybody; tools that did not run; what was left out on purpose."""
    return section("gaps", "What was not looked at", _gaps(material))


def _gaps(material: Material) -> Iterator[Block]:
    coverage, about = material.synthesis.coverage, material.about
    found = [gap for gap in coverage.gaps if gap.state != "unread"]
    if not found:
        yield Paragraph(("Every file that a check reads was looked at by every check meant for it.",))
    yield from first_of(_grouped(found), SHOWN_GAPS, "gap")
    if unread := Counter(_suffix(gap.unit) for gap in coverage.gaps if gap.state == "unread"):
        kinds = [(f"{number} ", Said(suffix)) for suffix, number in sorted(unread.items(), key=_most)]
        shown = [piece for kind in kinds[:_SHOWN_SUFFIXES] for piece in (", ", *kind)][1:]
        yield Item((f"{many(unread.total(), 'file')} that no check reads: ", *shown, ", …" if kinds[12:] else ""))
    for tool, reason in sorted(about.not_run.items()):
        yield Item((name_of(tool), " did not take part: ", Said(reason)))
    for reason, number in sorted(about.left_out.items()):
        yield Item((f"left out on purpose: {many(number, 'entry', 'entries')}, ", Said(reason)))
    if about.excluded:
        yield Item(("excluded by whoever ran this: ", *listed(map(Said, about.excluded))))
    if about.lenses:
        yield Item(("only these lenses were asked for: ", *listed(map(name_of, about.lenses))))


def _grouped(found: Iterable[Gap]) -> list[Item]:
    """Gaps with one reason and the same checks together, each file named; many files are one entry."""
    checks: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for gap in found:
        checks[gap.unit, gap.state, gap.reason].extend([gap.check] if gap.state != "unreadable" else [])
    units: defaultdict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (unit, state, reason), by in checks.items():
        units[state, reason, tuple(by)].append(unit)
    return [item for group, named in units.items() for item in _entries(*group, named)]


def _entries(state: str, reason: str, checks: tuple[str, ...], units: list[str]) -> Iterator[Item]:
    by: Line = (" (", *listed(map(Said, checks)), ")") if checks else ()
    what: Line = (f": {_GAPS[state]}: ", Said(reason), *by)
    if len(units) <= _NAMED_ALONE:
        yield from (Item((Said(unit), *what)) for unit in units)
        return
    more = len(units) - _SHOWN_UNITS
    rest = (f", … and {more} more; all are in report.json",) if more > 0 else ()
    names = listed(Said(unit, 120) for unit in units[:_SHOWN_UNITS])
    yield Item((many(len(units), "file"), *what), (Item((*names, *rest)),))


def _suffix(unit: str) -> str:
    name = unit.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and stem else "without a suffix"


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def evidence(material: Material) -> Section:
    """Evidence that was looked up again and is not what it was."""
    return section("evidence", "Evidence that is not there any more", _evidence(material))


def _evidence(material: Material) -> Iterator[Block]:
    synthesis = material.synthesis
    gone = [resolution for resolution in synthesis.resolutions.values() if resolution.state == "false"]
    if gone:
        yield Paragraph(("The lines that these rest on are not what they were when the tool read them.",))
    entries: list[Item] = []
    for resolution in sorted(gone, key=lambda resolution: (resolution.of, resolution.index)):
        claim = synthesis.claims.get(resolution.of)
        about: Line = subject(claim) if claim else ("record ", Said(resolution.of[:12]))
        entries.append(Item((*about, ": ", Said(resolution.reason or "it is different now"))))
    yield from first_of(entries, SHOWN_GAPS, "such piece")


def malformed(material: Material) -> Section:
    """Output of a tool that could not be read."""
    return section("malformed", "Output that could not be read", _malformed(material))


def _malformed(material: Material) -> Iterator[Block]:
    for record in material.synthesis.malformed[:SHOWN_GAPS]:
        begins = Item(("it begins ", Said(record.raw, 80), f" ({record.size} bytes, kept in report.json)"))
        units = many(len(record.units), "file")
        yield Item((Said(record.actor.tool), f" on {units}: ", Said(record.reason)), (begins,))
    if rest := len(material.synthesis.malformed[SHOWN_GAPS:]):
        yield Item((f"… and {rest} more; all are in report.json",))
