"""From what a guest asks for to the script API's own calls, so that both mean the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from antiphon.engine.call import Critic
from antiphon.engine.errors import HabitError, UsageError
from antiphon.engine.script import api
from antiphon.engine.script.confined.frames import CallAsked
from antiphon.engine.script.lazy import Lazy

_AGENT: Final = frozenset(
    ("role", "output", "about", "covers", "context", "model", "workspace", "until", "limits", "label")
)
_TYPES: Final[Mapping[str, type]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": cast("type", list[Any]),
    "dict": cast("type", dict[str, Any]),
}


def lazy_of(asked: CallAsked) -> Lazy[Any]:
    """The call. Raises `UsageError` for arguments that do not fit, with the words of the script API."""
    return _MADE[asked.name](dict(asked.args))


def _agent(args: dict[str, Any]) -> Lazy[Any]:
    task, extra = args.pop("task", None), args.pop("extra", 0)
    _known("agent", args, _AGENT)
    _texts("agent", args, ("role", "model", "workspace", "label"))
    if "output" in args:
        args["output"] = _output(args["output"])
    if isinstance(args.get("until"), dict):
        args["until"] = _critic(args["until"])
    return api.agent(task, *([None] if extra else []), **args)


def _known(name: str, args: Mapping[str, Any], known: frozenset[str]) -> None:
    for given in args:
        if given not in known:
            raise UsageError(f"{name}() has no argument {given[:60]!r}")


def _texts(name: str, args: Mapping[str, Any], texts: Sequence[str]) -> None:
    for given in texts:
        if not isinstance(args.get(given, ""), str):
            raise UsageError(f"{name}() takes {given}= as text, not {type(args[given]).__name__}")


def _output(output: Any) -> object:
    match output:
        case {"$type": str(name)} if name in _TYPES:
            return _TYPES[name]
        case _:
            return output


def _critic(given: dict[str, Any]) -> Critic:
    match given:
        case {"role": str(role), "ask": str(ask), "model": str() | None as model}:
            return Critic(role, ask, model)
        case _:
            raise UsageError("Critic() takes a role, what it is to look for, and a model, as text")


def _step(args: dict[str, Any]) -> Lazy[Any]:
    _known("step", args, frozenset(("name", "args", "limits")))
    return api.step(_name("step", args), _object("step", args), limits=args.get("limits"))


def _workflow(args: dict[str, Any]) -> Lazy[Any]:
    _known("workflow", args, frozenset(("name", "args", "limits")))
    return api.workflow(_name("workflow", args), _object("workflow", args), limits=args.get("limits"))


def _name(what: str, args: Mapping[str, Any]) -> str:
    name = args.get("name")
    if not isinstance(name, str):
        raise UsageError(f"{what}() takes a name, as text")
    return name


def _object(what: str, args: Mapping[str, Any]) -> dict[str, Any]:
    given = args.get("args")
    if not isinstance(given, dict):
        raise HabitError(f"{what}() takes its arguments as one object", f'{what}(name, {{"path": ...}})')
    return cast("dict[str, Any]", given)


def _approve(args: dict[str, Any]) -> Lazy[Any]:
    _known("approve", args, frozenset(("question", "details")))
    question = args.get("question")
    if not isinstance(question, str):
        raise UsageError("approve() takes a question, as text")
    return api.approve(question, args.get("details"))


def _choose(args: dict[str, Any]) -> Lazy[Any]:
    _known("choose", args, frozenset(("question", "options", "role", "model", "context")))
    _texts("choose", args, ("role", "model"))
    question, options = args.pop("question", None), args.pop("options", None)
    return api.choose(question, options, **args)


_MADE: Final[Mapping[str, Callable[[dict[str, Any]], Lazy[Any]]]] = {
    "agent": _agent,
    "step": _step,
    "workflow": _workflow,
    "approve": _approve,
    "choose": _choose,
}
