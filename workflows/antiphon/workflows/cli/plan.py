"""`antiphon plan`: have a model write the orchestration for one task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack

import click

from antiphon.workflows.cli.crafting_options import project_folder, text_of
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import json_option, performing_options, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.author.launch import Asked, Planning
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.model_roles import ModelsAsked

ROLES: Final = ("author", "assessor")
F = TypeVar("F", bound=Callable[..., Any])


class PerformingGiven(TypedDict):
    """What the command line says of how a run is performed and who answers."""

    models: tuple[str, ...]
    prices: tuple[str, ...]
    rates: tuple[str, ...]
    runs_dir: Path | None
    backend: str | None
    concurrency: int | None
    processes: int | None
    plain: bool
    json: bool
    yes: bool
    rounds: int
    seed: int
    budget: str | None
    max_agents: int | None
    deadline: str | None


class Given(PerformingGiven):
    """What the command line says, besides the task."""

    path: str | None
    name: str | None


_PLANNING = (
    click.option(
        "--rounds",
        type=click.IntRange(0, 10),
        default=3,
        metavar="N",
        help="How often a script is sent back with reasons at most; 3 unless said.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Another number, another variation."
    ),
    click.option("--budget", metavar="AMOUNT", help="Use no more than this to make the plan: 1usd."),
    click.option("--max-agents", type=click.IntRange(min=1), metavar="N", help="Ask no more than this many subagents."),
    click.option("--deadline", metavar="TIME", help="Pause after this: 10m."),
)


def planning_options(command: F) -> F:
    """How the making of a plan is bounded, alike for a first plan and for a further version."""
    for option in reversed(_PLANNING):
        command = option(command)
    return command


@click.command(name="plan", short_help="Have the orchestration for a task written, and checked.")
@click.argument("task")
@click.option("--path", type=click.Path(), help="The folder that it is about; unless said, the project around here.")
@click.option("--name", metavar="NAME", help="What the plan is called; unless said, the first words of the task.")
@planning_options
@click.option("--yes", is_flag=True, help="Begin without asking, whatever it may cost.")
@model_options
@runs_dir_option
@performing_options
@json_option
def command(task: str, **given: Unpack[Given]) -> int:
    """Plan the orchestration of TASK: words, @FILE, or - for standard input.

    A model chooses the lightest shape that does it: one agent, a workflow that there is, or a new script. A script is
    held to preflight, to its own tests, and to a review by somebody who has not seen it, and sent back with reasons.
    Nothing of it is run: it lies in .antiphon/plans/NAME, and asks for your approval when you run it.

    Exit codes: 0 planned, 1 no script passed, 2 usage, 4 paused.
    """
    from antiphon.workflows.author.launch import begin
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.model_options import asked

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    answering = asked(held, given["models"], given["prices"], given["rates"])
    wanted = asked_of(text_of(task, "task"), given, answering, held)
    agreed(wanted, given["rounds"], yes=given["yes"])
    return made(begin(wanted), given, held, answering)


def agreed(wanted: Asked, rounds: int, *, yes: bool) -> None:
    """Say how much making a plan may ask for, and ask a person where that costs money; see `agreeing.agree`."""
    from antiphon.workflows.author.launch import most_agents
    from antiphon.workflows.cli.agreeing import Agreement, agree

    agree(wanted, Agreement(command="plan", roles=ROLES, most=most_agents(rounds)), yes=yes)


def made(bound: Planning, given: PerformingGiven, held: Configuration, answering: ModelsAsked) -> int:
    """Perform the making of a plan, and tell its end: the exit code."""
    from antiphon.workflows.cli.model_options import tell_boxes
    from antiphon.workflows.cli.performing import Presentation, perform_and_report, settings_of
    from antiphon.workflows.cli.plan_end import PlanEnd
    from antiphon.workflows.places import new_run, runs_home
    from antiphon.workflows.running import Options, start

    tell_boxes(answering.specs)
    end = PlanEnd()
    end.bound(bound)
    options = Options(
        settings=settings_of(held),
        models=answering,
        project=bound.project,
        conclude=bound.conclude,
        valued=bound.value,
        closing=bound.close,
    )
    presentation = Presentation(backend=held.backend, json=given["json"], plain=given["plain"])
    place = new_run(runs_home(held.runs_dir))
    bound.begins(place.run_id)
    perform = partial(start, place, bound.loaded, bound.asked.arguments())
    code = perform_and_report(perform, options, presentation, report=end.report, judge=end.judged)
    end.say_verdict()
    return code


def asked_of(task: str, given: Given, models: ModelsAsked, held: Configuration) -> Asked:
    """What is asked of the plan.

    Args:
        task: in words.
        given: on the command line.
        models: who answers, those of the configuration too.
        held: the configuration.
    """
    from antiphon.workflows.audit.models.bounds import seconds_of
    from antiphon.workflows.author.launch import Asked
    from antiphon.workflows.author.plans import name_for, plans_home
    from antiphon.workflows.places import runs_home

    home = plans_home()
    return Asked(
        task=task,
        path=project_folder(given["path"]),
        name=given["name"] if given["name"] is not None else name_for(task, home),
        plans=str(home),
        runs=str(runs_home(held.runs_dir)),
        rounds=given["rounds"],
        seed=given["seed"],
        models=models.specs,
        prices=tuple(f"{name}={price}" for name, price in models.prices.items()),
        rates=models.rates,
        budget=given["budget"] or "",
        max_agents=given["max_agents"] or 0,
        deadline_seconds=seconds_of(given["deadline"]) if given["deadline"] else 0.0,
        roles=str(models.folder or ""),
    )
