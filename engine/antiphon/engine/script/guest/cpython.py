"""What the prelude stands on in a CPython guest: a scheduler without clocks, threads or sockets.

Run by a process that has nothing but one channel to the host (`antiphon.subagents.jail`): `run` is its entry. Standard
library only, imported before the process is confined.
"""

import collections as _a_collections
import dataclasses as _a_dataclasses
import enum as _a_enum
import json as _a_loads_json
import types as _a_types


class _a_Cancelled(BaseException):
    """The branch was cancelled: nothing that it asks for is answered any more."""


class CallFailed(Exception):
    """A call that was awaited ended without a value: `kind: reason`."""


class UsageError(Exception):
    """What was handed to the script API does not fit."""


# --- the scheduler ----------------------------------------------------------------------------------------------------

_a_ready = _a_collections.deque()  # (task, value to go on with)
_a_waiting = {}  # id of a frame -> the task that waits for its reply
_a_early = {}  # replies that came while somebody asked at once


class _a_Wait:
    """What a task awaits: the reply to a frame, or others that run beside it."""

    __slots__ = ("number", "rest")

    def __init__(self, number):
        self.number = number
        self.rest = 0

    def __await__(self):
        return (yield self)


class _a_Task:
    __slots__ = ("coroutine", "join")

    def __init__(self, coroutine, join=None):
        self.coroutine, self.join = coroutine, join


def _a_go_on(task, value):
    """Let a task run until it waits again, or ends."""
    step, given = task.coroutine.send, value
    while True:
        try:
            wait = step(given)
        except StopIteration:
            _a_ended(task)
            return
        if isinstance(wait, _a_Wait):
            break
        kind = type(wait).__name__
        step, given = task.coroutine.throw, RuntimeError(f"only the script API can be awaited here, not {kind}")
    if wait.number:
        _a_waiting[wait.number] = task
    elif wait.rest:
        wait.around = task
    else:
        _a_ready.append((task, None))


def _a_ended(task):
    join = task.join
    if join is not None:
        join.rest -= 1
        if not join.rest and join.around is not None:
            _a_ready.append((join.around, None))


class _a_Join(_a_Wait):
    """Others that run beside whoever awaits this, to their end."""

    __slots__ = ("around",)

    def __init__(self, jobs):
        self.number, self.rest, self.around = 0, len(jobs), None
        _a_ready.extend((_a_Task(job, self), None) for job in jobs)


def _a_gather(jobs):
    return _a_Join(jobs)


def _a_spawn(job):
    _a_ready.append((_a_Task(job), None))


_a_channel = []


def _a_received():
    """The id and the text of the next reply."""
    text = _a_channel[0].receive()
    return _a_loads_json.loads(text)["id"], text


def _a_tell(text):
    _a_channel[0].send(text)


def _a_send(number, text):
    _a_tell(text)
    return _a_Wait(number)


def _a_ask(number, text):
    _a_tell(text)
    while True:
        received, reply = _a_received()
        if received == number:
            return reply
        _a_early[received] = reply


def _a_until_done(main):
    """Run until `main` has ended and nothing is ready; the rest waits for replies that nobody needs any more."""
    whole = _a_Join([main])
    while True:
        while _a_ready:
            _a_go_on(*_a_ready.popleft())
        if not whole.rest:
            return
        number, text = _a_early.popitem() if _a_early else _a_received()
        task = _a_waiting.pop(number, None)
        if task is not None:
            _a_ready.append((task, text))


# --- what a script holds before it awaits -----------------------------------------------------------------------------


class _a_Lazy:
    """A call, or another construct, that has not begun. Await it, or hand it to a fan-out; once."""

    __slots__ = ("_begun", "kind", "what")

    def __init__(self, kind, what):
        self.kind, self.what, self._begun = kind, what, False

    def __await__(self):
        self.take()
        return _a_begin(self.kind, self.what).__await__()

    def take(self):
        """Say that it begins."""
        if self._begun:
            raise UsageError(f"{self!r} is awaited twice: make a new call for each time, calls are not functions")
        self._begun = True

    def __bool__(self):
        raise UsageError(f"{self!r} has not run yet, so it is neither true nor false: await it first")

    def __repr__(self):
        name = self.what["name"] if self.kind == "call" else self.what["construct"]
        return f"<call {name}(...)>"


_a_lazy = _a_Lazy


def _a_call_of(given):
    if isinstance(given, _a_Lazy) and given.kind == "call":
        given.take()
        return given.what
    return None


def _a_drop(given):
    if isinstance(given, _a_types.CoroutineType):
        given.close()


async def _a_pull(group):
    """Take the next item of an asynchronous source, which may ask for calls of its own, and describe it."""
    _a_here["at"] = group["at"]
    items, jobs = [], []
    try:
        _a_plan(group, items, jobs, await group["source"].__anext__(), group["planned"])
        group["planned"] += 1
        said = {"item": items[0]}
    except StopAsyncIteration:
        said = {"item": None}
    except Exception as error:
        group["raised"].append(error)
        said = {"raised": _a_raised(error)["described"]}
    except BaseException:
        return
    for job in jobs:
        _a_spawn(job)
    _a_here["at"] = group["at"]
    _a_tell(_a_frame("pulled", {"group": group["number"], **said})[1])


async def _a_close(source):
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


# --- errors and values ------------------------------------------------------------------------------------------------

_a_script = {"file": ""}


def _a_describe(error):
    """Type, text, and the innermost place in the script."""
    text = " ".join(str(error).split())[:500]
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == _a_script["file"]:
            place = f" ({code.co_filename}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def _a_written(value):
    if isinstance(value, _a_enum.Enum):
        return _a_kept(value.value)
    if _a_dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = _a_dataclasses.fields(value)
        return {field.name: _a_kept(getattr(value, field.name)) for field in fields}
    if isinstance(value, set | frozenset):
        return [_a_kept(one) for one in value]
    return repr(value)


# --- where CPython can be stricter than the portable dialect ----------------------------------------------------------


def _a_strict(names):
    """Give outcomes what the dialect has no means for: no truth value, no length, a value that raises."""

    def refuse(text):
        def refused(self):
            raise UsageError(text)

        return refused

    def missing(self, name):
        if name == "value":
            raise CallFailed(f"{self.kind}: {self.reason}")
        raise AttributeError(f"an Outcome has no {name!r}")

    names["Outcome"].__bool__ = refuse("an Outcome is neither true nor false: ask for `.ok`, or match on `.kind`")
    names["Outcome"].__getattr__ = missing
    names["Outcomes"].__bool__ = refuse("Outcomes is neither true nor false: ask `.census`, or `if found.succeeded():`")
    names["Tally"].__bool__ = refuse('a Tally is neither true nor false: compare `.decided == "yes"`')


_a_NAMES = (
    *("agent", "approve", "branch", "budget", "choose", "claims", "fail", "get", "log", "now", "parallel", "phase"),
    *("pipeline", "put", "quorum", "race", "random", "replan", "step", "synthesize", "workflow"),
    *("CallFailed", "Critic", "Outcome", "Outcomes", "Tally"),
)


def run(prelude, program, channel, builtins):
    """Run a script to its end, and send what it came to.

    Args:
        prelude: `prelude.py`, compiled.
        program: `source`, `file`, `arguments` and `token` of the script.
        channel: `send(text)` puts a frame on its way; `receive()` waits for the next reply.
        builtins: what the script finds as builtins.

    Raises:
        SyntaxError: the script does not parse.
    """
    names = globals()
    _a_channel.append(channel)
    exec(prelude, names)
    _a_strict(names)
    _a_script["file"] = program["file"]
    code = compile(program["source"], program["file"], "exec", dont_inherit=True)
    own = {"__name__": "workflow", "__builtins__": builtins, **{name: names[name] for name in _a_NAMES}}
    _a_until_done(_a_whole_script(code, own, program))


async def _a_whole_script(code, own, program):
    token = program["token"]
    _a_here["at"] = token
    try:
        exec(code, own)
        main = own["main"]
    except BaseException as error:
        said = _a_raised(error)
        _a_tell(_a_frame("end", said)[1])
        return
    await _a_main(main, program["arguments"], token)
