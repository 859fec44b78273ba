"""`antiphon audit PATH`: the audit workflow bound to one tree, and the reports it leaves."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from antiphon.engine import Run, RunResult, UsageError
from antiphon.subagents.function import Role
from antiphon.subagents.records import Actor
from antiphon.subagents.sandbox import BANNER, Sandbox, choose
from antiphon.tracing import Json, current_environment
from antiphon.workflows.audit import workflow
from antiphon.workflows.audit.analysers import Chosen, analysers
from antiphon.workflows.audit.cache import Reuse
from antiphon.workflows.audit.changes import Before, looked_for
from antiphon.workflows.audit.languages import CODE
from antiphon.workflows.audit.sarif_import import SarifFile, SarifImport, open_all, tools_of
from antiphon.workflows.audit.second_look import Laboratory, SecondLooker, Words
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import Survey, survey
from antiphon.workflows.audit.surveyor import Reader, Surveyor, absent
from antiphon.workflows.baseline import Comparison, compare, read_sarif, with_states
from antiphon.workflows.disk import write_whole
from antiphon.workflows.loading import Loaded, load
from antiphon.workflows.places import RunPlace
from antiphon.workflows.report import About, excerpts, html, json_report, markdown, sarif
from antiphon.workflows.synthesis import Synthesis

if TYPE_CHECKING:
    from antiphon.subagents.model.contract import ModelClient
    from antiphon.workflows.audit.models.team import Team
    from antiphon.workflows.model_roles import ModelsAsked

BUILTIN = "audit"
_LISTS = ("lenses", "exclude", "sarif", "models", "prices", "rates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks of an audit: the arguments of its workflow, so that a resumed run is bound to the same.

    Attributes:
        path: what to audit. lenses: only these views; none for all. exclude: patterns of what to leave out.
        sarif: logs of other tools to take in. sandbox: which to run tools in; None for the best there is.
        execute: also run tools that execute code of the tree.
        baseline: a log or a run to compare with. since: a git revision; commit: what that was when the run began.
        fail_on: the least severity that makes the command fail.
        reuse: whether results of earlier runs are taken for what did not change.
        configuration: the configuration file that was read.
        models: who answers the auditors and verifiers, as typed after `--model`; none for an audit offline.
        prices: what they cost, as typed after `--price`. rates: what providers allow, as typed after `--rate`.
        budget: the most that may be used, such as "5usd". max_agents: subagents at most, analysers' included; 0 for
            no limit. deadline_seconds: of one attempt at the run; 0 for none.
        sweeps: of the auditors at most; 0 for the usual number.
        roles: the project whose role files say how models audit, "" for none; project_roles: also where that project is
            what is audited.
    """

    path: str
    lenses: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sarif: tuple[str, ...] = ()
    sandbox: str | None = None
    execute: bool = False
    baseline: str = ""
    since: str = ""
    commit: str = ""
    reuse: bool = False
    fail_on: str = ""
    configuration: str = ""
    models: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    budget: str = ""
    max_agents: int = 0
    deadline_seconds: float = 0.0
    sweeps: int = 0
    roles: str = ""
    project_roles: bool = False

    def arguments(self) -> dict[str, Any]:
        """As `main` takes them; what was not asked for is left out."""
        lists: dict[str, list[str]] = {name: list(getattr(self, name)) for name in _LISTS}
        given: dict[str, Any] = {**asdict(self), **lists}
        return {name: value for name, value in given.items() if value}

    def answered_by(self, models: ModelsAsked) -> Asked:
        """The same, with models, prices and rates named when a run is resumed in place of those it began with.

        Raises:
            UsageError: it began without any, so that there is nothing for them to answer.
        """
        if (models.specs or models.prices or models.rates) and not self.models:
            raise UsageError(
                "this audit asks no model, so there is none to name", advice="antiphon audit PATH --model M"
            )
        prices = tuple(f"{name}={price}" for name, price in models.prices.items())
        return replace(
            self,
            models=(*self.models, *models.specs),
            prices=(*self.prices, *prices),
            rates=(*self.rates, *models.rates),
        )

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Asked:
        """The same, read back from a run that may come from anybody.

        Raises:
            UsageError: the arguments are not those of an audit.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(arguments))
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise UsageError(f"these are not the arguments of an audit: {problem}") from None


@dataclass(slots=True)
class Told:
    """What an audit has come to, for whoever asked for it.

    Attributes:
        comparison: with an earlier audit, or None.
    """

    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of one tree: what was asked, what is there, who looks, and the workflow that says how.

    Attributes:
        asked: by the person. survey: what is there. chosen: who looks. loaded: the workflow, with its roles.
        reuse: what may be taken from earlier runs, or None. before: an earlier audit to compare with, or None.
        told: what came of it, once the audit is over.
        sandbox: what the tools run in. imports: the SARIF files that were given.
        team: the models that look too, or None.
    """

    asked: Asked
    survey: Survey
    chosen: Chosen
    loaded: Loaded
    sandbox: Sandbox
    reuse: Reuse | None = None
    before: Before | None = None
    told: Told = field(default_factory=Told)
    imports: tuple[SarifFile, ...] = ()
    team: Team | None = None

    async def close(self) -> None:
        """Let go of the models' connections."""
        if self.team is not None:
            await self.team.models.close()

    @property
    def banner(self) -> str:
        """What a person must know of the isolation before anything runs; "" where there is some."""
        if self.sandbox.confines:
            return ""
        return "you asked for no sandbox: every tool runs unconfined" if self.asked.sandbox == "none" else BANNER

    def begins(self, run: str) -> Audit:
        """Say which run this is, for those that will reuse its results."""
        if self.reuse:
            self.reuse.run = run
        return self

    def value(self) -> Json:
        """An audit that came to nothing has nothing to tell."""
        return None

    def conclude(self, place: RunPlace, run: Run, result: RunResult) -> Mapping[str, str]:
        """Write inputs and reports into the run's directory; their names and sha256."""
        files = {"inputs.json": self._inputs()}
        if result.outcome is not None and result.kind in ("completed", "degraded"):
            files |= self._reports(place, run, result)
        if self.reuse:
            self.reuse.store.prune()
        return {name: _write(place.directory / name, text) for name, text in files.items()}

    def _inputs(self) -> str:
        return json.dumps({file.unit: file.sha256 for file in self.survey.files}, indent=1) + "\n"

    def _reports(self, place: RunPlace, run: Run, result: RunResult) -> dict[str, str]:
        assert result.outcome is not None
        found: Synthesis = result.outcome.value
        models = self.team.told(run.state, found) if self.team is not None else ()
        about, lines = self._about(place, result, models), excerpts(found, self.survey.root)
        log = sarif(found, about)
        files: dict[str, str] = {}
        comparison: Comparison | None = None
        if self.before:
            now = read_sarif(log, "this audit")
            # A revision was audited with the same lenses, so that there is none that it has and this has not.
            lenses = () if self.asked.since else self.asked.lenses
            comparison = compare(self.before.log, now, looked=looked_for(self.survey, found, lenses, about))
            log = with_states(now, comparison)
            files |= self.before.files()
        self.told.comparison = comparison
        return files | {
            "report.md": markdown(found, about, comparison, lines),
            "report.html": html(found, about, comparison, lines),
            "report.json": json_report(found, about, comparison),
            "report.sarif": log,
        }

    def _about(self, place: RunPlace, result: RunResult, models: tuple[str, ...]) -> About:
        outcomes = Counter[str]()
        for census in result.calls.values():
            outcomes.update(census.ended)
        readable = {language for one in self.chosen.analysers for language in one.check.languages}
        readable |= CODE if self.team is not None else frozenset()
        emptiness = self.survey.emptiness(readable)
        unserved = tuple(f"No analyser here has the lens {lens!r} for this tree." for lens in self.chosen.unserved)
        unserved += self.chosen.notes
        reused = self.reuse.notes() if self.reuse else ()
        before = self.before.notes if self.before else ()
        return About(
            target=self.asked.path,
            run=place.run_id,
            antiphon=version("antiphon"),
            analysers=self._actors(),
            imported=tools_of(self.imports),
            lenses=self.asked.lenses,
            not_run={one.tool: one.reason for one in self.chosen.not_run},
            configuration=self.asked.configuration,
            excluded=self.asked.exclude,
            isolation=self.sandbox.name,
            banner=self.banner,
            reused=self.reuse.taken.total() if self.reuse else 0,
            outcomes=outcomes,
            left_out=Counter(omission.reason for omission in self.survey.left_out),
            notes=tuple(note for note in (emptiness, result.reason, *models, *unserved, *reused, *before) if note),
        )

    def _actors(self) -> dict[str, Actor]:
        """Who looks, by check."""
        found = {analyser.check.name: analyser.agent.program.actor for analyser in self.chosen.analysers}
        return found | (dict(self.team.actors) if self.team is not None else {})


async def prepare(
    asked: Asked,
    *,
    reuse: Reuse | None = None,
    runs: Path | None = None,
    clients: Mapping[str, ModelClient] | None = None,
) -> Audit:
    """Look at the tree and at the analysers, before anything starts.

    Args:
        asked: what to audit, and how.
        reuse: what may be taken from earlier runs; None performs every call.
        runs: where runs live, which may be inside the tree.
        clients: ready clients of models, by name or prefix, for doubles; what is made besides, `Audit.close` closes.

    Raises:
        PathMissing: there is nothing at the path.
        UsageError: something that was asked for does not exist here: a lens, a pattern, a log, a sandbox, a model.
    """
    seen = await anyio.to_thread.run_sync(partial(survey, Path(asked.path), exclude=asked.exclude, runs=runs))
    sources = Sources.of(seen)
    files = await anyio.to_thread.run_sync(open_all, [Path(name) for name in asked.sarif])
    box = await anyio.to_thread.run_sync(choose, asked.sandbox)
    chosen = await analysers(
        sources, lenses=asked.lenses, executing=asked.execute, sandbox=box, environment=current_environment
    )
    words = await anyio.to_thread.run_sync(Words.of, seen)
    surveyor = Surveyor(seen, chosen.analysers, files)
    looker = SecondLooker(sources, words, Laboratory(box))
    importer = SarifImport({file.unit: file for file in files}, sources)
    roles: dict[str, Role] = {role.name: role for role in (surveyor, looker, importer)}
    for analyser in chosen.analysers:
        reader = Reader(analyser.agent, sources.hashes, analyser.table)
        # What executes code of the tree may see more of it than its files.
        roles[reader.name] = reuse.remembering(reader) if reuse and not analyser.executes else reader
    roles |= absent(roles)
    bound = _team(asked, seen, len(surveyor.shards()), clients) if asked.models else None
    if bound is None:
        loaded = load(Path(workflow.__file__), roles=roles, builtin=BUILTIN)
    else:
        loaded = bound.bounded(load(bound.script, roles={**roles, **bound.roles}, builtin=BUILTIN))
    return Audit(asked, seen, chosen, loaded, box, reuse, imports=files, team=bound)


def _team(asked: Asked, seen: Survey, analysers: int, clients: Mapping[str, ModelClient] | None) -> Team:
    from antiphon.workflows.audit.models.team import team

    return team(asked, seen, analysers=analysers, clients=clients or {})


def _write(file: Path, text: str) -> str:
    content = text.encode("utf-8", "surrogateescape")
    write_whole(file, content)
    return hashlib.sha256(content).hexdigest()
