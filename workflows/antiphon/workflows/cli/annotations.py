"""`--format github`: findings as workflow commands, which GitHub Actions shows beside the lines of a pull request.

Names and messages come from whoever wrote the code. A command is one line that begins with two colons; whatever could
end the line, or one of its properties, is written out as GitHub's own toolkit does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from antiphon.subagents.records import RANK, Finding, Severity
from antiphon.workflows.audit.failing import open_clusters, shown_sites
from antiphon.workflows.baseline import Comparison, State
from antiphon.workflows.report.untrusted import visible
from antiphon.workflows.synthesis import Cluster, Site, Synthesis

Command = Literal["error", "warning", "notice"]
SHOWN_OF_EACH: Final = 10
"""GitHub shows so many of each command in one step; what is beyond is only in its log, and in the report."""

_COMMANDS: Final[dict[Severity, Command]] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "notice",
    "info": "notice",
}
_FIRST: Final[dict[State | None, int]] = {"new": 0, None: 0, "updated": 1, "unchanged": 2, "absent": 3}
_LONGEST: Final = 1_000


def github_annotations(found: Synthesis, root: Path, comparison: Comparison | None = None) -> Iterator[str]:
    """One line for each finding that GitHub will show, what is new first, then the worst; and how many it will not.

    Args:
        found: what the audit says.
        root: the audited folder; files are named relative to the checkout that GitHub works in.
        comparison: with an earlier audit, if there is one.
    """
    prefix = _prefix(root)
    by_command: dict[Command, list[str]] = {"error": [], "warning": [], "notice": []}
    places = [(cluster, site) for cluster in open_clusters(found) for site in shown_sites(cluster, comparison)]
    for cluster, site in sorted(places, key=lambda place: _rank(place[0], place[1], comparison)):
        by_command[_COMMANDS[cluster.severity]].append(_annotation(cluster, site, found, prefix, comparison))
    for lines in by_command.values():
        yield from lines[:SHOWN_OF_EACH]
    yield from _rest(by_command.values())


def github_message(text: str) -> str:
    """One error that belongs to no file."""
    return f"::error title=antiphon::{_data(visible(text, _LONGEST))}"


def _rest(lines: Iterable[Sequence[str]]) -> Iterator[str]:
    hidden = sum(max(0, len(each) - SHOWN_OF_EACH) for each in lines)
    if hidden:
        yield f"{hidden} more are not shown here, as GitHub shows {SHOWN_OF_EACH} of a kind; the report has all"


def _rank(cluster: Cluster, site: Site, comparison: Comparison | None) -> tuple[object, ...]:
    state = comparison.state(site.claims) if comparison else None
    return (_FIRST[state], -RANK[cluster.severity], cluster.key.path, site.start_line, cluster.id)


def _annotation(cluster: Cluster, site: Site, found: Synthesis, prefix: str, comparison: Comparison | None) -> str:
    claim = found.standing_at(site)
    state = comparison.state(site.claims) if comparison else None
    said = [cluster.severity, *([state] if state else []), *(["disputed"] if cluster.status == "disputed" else [])]
    title = f"{'/'.join(cluster.rules)} ({', '.join(said)})"
    message = f"{claim.text or cluster.title} [{', '.join(cluster.tools)}]"
    properties = {"file": visible(prefix + cluster.key.path, _LONGEST), **_place(claim), "title": visible(title, 200)}
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[cluster.severity]} {given}::{_data(visible(message, _LONGEST))}"


def _place(claim: Finding) -> dict[str, str]:
    """Lines, and columns where the finding is on one line: GitHub takes columns only there."""
    if claim.line is None:
        return {}
    place = {"line": str(claim.line), "endLine": str(max(claim.line, claim.end_line or 0))}
    if claim.column is not None and claim.end_line in (None, claim.line):
        place["col"] = str(claim.column)
        if claim.end_column is not None and claim.end_column > claim.column:
            place["endColumn"] = str(claim.end_column - 1)  # theirs is the last column, ours the one after it
    return place


def _prefix(root: Path) -> str:
    """What stands before a file's name so that it is relative to the checkout; "" where that is not around it."""
    checkout = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    folder = root.resolve()
    if folder == checkout or not folder.is_relative_to(checkout):
        return ""
    return folder.relative_to(checkout).as_posix() + "/"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
