"""`antiphon audit`: look at a source tree with many analysers at once, and merge what they say, hiding nothing."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from antiphon.workflows.cli.audit_options import audit_options, format_options
from antiphon.workflows.cli.options import performing_options, runs_dir_option

if TYPE_CHECKING:
    from antiphon.subagents.records import Severity
    from antiphon.workflows.audit.failing import Failing
    from antiphon.workflows.audit.launch import Asked, Audit
    from antiphon.workflows.cli.configuration import AuditConfiguration, Configuration
    from antiphon.workflows.cli.terminal import Paper
    from antiphon.workflows.running import Ended, Options


class Given(TypedDict):
    """What the command line says, besides the path."""

    runs_dir: Path | None
    backend: str | None
    concurrency: int | None
    processes: int | None
    plain: bool
    json: bool
    format: str | None
    fail_on: str | None
    lens: tuple[str, ...]
    exclude: tuple[str, ...]
    baseline: str | None
    since: str | None
    reuse: bool | None
    sarif: tuple[str, ...]
    sandbox: str | None
    execute: bool


@click.command(name="audit", short_help="Audit a source tree, offline.")
@click.argument("path", type=click.Path())
@audit_options
@runs_dir_option
@performing_options
@format_options
def command(path: str, **given: Unpack[Given]) -> int:
    """Audit the source tree (or the one file) at PATH with every analyser that is here, in parallel, offline.

    What matters first goes to stdout; the whole report is written as Markdown, HTML, JSON and SARIF.

    Exit codes: 0 completed, 1 failed or --fail-on met, 2 usage, 3 degraded, 4 paused.
    """
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.performing import Presentation, perform_and_report, settings_of
    from antiphon.workflows.running import Options

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    form = _form(given)
    _tell(held, given["since"])
    auditing = _Auditing(held, asked_of(path, given, held), form, severity_of(given, held.audit))
    presentation = Presentation(backend=held.backend, json=form == "json", plain=given["plain"])
    options = Options(settings=settings_of(held))
    code = perform_and_report(auditing.perform, options, presentation, report=auditing.report, judge=auditing.judged)
    auditing.say_verdict()
    return code


def _tell(held: Configuration, since: str | None) -> None:
    """A project's own configuration must not be able to silence an audit unnoticed; and why it takes a while."""
    from antiphon.workflows.cli.terminal import Piece, talk

    if held.file:
        talk().line(Piece("configuration  ", "dim"), str(held.file))
    if since:
        talk().line(Piece("since  ", "dim"), f"{since} is audited first, to compare with")


def _form(given: Given) -> str:
    """What goes to stdout."""
    if given["json"] and given["format"] not in (None, "json"):
        raise click.UsageError(f"--json and --format {given['format']} ask for two things")
    return "json" if given["json"] else given["format"] or "text"


def asked_of(path: str, given: Given, held: Configuration) -> Asked:
    """What is asked of the audit: by the command line, else by the configuration; what both leave out, by either."""
    from antiphon.workflows.audit.launch import Asked

    said = held.audit
    if given["baseline"] and given["since"]:
        raise click.UsageError("--baseline and --since name two audits to compare with; give one of them")
    since = given["since"] or ""
    return Asked(
        path=str(Path(path).absolute()),
        lenses=_lenses(given["lens"] or said.lens or ()),
        exclude=(*said.exclude, *given["exclude"]),
        sarif=tuple(str(Path(file).absolute()) for file in given["sarif"] or said.sarif),
        sandbox=given["sandbox"] or said.sandbox,
        execute=given["execute"],
        baseline="" if since else given["baseline"] or said.baseline or "",
        since=since,
        reuse=said.reuse if given["reuse"] is None else given["reuse"],
        configuration=str(held.file) if held.file else "",
    )


def _lenses(names: tuple[str, ...]) -> tuple[str, ...]:
    from antiphon.engine import UsageError
    from antiphon.workflows.audit.table import LENSES

    for name in names:
        if name not in LENSES:
            close = difflib.get_close_matches(name, LENSES, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"there is no lens {name!r}{meant}", advice=f"the lenses are {', '.join(LENSES)}")
    return names


def severity_of(given: Given, said: AuditConfiguration) -> Severity | None:
    """The least severity that makes the command fail; None for none."""
    from antiphon.subagents.records import SEVERITIES

    name = given["fail_on"] or said.fail_on
    return next((severity for severity in SEVERITIES if severity == name), None)


class _Auditing:
    """One audit, from what was asked to what its exit code is."""

    def __init__(self, held: Configuration, asked: Asked, form: str, threshold: Severity | None) -> None:
        self._held, self._asked, self._form = held, asked, form
        self._threshold: Severity | None = threshold
        self._audit: Audit | None = None
        self._verdict: Failing | None = None

    async def perform(self, options: Options) -> Ended:
        """Prepare, and run."""
        from antiphon.workflows.audit.binding import bind
        from antiphon.workflows.cli.terminal import Piece, talk
        from antiphon.workflows.places import new_run, runs_home
        from antiphon.workflows.running import start

        home = runs_home(self._held.runs_dir)
        # Ctrl-C watches last, and alone: the view belongs to the run itself.
        audit = await bind(self._asked, home=home, settings=options.settings, watching=options.watching[-1:])
        place = new_run(home)
        self._audit = audit.begins(place.run_id)
        if audit.banner:
            talk().line(Piece("note: ", "bold"), audit.banner)
        return await start(place, audit.loaded, audit.asked.arguments(), replace(options, conclude=audit.conclude))

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write to stdout what was asked for."""
        from antiphon.workflows.cli.audit_output import print_annotations, print_audit, print_sarif

        comparison = self._audit.told.comparison if self._audit else None
        match self._form:
            case "sarif":
                print_sarif(ended, paper)
            case "github" if self._audit:
                print_annotations(ended, paper, self._audit.survey.root, comparison)
            case _:
                print_audit(ended, paper, comparison)

    def judged(self, ended: Ended) -> int:
        """The exit code: 1 where what was found is bad enough, also if the audit was degraded."""
        from antiphon.workflows.audit.failing import failing
        from antiphon.workflows.cli.audit_output import synthesis_of

        found = synthesis_of(ended)
        if self._threshold is None or found is None or self._audit is None:
            return ended.result.exit_code
        self._verdict = failing(found, self._threshold, self._audit.told.comparison)
        return 1 if self._verdict else ended.result.exit_code

    def say_verdict(self) -> None:
        """Say on stderr which finding made it fail, or that none did."""
        from antiphon.workflows.cli.terminal import Piece, talk

        verdict = self._verdict
        if verdict is None:
            return
        paper = talk()
        paper.columns = None  # a sentence that is cut names no finding any more
        paper.line(Piece("failed  " if verdict else "passed  ", "bad" if verdict else "good"), verdict.sentence())
