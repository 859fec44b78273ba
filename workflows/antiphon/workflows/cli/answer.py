"""`antiphon answer DIR`: be the model of a run with ``--model file:DIR``; list what it asks, and answer it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from antiphon.workflows.cli.options import json_option

if TYPE_CHECKING:
    from antiphon.subagents.model.file_inbox import Inbox, Open
    from antiphon.workflows.cli.terminal import Paper

CLASSES: Final = (
    *("rate", "overloaded", "timeout", "network", "quota", "credit", "authentication"),
    *("context_too_long", "refused", "bad_request"),
)
_MOST_SHOWN: Final = 20_000
_MOST_READ: Final = 8 * 1024 * 1024
_SKIPPED: Final = ""
_LINE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What was typed: the answer, and how it is meant.

    Attributes:
        text: the answer. error: the class of error that it is instead, or "". document: it is a whole answer file.
    """

    text: str
    error: str = ""
    document: bool = False


@click.command(name="answer", short_help="Answer what a run asks its model, where that is file:DIR.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--list", "only_list", is_flag=True, help="Only list what is asked; with --request, show it whole.")
@click.option("--request", "named", metavar="ID", default="", help="Which one; a unique beginning is enough.")
@click.option("--text", metavar="TEXT", help="The answer; - reads it from stdin.")
@click.option("--document", is_flag=True, help="The answer is a whole answer file: calls, usage (docs/file-model.md).")
@click.option("--error", type=click.Choice(CLASSES), help="Answer with an error; --text is the reason.")
@click.option("--editor", is_flag=True, help="Write the answer in $VISUAL or $EDITOR.")
@json_option
def command(
    directory: Path,
    only_list: bool,
    named: str,
    text: str | None,
    document: bool,
    error: str | None,
    editor: bool,
    json: bool,
) -> int:
    """List what is asked in DIR, and answer it: on a terminal one after the other, elsewhere with --request and --text.

    An answer is checked before it is written: where a value is asked for, it is JSON that fits the schema.
    """
    from antiphon.subagents.model.file_inbox import inbox

    seen = inbox(directory)
    _tell_unreadable(seen)
    given = _given(text, error, document, editor)
    if given is not None and not only_list:
        request = seen.one(named)
        _answer(request, given)
        _print_answered(request, json=json)
        return 0
    if only_list or json or not _can_ask():
        _list(seen, named, directory, json=json)
        return 0
    return _ask_all(directory, seen.one(named).id if named else "", editor=editor, document=document)


def _given(text: str | None, error: str | None, document: bool, editor: bool) -> Typed | None:
    """What the command line alone says of the answer; None where somebody has to be asked."""
    from antiphon.engine import UsageError

    if editor and text is not None:
        raise UsageError("--editor and --text both say where the answer comes from", advice="give one of them")
    if editor and error:
        raise UsageError("--error takes its reason from --text, not from --editor", advice=f"--error {error} --text …")
    if text is None:
        if document and not editor:
            raise UsageError("--document says how --text is meant, and there is none", advice="--document --text -")
        return Typed(text="", error=error) if error else None
    return Typed(text=_stdin() if text == "-" else text, error=error or "", document=document)


def _stdin() -> str:
    from antiphon.engine import UsageError

    content = sys.stdin.buffer.read(_MOST_READ + 1)
    if len(content) > _MOST_READ:
        raise UsageError(f"stdin has more than {_MOST_READ:,} bytes")
    try:
        return content.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError("what stdin says is not UTF-8") from None


def _can_ask() -> bool:
    from antiphon.workflows.cli.terminal import is_terminal

    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


# --- answering -----------------------------------------------------------------------------------------------------


def _answer(request: Open, given: Typed) -> None:
    """Write the answer down. Raises `UsageError` when it does not fit."""
    from antiphon.engine import UsageError
    from antiphon.subagents.model.file_format import Unreadable
    from antiphon.subagents.model.file_inbox import leave

    try:
        leave(request, _document(request, given))
    except Unreadable as error:
        advice = f"antiphon answer {shlex.quote(str(request.exchange.directory))} --list --request {request.id[:8]}"
        raise UsageError(f"this is no answer to request {request.id[:8]}: {error}", advice=advice) from None


def _document(request: Open, given: Typed) -> Mapping[str, Any]:
    from antiphon.subagents.model.file_inbox import document_of, whole_document

    if given.error:
        return {"error": {"class": given.error, "reason": given.text or "somebody said so"}}
    return whole_document(given.text) if given.document else document_of(request, given.text)


def _ask_all(directory: Path, named: str, *, editor: bool, document: bool) -> int:
    """Ask for an answer to each open request, until none is left or nobody answers any more."""
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.terminal import talk

    paper, skipped, answered, refused = talk(), set[str](), 0, ""
    while request := _next(directory, named, skipped):
        _show(paper, request)
        text = _edited(refused) if editor else _typed(paper)
        if text is None:
            break
        if text == _SKIPPED:
            skipped.add(request.id)
            refused = ""
            continue
        try:
            _answer(request, Typed(text=text, document=document))
        except UsageError as error:
            there = request.exchange.request.exists()
            refused = text if there else ""
            paper.line(error.message)
            skipped.update(() if there else (request.id,))
            continue
        answered, refused = answered + 1, ""
        paper.line(f"answered {request.id[:8]}")
    paper.line(f"{answered} answered, {len(skipped)} skipped" if answered or skipped else "nothing is asked")
    return 0


def _next(directory: Path, named: str, skipped: set[str]) -> Open | None:
    from antiphon.subagents.model.file_inbox import inbox

    left = [request for request in inbox(directory).open if request.id not in skipped and request.id.startswith(named)]
    return left[0] if left else None


def _typed(paper: Paper) -> str | None:
    """Lines up to one that is a dot; "" to skip, None when there is nobody any more."""
    paper.line("your answer, ended by a line with a dot; a dot alone skips; Ctrl-D ends:")
    lines: list[str] = []
    while line := sys.stdin.readline():
        if line.rstrip("\r\n") == ".":
            return "".join(lines).removesuffix("\n")
        lines.append(line)
    return None


def _edited(before: str) -> str:
    """What was written in an editor, which begins with the answer that did not fit; "" to skip."""
    from antiphon.engine import UsageError

    if not (os.environ.get("VISUAL") or os.environ.get("EDITOR")):
        raise UsageError("neither $VISUAL nor $EDITOR names an editor", advice="EDITOR=vi antiphon answer DIR --editor")
    try:
        return (click.edit(before, require_save=True) or _SKIPPED).removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError("what the editor wrote is not UTF-8") from None


# --- showing -------------------------------------------------------------------------------------------------------


def _tell_unreadable(seen: Inbox) -> None:
    from antiphon.workflows.cli.terminal import talk

    for name, reason in seen.unreadable.items():
        talk().line(f"not a request: {name}: {reason}")
    if seen.more:
        talk().line(f"{seen.more:,} more are open, and are listed once some of these are answered")


def _list(seen: Inbox, named: str, directory: Path, *, json: bool) -> None:
    from antiphon.workflows.cli.terminal import data, talk

    wanted = [seen.one(named)] if named else list(seen.open)
    if json:
        import json as encoder

        said = [dict(request.document) if named else request.to_json() for request in wanted]
        data().raw(encoder.dumps(said[0] if named else said) + "\n")
        return
    for request in wanted:
        if named:
            _show(data(), request)
        else:
            _print_line(data(), request)
    if not named:
        talk().line(
            f"{len(seen.open)} open; next: antiphon answer {shlex.quote(str(directory))} --request ID --text TEXT"
            if seen.open
            else "nothing is asked"
        )


def _print_line(paper: Paper, request: Open) -> None:
    from antiphon.workflows.cli.terminal import Piece

    task = " ".join(request.task.split())
    paper.line(
        Piece(request.id[:8], "bold"),
        f"  {request.asked_at}  {task[:_LINE]}",
        Piece(f"  ({request.asker[:_LINE]})" if request.asker else "", "dim"),
        Piece(f"  {request.problem}" if request.problem else "", "bad"),
    )


def _show(paper: Paper, request: Open) -> None:
    from antiphon.workflows.cli.terminal import Piece

    paper.columns = None
    paper.line(Piece(f"request {request.id}", "bold"), f", since {request.asked_at}")
    for what, text in _parts(request):
        paper.line(Piece(what, "bold"))
        paper.text(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}\n[{len(text):,} characters in all]")
    if request.problem:
        paper.line(Piece(request.problem, "bad"))


def _parts(request: Open) -> Iterator[tuple[str, str]]:
    import json as encoder

    for message in request.document["messages"]:
        said = [message["text"], *(f"calls {call['name']} {call['arguments']}" for call in message.get("calls", ()))]
        yield f"-- {message['role']}", "\n".join(said)
    for tool in request.document["tools"]:
        yield f"-- tool {tool['name'][:64]}", f"{tool['description']}\n{encoder.dumps(tool['parameters'])}"
    if request.schema is not None:
        yield "-- the answer is a value of this schema", encoder.dumps(request.schema, indent=1)


def _print_answered(request: Open, *, json: bool) -> None:
    from antiphon.workflows.cli.terminal import data, talk

    if json:
        import json as encoder

        data().raw(encoder.dumps({"answered": request.id}) + "\n")
    else:
        talk().line(f"answered {request.id[:8]}")
