"""`antiphon resume`: go on with a run; or, while it goes on in another process, hand it budget and answers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict, Unpack, get_args

import click

from antiphon.workflows.cli.approval_options import Typed
from antiphon.workflows.cli.mcp_options import mcp_option
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import (
    json_option,
    performing_options,
    run_argument,
    runs_dir_option,
    runtime_option,
    sandbox_option,
)
from antiphon.workflows.cli.policy_options import allow_option, ask_option
from antiphon.workflows.cli.terminal import talk
from antiphon.workflows.cli.words import FAILURES, moment

if TYPE_CHECKING:
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.cli.performing import Presentation
    from antiphon.workflows.loading import Loaded
    from antiphon.workflows.model_roles import ModelRoles
    from antiphon.workflows.places import RunPlace
    from antiphon.workflows.running import Options

ALL = "*"
_VERSION: Final = re.compile(r"[0-9a-f]{32,64}")


class _Resume(Typed):
    """Its optional values."""

    bare: ClassVar[Mapping[str, str]] = {"--retry-failed": ALL, "--approve": ALL, "--deny": ALL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `resume` was asked besides going on.

    Attributes:
        budget: the top-up as typed, or empty.
        answers: yes or no by path; ``*`` for every open question.
        retry: kinds of failures to perform again.
        performed: whether anything was said of how it is to be performed: models, tools, a sandbox, a runtime.
        version: the hash of the script that is agreed to, or empty.
    """

    budget: str = ""
    answers: dict[str, bool]
    retry: frozenset[str] = frozenset()
    performed: bool = False
    version: str = ""

    @property
    def can_be_left(self) -> bool:
        """Whether all of it can be asked of a run that goes on in another process."""
        return bool(self.budget or self.answers) and not (self.retry or self.performed)


class Given(TypedDict):
    """What the command line says, besides the run."""

    budget: str | None
    retry: tuple[str, ...]
    approve: tuple[str, ...]
    deny: tuple[str, ...]
    trust: bool
    models: tuple[str, ...]
    prices: tuple[str, ...]
    rates: tuple[str, ...]
    allow: tuple[str, ...]
    ask: tuple[str, ...]
    mcp: tuple[str, ...]
    sandbox: str | None
    runtime: str | None
    runs_dir: Path | None
    backend: str | None
    concurrency: int | None
    processes: int | None
    plain: bool
    json: bool


@click.command(name="resume", cls=_Resume, short_help="Go on with a run.")
@run_argument
@click.option("--budget", metavar="+AMOUNT", help="Raise the run's limits: +2usd, +500agent_calls.")
@click.option("--retry-failed", "retry", multiple=True, metavar="[=KIND]", help="Perform failed calls again.")
@click.option("--approve", multiple=True, metavar="[=PATH]", help="Answer yes; with a hash: agree to a script.")
@click.option("--deny", multiple=True, metavar="[=PATH]", help="Answer no; with a tool's name: never call it.")
@click.option("--trust", is_flag=True, help="Execute the script of a run that was not made here.")
@model_options
@allow_option
@ask_option
@mcp_option
@sandbox_option
@runtime_option
@runs_dir_option
@performing_options
@json_option
def command(run: str, **given: Unpack[Given]) -> int:
    """Go on with RUN: what its log has replays, the rest is performed.

    RUN is a run's id, a unique beginning or ending of it, `last`, or its directory.
    """
    from antiphon.tracing import LogBusy
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.performing import Presentation
    from antiphon.workflows.cli.policy_options import denied_tools
    from antiphon.workflows.places import find_run, runs_home

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    refused, denied = denied_tools(given["deny"])
    approved, version = _approved(given["approve"])
    performing = (given["models"], given["prices"], given["rates"], given["sandbox"], given["mcp"], given["runtime"])
    asked = Asked(
        budget=given["budget"] or "",
        answers=_answers(approved, refused),
        retry=_kinds(given["retry"]),
        performed=any((*performing, given["allow"], given["ask"], denied, version)),
        version=version,
    )
    options = _options(given, asked, held, denied)
    place = find_run(runs_home(held.runs_dir), run)
    if _left_to_owner(place, asked):
        return 0
    _check(place, asked)
    presentation = Presentation(backend=held.backend, json=given["json"], plain=given["plain"])
    try:
        from antiphon.workflows.cli.approving import agreed_again

        options = replace(options, approving=agreed_again(place, asked.version))
        return _gone_on(place, options, presentation, given["trust"], given["models"])
    except LogBusy:  # it began between our look and our attempt
        if _left_to_owner(place, asked):
            return 0
        raise


def _options(given: Given, asked: Asked, held: Configuration, denied: tuple[str, ...]) -> Options:
    from antiphon.engine import parse_top_up
    from antiphon.workflows.cli.mcp_options import folder_of, mcp_asked, tell_servers
    from antiphon.workflows.cli.model_options import asked as models_asked
    from antiphon.workflows.cli.performing import settings_of
    from antiphon.workflows.cli.policy_options import tools_asked
    from antiphon.workflows.running import Options
    from antiphon.workflows.runtimes import RuntimeAsked

    servers = mcp_asked(held, given["mcp"])
    tell_servers(servers.servers())
    return Options(
        settings=settings_of(held, retry_failed=asked.retry, answers=asked.answers),
        top_up=parse_top_up(asked.budget) if asked.budget else None,
        models=models_asked(None, given["models"], given["prices"], given["rates"]),
        tools=tools_asked(None, given["allow"], given["ask"], denied),
        mcp=servers,
        mcp_folder=folder_of(held),
        sandbox=given["sandbox"],
        runtime=RuntimeAsked(name=given["runtime"] or "", trust=given["trust"]),
    )


def _gone_on(
    place: RunPlace, options: Options, presentation: Presentation, trust: bool, models: tuple[str, ...]
) -> int:
    """Go on with a run, and tell its end: the exit code. Raises `LogBusy` when somebody else began to meanwhile."""
    from antiphon.workflows.cli.ending import ResumedEnd
    from antiphon.workflows.cli.model_options import check_roles, tell_boxes
    from antiphon.workflows.cli.performing import perform_and_report
    from antiphon.workflows.running import resume

    end = ResumedEnd()

    def told(loaded: Loaded, roles: ModelRoles) -> None:
        check_roles(models, (*loaded.manifest.roles, *loaded.roles), roles.library)
        tell_boxes(roles.asked.specs)

    go_on = partial(resume, place, trust=trust, bound=end.bound, told=told)
    code = perform_and_report(go_on, options, presentation, report=end.report, judge=end.judged)
    end.say_verdict()
    return code


def _approved(approve: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """What `--approve` was given: places of questions, and the hash of a script's version."""
    versions = [one for one in approve if _VERSION.fullmatch(one)]
    return tuple(one for one in approve if one not in versions), versions[-1] if versions else ""


def _answers(approve: tuple[str, ...], deny: tuple[str, ...]) -> dict[str, bool]:
    from antiphon.engine import UsageError

    both = sorted(set(approve) & set(deny))
    if both:
        where = "everything" if both[0] == ALL else both[0]
        raise UsageError(f"{where} is both approved and denied", advice="--approve=PATH and --deny=PATH answer one")
    return dict.fromkeys(approve, True) | dict.fromkeys(deny, False)


def _kinds(retry: tuple[str, ...]) -> frozenset[str]:
    from antiphon.engine import UsageError
    from antiphon.engine.outcome import FailureCategory

    known = (ALL, *FAILURES, *get_args(FailureCategory))
    for kind in retry:
        if kind not in known:
            close = difflib.get_close_matches(kind, known, n=1)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            raise UsageError(
                f"there is no kind of failure {kind!r}{meant}", advice=f"the kinds are {', '.join(known[1:])}"
            )
    return frozenset(retry)


def _left_to_owner(place: RunPlace, asked: Asked) -> bool:
    """Whether the run goes on elsewhere, and the requests were left for its owner.

    Raises:
        LogBusy: it does, and what is asked can only be done by whoever owns it.
    """
    from antiphon.tracing import LogBusy
    from antiphon.workflows.cli.owner import live_owner

    owner = live_owner(place.directory)
    if owner is None:
        return False
    if not asked.can_be_left:
        raise LogBusy(place.directory, owner.pid, owner.host)
    for told in _leave(place, asked):
        talk().line(f"{place.run_id} goes on in {owner}: {told}")
    return True


def _leave(place: RunPlace, asked: Asked) -> Iterator[str]:
    from antiphon.workflows.controls import Request, leave

    if asked.budget:
        leave(place.control, Request(ask="top_up", budget=asked.budget))
        yield f"it was asked to add {asked.budget} to its limits"
    for path, yes in asked.answers.items():
        leave(place.control, Request(ask="answer", path=path, yes=yes))
        yield f"it was told {'yes' if yes else 'no'} for {'every open question' if path == ALL else path}"


def _check(place: RunPlace, asked: Asked) -> None:
    """Refuse what cannot work before any of the script is executed: nothing left to resume, nobody asked that."""
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.glance import glance

    seen = glance(place.directory)
    if seen.cleaned_at is not None:
        raise UsageError(
            f"{place.run_id} was cleaned on {moment(seen.cleaned_at)}: what a resume would replay is gone",
            advice=f"antiphon show {place.run_id}",
        )
    for path in asked.answers:
        if path != ALL and seen.pending and path not in seen.pending:
            raise UsageError(f"nothing is asked at {path}", advice=f"open questions: {', '.join(seen.pending)}")
