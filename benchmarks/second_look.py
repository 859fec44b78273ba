"""What the second look makes of findings whose truth is known, and where it is wrong.

``uv run python benchmarks/second_look.py [--said] [--write]`` runs the real analysers over the labelled fixture in
``tests/workflows/data/second_look``, looks at what they found again, and prints rates by rule, for the part that the
checks were tuned with and for the part that they were not.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
from pydantic import BaseModel, ConfigDict

from antiphon.subagents.records import Finding, Verdict
from antiphon.subagents.testing import CollectingContext
from antiphon.workflows.audit import Sources, analysers, plan, survey
from antiphon.workflows.audit.second_look import SecondLooker, Words
from antiphon.workflows.audit.table import TABLE

DATA = Path(__file__).parents[1] / "tests" / "workflows" / "data" / "second_look"
PAGE = Path(__file__).parents[1] / "docs" / "second-look.md"
BEGIN = "<!-- figures: from benchmarks/second_look.py -->"
END = "<!-- end of figures -->"
PARTS = ("tuned", "held_out")
Label = Literal["true_positive", "false_positive"]
LABELS = ("true_positive", "false_positive")
OUTCOMES = ("confirmed", "refuted", "disputed", "unverified")
STANCES = {"confirm": "confirmed", "refute": "refuted"}


class Labelled(BaseModel):
    """One finding whose truth is known.

    Attributes:
        id: also the folder it is written to. path: its file. files: what else there is, by path.
        rule: canonical. at: text that only the finding's line has. label, why: what it is, and why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    path: str
    rule: str
    at: str
    label: Label
    why: str
    code: str
    after: str = ""
    files: dict[str, str] = {}

    @property
    def line(self) -> int:
        """The line that the finding is on, from 1."""
        lines = self.code.lstrip("\n").splitlines()
        found = [number for number, text in enumerate(lines, 1) if self.at in text]
        if len(found) != 1:
            raise LookupError(f"{self.id}: {self.at!r} is on {len(found)} lines")
        return found[0]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the second look made of one case. `said` is who said what, and why."""

    case: Labelled
    outcome: str
    said: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether it confirmed a false positive or refuted a true one."""
        bad = "refuted" if self.case.label == "true_positive" else "confirmed"
        return self.outcome in (bad, "disputed")


def cases(part: str) -> list[Labelled]:
    """The labelled findings of one part."""
    data = tomllib.loads((DATA / f"{part}.toml").read_text())
    return [Labelled.model_validate(item) for item in data["case"]]


def write(labelled: Iterable[Labelled], root: Path) -> None:
    """Write the files, each case in a folder of its own."""
    for case in labelled:
        for path, text in {case.path: case.code, **case.files}.items():
            file = root / case.id / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.lstrip("\n"))


async def findings(root: Path) -> list[Finding]:
    """What the analysers that come with antiphon find in a tree."""
    seen = await anyio.to_thread.run_sync(survey, root)
    others = [entry.tool for entry in TABLE if not entry.bundled]  # what a machine happens to have changes no figure
    chosen = await analysers(Sources.of(seen), exclude=others)
    context = CollectingContext()
    for analyser in chosen.analysers:
        for shard in plan(seen, [analyser.check]).shards:
            context.covers = shard.units
            await analyser.agent("look", context)
    found = [record for record in context.records if isinstance(record, Finding)]
    return [finding.recorded_by(f"main/{number}") for number, finding in enumerate(found)]


async def judged(labelled: Sequence[Labelled]) -> list[Judged]:
    """What the second look makes of the real findings of these cases, each as a tree of its own."""
    with tempfile.TemporaryDirectory(prefix="antiphon-") as folder:
        root = await anyio.to_thread.run_sync(Path(folder).resolve)
        await anyio.to_thread.run_sync(write, labelled, root)
        by_path: dict[str, list[Finding]] = defaultdict(list)
        for finding in await findings(root):
            by_path[finding.key.path].append(finding)
        _all_reported(labelled, by_path)
        return [await _judge(case, root, by_path[f"{case.id}/{case.path}"]) for case in labelled]


def _all_reported(labelled: Sequence[Labelled], by_path: Mapping[str, Sequence[Finding]]) -> None:
    missing: list[str] = []
    for case in labelled:
        found = by_path.get(f"{case.id}/{case.path}", [])
        if not any(finding.key.rule == case.rule and finding.line == case.line for finding in found):
            there = sorted({f"{finding.key.rule} on line {finding.line}" for finding in found})
            missing.append(f"{case.id}: no analyser reports {case.rule} on line {case.line}, only {there}")
    if missing:
        raise LookupError("\n".join(missing))


async def _judge(case: Labelled, root: Path, found: Sequence[Finding]) -> Judged:
    meant = [finding for finding in found if finding.key.rule == case.rule and finding.line == case.line]
    unit = f"{case.id}/{case.path}"
    seen = await anyio.to_thread.run_sync(survey, root)
    files = {case.path: case.code, **case.files}
    words = Words.in_texts((f"{case.id}/{path}", text.encode()) for path, text in files.items())
    context = CollectingContext([unit])
    looker = SecondLooker(Sources.of(seen), words)
    await looker.answer([{"findings": [finding.to_json() for finding in found]}], context)
    ids = {finding.id for finding in meant}
    verdicts = [record for record in context.records if isinstance(record, Verdict) and record.of in ids]
    stances = {verdict.stance for verdict in verdicts} - {"cannot_tell"}
    outcome = "disputed" if len(stances) > 1 else STANCES.get(next(iter(stances), ""), "unverified")
    return Judged(case, outcome, tuple(sorted({f"{v.method}: {v.stance}: {v.reason}" for v in verdicts})))


def table(results: Sequence[Judged], of: Callable[[Judged], str]) -> str:
    """Rates as Markdown, one row for each group."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for result in results:
        groups[of(result)].append(result)
    columns = [f"{label.partition('_')[0]}: {outcome}" for label in LABELS for outcome in OUTCOMES]
    head = f"| rule | {' | '.join(columns)} |"
    rows = [f"| {name} | {' | '.join(map(str, _row(group)))} |" for name, group in sorted(groups.items())]
    return "\n".join(
        [head, "|---" + "|--:" * len(columns) + "|", *rows, f"| **all** | {' | '.join(map(str, _row(results)))} |"]
    )


def _row(results: Sequence[Judged]) -> list[int]:
    return [_count(results, label, outcome) for label in LABELS for outcome in OUTCOMES]


def _count(results: Sequence[Judged], label: str, outcome: str) -> int:
    return sum(result.case.label == label and result.outcome == outcome for result in results)


def rates(results: Sequence[Judged]) -> str:
    """How often confirm and refute are right, and how much is left unverified."""
    true, false = ({outcome: _count(results, label, outcome) for outcome in OUTCOMES} for label in LABELS)
    both = {outcome: true[outcome] + false[outcome] for outcome in OUTCOMES}
    return (
        f"{len(results)} findings: {both['confirmed']} confirmed, {true['confirmed']} of them rightly; "
        f"{both['refuted']} refuted, {false['refuted']} of them rightly; {both['disputed']} disputed; "
        f"{both['unverified']} left unverified."
    )


def mistakes(results: Sequence[Judged]) -> list[str]:
    """What it got wrong, one line each."""
    return [_mistake(result) for result in results if result.wrong]


def _mistake(result: Judged) -> str:
    case = result.case
    label = case.label.replace("_", " ")
    said = "; ".join(result.said)
    return f"- `{case.id}` ({case.rule}), a {label} because {case.why}. It is {result.outcome}: {said}"


def report(by_part: Mapping[str, Sequence[Judged]]) -> str:
    """Everything, as Markdown."""
    lines: list[str] = []
    for part, results in by_part.items():
        lines += [f"### {part.replace('_', ' ').capitalize()}", "", rates(results), ""]
        lines += [table(results, lambda result: result.case.rule), ""]
        lines += ["Wrong:", "", *(mistakes(results) or ["- nothing"]), ""]
    return "\n".join(lines)


def with_figures(page: str, figures: str) -> str:
    """A page with the figures between its marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{figures}\n{END}{after}"


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--said", action="store_true", help="also what was said of every case")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/second-look.md")
    asked = parser.parse_args()
    by_part = {part: anyio.run(judged, cases(part)) for part in PARTS}
    print(report(by_part))
    if asked.write:
        PAGE.write_text(with_figures(PAGE.read_text(), report(by_part)))
    for result in [result for results in by_part.values() for result in results] if asked.said else []:
        print(f"{result.case.id}: {result.case.label}: {result.outcome}: {'; '.join(result.said)}")


if __name__ == "__main__":
    main()
