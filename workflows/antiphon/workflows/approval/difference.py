"""What a version of a script gained over the one that was approved before: line by line, and by meaning."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, cast

from antiphon.workflows.approval.store import Approved, sha16
from antiphon.workflows.approval.subject import Subject

_MOST_LINES: Final = 6_000
_LISTS: Final = ("phases", "steps", "roles", "verify")
_SCOPE: Final = ("read", "write", "tools", "network")
_COST: Final = ("calls", "model_calls", "tokens", "usd", "seconds")
_TINY: Final = 1e-9
_SILENT: Final = "not said"


class Change(NamedTuple):
    """One thing that is not as it was.

    Attributes:
        what: such as ``scope.write`` or ``limits.usd``.
        sort: whether the script may do more, may do less, or something else.
        before, after: in words; "" for nothing.
    """

    what: str
    sort: Literal["gains", "loses", "changes"]
    before: str
    after: str


def unified(before: str, after: str) -> str:
    """The difference of two texts as a patch; "" where there is none, or too much of it to be compared."""
    if before == after:
        return ""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > _MOST_LINES:
        return ""
    return "".join(difflib.unified_diff(_ended(old), _ended(new), "approved", "now"))


def changes(before: Approved, now: Subject, cost: Mapping[str, Any]) -> list[Change]:
    """What the scope, the limits, the declarations and the cost gained, lost, or have otherwise.

    Args:
        before: what was approved last.
        now: what is asked for.
        cost: of that, as `Cost.to_json` gives it.
    """
    return [
        *_of_scope(_object(before.manifest.get("scope")), _object(now.manifest.get("scope"))),
        *_of_limits(_object(before.manifest.get("limits")), _object(now.manifest.get("limits"))),
        *(one for name in _LISTS for one in _of_lists(name, before.manifest.get(name), now.manifest.get(name))),
        *_of_objects("models", _object(before.manifest.get("models")), _object(now.manifest.get("models"))),
        *_of_objects("granted", before.granted, now.granted),
        *_of_arguments(before.arguments, {name: sha16(value) for name, value in now.arguments.items()}),
        *_of_cost(before.cost, cost),
    ]


def _ended(lines: list[str]) -> list[str]:
    return [line if line.endswith("\n") else f"{line}\n" for line in lines]


def _of_scope(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in _SCOPE:
        if (name in before) == (name in now):
            yield from _of_lists(f"scope.{name}", before.get(name), now.get(name))
        elif name in now:
            yield Change(f"scope.{name}", "loses", _SILENT, ", ".join(_texts(now[name])) or "nothing")
        else:
            yield Change(f"scope.{name}", "gains", ", ".join(_texts(before[name])) or "nothing", _SILENT)


def _of_lists(what: str, before: object, now: object) -> Iterator[Change]:
    old, new = _texts(before), _texts(now)
    for one in new:
        if one not in old:
            yield Change(what, "gains", "", one)
    for one in old:
        if one not in new:
            yield Change(what, "loses", one, "")


def _of_limits(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield Change(f"limits.{name}", _direction(_number(old), _number(new)), _said(old), _said(new))


def _direction(old: float | None, new: float | None) -> Literal["gains", "loses", "changes"]:
    """No limit is more than any limit."""
    if old is None or new is None:
        return "changes" if old == new else "gains" if new is None else "loses"
    return "gains" if new > old else "loses"


def _of_objects(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield Change(f"{what}.{name}", "changes", _said(old), _said(new))


def _of_arguments(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    """Their values are not kept: they may be large, or secret."""
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            after = "another value" if name in now else ""
            yield Change(f"argument {name}", "changes", "a value" if name in before else "", after)


def _of_cost(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in _COST:
        old, new = _worst(before, name), _worst(now, name)
        known = isinstance(before.get(name), dict)
        if known and old != new and not _same(old, new):
            yield Change(f"cost.{name}", _direction(old, new), _bound(old), _bound(new))


def _worst(cost: Mapping[str, Any], name: str) -> float | None:
    worst = _object(cost.get(name)).get("worst")
    return float(worst) if isinstance(worst, int | float) else None


def _same(old: float | None, new: float | None) -> bool:
    return old is not None and new is not None and abs(old - new) <= _TINY * max(abs(old), abs(new))


def _bound(count: float | None) -> str:
    return "unbounded" if count is None else f"at most {count:,.6g}"


def _number(value: object) -> float | None:
    try:
        return float(cast("Any", value))
    except (TypeError, ValueError):
        return None


def _said(value: object) -> str:
    return "" if value is None else str(value)[:200]


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [str(one) for one in cast("list[object]", value)] if isinstance(value, list | tuple) else []
