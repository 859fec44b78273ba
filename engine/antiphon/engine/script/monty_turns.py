"""One script in monty, turn by turn: what it asked for, what it was not answered yet, and how it goes on."""

from __future__ import annotations

import ast
import builtins
import json
import re
import textwrap
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from antiphon.engine.script.guest import text_of
from antiphon.engine.script.monty_errors import ended_by, what_ended
from antiphon.engine.script.monty_workers import Worker
from antiphon.engine.script.runtime import Death, GuestDied, GuestLimits, Program

if TYPE_CHECKING:
    from pydantic_monty import ExternalResult, ExternalSettledResult, FunctionSnapshot, FutureSnapshot, SyncSnapshot

# The frames of one turn in a thread are handed over in portions, so that what is held of a guest stays small.
_PORTION_FRAMES: Final = 128
_PORTION_BYTES: Final = 1 << 20
_PORTION_SECONDS: Final = 0.05
# Characters of replies that may wait for the guest to take them.
_MOST_UNTAKEN: Final = 256 << 20
_NUMBER: Final = re.compile(r'\{"id": ?(\d{1,16})[,}]')
_API: Final = (
    *("agent", "approve", "branch", "budget", "choose", "claims", "fail", "get", "log", "now", "parallel", "phase"),
    *("pipeline", "put", "quorum", "race", "random", "replan", "step", "synthesize", "workflow", "print"),
    *("CallFailed", "Critic", "Outcome", "Outcomes", "Tally", "_a_start"),
)
# What monty calls the texts that it is given, in their order: the prelude, the script, and the call of its main.
_SCRIPT: Final = "<python-input-1>"


class Turns:
    """What the guest asked for and was not answered yet. `go_on` runs in a thread; the rest on the event loop.

    Attributes:
        frames: what it sent, and nobody received yet.
        death: how it ended before its script did: category, reason, advice.
        is_over: whether the script is over.
        untaken: characters of replies that it has not taken.
    """

    def __init__(self, worker: Worker, program: Program, limits: GuestLimits) -> None:
        self._program, self._limits = program, limits
        start = f"await _a_start(main, {json.dumps(json.dumps(dict(program.arguments)))}, {json.dumps(program.token)})"
        self._texts = deque([_sealed(program.token), program.source, start])
        self._feed = partial(worker.session.feed_start, print_callback=_ignored)
        self.frames: deque[str] = deque()
        self.death: tuple[Death, str, str | None] | None = None
        self.is_over = False
        self._next: Callable[[], SyncSnapshot] | None = self._feed_next
        self._asked: tuple[int, FunctionSnapshot] | None = None
        self._blocked: FutureSnapshot | None = None
        self._pending: dict[int, int] = {}  # the number of a frame -> monty's number of the future that waits for it
        self._replies: dict[int, str] = {}
        self._last = self._sent = self._said = self._refused = self._held = 0
        self.untaken = 0

    # --- on the event loop ----------------------------------------------------------------------------------------

    @property
    def is_blocked(self) -> bool:
        """Whether it cannot go on without a reply that is not there."""
        if self._next is not None or self.is_over or self.death is not None:
            return False
        return self._asked[0] not in self._replies if self._asked is not None else not self._ready()

    def next_move(self) -> Callable[[], SyncSnapshot] | None:
        """How the guest goes on; None while it needs a reply that is not there."""
        if self._next is not None:
            move, self._next = self._next, None
            return move
        if self._asked is not None:
            number, snapshot = self._asked
            if number not in self._replies:
                return None
            self._asked = None
            return partial(snapshot.resume, {"return_value": self._take(number)})
        return self._futures()

    def _futures(self) -> Callable[[], SyncSnapshot] | None:
        blocked, ready = self._blocked, self._ready()
        if blocked is None or not ready:
            return None
        self._blocked = None
        results: dict[int, ExternalSettledResult] = {}
        for number in ready:
            results[self._pending.pop(number)] = {"return_value": self._take(number)}
        return partial(blocked.resume, results)

    def _ready(self) -> list[int]:
        return [number for number in self._replies if number in self._pending]

    def _take(self, number: int) -> str:
        reply = self._replies.pop(number)
        self.untaken -= len(reply)
        return reply

    def answer(self, reply: str) -> None:
        """Keep a reply until the guest gets to it."""
        found = _NUMBER.match(reply)
        number = int(found[1]) if found else json.loads(reply)["id"]
        if number not in self._pending and (self._asked is None or self._asked[0] != number):
            raise GuestDied("protocol", "it gave a frame another number than it said")
        if number not in self._replies:
            self._replies[number] = reply
            self.untaken += len(reply)
        if self.untaken > _MOST_UNTAKEN:
            raise GuestDied("frames", "it asks and asks, and takes no replies")

    # --- in a thread ----------------------------------------------------------------------------------------------

    def go_on(self, move: Callable[[], SyncSnapshot]) -> None:
        """Let the guest run until it waits for the host, is over, or there is a portion of frames to hand over."""
        from pydantic_monty import MontyError

        self._held, until = 0, monotonic() + _PORTION_SECONDS
        following: Callable[[], SyncSnapshot] | None = move
        try:
            while following is not None:
                following = self._after(following())
                if self._held >= _PORTION_BYTES or len(self.frames) >= _PORTION_FRAMES or monotonic() > until:
                    break
        except MontyError as error:
            self._failed(error)
        except GuestDied as error:
            self.death = (error.category, error.reason, None)
        except Exception as error:  # of what a guest sends, everything can go wrong, and it is the guest that ends
            self.death = ("crashed", f"monty could not go on: {type(error).__name__}: {str(error)[:200]}", None)
        else:
            self._next = following

    def _failed(self, error: Exception) -> None:
        from pydantic_monty import MontyError

        assert isinstance(error, MontyError)
        ended = what_ended(error, _SCRIPT, self._program)
        if not isinstance(ended, GuestDied) and self._pending:
            # An exception that left main while parts of the script still wait: no script of the dialect gets there.
            ended = GuestDied("crashed", f"it left main in the midst of a fan-out: {str(error)[:200]}")
        if isinstance(ended, GuestDied):
            self.death = (ended.category, ended.reason, ended.advice)
        else:
            self.frames.append(ended_by(ended, self._last + 1, self._program))
            self.is_over = True

    def _feed_next(self) -> SyncSnapshot:
        return self._feed(self._texts.popleft())

    def _after(self, snapshot: SyncSnapshot) -> Callable[[], SyncSnapshot] | None:
        """How to go on after a suspension; None when it needs the host, or is over."""
        from pydantic_monty import FunctionSnapshot, FutureSnapshot, NameLookupSnapshot

        match snapshot:
            case FunctionSnapshot():
                return self._called(snapshot)
            case NameLookupSnapshot():
                self._count_refused()
                return snapshot.resume
            case FutureSnapshot():
                if not self._pending:
                    raise GuestDied("crashed", "it waits for something that it never asked for")
                self._blocked = snapshot
                return None
            case _ if self._texts:
                return self._feed_next
            case _:
                self.is_over = True
                return None

    def _called(self, call: FunctionSnapshot) -> Callable[[], SyncSnapshot] | None:
        name = call.function_name
        if call.is_os_function or name not in ("_a_send", "_a_ask", "_a_tell"):
            self._count_refused()
            return _refusing(call)
        given = call.args
        number = self._noted(given[-1] if given else None, given[0] if len(given) == 2 else None, name)
        if name == "_a_tell":
            return partial(call.resume, {"return_value": None})
        if name == "_a_ask":
            self._asked = (number, call)
            return None
        self._pending[number] = call.call_id
        return partial(call.resume, {"future": ...})

    def _noted(self, text: object, number: object, name: str) -> int:
        """Keep a frame for the host; its number."""
        if not isinstance(text, str):
            raise GuestDied("protocol", "it sent something that is no frame")
        if 4 * len(text) > self._limits.frame_bytes < len(text.encode("utf-8", "replace")):
            raise GuestDied("frames", f"it sent a frame of more than {self._limits.frame_bytes:,} bytes")
        self._sent += 1
        self._said += len(text)
        if self._sent > self._limits.frames or self._said > self._limits.sent_bytes:
            most = f"{self._limits.frames:,} frames, or {self._limits.sent_bytes:,} bytes"
            raise GuestDied("frames", f"it sent more than {most}")
        found = _NUMBER.match(text)
        if found is None or (name != "_a_tell" and number != int(found[1])):
            raise GuestDied("protocol", "it sent a frame without its number")
        self._last = max(self._last, int(found[1]))
        self._held += len(text)
        self.frames.append(text)
        return int(found[1])

    def _count_refused(self) -> None:
        self._refused += 1
        if self._refused > self._limits.frames:
            raise GuestDied("frames", "it asked too often for things that are not there")


# --- what a script is given -------------------------------------------------------------------------------------------


@cache
def _prelude() -> str:
    """The prelude inside of one function that holds what it uses: in monty a script has the same globals."""
    text = f"{text_of('monty')}\n{text_of('prelude')}"
    names = {place.id for place in ast.walk(ast.parse(text)) if isinstance(place, ast.Name)}
    held = sorted(name for name in names if hasattr(builtins, name) and name != "print")
    given = ", ".join(_API)
    return (
        f"def _a_sealed(_a_token, {', '.join(f'{name}={name}' for name in held)}):\n"
        f"{textwrap.indent(text, '    ')}\n"
        f'    _a_here["at"] = _a_token\n'
        f"    return {given}\n"
    )


def _sealed(token: str) -> str:
    return f"{_prelude()}{', '.join(_API)} = _a_sealed({json.dumps(token)})\n"


def _refusing(call: FunctionSnapshot) -> Callable[[], SyncSnapshot]:
    """The answer to a call of something that is not there."""
    name = str(call.function_name)[:100]
    if call.is_os_function and name == "import":
        return call.resume_not_handled
    if not call.is_os_function:
        problem: Exception = NameError(f"name '{name}' is not defined")
    elif "sleep" in name:
        problem = RuntimeError("a script does not sleep: await a call, or set limits={'wall_seconds': ...} on one")
    else:
        problem = PermissionError(f"{name}: a script reaches no files and no system; declare a step for it")
    result: ExternalResult = {"exception": problem}
    return partial(call.resume, result)


def _ignored(_stream: str, _text: str) -> None:
    """What reaches the interpreter's own output; the prelude's `print` sends frames."""
