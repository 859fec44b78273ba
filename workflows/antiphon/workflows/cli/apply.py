"""`antiphon apply`: put what a run made into the project. The only command that writes to a user's own files."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from antiphon.tracing.errors import AntiphonError
from antiphon.workflows.cli.options import json_option, run_argument, runs_dir_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from antiphon.subagents.workspace.applying import Plan
    from antiphon.subagents.workspace.contract import Base
    from antiphon.tracing import Event
    from antiphon.workflows.places import RunPlace

_FOLDER: Final = "patches/"
_ENDING: Final = ".patch"
_MAIN: Final = {"fix": "fixed", "build": "integration"}
"""The patch that a run of a workflow that ships with antiphon is about."""
_MOST_BYTES: Final = 64 << 20
_MOST_LINES: Final = 1_000_000
"""Whoever is asked about a patch must be able to see all of it."""


class NotApplied(AntiphonError):
    """A patch that was not applied; nothing of the project was changed."""

    def __init__(self, reason: str, advice: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason, advice=advice)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run's log says of its patches.

    Attributes:
        place: the run. base: what they begin at. digests: by name of the patch. builtin: the workflow that ships with
            antiphon, "" for another.
    """

    place: RunPlace
    base: Base
    digests: Mapping[str, str]
    builtin: str

    def chosen(self, name: str | None) -> str:
        """The patch that is meant. Raises `UsageError` where that is not clear."""
        from antiphon.engine import UsageError

        names, main = sorted(self.digests), _MAIN.get(self.builtin, "")
        found = name or (main if main in names else names[0] if len(names) == 1 else "")
        if found in self.digests:
            return found
        what = f"there is no patch {found[:100]!r}" if found else f"{self.place.run_id} has {len(names)} patches"
        raise UsageError(
            f"{what}; there are {', '.join(names)}", advice=f"antiphon apply {self.place.run_id} {names[0]} --check"
        )

    def content(self, name: str) -> bytes:
        """The patch, as the log vouches for it."""
        import hashlib

        from antiphon.subagents.workspace.repository import read_plain

        content = read_plain(self.place.directory / f"{_FOLDER}{name}{_ENDING}", _MOST_BYTES)
        if content is None:
            raise NotApplied(f"{_FOLDER}{name}{_ENDING} cannot be read", f"antiphon show {self.place.run_id}")
        if hashlib.sha256(content).hexdigest() != self.digests[name]:
            raise NotApplied(
                f"{_FOLDER}{name}{_ENDING} is not what the run recorded", f"antiphon verify {self.place.run_id}"
            )
        return content


@click.command(name="apply", short_help="Put a run's patch into the project.")
@run_argument
@click.argument("name", required=False)
@runs_dir_option
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), help="The project's folder, if it is elsewhere by now."
)
@click.option("--check", is_flag=True, help="Only say whether it can be applied; exits 1 if not.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--trust", is_flag=True, help="Apply a patch of a run that was not made here.")
@json_option
def command(
    run: str,
    name: str | None,
    runs_dir: Path | None,
    into: Path | None,
    check: bool,
    yes: bool,
    trust: bool,
    json: bool,
) -> int:
    """Show the patch NAME of RUN, ask, and write it into the project's files; never into its index, refs or stash.

    A file that you changed meanwhile keeps your changes where they are in other lines; else nothing at all is written.
    NAME is needed where the run has several patches.
    """
    from antiphon.subagents.workspace.applying import plan_patch
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.patches import project_of
    from antiphon.workflows.places import find_run, is_ours, runs_home

    place = find_run(runs_home(runs_dir or configuration().runs_dir), run)
    recorded = _recorded(place)
    chosen = recorded.chosen(name)
    diff = recorded.content(chosen)
    ours = is_ours(place)
    if into is None and not ours:  # where it was made says nothing of this machine, and may be any folder of it
        into = project_of(Path.cwd())
    base = recorded.base if into is None else replace(recorded.base, root=into.resolve())
    _check_folder(base, place)
    if not json:
        _show(diff)
    if not (check or trust or ours):
        raise _foreign(place, chosen)
    plan = plan_patch(diff, base, place.directory)
    written = _decided(plan, base, check=check, yes=yes, quiet=json)
    _tell(place, chosen, plan, base, written=written, check=check, as_json=json)
    if plan.refused:
        return 1
    return 0 if written or check or not plan.writes else 2


def _foreign(place: RunPlace, name: str) -> Exception:
    from antiphon.engine import UsageError

    return UsageError(
        f"{place.run_id} was not made here, and its patch writes into your files",
        advice=f"read the patch, then: antiphon apply {place.run_id} {name} --trust",
    )


def _recorded(place: RunPlace) -> Recorded:
    """What the log says, once it was checked."""
    from antiphon.tracing import verify_log
    from antiphon.tracing.query import events_of
    from antiphon.workflows.patches import BASE, base_of

    found = verify_log(place.directory)
    if not found.ok:
        _, problem = found.problems[0]
        raise NotApplied(f"the record of {place.run_id} was changed: {problem}", f"antiphon verify {place.run_id}")
    digests = _of_last_attempt(events_of(place.directory, ("report", "run.ended")))
    base, named = base_of([event.data for event in events_of(place.directory, (BASE,))]), _plain_names(digests)
    if base is None or not named:
        raise NotApplied(f"{place.run_id} left no patch", f"antiphon show {place.run_id}")
    return Recorded(place, base, named, _builtin(place))


def _of_last_attempt(events: Iterable[Event]) -> dict[str, str]:
    """The patches of the last attempt that ended, by name; others are what the run came away from."""
    found: dict[str, str] = {}
    current: dict[str, str] = {}
    for event in events:
        said = str(event.data.get("name", ""))
        if event.kind == "run.ended":
            found, current = current, {}
        elif said.startswith(_FOLDER) and said.endswith(_ENDING):
            current[said.removeprefix(_FOLDER).removesuffix(_ENDING)] = str(event.data.get("sha256", ""))
    return found


def _plain_names(digests: Mapping[str, str]) -> dict[str, str]:
    """Those whose names can be those of workspaces: a log may come from anybody."""
    from antiphon.engine import UsageError
    from antiphon.subagents.workspace.naming import checked_name

    found: dict[str, str] = {}
    for name, digest in digests.items():
        try:
            found[checked_name(name)] = digest
        except UsageError:
            continue
    return found


def _builtin(place: RunPlace) -> str:
    from antiphon.tracing.query import events_of

    opened = events_of(place.directory, ("run.opened",))
    return str(opened[0].data.get("builtin", "")) if opened else ""


def _check_folder(base: Base, place: RunPlace) -> None:
    from antiphon.engine import UsageError

    if not base.root.is_absolute() or not base.root.is_dir():
        raise UsageError(
            f"the project is no longer in {base.root}", advice=f"antiphon apply {place.run_id} --into FOLDER"
        )


def _show(diff: bytes) -> None:
    from antiphon.workflows.cli.diffs import print_diff
    from antiphon.workflows.cli.terminal import data

    print_diff(diff.decode("utf-8", "backslashreplace"), data(), most=_MOST_LINES)


def _decided(plan: Plan, base: Base, *, check: bool, yes: bool, quiet: bool) -> bool:
    """Write, if it can be and is wanted: whether that was done."""
    from antiphon.subagents.workspace.user_tree import Barred
    from antiphon.subagents.workspace.writing import write_all

    if plan.refused or check or not plan.writes:
        return False
    if not (yes or _agreed(plan, base, quiet=quiet)):
        return False
    try:
        write_all(base.root, plan.writes)
    except Barred as barred:
        raise NotApplied(f"{barred.why}; nothing was written", "antiphon apply again") from None
    return True


def _agreed(plan: Plan, base: Base, *, quiet: bool) -> bool:
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.terminal import is_terminal, visible
    from antiphon.workflows.cli.words import plural

    if quiet or not is_terminal(sys.stdin):
        raise UsageError("nobody is there to ask whether this may be written", advice="antiphon apply RUN --yes")
    what = f"Write {plural(len(plan.writes), 'file')} in {visible(str(base.root))}?"
    return click.confirm(what, default=False, err=True)


def _tell(place: RunPlace, name: str, plan: Plan, base: Base, *, written: bool, check: bool, as_json: bool) -> None:
    from antiphon.subagents.workspace.applying import refusal
    from antiphon.workflows.cli.entry import tell
    from antiphon.workflows.cli.terminal import data, talk
    from antiphon.workflows.cli.words import plural

    if as_json:
        import json

        data().raw(json.dumps(_as_json(place, name, plan, base, written=written)) + "\n")
        return
    paper = talk()
    for path in plan.merged:
        paper.line(f"{path}: your changes since then stay beside the patch's")
    if plan.refused:
        tell(refusal(plan.refused), f"commit or undo those changes, then: antiphon apply {place.run_id} {name}")
    elif not plan.writes:
        paper.line("the project is as the patch wants it already; nothing was written")
    elif written:
        paper.line(f"wrote {plural(len(plan.writes), 'file')} in {base.root}; nothing is staged or committed")
    elif check:
        paper.line(f"it can be applied: {plural(len(plan.writes), 'file')}; nothing was written")
    else:
        paper.line("nothing was written")


def _as_json(place: RunPlace, name: str, plan: Plan, base: Base, *, written: bool) -> dict[str, Any]:
    kinds = {True: "added", False: "changed"}
    return {
        "run": place.run_id,
        "patch": name,
        "project": str(base.root),
        "applied": written,
        "files": [
            {
                "path": write.path.decode("utf-8", "backslashreplace"),
                "kind": "deleted" if write.then is None else kinds[write.now is None],
            }
            for write in plan.writes
        ],
        "merged": list(plan.merged),
        "already": list(plan.done),
        "refused": [{"path": one.path, "why": one.why} for one in plan.refused],
    }
