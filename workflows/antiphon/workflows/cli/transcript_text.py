"""A transcript, printed. Each line of what others wrote stands behind a bar, so that none poses as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from antiphon.engine.amount import from_nano
from antiphon.subagents.model.answering.conversation import ANSWER
from antiphon.subagents.tools.asking import besides_diff, diff_of
from antiphon.workflows.cli.asking import print_question
from antiphon.workflows.cli.diffs import diff_lines
from antiphon.workflows.cli.seen import SeenRun
from antiphon.workflows.cli.terminal import Paper, Part, Piece, cut
from antiphon.workflows.cli.transcript import Answer, Aside, Transcript, Wanted
from antiphon.workflows.cli.untrusted import mapping, text
from antiphon.workflows.cli.words import STYLE_OF, amount, plural, said

_TASK_LINES: Final = 30
_SAID_LINES: Final = 30
_RESULT_LINES: Final = 8
_ARGUMENT_LINES: Final = 6
_DIFF_LINES: Final = 40
_COLUMNS: Final = 240
_TAB: Final = 4
_SHORT: Final = 80
_LISTED: Final = 100
_TELLING: Final = ("path", "command", "name", "pattern", "query", "symbol", "message", "paths")


def print_transcript(paper: Paper, run: SeenRun, told: Transcript, turn: int | None = None) -> None:
    """Print a conversation; with a turn only that answer and what came of it, whole.

    Args:
        paper: where.
        run: that it is of.
        told: the conversation.
        turn: the number of an answer, from 1.
    """
    paper.columns = None  # what is printed here is for reading whole
    _Printer(paper, turn).print(run, told)


class _Printer:
    """Prints one transcript."""

    def __init__(self, paper: Paper, turn: int | None) -> None:
        self._paper, self._turn = paper, turn
        self._bar = f"{paper.glyph('│', '|')} "
        self._thin = f"{paper.glyph('┆', ':')} "  # for what a model only thought, or asked for

    def print(self, run: SeenRun, told: Transcript) -> None:
        """All of it."""
        self._heading(run, told)
        if self._turn is not None:
            for answer in told.answers:
                if answer.number == self._turn:
                    self._answer(answer)
            return
        self._paper.line(Piece("task", "bold"))
        self._lines(told.task, _TASK_LINES, "  ", "--context shows all that it saw")
        for entry in told.entries:
            if isinstance(entry, Answer):
                self._answer(entry)
            else:
                self._aside(entry)
        self._below(run, told)
        self._ending(told)

    def _heading(self, run: SeenRun, told: Transcript) -> None:
        paper, call, prompt = self._paper, told.seen.call, told.seen.prompt
        if run.damage:
            paper.line(Piece("damaged: ", "bad"), run.damage, "; what follows is what could be read")
        what = call.said("label") or call.said("name")
        kind = Piece(said(call.kind), STYLE_OF.get(call.kind, ""))
        paper.line(Piece(call.path, "bold"), "  ", what, "  ", kind)
        if call.source:
            paper.line(f"  replayed: what was done at {call.source}")
        facts = {
            "role": text(prompt.get("role")),
            "model": text(prompt.get("model")),
            "phase": call.said("phase"),
            "workspace": text(mapping(call.ended.get("left")).get("workspace"), 200),
        }
        for name, value in facts.items():
            if value:
                paper.line(Piece(f"  {name}: ", "dim"), value)
        spent = amount(mapping(call.ended.get("spent")))
        answers = plural(len(told.answers), "answer")
        tools = plural(sum(one.name != ANSWER for answer in told.answers for one in answer.wanted), "tool call")
        paper.line(Piece("  cost: ", "dim"), f"{spent}; {answers}, {tools}")

    # --- answers --------------------------------------------------------------------------------------------------

    def _answer(self, answer: Answer) -> None:
        marks = ", ".join(filter(None, (answer.model, _tokens(answer.tokens), _usd(answer.nano))))
        unusual = answer.finish if answer.finish not in ("stop", "tool_calls") else ""
        self._paper.line()
        heading: list[Part] = [Piece(f"answer {answer.number}", "bold"), Piece(f"  {marks}", "dim")]
        self._paper.line(*heading, Piece(f"  {unusual}" if unusual else "", "warn"))
        if answer.rationale:
            for line in self._folded(answer.rationale.split("\n"), _SAID_LINES // 3, self._more(answer)):
                self._paper.line("  ", self._thin, Piece(line, "dim") if isinstance(line, str) else line)
        if answer.said:
            self._lines(answer.said, _SAID_LINES, "  ", self._more(answer))
        for aside in answer.beside:
            self._aside(aside)
        for wanted in answer.wanted:
            self._wanted(wanted, answer)
        if answer.tree:
            self._paper.line(Piece(f"  files are now {answer.tree[:12]}", "dim"))

    def _wanted(self, wanted: Wanted, answer: Answer) -> None:
        paper = self._paper
        mark = Piece(paper.glyph("✗ ", "x "), "bad") if wanted.failed else Piece(paper.glyph("▸ ", "> "), "good")
        first = _first_line(wanted)
        paper.line("  ", mark, Piece(wanted.name, "bold"), f" {cut(first, _SHORT, paper.mark)}" if first else "")
        patch = diff_of(wanted.arguments) if isinstance(wanted.arguments, Mapping) else ""
        for line in self._folded(list(_arguments(wanted, bool(patch), first)), _ARGUMENT_LINES, self._more(answer)):
            paper.line("      ", self._thin, line)
        if patch:
            most = 1_000_000 if self._whole else _DIFF_LINES
            for row in diff_lines(patch, paper, most=most, stat=False):
                paper.line("      ", self._bar, *row)
        if wanted.result is None:
            if wanted.name != ANSWER:  # which has none: what it hands back is the value, printed at the end
                paper.line(Piece("      (the log has no result of it)", "dim"))
        elif wanted.result:
            self._lines(
                wanted.result, _RESULT_LINES, "      ", self._more(answer), style="bad" if wanted.failed else ""
            )

    def _more(self, answer: Answer) -> str:
        return f"--turn {answer.number} shows all"

    # --- the rest -------------------------------------------------------------------------------------------------

    def _aside(self, aside: Aside) -> None:
        style = "dim" if aside.told in ("note", "trouble", "turn") else "warn"
        lines = aside.text.split("\n")
        if aside.told in ("note", "trouble", "approval") and len(lines) == 1:
            self._paper.line("  ", Piece(f"{aside.heading}: " if lines[0] else aside.heading, style), lines[0])
            return
        self._paper.line()
        self._paper.line(Piece(aside.heading, style))
        if aside.text:
            self._lines(aside.text, _SAID_LINES, "  ", "--json has all")

    def _below(self, run: SeenRun, told: Transcript) -> None:
        """What it asked others for, such as its critic."""
        below = run.below(told.seen.call.path)
        for call in below[:_LISTED]:
            kind = Piece(said(call.kind), STYLE_OF.get(call.kind, ""))
            self._paper.line()
            self._paper.line(Piece(f"it asked {call.said('name')}", "bold"), "  ", kind, Piece(f"  {call.path}", "dim"))
            value = call.ended.get("value")
            if value is not None:
                self._lines(_written(value), _RESULT_LINES, "  ", f"--transcript {call.path}")
        if len(below) > _LISTED:
            self._paper.line(f"and {len(below) - _LISTED} more below it; --json names all")

    def _ending(self, told: Transcript) -> None:
        call = told.seen.call
        reason = text(call.ended.get("reason"))
        self._paper.line()
        for place, asked in list(told.asks.items())[:_LISTED]:
            print_question(self._paper, asked, place)
            self._paper.line()
        self._paper.line(
            Piece("ended: ", "bold"),
            Piece(said(call.kind), STYLE_OF.get(call.kind, "")),
            f"  {reason}" if reason else "",
        )
        if told.value is not None:
            self._lines(_written(told.value), _SAID_LINES, "  ", "--json has all")

    @property
    def _whole(self) -> bool:
        return self._turn is not None

    def _lines(self, body: str | None, most: int, indent: str, more: str, *, style: str = "") -> None:
        """Print a text behind a bar, shortened unless one turn is shown whole."""
        if body is None:
            self._paper.line(indent, "(the run does not hold this any more)")
            return
        for line in self._folded(body.rstrip("\n").split("\n"), most, more):
            self._paper.line(indent, Piece(self._bar, style), line)

    def _folded(self, lines: Sequence[str], most: int, more: str) -> Iterator[Part]:
        """Some lines: the first of many, and their last ones, where results say how it ended."""
        mark = self._paper.mark
        lines = [line.expandtabs(_TAB) for line in lines]
        if self._whole or len(lines) <= most + 2:
            yield from (line if self._whole else cut(line, _COLUMNS, mark) for line in lines)
            return
        tail = max(1, most // 3)
        yield from (cut(line, _COLUMNS, mark) for line in lines[: most - tail])
        yield Piece(f"{mark} {plural(len(lines) - most, 'more line')}; {more}", "dim")
        yield from (cut(line, _COLUMNS, mark) for line in lines[-tail:])


def _first_line(wanted: Wanted) -> str:
    """What a call is about, in a few words: the path, the command."""
    if isinstance(wanted.arguments, str):
        return ""
    said = next((wanted.arguments[key] for key in _TELLING if wanted.arguments.get(key)), "")
    return " ".join(_written(said).split())


def _arguments(wanted: Wanted, has_diff: bool, first: str) -> Iterator[str]:
    """The arguments that the first line and the diff do not tell already."""
    if isinstance(wanted.arguments, str):
        yield from wanted.arguments.split("\n")
        return
    shown: Mapping[str, Any] = besides_diff(wanted.arguments) if has_diff else wanted.arguments
    for name, value in shown.items():
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if " ".join(written.split()) == first and len(first) <= _SHORT:
            continue
        head, *rest = written.split("\n")
        yield f"{name}: {head}"
        yield from (f"    {line}" for line in rest)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)


def _tokens(tokens: Mapping[str, int]) -> str:
    count = sum(tokens.values())
    return plural(count, "token") if count else ""


def _usd(nano: int) -> str:
    return f"{from_nano(nano):,f} usd" if nano else ""
