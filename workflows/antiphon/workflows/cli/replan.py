"""`antiphon replan`: a further version of a run's script, in a run that goes on from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import json_option, performing_options, run_argument, runs_dir_option
from antiphon.workflows.cli.plan import PerformingGiven, planning_options

if TYPE_CHECKING:
    from antiphon.workflows.author.finished import Finished
    from antiphon.workflows.author.launch import Asked
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.model_roles import ModelsAsked
    from antiphon.workflows.places import RunPlace

VERSIONS = 3


class Given(PerformingGiven):
    """What the command line says, besides the run."""

    because: str | None
    versions: int
    trust: bool


@click.command(name="replan", short_help="Plan a run again: a further version of its script.")
@run_argument
@click.option("--because", metavar="WHY", help="What is wrong with the script; unless said, what the run itself says.")
@click.option(
    "--versions",
    type=click.IntRange(2, 20),
    default=VERSIONS,
    metavar="N",
    help="How many versions there may be below one task; 3 unless said.",
)
@planning_options
@click.option("--trust", is_flag=True, help="Plan a run again that was not made here.")
@click.option("--yes", is_flag=True, help="Begin without asking, whatever it may cost.")
@model_options
@runs_dir_option
@performing_options
@json_option
def command(run: str, **given: Unpack[Given]) -> int:
    """Plan RUN again: one that ended in replan(), that failed, or with --because any other.

    Its author is shown the reason, the results, the script and what the run did, and writes a further version, which is
    checked as the first one was. A new run goes on from RUN with it: what finished there, and the new version still
    asks for, is not done again. RUN itself stays as it is.

    RUN is a run's id, a unique beginning or ending of it, `last`, or its directory.

    Exit codes: 0 planned, 1 no script passed, 2 usage, 4 paused.
    """
    from antiphon.workflows.author.finished import finished
    from antiphon.workflows.author.launch import begin
    from antiphon.workflows.author.plans import plans_home
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.plan import agreed, made
    from antiphon.workflows.places import find_run, runs_home

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    place = find_run(runs_home(held.runs_dir), run)
    check(place, trust=given["trust"])
    before = finished(place, because=given["because"] or "", plans=plans_home())
    check_versions(before, plans_home(), given["versions"])
    answering = answering_of(place, held, given)
    wanted = asked_of(before, place, given, answering, held)
    agreed(wanted, given["rounds"], yes=given["yes"])
    return made(begin(wanted), given, held, answering)


def check(place: RunPlace, *, trust: bool) -> None:
    """Refuse a run that goes on elsewhere, was cleaned, or came from somebody else.

    Raises:
        LogBusy: somebody performs it.
        UsageError: it was not made here, and nobody trusts it; or what would replay is gone.
    """
    from antiphon.engine import UsageError
    from antiphon.tracing import LogBusy
    from antiphon.workflows.cli.glance import glance
    from antiphon.workflows.cli.owner import live_owner
    from antiphon.workflows.places import is_ours

    owner = live_owner(place.directory)
    if owner is not None:
        raise LogBusy(place.directory, owner.pid, owner.host)
    if not (trust or is_ours(place)):
        raise UsageError(
            f"{place.run_id} was not made here, and what it says would be planned with",
            advice=f"read {place.script}, then: antiphon replan {place.run_id} --trust",
        )
    if glance(place.directory).cleaned_at is not None:
        problem = f"{place.run_id} was cleaned: what would replay is gone"
        raise UsageError(problem, advice=f"antiphon show {place.run_id}")


def check_versions(before: Finished, plans: Path, most: int) -> None:
    """Refuse one version too many: what was planned again and again needs a person.

    Raises:
        UsageError: there are as many versions as there may be.
    """
    from antiphon.engine import UsageError
    from antiphon.workflows.author.finished import root_of
    from antiphon.workflows.author.plans import list_plans

    there = [plan for plan in list_plans(plans) if plan.state == "planned" and root_of(plan) == before.root]
    count = max(len(there), before.version)
    if count >= most:
        raise UsageError(
            f"there are {count} versions below this task, and {most} are the most",
            advice=f"look at what they have in common; --versions {most + 1} allows one more",
        )


def answering_of(place: RunPlace, held: Configuration, given: Given) -> ModelsAsked:
    """Who answers: what was typed and configured, else whoever answered the run."""
    from antiphon.workflows.cli.model_options import asked
    from antiphon.workflows.opened import opened_of

    typed = asked(held, given["models"], given["prices"], given["rates"])
    if typed.specs:
        return typed
    opened, _ = opened_of(place, ours=True)
    return opened.models.then(typed)


def asked_of(before: Finished, place: RunPlace, given: Given, models: ModelsAsked, held: Configuration) -> Asked:
    """What is asked of the further version.

    Args:
        before: the run that is planned again.
        place: the run.
        given: on the command line.
        models: who answers.
        held: the configuration.
    """
    import secrets
    import time

    from antiphon.workflows.audit.models.bounds import seconds_of
    from antiphon.workflows.author.launch import Asked
    from antiphon.workflows.author.plans import free_name, name_for, plans_home
    from antiphon.workflows.opened import opened_of
    from antiphon.workflows.places import runs_home

    home = plans_home()
    opened, _ = opened_of(place, ours=True)
    task = before.task or f"What this workflow was made for, and its run did not reach: {before.reason}"
    return Asked(
        task=task,
        path=opened.workspace if opened.workspace and Path(opened.workspace).is_dir() else str(Path.cwd()),
        name=free_name(f"{before.root[:50]}-v{before.version + 1}", home) if before.plan else name_for(task, home),
        plans=str(home),
        runs=str(runs_home(held.runs_dir)),
        rounds=given["rounds"],
        seed=given["seed"],
        before=before.to_json(),
        fork=f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}",
        models=models.specs,
        prices=tuple(f"{name}={price}" for name, price in models.prices.items()),
        rates=models.rates,
        budget=given["budget"] or "",
        max_agents=given["max_agents"] or 0,
        deadline_seconds=seconds_of(given["deadline"]) if given["deadline"] else 0.0,
        roles=str(models.folder or ""),
    )
