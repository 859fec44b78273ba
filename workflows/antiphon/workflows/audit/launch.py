"""`antiphon audit PATH`: the audit workflow bound to one tree, and the reports it leaves."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import anyio

from antiphon.engine import Run, RunResult
from antiphon.subagents.function import Role
from antiphon.tracing import current_environment
from antiphon.workflows.audit import workflow
from antiphon.workflows.audit.analysers import Analyser, analysers
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import Survey, survey
from antiphon.workflows.audit.surveyor import Reader, Surveyor
from antiphon.workflows.disk import write_whole
from antiphon.workflows.loading import Loaded, load
from antiphon.workflows.places import RunPlace
from antiphon.workflows.report import About, json_report, markdown, sarif
from antiphon.workflows.synthesis import Synthesis

BUILTIN = "audit"


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of one tree: what is there, who looks, and the workflow that says how."""

    target: str
    survey: Survey
    analysers: tuple[Analyser, ...]
    loaded: Loaded

    def conclude(self, place: RunPlace, run: Run, result: RunResult) -> Mapping[str, str]:
        """Write inputs and reports into the run's directory; their names and sha256."""
        files = {"inputs.json": self._inputs()}
        if result.outcome is not None and result.kind in ("completed", "degraded"):
            files |= self._reports(place, result, result.outcome.value)
        return {name: _write(place.directory / name, text) for name, text in files.items()}

    def _inputs(self) -> str:
        return json.dumps({file.unit: file.sha256 for file in self.survey.files}, indent=1) + "\n"

    def _reports(self, place: RunPlace, result: RunResult, found: Synthesis) -> dict[str, str]:
        about = self._about(place, result)
        return {
            "report.md": markdown(found, about),
            "report.json": json_report(found, about),
            "report.sarif": sarif(found, about),
        }

    def _about(self, place: RunPlace, result: RunResult) -> About:
        outcomes = Counter[str]()
        for census in result.calls.values():
            outcomes.update(census.ended)
        emptiness = self.survey.emptiness()
        return About(
            target=self.target,
            run=place.run_id,
            antiphon=version("antiphon"),
            analysers={analyser.check.name: analyser.agent.program.actor for analyser in self.analysers},
            outcomes=outcomes,
            left_out=Counter(omission.reason for omission in self.survey.left_out),
            notes=tuple(note for note in (emptiness, result.reason) if note),
        )


async def prepare(target: str) -> Audit:
    """Look at the tree and at the analysers, before anything starts.

    Raises:
        PathMissing: there is nothing at `target`.
        InfrastructureError: an analyser is not installed.
    """
    seen = await anyio.to_thread.run_sync(survey, Path(target))
    sources = Sources.of(seen)
    found = await analysers(sources, environment=current_environment)
    surveyor = Surveyor(seen, found)
    readers = [Reader(analyser.agent, sources.hashes) for analyser in found]
    roles: dict[str, Role] = {reader.name: reader for reader in readers}
    roles[surveyor.name] = surveyor
    return Audit(target, seen, found, load(Path(workflow.__file__), roles=roles, builtin=BUILTIN))


def _write(file: Path, text: str) -> str:
    content = text.encode("utf-8", "surrogateescape")
    write_whole(file, content)
    return hashlib.sha256(content).hexdigest()
