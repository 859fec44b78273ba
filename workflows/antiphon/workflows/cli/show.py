"""`antiphon show`: what a run did. Executes nothing of it, and works on live, damaged and foreign runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, run_argument, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.cli.story import Entry, Story


@click.command(name="show", short_help="Show what a run did.")
@run_argument
@runs_dir_option
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="Levels of the tree.  [default: 4; JSON: all]")
@click.option("--branch", metavar="PATH", help="Only this place of the tree (as in main/2/17), with all its children.")
@json_option
def command(run: str, runs_dir: Path | None, depth: int | None, branch: str | None, json: bool) -> int:
    """Show what RUN did: its tree, outcomes, cost and time, census, decisions, and what was in flight at a kill.

    RUN is a run's id, a unique beginning or ending of it, `last`, or its directory.
    """
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
