"""Writes what a plan came to: its folder, and the report of the run that made it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from antiphon.engine import UsageError
from antiphon.tracing import Json
from antiphon.workflows.author.plans import PLAN, SCRIPT, TASK, is_plain, quoted, write_json, write_text
from antiphon.workflows.author.result import chosen_of, summary_of
from antiphon.workflows.disk import recording
from antiphon.workflows.report.untrusted import code

ATTEMPTS: Final = "attempts"
_SAID_CHARACTERS: Final = 1_500


def keep(folder: Path, state: Mapping[str, Any], snapshot: Mapping[str, Json]) -> None:
    """Write a plan's folder, all of it anew. Only a plan that passed has a `script.py`.

    Raises:
        UsageError: the folder is a link, or no folder.
        LogFailed: it cannot be written.
    """
    with recording(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not is_plain(folder):
            raise UsageError(f"{folder} leads elsewhere, and a plan is written into a folder of its own")
        shutil.rmtree(folder / ATTEMPTS, ignore_errors=True)
        (folder / SCRIPT).unlink(missing_ok=True)
        write_json(folder / TASK, {**snapshot, "survey": state["survey"], "known": state["known"]})
        write_json(folder / "outline.json", dict(state["sketch"]))
        write_json(folder / "review.json", {"needs": state["needs"]})
        for attempt in state["attempts"]:
            _keep_attempt(folder / ATTEMPTS / f"{int(attempt['number']):03d}", attempt)
        write_json(folder / PLAN, summary_of(state))
        chosen = chosen_of(state)
        if state["state"] == "planned" and chosen is not None:
            write_json(folder / "tests.json", chosen["tests"])
            write_text(folder / SCRIPT, str(chosen["examined"]["source"]))


def _keep_attempt(folder: Path, attempt: Mapping[str, Any]) -> None:
    """One version. Its text is no Python, neither by name nor by content: nothing can run it, confined or not."""
    folder.mkdir(parents=True)
    examined = attempt["examined"]
    write_text(folder / f"{SCRIPT}.txt", quoted(str(examined["source"]) or str(attempt["script"])))
    write_json(folder / "tests.json", attempt["tests"])
    findings = {"passed": examined["passed"], "problems": examined["problems"], "tests": examined["tests"]}
    write_json(folder / "findings.json", findings)
    write_json(folder / "outline.json", {"outline": examined.get("outline"), "cost": examined.get("cost")})
    write_json(folder / "reply.json", {name: attempt[name] for name in ("arguments", "risks", "answered")})


# --- the report -----------------------------------------------------------------------------------------------------


def report(task: str, state: Mapping[str, Any]) -> str:
    """What became of it, for a person. What models said is shown as text, whatever it is."""
    return "\n".join(_lines(task, state)) + "\n"


def _lines(task: str, state: Mapping[str, Any]) -> Iterator[str]:
    summary, shape, sketch = summary_of(state), state["shape"], state["sketch"]
    yield from (f"# Plan {state['name']}: {state['state']}", "", _inline(task), "")
    yield f"- shape: {shape.get('shape', 'none')} {_inline(str(shape.get('workflow') or ''))}".rstrip()
    yield f"- reason: {_inline(str(summary['reason']))}"
    yield from (f"- rejected: {_inline(one['way'])}: {_inline(one['why'])}" for one in shape.get("rejected", ()))
    if sketch:
        yield from ("", "## Outline", "", _inline(sketch["rationale"]), "")
        yield from (f"- {_inline(one['phase'])}: {_inline(one['does'])}" for one in sketch["stages"])
        yield from (f"- rejected: {_inline(one['way'])}: {_inline(one['why'])}" for one in sketch["rejected"])
    if state["needs"]:
        yield from ("", "## What the task needs, by a review that has not seen the script", "")
        yield from (f"- {one['kind']}: {_inline(one['text'])}" for one in state["needs"])
    yield from ("", "## Attempts", "")
    for one in state["attempts"]:
        mark = " (kept)" if one["number"] == state["chosen"] else ""
        yield f"- {one['number']}: {'passed' if one['examined']['passed'] else 'refused'}{mark}"
        yield from (f"  - {p['severity']} `{p['rule']}` line {p['line']}: {_inline(p['reason'])}"
                    for p in one["examined"]["problems"])  # fmt: skip
    yield from (f"- {_inline(note)}" for note in state["notes"])


def _inline(text: str) -> str:
    """What a model said, on one line, as text that does nothing."""
    return code(" ".join(text.split()), _SAID_CHARACTERS) if text.strip() else ""
