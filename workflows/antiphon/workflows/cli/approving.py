"""Asks a person whether a script that a model wrote may run: what it is, and what is new since they last agreed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from antiphon.tracing import Json
from antiphon.workflows.cli.approval_options import typed_again
from antiphon.workflows.cli.diffs import print_diff
from antiphon.workflows.cli.terminal import Paper, Part, Piece, is_terminal, talk

if TYPE_CHECKING:
    from antiphon.workflows.approval import Asked, Change, Subject
    from antiphon.workflows.loading import Loaded
    from antiphon.workflows.model_roles import ModelsAsked
    from antiphon.workflows.places import RunPlace
    from antiphon.workflows.preflight import Preflight

_MOST_CHANGES: Final = 60
_MOST_LINES: Final = 400
_MOST_SHOWN: Final = 1_000
_STYLES: Final = {"gains": "warn", "loses": "good", "changes": "dim"}
_SIGNS: Final = {"gains": "+", "loses": "-", "changes": "~"}


def besides(*, allow: Sequence[str] = (), sandbox: str | None = None, mcp: Sequence[str] = ()) -> dict[str, Json]:
    """What a person gives a script besides what it declares, as an approval has it; what only holds it is not in it."""
    return {"allow": list(allow), "sandbox": sandbox, "mcp": list(mcp)}


def agreed(
    subject: Subject,
    approve: str = "",
    *,
    models: ModelsAsked | None = None,
    again: Callable[..., str] = typed_again,
) -> dict[str, Json]:
    """Have a person agree to what needs it, or find that they did; before anything of it is executed.

    Args:
        subject: what would run.
        approve: the hash that was given to ``--approve``; "" to ask on the terminal.
        models: what the person asked for, for what it costs.
        again: makes the command to type next, of more words.

    Returns:
        What the run's log says of it; empty where nothing needs to be agreed to.

    Raises:
        UsageError: nobody is here to be asked, the person said no, the hash is of something else, or preflight found
            errors.
    """
    from antiphon.workflows.approval import Asked, Kept, planned_of

    if planned_of(subject.source) is None and not approve:
        return {}
    kept = Kept()
    if approve:
        _check_meant(subject, approve, again)
    elif (earlier := kept.find(subject)) is not None:
        return {**earlier.event(), "how": "earlier", "script_sha256": subject.script_sha256}
    checked = _checked(subject, models)
    if not approve:
        _ask(Asked(subject=subject, preflight=checked, last=kept.before(subject)), again)
    return _kept(subject, checked, "hash" if approve else "terminal")


def agreed_again(place: RunPlace, approve: str) -> Callable[[Loaded, Mapping[str, Any]], dict[str, Json]]:
    """What `resume` asks of a script that was not what the run was approved with: nobody is asked while it goes on.

    Args:
        place: the run.
        approve: the hash that was given to ``--approve``, or "".
    """
    from antiphon.workflows.approval import Asked, Kept, planned_of, subject_of

    def again(*more: str) -> str:
        return typed_again(f"--approve={more[-1]}", last=place.run_id)

    def asked(loaded: Loaded, arguments: Mapping[str, Any]) -> dict[str, Json]:
        if planned_of(loaded.source) is None:
            return {}
        subject = subject_of(loaded, arguments)
        if approve:
            _check_meant(subject, approve, again)
            return _kept(subject, _checked(subject, None), "hash")
        if (earlier := Kept().find(subject)) is not None:
            return {**earlier.event(), "how": "earlier", "script_sha256": subject.script_sha256}
        checked = _checked(subject, None)
        show(Asked(subject=subject, preflight=checked, last=Kept().before(subject)), talk())
        raise _unapproved(subject, again)

    return asked


def _check_meant(subject: Subject, approve: str, again: Callable[..., str]) -> None:
    from antiphon.engine import UsageError
    from antiphon.workflows.approval import HASH_DIGITS

    if subject.is_meant(approve):
        return
    if len(approve) < HASH_DIGITS:
        raise UsageError(f"--approve takes all {HASH_DIGITS} digits of a hash, not {approve[:80]!r}")
    raise UsageError(
        f"--approve {approve[:80]} is not what would run: the script, what it may touch, or an argument is another",
        advice=f"antiphon check {subject.file} shows it; the hash of this is {subject.hash}",
    )


def _checked(subject: Subject, models: ModelsAsked | None) -> Preflight:
    """What preflight says of it. Raises `UsageError` where it refuses the script."""
    from antiphon.engine import UsageError
    from antiphon.workflows.preflight import preflight

    name = os.path.basename(subject.file)
    checked = preflight(subject.source, name, arguments=subject.arguments, models=models)
    if not checked.passed:
        first = checked.errors[0]
        raise UsageError(
            f"{name}:{first.line}: {first.reason} ({len(checked.errors)} errors in all)",
            advice=f"antiphon check {subject.file}",
        )
    return checked


def _kept(subject: Subject, checked: Preflight, how: str) -> dict[str, Json]:
    from antiphon.workflows.approval import Kept, approved_now

    approved = approved_now(subject, checked.cost.to_json(), how=how)
    if not Kept().keep(approved):
        talk().line(Piece("note: ", "warn"), "this approval could not be kept, and holds for this run alone")
    return {**approved.event(), "script_sha256": subject.script_sha256}


def _unapproved(subject: Subject, again: Callable[..., str]) -> Exception:
    from antiphon.engine import UsageError

    problem = f"{subject.file} was written by a model, and nobody approved this version of it with these arguments"
    return UsageError(problem, advice=again("--approve", subject.hash))


def _ask(asked: Asked, again: Callable[..., str]) -> None:
    """Show all of it, and take a yes or no from the terminal.

    Raises:
        UsageError: there is no terminal, or the person says no.
    """
    from antiphon.engine import UsageError

    paper = talk()
    show(asked, paper)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise _unapproved(asked.subject, again)
    if not click.confirm("Run it?", err=True):
        raise UsageError("nothing was begun", advice=f"antiphon check {asked.subject.file}")


def show(asked: Asked, paper: Paper) -> None:
    """Print what a person is asked to agree to."""
    from antiphon.workflows.preflight.text import report

    columns, paper.columns = paper.columns, None  # to be read whole
    try:
        paper.line(Piece("to approve: ", "warn"), Piece(asked.subject.file, "bold"))
        for row in report(asked.preflight, source=asked.subject.source):
            paper.line(*(Piece(*piece) for piece in row))
        _show_given(asked.subject, paper)
        _show_changes(asked, paper)
        paper.line(Piece("hash       ", "dim"), asked.hash)
    finally:
        paper.columns = columns


def _show_given(subject: Subject, paper: Paper) -> None:
    for name, value in subject.arguments.items():
        paper.line(Piece("argument   ", "dim"), f"{name} = {_shown(value)}")
    for name, value in subject.granted.items():
        said = "yes" if value is True else "no" if value is False else _shown(value)
        paper.line(Piece("given      ", "dim"), f"{name}: {said}")


def _shown(value: Json) -> str:
    """A value as a person is shown it; what is not shown of it is counted, as it is agreed to all the same."""
    text = str(value)
    rest = len(text) - _MOST_SHOWN
    return text if rest <= 0 else f"{text[:_MOST_SHOWN]} ... and {rest:,} more characters that are not shown"


def _show_changes(asked: Asked, paper: Paper) -> None:
    if asked.last is None:
        paper.line(Piece("before     ", "dim"), "no version of it was approved before")
        return
    from antiphon.workflows.cli.words import moment

    paper.line(Piece("before     ", "dim"), f"approved on {moment(asked.last.at)} by {asked.last.who}; since then:")
    if asked.last.file != asked.subject.file:
        paper.line(Piece("           ", "dim"), f"as {asked.last.file}")
    found = asked.changes
    for change in found[:_MOST_CHANGES]:
        paper.line("  ", *_change(change))
    if len(found) > _MOST_CHANGES:
        paper.line(f"  and {len(found) - _MOST_CHANGES} more")
    if not found:
        paper.line("  scope, limits, roles, steps and cost are as they were")
    if asked.patch:
        print_diff(asked.patch, paper, most=_MOST_LINES, stat=False, indent="  ")
    elif asked.last.source != asked.subject.source:
        paper.line(Piece("  the text is too long to be compared line by line", "warn"))


def _change(change: Change) -> Iterator[Part]:
    sign, style = _SIGNS[change.sort], _STYLES[change.sort]
    yield Piece(f"{sign} {change.what}: ", style)
    if change.before and change.after:
        yield f"{change.before} -> {change.after}"
    else:
        yield change.after or f"{change.before} is gone"
