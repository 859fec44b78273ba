"""What a script asks of its own branch, at once; and the script itself, run to its end."""


def phase(title, *, reserve=None):
    _a_at_once("phase", {"title": title, "reserve": _a_plain(reserve, "reserve=")})


def fail(reason, partial=None):
    _a_at_once("fail", {"reason": reason, "partial": _a_plain(partial, "fail()")})


def replan(reason, results=None):
    _a_at_once("replan", {"reason": reason, "results": _a_plain(results, "replan()")})


def put(key, value):
    _a_at_once("put", {"key": key, "value": _a_plain(value, f"put({key!r})")})


def get(key, default=None):
    return _a_at_once("get", {"key": key, "default": _a_plain(default, f"get({key!r})")})


def log(text):
    _a_at_once("log", {"text": str(text)})


def now():
    since = _a_at_once("now", {})
    return _a_EPOCH + _a_datetime.timedelta(seconds=since // 1_000_000, microseconds=since % 1_000_000)


def random():
    return _a_at_once("random", {})


class Budget:
    """What a script may read of the budget. Readings are recorded, and replay."""

    def used(self, kind="usd"):
        return _a_number(_a_at_once("budget", {"reading": "used", "kind": kind}))

    def remaining(self, kind="usd"):
        return _a_number(_a_at_once("budget", {"reading": "remaining", "kind": kind}))


def _a_number(said):
    return _a_decimal.Decimal(said) if isinstance(said, str) else said


budget = Budget()


def _a_paths(of):
    if of is None:
        return None
    if isinstance(of, Outcome):
        return [of.path]
    if isinstance(of, Outcomes):
        return [outcome.path for outcome in of]
    raise UsageError(f"claims(of=...) takes what a fan-out or branch gave, not {type(of).__name__}")


def claims(of=None, *, phase=None, status=None):
    found = _a_at_once("claims", {"of": _a_paths(of), "phase": phase, "status": status})
    return [Record(each["fields"], each["content"]) for each in found]


def synthesize(*, planned=()):
    if isinstance(planned, (set, frozenset)):
        raise UsageError("planned= was given a set, whose order changes from run to run: planned=sorted(...)")
    given = planned if isinstance(planned, dict) else list(planned)
    return Record(_a_at_once("synthesize", {"planned": _a_plain(given, "planned=")}))


# --- the script -------------------------------------------------------------------------------------------------------


async def _a_main(main, arguments, token):
    """Run a script's `main` to its end, and say what it came to."""
    _a_here["at"] = token
    try:
        ended = {"value": _a_kept(await main(**arguments))}
    except Exception as error:
        ended = _a_raised(error)
    except BaseException:
        ended = {"cancelled": True}
    _a_here["at"] = token
    _a_tell(_a_frame("end", ended)[1])
