"""`antiphon why`: who says something, who disputes it, on what evidence, in which context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, run_argument, runs_dir_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antiphon.workflows.places import RunPlace
    from antiphon.workflows.report.document import Item
    from antiphon.workflows.report.tree import Tree
    from antiphon.workflows.why import Account, Found, RecordedRun

_TOLD = 3
_LISTED = 40


@click.command(name="why", short_help="Show why a run says something: who, on what evidence, in which context.")
@run_argument
@click.argument("claim", required=False)
@runs_dir_option
@click.option("--tree", type=click.Path(exists=True, path_type=Path), help="Where the audited files are now.")
@json_option
def command(run: str, claim: str | None, runs_dir: Path | None, tree: Path | None, json: bool) -> int:
    """Show why RUN says something: who says it, who disputes it, on what evidence, in which context.

    CLAIM is the beginning of an id, as reports show it, or a place: PATH, or PATH:LINE. Without it, what matters most
    is listed, with ids. Evidence is read again where the files still are; a run from elsewhere needs --tree for that.
    """
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.places import find_run, runs_home
    from antiphon.workflows.why import account_of, read_run

    place = find_run(runs_home(runs_dir or configuration().runs_dir), run)
    recorded = read_run(place.directory)
    if claim is None:
        _list(recorded, json)
        return 0
    found = _found(recorded, claim, run)
    files = _tree(recorded, place, tree)
    accounts = [account_of(recorded, one, files) for one in found[:_TOLD]]
    if json:
        _print_json(accounts)
        return 0
    for account in accounts:
        _print(account)
    if rest := found[_TOLD:]:
        _print_items(_named(recorded, rest))
    return 0


def _found(recorded: RecordedRun, claim: str, run: str) -> list[Found]:
    """What was asked for: one thing, or all clusters at a place."""
    from antiphon.engine import UsageError
    from antiphon.workflows.why import NotFound, find

    found = find(recorded, claim)
    if isinstance(found, NotFound):
        near = f"; did you mean {' or '.join(found.near)}?" if found.near else ""
        raise UsageError(
            f"run {recorded.run_id} holds nothing called {claim[:300]!r}{near}",
            advice=f"antiphon why {run} lists what matters with ids; at least 4 characters of one are needed",
        )
    if len(found) > 1 and found[0].id.startswith(claim.strip().lower()):
        ids = ", ".join(f"{one.sort} {one.id[:16]}" for one in found[:10])
        raise UsageError(f"{claim!r} fits {len(found)} ids: {ids}", advice="type more of it")
    return found


def _tree(recorded: RecordedRun, place: RunPlace, given: Path | None) -> Tree | None:
    """The audited files as they are now: those named, or those that a run made here was given."""
    from antiphon.workflows.places import HOME, is_ours
    from antiphon.workflows.report.tree import Tree

    if given is not None:
        return Tree(given)
    target = recorded.arguments.get("path")
    if not isinstance(target, str) or "\0" in target or not is_ours(place):
        return None
    home = place.directory.parent.parent
    root = (home.parent if home.name == HOME else Path.cwd()) / target
    return Tree(root) if root.exists() else None


def _print_json(accounts: list[Account]) -> None:
    import json

    from antiphon.workflows.cli.terminal import data

    content = [account.to_json() for account in accounts]
    data().raw(json.dumps(content[0] if len(content) == 1 else {"found": content}) + "\n")


def _print(account: Account) -> None:
    from antiphon.workflows.why.telling import items

    _print_items(items(account))


def _print_items(found: Iterable[Item]) -> None:
    """Write entries, indented by how deep they are; what others said is spelled out, so that it cannot act."""
    from antiphon.workflows.cli.terminal import Paper, Part, Piece, data
    from antiphon.workflows.report.document import Said, Strong
    from antiphon.workflows.report.untrusted import visible

    paper = data()
    paper.columns = None  # what is said here is for reading whole and for copying

    def piece(part: str | Said | Strong) -> Part:
        if isinstance(part, Said):
            return visible(part.text, part.limit)
        return Piece(part.text, "bold") if isinstance(part, Strong) else part

    def write(paper: Paper, item: Item, indent: str) -> None:
        paper.line(indent, *map(piece, item.line))
        for below in item.below:
            write(paper, below, indent + "  ")

    for item in found:
        write(paper, item, "")


def _list(recorded: RecordedRun, as_json: bool) -> None:
    """What matters most, with ids."""
    from antiphon.workflows.report.order import by_rule
    from antiphon.workflows.why import Found

    view = recorded.synthesis
    clusters = [cluster for rule in by_rule(c for c in view.clusters if not c.set_aside) for cluster in rule]
    clusters.sort(key=lambda cluster: cluster.status == "refuted")
    found = [Found("cluster", cluster.id) for cluster in clusters]
    found += [Found("cluster", fact.id) for fact in view.facts]
    found += [Found("cluster", patch.id) for patch in view.patches]
    found += [Found("claim", passage.claims[0]) for passage in view.passages]
    if as_json:
        _print_list_json(recorded, found)
        return
    _print_items(_named(recorded, found))


def _print_list_json(recorded: RecordedRun, found: list[Found]) -> None:
    import json

    from antiphon.workflows.cli.terminal import data

    content = {"run": recorded.run_id, "found": [{"sort": one.sort, "id": one.id} for one in found]}
    data().raw(json.dumps(content) + "\n")


def _named(recorded: RecordedRun, found: list[Found]) -> Iterable[Item]:
    """Each in one line."""
    from antiphon.workflows.report.document import Item
    from antiphon.workflows.why.telling import one_line

    if not found:
        yield Item(("the run recorded no claims that are not set aside",))
    for one in found[:_LISTED]:
        yield one_line(recorded, one)
    if len(found) > _LISTED:
        yield Item((f"… and {len(found) - _LISTED} more; --json has all, PATH or PATH:LINE narrows",))
