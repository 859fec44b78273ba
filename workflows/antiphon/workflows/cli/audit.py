"""`antiphon audit`: look at a source tree with many analysers at once, and merge what they say, hiding nothing."""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from antiphon.workflows.cli.audit_options import audit_options, format_options, spending_options
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import performing_options, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.audit.launch import Asked
    from antiphon.workflows.cli.audit_end import AuditEnd
    from antiphon.workflows.cli.configuration import Configuration
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
    models: tuple[str, ...]
    prices: tuple[str, ...]
    rates: tuple[str, ...]
    budget: str | None
    max_agents: int | None
    deadline: str | None
    sweeps: int | None
    project_roles: bool
    yes: bool


@click.command(name="audit", short_help="Audit a source tree, offline.")
@click.argument("path", type=click.Path())
@audit_options
@model_options
@spending_options
@runs_dir_option
@performing_options
@format_options
def command(path: str, **given: Unpack[Given]) -> int:
    """Audit the source tree (or the one file) at PATH with every analyser that is here, in parallel, offline.

    With --model, models look too: they report, others try to refute what they report, and what that may cost is said
    before it begins.

    What matters first goes to stdout; the whole report is written as Markdown, HTML, JSON and SARIF.

    Exit codes: 0 completed, 1 failed or --fail-on met, 2 usage, 3 degraded, 4 paused.
    """
    from antiphon.workflows.cli.audit_end import AuditEnd
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
    end, asked = AuditEnd(form), asked_of(path, given, held)
    if asked.models:
        from antiphon.workflows.cli.audit_asking import agree

        agree(asked, held, yes=given["yes"])
    perform = partial(_perform, held, asked, end)
    presentation = Presentation(backend=held.backend, json=form == "json", plain=given["plain"])
    options = Options(settings=settings_of(held))
    code = perform_and_report(perform, options, presentation, report=end.report, judge=end.judged)
    end.say_verdict()
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
    baseline, since = given["baseline"], given["since"]
    if baseline is not None and since is not None:
        raise click.UsageError("--baseline and --since name two audits to compare with; give one of them")
    for option, value, what in (
        ("--baseline", baseline, "what to compare with"),
        ("--since", since, "what to compare with"),
        ("--budget", given["budget"], "how much it may use"),
        ("--deadline", given["deadline"], "how long it may take"),
    ):
        if value is not None and not value.strip():  # such as a variable of a script that is not set
            raise click.UsageError(f"{option} is empty: say {what}, or leave {option} out")
    return Asked(
        path=str(Path(path).absolute()),
        lenses=_lenses(given["lens"] or said.lens or ()),
        exclude=(*said.exclude, *given["exclude"]),
        sarif=tuple(str(Path(file).absolute()) for file in given["sarif"] or said.sarif),
        sandbox=given["sandbox"] or said.sandbox,
        execute=given["execute"],
        baseline="" if since is not None else said.baseline or "" if baseline is None else baseline,
        since=since or "",
        fail_on=given["fail_on"] or said.fail_on or "",
        reuse=said.reuse if given["reuse"] is None else given["reuse"],
        configuration=str(held.file) if held.file else "",
        **_models(given),
    )


def _models(given: Given) -> dict[str, Any]:
    """What is asked of models. Only the command line can: a configuration may come with the tree that is audited."""
    spending = [f"--{name.replace('_', '-')}" for name in ("budget", "max_agents", "deadline", "sweeps") if given[name]]
    if not given["models"]:
        spending += [f"--{name[:-1]}" for name in ("prices", "rates") if given[name]]
        if spending:
            raise click.UsageError(f"{spending[0]} is about models, and no model is asked; add --model MODEL")
        return {}
    from antiphon.workflows.audit.models.bounds import seconds_of
    from antiphon.workflows.cli.model_options import asked

    typed = asked(None, given["models"], given["prices"], given["rates"])
    return {
        "models": typed.specs,
        "prices": tuple(f"{name}={price}" for name, price in typed.prices.items()),
        "rates": typed.rates,
        "budget": given["budget"] or "",
        "max_agents": given["max_agents"] or 0,
        "deadline_seconds": seconds_of(given["deadline"]) if given["deadline"] else 0.0,
        "sweeps": given["sweeps"] or 0,
        "roles": str(typed.folder or ""),
        "project_roles": given["project_roles"],
    }


def _lenses(names: tuple[str, ...]) -> tuple[str, ...]:
    from antiphon.engine import UsageError
    from antiphon.workflows.audit.table import LENSES

    for name in names:
        if name not in LENSES:
            close = difflib.get_close_matches(name, LENSES, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"there is no lens {name!r}{meant}", advice=f"the lenses are {', '.join(LENSES)}")
    return names


async def _perform(held: Configuration, asked: Asked, end: AuditEnd, options: Options) -> Ended:
    """Prepare the audit, and run it."""
    from antiphon.workflows.audit.binding import bind
    from antiphon.workflows.places import new_run, runs_home
    from antiphon.workflows.running import start

    home = runs_home(held.runs_dir)
    # Ctrl-C watches last, and alone: the view belongs to the run itself.
    audit = await bind(asked, home=home, settings=options.settings, watching=options.watching[-1:])
    place = new_run(home)
    end.bound(audit.begins(place.run_id))
    options = replace(options, conclude=audit.conclude, closing=audit.close)
    return await start(place, audit.loaded, audit.asked.arguments(), options)
