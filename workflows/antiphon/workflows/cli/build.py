"""`antiphon build`: a task cut into subtasks that own their files, built in parallel, integrated level by level."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Unpack

import click

from antiphon.workflows.cli.crafting_options import (
    CraftingGiven,
    check_sandbox,
    crafting_options,
    project_folder,
    text_of,
)
from antiphon.workflows.cli.mcp_options import mcp_option
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import performing_options, runs_dir_option
from antiphon.workflows.cli.policy_options import policy_options

if TYPE_CHECKING:
    from antiphon.workflows.build.launch import Asked, Build
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.model_roles import ModelsAsked
    from antiphon.workflows.running import Options

ROLES: Final = ("planner", "coder", "tester", "critic", "reviewer", "refiner")


class Given(CraftingGiven):
    """What the command line says, besides the task."""

    depth: int


@click.command(name="build", short_help="Build what a task asks for.")
@click.argument("task")
@click.option(
    "--depth",
    type=click.IntRange(1, 4),
    default=2,
    metavar="N",
    help="How often the task is cut up at most, as a subtask that is too large is cut up again; 2 unless said.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 10),
    default=3,
    metavar="N",
    help="How often each subtask is worked on at most; 3 unless said.",
)
@crafting_options
@model_options
@policy_options
@mcp_option
@runs_dir_option
@performing_options
def command(task: str, **given: Unpack[Given]) -> int:
    """Build what TASK asks for: words, @FILE, or - for standard input.

    A planner cuts it into subtasks, each with files of its own and a criterion. They are built at the same time where
    nothing of one is needed by the other, held to their criteria and to checks, reviewed, and put together with tests
    between the levels. Nothing of the project itself is changed: `antiphon apply RUN` does that, and asks.

    Exit codes: 0 all of it is integrated and the tests pass, 1 nothing usable, 2 usage, 3 something is missing,
    4 paused.
    """
    from antiphon.workflows.build.launch import most_agents, prepare
    from antiphon.workflows.cli.agreeing import Agreement, agree
    from antiphon.workflows.cli.build_end import BuildEnd
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.mcp_options import tell_servers
    from antiphon.workflows.cli.model_options import asked, tell_boxes
    from antiphon.workflows.cli.performing import Presentation, perform_and_report
    from antiphon.workflows.places import new_run, runs_home
    from antiphon.workflows.running import start

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    answering = asked(held, given["models"], given["prices"], given["rates"])
    bound = prepare(asked_of(text_of(task, "task"), given, answering))
    most = most_agents(given["rounds"], given["depth"])
    to = Agreement(command="build", roles=ROLES, most=most, note="; how many depends on how the task is cut up")
    options = options_of(bound, given, held, answering)
    servers = options.mcp.servers()
    check_sandbox(given["sandbox"])
    agree(bound.asked, to, yes=given["yes"])
    tell_boxes(answering.specs)
    tell_servers(servers)
    end = BuildEnd()
    end.bound(bound)
    presentation = Presentation(backend=held.backend, json=given["json"], plain=given["plain"])
    place = new_run(runs_home(held.runs_dir))
    perform = partial(start, place, bound.loaded, bound.asked.arguments())
    code = perform_and_report(perform, options, presentation, report=end.report, judge=end.judged)
    end.say_verdict()
    return code


def options_of(bound: Build, given: Given, held: Configuration, answering: ModelsAsked) -> Options:
    """With what the build is performed.

    Args:
        bound: the build.
        given: on the command line.
        held: the configuration.
        answering: the models.
    """
    from antiphon.workflows.cli.mcp_options import folder_of, mcp_asked
    from antiphon.workflows.cli.performing import settings_of
    from antiphon.workflows.cli.policy_options import tools_asked
    from antiphon.workflows.running import Options

    return Options(
        settings=settings_of(held),
        models=answering,
        sandbox=given["sandbox"],
        project=bound.project,
        tests=given["test"] or "",
        tools=tools_asked(held, given["allow"], given["ask"], given["deny"]),
        mcp=mcp_asked(held, given["mcp"]),
        mcp_folder=folder_of(held),
        conclude=bound.conclude,
        valued=bound.value,
        closing=bound.close,
    )


def asked_of(task: str, given: Given, models: ModelsAsked) -> Asked:
    """What is asked of the build.

    Args:
        task: in words.
        given: on the command line.
        models: who answers, those of the configuration too.
    """
    from antiphon.workflows.audit.models.bounds import seconds_of
    from antiphon.workflows.build.launch import Asked
    from antiphon.workflows.crafting.quality import QUALITIES

    for option in ("test", "budget", "deadline"):
        said = given[option]
        if said is not None and not said.strip():  # such as a variable of a script that is not set
            raise click.UsageError(f"--{option} is empty: say something, or leave it out")
    return Asked(
        task=task,
        path=project_folder(given["path"]),
        test=given["test"] or "",
        quality=next(one for one in QUALITIES if one == (given["quality"] or "clean")),
        depth=given["depth"],
        rounds=given["rounds"],
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
    )
