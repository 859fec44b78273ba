"""What a guest is answered at once: the script API's own functions, called in the branch that asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NoReturn, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from antiphon.engine.branch import Branch
from antiphon.engine.errors import UsageError
from antiphon.engine.outcome import Outcome, Outcomes
from antiphon.engine.script import api
from antiphon.engine.script.confined.frames import NowFrame
from antiphon.tracing.log import Json


def answered(here: Branch, frame: NowFrame) -> Json:
    """The answer. Whoever calls has made `here` the current branch.

    Raises:
        UsageError, CallFailed: as the function of the script API does.
        Stopped: the run is over.
    """
    return _ANSWERS[frame.do](here, frame)


def shown(value: object) -> Json:
    """A value of the host's as a guest sees it: plain JSON; of a record also its id."""
    if isinstance(value, list | tuple):
        return [shown(one) for one in cast("Sequence[object]", value)]
    own = None if isinstance(value, BaseModel) else getattr(value, "to_json", None)  # which may leave out defaults
    said: Any = own() if callable(own) else to_jsonable_python(value, fallback=repr, inf_nan_mode="strings")
    id = getattr(value, "id", None)
    if isinstance(said, dict) and isinstance(id, str):
        return {**cast("dict[str, Json]", said), "id": id}
    return cast("Json", said)


def _text(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise UsageError(f"{what} takes text, not {type(given).__name__}")
    return given


def _phase(_here: Branch, frame: NowFrame) -> None:
    api.phase(_text(frame.title, "phase()"), reserve=frame.reserve)


def _log(_here: Branch, frame: NowFrame) -> None:
    api.log(_text(frame.text, "log()"))


def _now(_here: Branch, _frame: NowFrame) -> Json:
    return round(api.now().timestamp() * 1_000_000)


def _random(_here: Branch, _frame: NowFrame) -> Json:
    return api.random()


def _put(_here: Branch, frame: NowFrame) -> None:
    api.put(_text(frame.key, "put()"), frame.value)


def _get(_here: Branch, frame: NowFrame) -> Json:
    given: Json = api.get(_text(frame.key, "get()"), frame.default)
    return given


def _budget(_here: Branch, frame: NowFrame) -> Json:
    kind = _text(frame.kind, "budget")
    read = api.budget.used(kind) if frame.reading == "used" else api.budget.remaining(kind)
    return str(read) if isinstance(read, Decimal) else read


def _fail(_here: Branch, frame: NowFrame) -> NoReturn:
    api.fail(_text(frame.reason, "fail()"), frame.partial)


def _replan(_here: Branch, frame: NowFrame) -> None:
    api.replan(_text(frame.reason, "replan()"), frame.results)


def _claims(here: Branch, frame: NowFrame) -> Json:
    here.run.check()
    of = None if frame.of is None else Outcomes[Any]([Outcome(path=path) for path in frame.of])
    found: Sequence[object] = _host(here, "claims")(here, of, frame.phase, frame.status)
    return [{"fields": shown(claim), "content": _content(claim)} for claim in found]


def _content(claim: object) -> Json:
    """What a record says, as records are written; None where that is all of its fields."""
    own = getattr(claim, "to_json", None)
    return cast("Json", own()) if callable(own) else None


def _synthesize(here: Branch, frame: NowFrame) -> Json:
    here.run.check()
    planned: Any = frame.planned
    if not isinstance(planned, list | dict) or not all(isinstance(unit, str) for unit in cast("list[object]", planned)):
        raise UsageError("synthesize(planned=...) takes the names of units, or an object of names and their checks")
    return shown(_host(here, "synthesize")(here, planned))


def _host(here: Branch, name: str) -> Callable[..., Any]:
    function = here.run.host.get(name)
    if function is None:
        raise UsageError(f"{name}() works only inside a workflow file")
    return function


_ANSWERS: Final[Mapping[str, Callable[[Branch, NowFrame], Json]]] = {
    "phase": _phase,
    "log": _log,
    "now": _now,
    "random": _random,
    "put": _put,
    "get": _get,
    "budget": _budget,
    "fail": _fail,
    "replan": _replan,
    "claims": _claims,
    "synthesize": _synthesize,
}
