"""The closing words on stderr, and the one JSON object on stdout."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from antiphon.engine.result import RunResult
from antiphon.tracing import Json
from antiphon.workflows.cli.progress import Progress
from antiphon.workflows.cli.terminal import Paper, Part, Piece
from antiphon.workflows.cli.words import STYLE_OF, amount, counts, duration, plural, total
from antiphon.workflows.running import Ended

_BEST: Final = ("fixed", "integration")
"""The patches that `fix` and `build` end with, among those of their workspaces."""
_LABEL_COLUMNS = 10
_QUESTION_LINES: Final = 12
_DENIED_LINES: Final = 10


def facts(ended: Ended, progress: Progress, exit_code: int) -> str:
    """How an attempt at a run ended, as one JSON object on one line; `exit_code` is the command's."""
    result, reuse = ended.result, ended.result.reuse
    found: dict[str, Json] = {
        "run": ended.place.run_id,
        "directory": str(ended.place.directory),
        "kind": result.kind,
        "exit_code": exit_code,
        "value": ended.value,
        "reason": result.reason,
        "pause": result.pause,
        "census": {title: census.to_json() for title, census in result.census.items()},
        "calls": {title: census.to_json() for title, census in result.calls.items()},
        "failures": dict(progress.failures),
        "denied": result.denied.to_json(),
        "missing": [{"path": m.path, "kind": m.kind, "reason": m.reason} for m in result.missing],
        "spent": result.spent.to_json(),
        "reuse": {
            "reused": reuse.reused,
            "rebound": reuse.rebound,
            "performed": reuse.performed,
            "saved": reuse.saved.to_json(),
        },
        "pending": dict(result.pending),
        "reports": [str(report) for report in ended.reports],
        "head": ended.head,
        "spans": {"exported": ended.exported, "dropped": ended.dropped},
    }
    return json.dumps(found)


def value_text(value: Json) -> str:
    """A run's value for a person: text as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def print_summary(paper: Paper, ended: Ended, progress: Progress) -> None:
    """Write the block that ends every run."""
    result = ended.result
    took = duration(progress.clock() - progress.began)
    head: list[Part] = [Piece(result.kind, STYLE_OF.get(result.kind, "bold"))]
    paper.line(*head, f"  {progress.workflow}", Piece(f"  {ended.place.run_id}  in {took}", "dim"))
    # Advice and hashes are for copying: never cut.
    paper.columns = None
    for label, text in _rows(ended, progress):
        paper.line(Piece(f"  {label:<{_LABEL_COLUMNS}}", "dim"), text)


def _rows(ended: Ended, progress: Progress) -> Iterator[tuple[str, str]]:
    result = ended.result
    if result.reason:
        yield "reason", result.reason
    told = counts(total({title: census.ended for title, census in result.calls.items()}))
    yield "calls", told or "none"
    if progress.failures:
        yield "failures", ", ".join(f"{count:,} {sort}" for sort, count in progress.failures.most_common())
    yield from denied_rows(result.denied.to_json())
    yield "spent", amount(result.spent.to_json())
    if result.reuse.reused:
        yield "reused", _reuse(result)
    yield from _asked_rows(ended)
    patches = [report for report in ended.reports if report.suffix == ".patch"]
    for report in ended.reports:
        yield ("patch" if report in patches else "report"), short_path(report)
    if patches:
        names = [patch.stem for patch in patches]
        best = next((name for name in _BEST if name in names), names[0])
        yield "apply", f"antiphon apply {ended.place.run_id}{f' {best}' if len(names) > 1 else ''}"
    if ended.exported or ended.dropped:
        yield "spans", f"{ended.exported:,} exported, {ended.dropped:,} dropped"
    yield "verify", f"antiphon verify {ended.place.run_id} --head {ended.head}"
    for command in next_commands(result, ended.place.run_id):
        yield "next", command


def _asked_rows(ended: Ended) -> Iterator[tuple[str, str]]:
    """What waits for an answer: all that a question of the run's own says, and where to read the rest of a tool's."""
    for path, question in ended.result.pending.items():
        first, _, more = question.partition("\n")
        yield "asks", f"{first}  ({path})"
        where, _, of_call = path.partition("#")
        if of_call and more:
            yield "", f"all of it: antiphon show {ended.place.run_id} --transcript {where}"
        elif more:
            yield from (("", line) for line in more.split("\n")[:_QUESTION_LINES])


def denied_rows(denied: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """What was outside of the manifest, as `Denials.to_json` says it, each with the field that would declare it."""
    label = "denied"
    for one in denied[:_DENIED_LINES]:
        match one:
            case {"what": str(what), "field": str(field), "count": int(count)}:
                often = f", {count:,} times" if count > 1 else ""
                yield label, f"{what} ({field or 'of several fields'}){often}"
                label = ""
            case _:
                continue
    if len(denied) > _DENIED_LINES:
        yield "", f"and {len(denied) - _DENIED_LINES} more"


def _reuse(result: RunResult) -> str:
    reuse = result.reuse
    parts = [f"{plural(reuse.reused, 'call')} replayed", f"{reuse.performed:,} performed"]
    if reuse.rebound:
        parts.append(f"{reuse.rebound:,} found at another place")
    if reuse.saved:
        parts.append(f"saved {amount(reuse.saved.to_json())}")
    return "; ".join(parts)


def next_commands(result: RunResult, run_id: str) -> list[str]:
    """What to type after a run that did not complete."""
    resume = f"antiphon resume {run_id}"
    match result.kind, result.pause:
        case "completed", _:
            return []
        case "paused", "budget" | "overdraft":
            return [f"{resume} --budget +{_more(result.reason)}"]
        case "paused", "approval":
            # A tool is approved by its place: a bare answer would hold for all that is asked from then on.
            place = next((f"={asked}" for asked in result.pending if "#" in asked), "")
            return [f"{resume} --approve{place}", f"{resume} --deny{place}"]
        case "paused", "replan":
            return [f"antiphon replan {run_id}"]
        case (("paused" | "stopped"), _):
            return [resume]
        case _:
            return [f"antiphon show {run_id}", f"{resume} --retry-failed"]


def _more(reason: str) -> str:
    """An example of a top-up in the dimension that a pause names."""
    from antiphon.engine.amount import DIMENSIONS

    named = next((name for name in sorted(DIMENSIONS, key=len, reverse=True) if name in reason), "usd")
    return {"usd": "1usd", "agent_seconds": "60agent_seconds"}.get(named, f"100{named}")


def short_path(path: Path) -> str:
    """The path, relative to the current folder where that is shorter."""
    try:
        near = os.path.relpath(path)
    except ValueError:
        return str(path)
    return near if len(near) < len(str(path)) else str(path)
