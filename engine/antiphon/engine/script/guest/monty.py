"""What the prelude stands on in a monty guest: monty runs the tasks, and asks the host whenever a name is not there.

`_a_send`, `_a_ask` and `_a_tell` are such names (`engine/script/monty.py` answers them). Put in front of the prelude,
and with it inside of one function: a script has the same globals here, and its own `Record` or `list` is not ours.
"""

import asyncio as _a_asyncio

_a_Cancelled = BaseException
CallFailed = RuntimeError
UsageError = ValueError


def _a_gather(jobs):
    return _a_asyncio.gather(*jobs)


# --- what a script holds before it awaits -----------------------------------------------------------------------------

# Only coroutines can be awaited, and a coroutine has no attributes: what each stands for is looked up by its identity.
# An entry holds its coroutine, so that the identity is not given to another while it is there.
_a_made = {}


def _a_lazy(kind, what):
    cell = {"kind": kind, "what": what, "begun": False}
    cell["coroutine"] = _a_lazily(cell)
    _a_made[id(cell["coroutine"])] = cell
    return cell["coroutine"]


async def _a_lazily(cell):
    _a_take(cell)
    return await _a_begin(cell["kind"], cell["what"])


def _a_take(cell):
    if cell["begun"]:
        name = cell["what"].get("name") or cell["what"].get("construct")
        raise UsageError(f"<call {name}(...)> is awaited twice: make a new call for each time, calls are not functions")
    cell["begun"] = True
    _a_made.pop(id(cell["coroutine"]), None)
    cell["coroutine"] = None


def _a_call_of(given):
    cell = _a_made.get(id(given))
    if cell is None or cell["kind"] != "call":
        return None
    _a_take(cell)
    return cell["what"]


def _a_drop(given):
    _a_made.pop(id(given), None)


def _a_spawn(job):
    raise UsageError("an asynchronous source of calls needs the jail: give a list, or run with --runtime jail")


def _a_pull(group):
    return None


async def _a_close(source):
    return None


# --- errors and values ------------------------------------------------------------------------------------------------


def _a_describe(error):
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _a_written(value):
    if isinstance(value, (set, frozenset)):
        return [_a_kept(one) for one in value]
    return repr(value)


def print(*values, sep=" ", end="\n", file=None, flush=False):
    text = (" " if sep is None else sep).join([str(one) for one in values])
    _a_tell(_a_frame("print", {"text": text + ("\n" if end is None else end)})[1])


# --- the script -------------------------------------------------------------------------------------------------------


async def _a_start(main, arguments, token):
    """As `_a_main`; but what main raises is for the host to describe, who has its lines."""
    _a_here["at"] = token
    value = _a_kept(await main(**_a_json.loads(arguments)))
    _a_here["at"] = token
    _a_tell(_a_frame("end", {"value": value})[1])
