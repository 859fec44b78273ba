"""What ended a script in monty, read from its error: an exception of its own, a limit, or a text that does not run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from antiphon.engine.script.runtime import Death, GuestDied, Program

if TYPE_CHECKING:
    from pydantic_monty import Frame, MontyError

_CANCELLED: Final = "cancelled"
_LONGEST_TEXT: Final = 500_000
_SHOWN: Final = 500
_NOT_IN_MONTY: Final = "The monty syntax parser does not yet support "
# What monty says when a limit of ours is reached. A script that raises the same words is ended alike: its own loss.
_LIMITS: Final[tuple[tuple[str, str, Death, str], ...]] = (
    ("TimeoutError", "turn time limit exceeded", "turn", "it computed for too long without waiting for anything"),
    ("TimeoutError", "feed time limit exceeded", "cpu", "it computed for longer than it may in all"),
    ("TimeoutError", "time limit exceeded", "cpu", "it computed for longer than it may in all"),
    ("MemoryError", "memory limit exceeded", "memory", "it needed more memory than it may have"),
    ("MemoryError", "the worker exceeded its memory limit", "memory", "it needed more memory than it may have"),
    ("RuntimeError", "suspension limit exceeded", "frames", "it asked for too many things"),
)


def what_ended(error: MontyError, scripts: str, program: Program) -> GuestDied | dict[str, object]:
    """What an error means: the death of the guest, or the fields of the `end` frame for an exception of the script.

    Args:
        error: what monty raised on the host.
        scripts: what monty calls the script's own text in tracebacks.
        program: the script.
    """
    from pydantic_monty import MontyCrashedError, MontyRuntimeError, MontySyntaxError

    if isinstance(error, MontyCrashedError) and error.timed_out:
        return GuestDied("turn", "it computed for too long without waiting for anything")
    if isinstance(error, MontyCrashedError):
        return GuestDied("crashed", f"its process was lost: {_line(str(error))[:200]}")
    if isinstance(error, MontySyntaxError):
        return _refused(error.display("msg"), error.traceback(), program)
    if not isinstance(error, MontyRuntimeError):
        return GuestDied("crashed", f"monty could not go on: {_line(str(error))[:200]}")
    kind, text = _kind(error.display("type-msg")), error.display("msg")
    if kind == "NotImplementedError" and text.startswith(_NOT_IN_MONTY):
        return _refused(text, error.traceback(), program)
    for name, words, category, reason in _LIMITS:
        if kind == name and words in text[:200]:
            return GuestDied(category, reason)
    if text.startswith("Internal error in monty"):
        return GuestDied("crashed", _line(text))
    if kind == "BaseException" and text == _CANCELLED:
        return {"cancelled": True}
    said = str(error.exception())[:_LONGEST_TEXT]
    return {"error": said, "described": _described(kind, said, error.traceback(), scripts, program)}


def ended_by(fields: dict[str, object], number: int, program: Program) -> str:
    """The `end` frame of the whole script."""
    return json.dumps({"id": number, "at": program.token, "do": "end", **fields})


def _kind(shown: str) -> str:
    return shown[:200].partition(":")[0].strip()


def _line(text: str) -> str:
    return " ".join(text[: 4 * _SHOWN].split())[:_SHOWN]


def _described(kind: str, text: str, frames: Sequence[Frame], scripts: str, program: Program) -> str:
    """Type, text, and the innermost place in the script, as CPython guests describe it."""
    inside = [frame for frame in frames if frame.filename == scripts]
    place = f" ({program.file}:{inside[-1].line} in {inside[-1].function_name or '<module>'})" if inside else ""
    said = _line(text)
    return f"{kind}: {said}{place}" if said else f"{kind}{place}"


def _refused(text: str, frames: Sequence[Frame], program: Program) -> GuestDied:
    what = _line(text.removeprefix(_NOT_IN_MONTY))
    place = f"{program.file}:{frames[-1].line}: " if frames else f"{program.file}: "
    return GuestDied(
        "syntax",
        f"{place}monty does not run this: {what}",
        advice="write it in the portable dialect (docs/dialect.md), or run it with --runtime jail",
    )
