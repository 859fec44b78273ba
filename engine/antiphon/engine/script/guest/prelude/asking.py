"""The script API inside a guest: every name asks the host, which runs the engine's own constructs.

Written in the portable dialect, as one text for every runtime: no inheritance, no generators, no properties. A runtime
supplies, under these names, before this text is run:

    _a_send(id, text)    awaitable: send a frame; the text of its reply
    _a_ask(id, text)     the same, at once
    _a_tell(text)        send a frame that has no reply
    _a_gather(jobs)      awaitable: run coroutines side by side to their end; none of them raises
    _a_spawn(job)        run a coroutine beside the others (where sources can be asynchronous)
    _a_lazy(kind, what)  what a script holds before it awaits: begins `_a_begin(kind, what)` once
    _a_call_of(given)    the call that such a thing is, or None if it is another construct, or none of ours
    _a_drop(given)       say that a coroutine will never be begun
    _a_pull(group)       take the next item of an asynchronous source, and send it; _a_close(source)
    _a_describe(error)   an exception of the script, as one line
    _a_written(value)    what JSON cannot hold, as main's value is kept
    _a_Cancelled, CallFailed, UsageError    what is raised

The scope that a call belongs to is a token in `_a_here`. There is one thread, and nobody else runs between two waits:
so whoever waits for the host notes its scope before, and sets it again after.
"""

import datetime as _a_datetime
import decimal as _a_decimal
import json as _a_json

_a_here = {"at": "", "id": 0, "group": 0}
_a_EPOCH = _a_datetime.datetime(1970, 1, 1, tzinfo=_a_datetime.timezone.utc)
# --- frames -----------------------------------------------------------------------------------------------------------


def _a_frame(do, fields):
    _a_here["id"] += 1
    return _a_here["id"], _a_json.dumps({"id": _a_here["id"], "at": _a_here["at"], "do": do, **fields})


def _a_value_of(text):
    reply = _a_json.loads(text)
    if "cancel" in reply:
        raise _a_Cancelled("cancelled")
    if "failed" in reply:
        raise CallFailed(reply["failed"])
    if "error" in reply:
        raise UsageError(reply["error"])
    return reply["value"]


async def _a_host(do, fields):
    at = _a_here["at"]
    number, text = _a_frame(do, fields)
    reply = await _a_send(number, text)
    _a_here["at"] = at
    return _a_value_of(reply)


def _a_at_once(do, fields):
    number, text = _a_frame(do, fields)
    return _a_value_of(_a_ask(number, text))


# --- values -----------------------------------------------------------------------------------------------------------


class Record:
    """Something the host knows, such as a claim: its fields are attributes, and can be had by name too."""

    def __init__(self, fields, content=None):
        self._fields = fields
        self._content = fields if content is None else content
        for name in fields:
            setattr(self, name, _a_shown(fields[name]))

    def to_json(self):
        """Its content, as records are written: without what it is called, and without fields at their default."""
        return self._content

    def __getitem__(self, name):
        return _a_shown(self._fields[name])

    def __iter__(self):
        return iter(self._fields)

    def __contains__(self, name):
        return name in self._fields

    def __eq__(self, other):
        return isinstance(other, Record) and self._fields == other._fields

    def __repr__(self):
        return f"Record({self._fields!r})"


def _a_shown(value):
    if isinstance(value, dict):
        return Record(value)
    return [_a_shown(one) for one in value] if isinstance(value, list) else value


def _a_plain(value, what):
    """The value as JSON can hold it: what crosses to the host is text, numbers, lists, objects."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_a_plain(one, what) for one in value]
    if isinstance(value, dict):
        return {_a_key(name, what): _a_plain(value[name], what) for name in value}
    raise UsageError(
        f"{what}: JSON cannot hold {type(value).__name__}; pass plain values: text, numbers, lists, objects"
    )


def _a_key(name, what):
    if isinstance(name, str):
        return name
    raise UsageError(f"{what}: the names in an object are text, not {type(name).__name__}")


def _a_kept(value):
    """What `main` returned, as the run keeps it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, dict):
        return {str(name): _a_kept(value[name]) for name in value}
    if isinstance(value, (list, tuple)):
        return [_a_kept(one) for one in value]
    if isinstance(value, _a_datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, _a_decimal.Decimal):
        return str(value)
    return _a_written(value)


def _a_context(context):
    if isinstance(context, str):
        return context
    if isinstance(context, (dict, Record)):
        raise UsageError("context= takes frames, in order: context=[{...}] with a list around it")
    return [_a_plain(frame, "context=") for frame in context]


def _a_units(covers):
    if isinstance(covers, (set, frozenset)):
        raise UsageError("covers= was given a set, whose order changes from run to run: covers=sorted(...)")
    return covers if isinstance(covers, str) else _a_plain(list(covers), "covers=")


_a_TYPES = {str: "str", int: "int", float: "float", bool: "bool", list: "list", dict: "dict"}


def _a_output(output):
    if output is None or isinstance(output, (str, dict)):
        return output
    for known in _a_TYPES:
        if output is known:
            return {"$type": _a_TYPES[known]}
    raise UsageError(
        "output= takes the name of a schema, a JSON Schema as an object, or str, int, float, bool, list, dict"
    )


class Critic:
    """A completion criterion that another subagent judges."""

    def __init__(self, role, ask, model=None):
        self.role = role
        self.ask = ask
        self.model = model


def _a_until(until):
    if until is None or isinstance(until, str):
        return until
    if isinstance(until, Critic):
        return {"role": until.role, "ask": until.ask, "model": until.model}
    raise UsageError("until= of an agent takes a command or a Critic here; a function is for trusted files")


def _a_raised(error):
    """What is said of an exception of the script; its own text may raise too."""
    try:
        return {"error": str(error)[:100_000], "described": _a_describe(error)}
    except Exception:
        kind = type(error).__name__
        return {"error": kind, "described": f"{kind}, whose text cannot be had"}
