"""`antiphon fix`: a bug report becomes a test that shows the bug, and a patch that mends it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

import click

from antiphon.workflows.cli.crafting_options import CraftingGiven, check_sandbox, crafting_options
from antiphon.workflows.cli.mcp_options import mcp_option
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import performing_options, runs_dir_option
from antiphon.workflows.cli.policy_options import policy_options

if TYPE_CHECKING:
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.fix.launch import Asked, Fix
    from antiphon.workflows.running import Ended, Options

ROLES: Final = ("planner", "tester", "coder", "critic", "refiner")


class Given(CraftingGiven):
    """What the command line says, besides the report."""

    tries: int


@click.command(name="fix", short_help="Mend a bug: a test that shows it, and a patch.")
@click.argument("report")
@click.option("--tries", type=click.IntRange(1, 8), default=1, help="Approaches side by side; 1 unless said.")
@click.option("--rounds", type=click.IntRange(1, 20), default=4, help="Rounds of each try at most; 4 unless said.")
@crafting_options
@model_options
@policy_options
@mcp_option
@runs_dir_option
@performing_options
def command(report: str, **given: Unpack[Given]) -> int:
    """Mend the bug that REPORT describes: words, @FILE, or - for standard input.

    A planner looks for causes, a tester writes a test that fails because of the bug, coders mend it in copies of the
    project, and every patch is held to the tests, to linters, type checkers and analysers, and to a critic. Nothing of
    the project itself is changed: `antiphon apply RUN` does that, and asks.

    Exit codes: 0 a patch passes everything, 1 none does, 2 usage, 3 one passes and something is missing (no test shows
    the bug, or the critic objects), 4 paused.
    """
    from antiphon.workflows.cli.agreeing import Agreement, agree
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.fix_end import FixEnd
    from antiphon.workflows.cli.mcp_options import folder_of, mcp_asked, tell_servers
    from antiphon.workflows.cli.model_options import tell_boxes
    from antiphon.workflows.cli.performing import Presentation, perform_and_report, settings_of
    from antiphon.workflows.cli.policy_options import tools_asked
    from antiphon.workflows.fix.launch import most_agents
    from antiphon.workflows.running import Options

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    asked = asked_of(report, given, held)
    asked.check()
    most = most_agents(asked.tries, asked.rounds)
    servers = mcp_asked(held, asked.mcp)
    named = servers.servers()
    tools = tools_asked(held, given["allow"], given["ask"], given["deny"])
    check_sandbox(asked.sandbox)
    to = Agreement(command="fix", roles=ROLES, most=most, note="; most fixes end much earlier")
    agree(asked, to, yes=given["yes"])
    tell_boxes(asked.models)
    tell_servers(named)
    end = FixEnd()
    options = Options(
        settings=settings_of(held),
        models=asked.models_asked(),
        sandbox=asked.sandbox or None,
        project=Path(asked.path),
        tests=asked.test,
        tools=tools,
        mcp=servers,
        mcp_folder=folder_of(held),
    )
    presentation = Presentation(backend=held.backend, json=given["json"], plain=given["plain"])
    perform = partial(_perform, held, asked, end.bound)
    code = perform_and_report(perform, options, presentation, report=end.report, judge=end.judged)
    end.say_verdict()
    return code


def asked_of(report: str, given: Given, held: Configuration) -> Asked:
    """What is asked of the fix: by the command line, and of models also by the configuration.

    Raises:
        UsageError: something of it is empty, or cannot be read.
    """
    from antiphon.workflows.audit.models.bounds import seconds_of
    from antiphon.workflows.cli.crafting_options import project_folder, text_of
    from antiphon.workflows.cli.model_options import asked
    from antiphon.workflows.crafting.quality import QUALITIES
    from antiphon.workflows.fix.launch import Asked

    for option in ("test", "budget", "deadline"):
        said = given[option]
        if said is not None and not said.strip():  # such as a variable of a script that is not set
            raise click.UsageError(f"--{option} is empty; leave it out")
    models = asked(held, given["models"], given["prices"], given["rates"])
    return Asked(
        report=text_of(report, "report"),
        path=project_folder(given["path"]),
        test=given["test"] or "",
        tries=given["tries"],
        rounds=given["rounds"],
        quality=next(one for one in QUALITIES if one == (given["quality"] or "clean")),
        models=models.specs,
        prices=tuple(f"{name}={price}" for name, price in models.prices.items()),
        rates=models.rates,
        budget=given["budget"] or "",
        max_agents=given["max_agents"] or 0,
        deadline_seconds=seconds_of(given["deadline"]) if given["deadline"] else 0.0,
        sandbox=given["sandbox"] or "",
        roles=str(models.folder or ""),
        allow=given["allow"],
        ask=given["ask"],
        deny=given["deny"],
        mcp=given["mcp"],
    )


async def _perform(held: Configuration, asked: Asked, bound: object, options: Options) -> Ended:
    from antiphon.workflows.fix.launch import prepare
    from antiphon.workflows.places import new_run, runs_home
    from antiphon.workflows.running import start

    fix: Fix = await prepare(asked)
    assert callable(bound)
    bound(fix)
    place = new_run(runs_home(held.runs_dir))
    fix.begins(place.run_id)
    options = replace(options, conclude=fix.conclude, valued=fix.value, closing=fix.close)
    return await start(place, fix.loaded, asked.arguments(), options)
