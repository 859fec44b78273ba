"""What a call saw and did, printed. Each line of what others wrote stands behind a bar, so that none poses as ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from antiphon.workflows.cli.seen import Context, SeenCall, SeenRun
from antiphon.workflows.cli.terminal import Paper, Piece
from antiphon.workflows.cli.untrusted import mapping, sequence, text
from antiphon.workflows.cli.words import STYLE_OF, said

if TYPE_CHECKING:
    from antiphon.workflows.cli.seen_sent import SentAt

_LISTED: Final = 200
_TASK: Final = 80
_LONGEST: Final = 10_000_000


def print_calls(
    paper: Paper, run: SeenRun, asked: str, calls: Sequence[SeenCall], *, option: str = "--context"
) -> None:
    """Name the calls below a place, so that one can be picked with the same option."""
    paper.line(Piece(asked, "bold"), f" has {len(calls)} calls; name one of them:")
    for call in calls[:_LISTED]:
        task = call.started.get("task")
        first = task.split("\n", 1)[0] if isinstance(task, str) else ""
        what = call.said("label") or call.said("name")
        paper.line("  ", call.path, "  ", what, "  ", _kind(call), Piece(f"  {first[:_TASK]}" if first else "", "dim"))
    if len(calls) > _LISTED:
        paper.line(f"  {paper.mark} and {len(calls) - _LISTED} more; --json has all, {option} PATH narrows")


def print_context(paper: Paper, run: SeenRun, seen: Context) -> None:
    """Print what one call saw, then what it did."""
    paper.columns = None  # what is printed here is for reading whole
    _print_heading(paper, run, seen)
    if seen.messages:
        _print_prompt(paper, seen)
    else:
        _print_given(paper, seen)
    requests = 0
    for turn in map(mapping, seen.turns):
        requests += turn.get("turn") == "model"
        _print_turn(paper, turn, requests)
    reason = text(seen.call.ended.get("reason"))
    paper.line(Piece("ended: ", "bold"), _kind(seen.call), f"  {reason}" if reason else "")


def print_sent(paper: Paper, run: SeenRun, seen: Context, sent: SentAt) -> None:
    """Print what one request to the model held."""
    paper.columns = None
    _print_heading(paper, run, seen)
    request, short = sent.request, ", ".join(str(index + 1) for index in sent.shortened)
    told = f", of which {short} shortened" if short else ""
    paper.line(f"  request {sent.number}: {len(request.messages)} messages, at most {request.max_tokens} tokens back")
    paper.line(f"  made of a conversation of {sent.conversation} messages{told}")
    if not sent.agrees:
        paper.line(Piece("  not exact: ", "bad"), f"the log says that it had {sent.counted}")
    for place, message in enumerate(request.messages, start=1):
        marks = "kept in the provider's cache up to here" if message.cached else ""
        answers = f", answers {message.answers}" if message.answers else ""
        print_message(paper, f"{place} of {len(request.messages)}, {message.role}{answers}", message.text, marks=marks)
        for call in message.calls:
            print_message(paper, f"calls {call.name} {call.id}", call.arguments)
    for spec in request.tools:
        print_message(paper, f"tool {spec.name}{', forced' if spec.name == request.force else ''}", spec.description)
        paper.line("  parameters: ", _json(spec.parameters))
    if request.schema is not None:
        paper.line("answer's schema: ", _json(request.schema))


def print_message(paper: Paper, heading: str, body: str | None, *, marks: str = "") -> None:
    """Print one message: what it is, then its lines, each behind a bar."""
    paper.line(Piece(heading, "bold"), Piece(f"  {marks}" if marks else "", "dim"))
    if body is None:
        paper.line("  (the run does not hold this text any more)")
        return
    bar = f"  {paper.glyph('│', '|')} "
    for line in body[:_LONGEST].split("\n"):
        paper.line(bar, line)
    if len(body) > _LONGEST:
        paper.line(f"  {paper.mark} and {len(body) - _LONGEST:,} more characters; --json has all")


def _print_heading(paper: Paper, run: SeenRun, seen: Context) -> None:
    call = seen.call
    if run.damage:
        paper.line(Piece("damaged: ", "bad"), run.damage, "; what follows is what could be read")
    paper.line(Piece(call.path, "bold"), f"  {call.said('call')} {call.said('name')}", "  ", _kind(call))
    if call.source:
        paper.line(f"  replayed: what {call.source} saw and did")
    told = {
        "label": call.said("label"),
        "phase": call.said("phase"),
        "role": text(seen.prompt.get("role")),
        "model": text(seen.prompt.get("model")),
        "mode": text(seen.prompt.get("mode")),
        "about": text(call.started.get("about")),
        "covers": ", ".join(map(text, sequence(call.started.get("covers")))),
    }
    for name, value in told.items():
        if value:
            paper.line(f"  {name}: {value}")
    for below in run.below(call.path)[:_LISTED]:
        paper.line(f"  below it: {below.path}  {below.said('name')}  ", _kind(below))


def _print_prompt(paper: Paper, seen: Context) -> None:
    count = len(seen.messages)
    for place, one in enumerate(seen.messages):
        cached = ", kept in the provider's cache up to here" if one.cached else ""
        heading = f"{place + 1} of {count}, {one.role}: {seen.sort_of(place)}"
        print_message(paper, heading, one.text, marks=f"{one.digest[:12]}{cached}")
    for passage in seen.retrieved:
        lines = "-".join(str(line) for line in sequence(passage.get("lines"))[:2])
        digest, score = text(passage.get("sha256"), 64), passage.get("score")
        path = text(passage.get("path"), 4096)
        paper.line(f"retrieved: {path}:{lines}", Piece(f"  sha256 {digest}, score {score!s:.20}", "dim"))
    for tool in map(mapping, sequence(seen.offered.get("tools"))):
        print_message(paper, f"tool {text(tool.get('name'), 200)}", text(tool.get("description")))
        paper.line("  parameters: ", _json(tool.get("parameters")))
    if not seen.offered and sequence(seen.prompt.get("tools")):
        paper.line("tools: ", ", ".join(map(text, sequence(seen.prompt.get("tools")))))
    if seen.offered.get("schema") is not None:
        paper.line("answer's schema: ", _json(seen.offered.get("schema")))


def _print_given(paper: Paper, seen: Context) -> None:
    """What a subagent without a model was given."""
    if seen.given.frames is None:
        paper.line("(the run does not hold its frames any more)")
    for number, frame in enumerate(seen.given.frames or (), start=1):
        print_message(paper, f"frame {number} of {len(seen.given.frames or ())}", _written(frame))
    held = seen.call.started.keys() & {"task", "task_blob"}
    print_message(paper, "task", _written(seen.given.task) if held and seen.given.task is not None else None)


def _print_turn(paper: Paper, turn: dict[str, Any], request: int) -> None:
    match turn.get("turn"):
        case "model":
            _print_answer(paper, turn, request)
        case "tools":
            for result in map(mapping, sequence(turn.get("results"))):
                failed = ", failed" if result.get("failed") is True else ""
                name, number = text(result.get("name"), 200), text(result.get("id"), 200)
                print_message(paper, f"result of {name} {number}{failed}", text(result.get("text"), _LONGEST))
        case "repair":
            print_message(paper, "told: the answer does not fit", text(turn.get("problem"), _LONGEST))
        case "missing":
            print_message(paper, "told: what is missing", text(turn.get("text"), _LONGEST))
        case "notice":
            print_message(paper, f"told: {text(turn.get('anomaly'), 200)}", text(turn.get("text"), _LONGEST))
        case "escalated":
            source, to = text(turn.get("from"), 200), text(turn.get("to"), 200)
            print_message(paper, f"escalated from {source} to {to}", text(turn.get("why"), _LONGEST))
        case _:
            print_message(paper, "turn", _json(turn) if turn else None)


def _print_answer(paper: Paper, turn: dict[str, Any], request: int) -> None:
    sent, usage = mapping(turn.get("sent")), mapping(turn.get("usage"))
    short = len(sequence(sent.get("shortened")))
    used = ", ".join(f"{name} {count}" for name, count in usage.items() if isinstance(count, int) and count)
    marks = [
        f"{sent.get('messages', '?')!s:.20} messages sent",
        f"{short} of them shortened (--turn {request} shows how)" if short else "",
        f"tokens: {used}" if used else "",
    ]
    model = text(turn.get("model"), 200)
    heading = f"answer {request}{' of ' if model else ''}{model}, {text(turn.get('finish'), 50)}"
    print_message(paper, heading, text(turn.get("text"), _LONGEST), marks=", ".join(filter(None, marks)))
    if rationale := text(turn.get("rationale"), _LONGEST):
        print_message(paper, "its rationale", rationale)
    for call in map(mapping, sequence(turn.get("calls"))):
        name, number = text(call.get("name"), 200), text(call.get("id"), 200)
        print_message(paper, f"calls {name} {number}", text(call.get("arguments"), _LONGEST))


def _kind(call: SeenCall) -> Piece:
    return Piece(said(call.kind), STYLE_OF.get(call.kind, ""))


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
