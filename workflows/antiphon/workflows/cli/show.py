"""`antiphon show`: what a run did. Executes nothing of it, and works on live, damaged and foreign runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, run_argument, runs_dir_option

if TYPE_CHECKING:
    from antiphon.tracing import Json
    from antiphon.workflows.cli.seen import SeenCall, SeenRun
    from antiphon.workflows.cli.story import Entry, Story


@click.command(name="show", short_help="Show what a run did.")
@run_argument
@runs_dir_option
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="Levels of the tree.  [default: 4; JSON: all]")
@click.option("--branch", metavar="PATH", help="Only this place of the tree (as in main/2/17), with all its children.")
@click.option("--context", metavar="BRANCH", help="Exactly what the subagent at this place saw, and what it did.")
@click.option("--transcript", metavar="BRANCH", help="The conversation of the subagent at this place, to be read.")
@click.option(
    "--turn",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --transcript: this answer, whole. With --context: what was sent at this request.",
)
@json_option
def command(
    run: str,
    runs_dir: Path | None,
    depth: int | None,
    branch: str | None,
    context: str | None,
    transcript: str | None,
    turn: int | None,
    json: bool,
) -> int:
    """Show what RUN did: its tree, outcomes, cost and time, census, decisions, and what was in flight at a kill.

    RUN is a run's id, a unique beginning or ending of it, `last`, or its directory. With --context BRANCH, a call's
    place as in main/2/17/0, exactly what that subagent saw: instructions, frames, task, tools, and then its turns. With
    --transcript BRANCH the same conversation as one reads it: answers, tools, edits, what it was told, what it cost.
    """
    if context is not None or transcript is not None or turn is not None:
        asked = _Asked(context, transcript, turn, json)
        return _show_calls(run, runs_dir, asked, tree=branch is not None or depth is not None)
    from antiphon.workflows.cli.account import print_account, story_json
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.telling import read_story
    from antiphon.workflows.cli.terminal import data
    from antiphon.workflows.cli.tree import DEPTH, Drawing, draw
    from antiphon.workflows.places import find_run, runs_home

    held = configuration()
    place = find_run(runs_home(runs_dir or held.runs_dir), run)
    story = read_story(place.directory)
    entry = _found(story, branch)
    paper = data()
    if json:
        paper.raw(story_json(story, entry, depth) + "\n")
        return 0
    if branch is None:
        print_account(paper, story)
    if story.events and not story.tombstone:
        shown = DEPTH if depth is None else depth
        if branch is None:
            entry.reason = ""  # the account has said it
        draw(paper, entry, Drawing(depth=shown, epoch=story.epoch, unfolded=branch or ""))
    return 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked about single calls."""

    context: str | None
    transcript: str | None
    turn: int | None
    as_json: bool

    def place(self, run: str, *, tree: bool) -> str:
        """The place that is asked about. Raises `UsageError` for what does not go together."""
        from antiphon.engine import UsageError

        if self.context is not None and self.transcript is not None:
            advice = "--transcript is to be read, --context is exactly what was sent"
            raise UsageError("--context and --transcript are two views of one call", advice=advice)
        place = self.transcript if self.context is None else self.context
        if place is None:
            advice = f"antiphon show {run} --context BRANCH --turn {self.turn}, or with --transcript BRANCH"
            raise UsageError("--turn is of one call's conversation", advice=advice)
        if tree:
            option = "--transcript" if self.context is None else "--context"
            raise UsageError(f"{option} shows one call, and --branch and --depth a tree", advice="use one or the other")
        return place


def _show_calls(run: str, runs_dir: Path | None, asked: _Asked, *, tree: bool) -> int:
    """Print what the call at a place saw or said, or name the calls below it."""
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.seen import call_json, found, read_calls
    from antiphon.workflows.cli.seen_text import print_calls
    from antiphon.workflows.cli.terminal import data
    from antiphon.workflows.places import find_run, runs_home

    wanted = asked.place(run, tree=tree)
    place = find_run(runs_home(runs_dir or configuration().runs_dir), run)
    seen = read_calls(place.directory)
    calls = found(seen, wanted.rstrip("/"))
    if len(calls) == 1:
        show = _show_call if asked.transcript is None else _show_transcript
        return show(seen, calls[0], asked.turn, asked.as_json)
    option = "--context" if asked.transcript is None else "--transcript"
    if asked.turn is not None:
        raise UsageError(f"{wanted} has {len(calls)} calls; --turn is of one", advice=f"{option} {calls[0].path}")
    if asked.as_json:
        _print_json({"run": seen.directory.name, "calls": [call_json(call) for call in calls]})
    else:
        print_calls(data(), seen, wanted, calls, option=option)
    return 0


def _show_transcript(run: SeenRun, call: SeenCall, turn: int | None, as_json: bool) -> int:
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.seen import context_of
    from antiphon.workflows.cli.terminal import data
    from antiphon.workflows.cli.transcript import entry_json, transcript_of
    from antiphon.workflows.cli.transcript_text import print_transcript

    told = transcript_of(run, context_of(run, call))
    one = next((answer for answer in told.answers if answer.number == turn), None)
    if turn is not None and one is None:
        held = f"it has {len(told.answers)}" if told.answers else "no model was asked"
        raise UsageError(f"{call.path} has no turn {turn}: {held}", advice="leave out --turn to see all")
    if not as_json:
        print_transcript(data(), run, told, turn)
    elif one is not None:
        _print_json({"run": run.directory.name, "path": call.path, "answer": entry_json(one)})
    else:
        _print_json(told.to_json(run))
    return 0


def _show_call(run: SeenRun, call: SeenCall, turn: int | None, as_json: bool) -> int:
    from antiphon.workflows.cli.seen import call_json, context_json, context_of
    from antiphon.workflows.cli.seen_text import print_context, print_sent
    from antiphon.workflows.cli.terminal import data

    seen = context_of(run, call)
    sent = None
    if turn is not None:
        from antiphon.workflows.cli.seen_sent import sent_at

        sent = sent_at(seen, turn)
    if as_json:
        _print_json(context_json(run, seen) if sent is None else {**call_json(call), **sent.to_json()})
    elif sent is None:
        print_context(data(), run, seen)
    else:
        print_sent(data(), run, seen, sent)
    return 0


def _print_json(content: dict[str, Json]) -> None:
    from json import dumps

    from antiphon.workflows.cli.terminal import data

    data().raw(dumps(content) + "\n")


def _found(story: Story, branch: str | None) -> Entry:
    from antiphon.engine import UsageError

    here = story.root
    for segment in (branch or here.path).split("/")[1:]:
        inside = here.children.get(segment)
        if inside is None:
            below = ", ".join(list(here.children)[:10]) or "nothing"
            raise UsageError(f"there is no {branch}; below {here.path} there is {below}", advice="antiphon show RUN")
        here = inside
    if branch is not None and branch.split("/")[0] != here.path.split("/")[0]:
        raise UsageError(f"there is no {branch}", advice=f"paths begin with {story.root.path}, as in main/2/17")
    return here
