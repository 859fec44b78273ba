"""A script that is confined: read and checked here, run in a guest. Nothing of it is executed on the host.

What the host knows of it comes from its text: the manifest, the habits, main's typed parameters. Its `main` is then a
coroutine function that opens a guest and serves what it asks for, with the engine's own constructs.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import anyio

from antiphon.engine.branch import current_branch
from antiphon.engine.errors import ParameterError, UsageError
from antiphon.engine.run import Run
from antiphon.engine.script.runtime import GuestLimits, Runtime
from antiphon.workflows.declared import Declared, Types, UnreadableType
from antiphon.workflows.habits import check_habits
from antiphon.workflows.parameters import Parameters, check_signature, described
from antiphon.workflows.runtimes import JAIL, MONTY
from antiphon.workflows.script_text import guest_text, with_names
from antiphon.workflows.syntax.dialect import dialect
from antiphon.workflows.syntax.scopes import Script, read_script
from antiphon.workflows.syntax.source import parse

LIMITS: Final = GuestLimits()
"""What one script may use, in one guest; each nested workflow has its own."""
_REFUSED_BY: Final = {JAIL: frozenset({"nowhere"}), MONTY: frozenset({"nowhere", "jail"})}
"""Of what `dialect` finds, what each runtime does not run."""


@dataclass(frozen=True, slots=True)
class Written:
    """A script that was read and not executed.

    Attributes:
        text: what a guest runs.
        parameters: of its main.
    """

    text: str
    parameters: Parameters


class GuestParameters(Parameters):
    """The parameters of a main on the other side: it is given JSON, and its defaults are its own."""

    def validate(self, given: Mapping[str, object]) -> dict[str, Any]:
        """What to call main with: `given`, which fits. Raises `ParameterError` as `Parameters.validate` does."""
        from antiphon.workflows.values import plain

        super().validate(given)
        return {one.name: plain(given[one.name]) for one in self.each if one.name in given}


def read_confined(source: str, shown: str) -> Written:
    """What a guest runs of a script, and main's parameters. Nothing of it is executed.

    Args:
        source: the text, whose manifest has been read.
        shown: the file, for messages.

    Raises:
        UsageError: it needs what only a trusted file has, or main's parameters cannot be read.
    """
    tree = parse(source, shown)
    _check_compiles(source.removeprefix("\ufeff"), shown)
    script = read_script(tree)
    signature, declared = _signature(script)
    text = guest_text(source.removeprefix("\ufeff"), tree, shown)
    hints = {name: one.hint for name, one in declared.items()}
    found = described(signature, hints, "main")
    return Written(text + _building(declared), GuestParameters(found.workflow, found.each))


def _check_compiles(text: str, shown: str) -> None:
    """Raise `UsageError` for what parses, and is no Python all the same; compiling executes nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, shown, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UsageError(f"{shown}:{error.lineno or 1}: this is not Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise UsageError(f"{shown}: the code is nested too deeply to be compiled") from None


def check_confined(source: str, shown: str, runtime: str) -> None:
    """Refuse what would go wrong in a runtime, before anything is performed that costs.

    Raises:
        HabitError: the script has habits, whether it imports the API or not.
        UsageError: it has something that this runtime does not run.
    """
    named = with_names(source)
    check_habits(named, shown)
    found = [one for one in dialect(read_script(parse(named, shown))) if one.runs_in in _REFUSED_BY[runtime]]
    if found:
        first, more = found[0], f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        advice = f"write {first.instead}" if first.instead else "see docs/dialect.md"
        elsewhere = "; or --runtime jail" if runtime == MONTY and all(one.runs_in == JAIL for one in found) else ""
        raise UsageError(f"{shown}:{first.line}: {first.what}{more}", advice=f"{advice}{elsewhere}")


def main_of(written: Written, path: Path, runtime: Runtime) -> Callable[..., Awaitable[Any]]:
    """A script's main as the engine calls it: it opens a guest, and serves it to its end."""
    return partial(_served, written.text, path.name, runtime)


MOST_GUESTS: Final = 32
"""How many guests one run has at once at each depth of nesting: a thousand nested workflows are not a thousand
processes. By depth, so that one that waits for a workflow nested in it never holds what that needs."""
_ROOM: Final = WeakKeyDictionary[Run, dict[int, anyio.CapacityLimiter]]()


async def _served(text: str, file: str, runtime: Runtime, /, **arguments: Any) -> Any:
    from antiphon.engine.script.confined import run_confined

    branch = current_branch()
    rooms = _ROOM.setdefault(branch.run, {})
    room = rooms.setdefault(getattr(branch.workflow, "level", 0), anyio.CapacityLimiter(MOST_GUESTS))
    async with room:
        return await run_confined(runtime, source=text, file=file, arguments=arguments, limits=LIMITS)


# --- main's parameters --------------------------------------------------------------------------------------------


def _signature(script: Script) -> tuple[inspect.Signature, dict[str, Declared]]:
    """The signature of main as it is written, and the type of each annotated parameter."""
    main = next(node for node in script.tree.body if isinstance(node, ast.AsyncFunctionDef) and node.name == "main")
    signature = inspect.Signature(list(_parameters(script, main.args)))
    check_signature(signature, "main")
    types, declared = Types(script), dict[str, Declared]()
    for one in [*main.args.args, *main.args.kwonlyargs]:
        if one.annotation is None:
            continue
        try:
            declared[one.arg] = types.read(one.annotation)
        except UnreadableType as error:
            problem = f"{one.arg} has a type that cannot be read from JSON: {error}"
            advice = "use plain types, a dataclass, a TypedDict or an enumeration of the script"
            raise ParameterError("main", f"{problem}; {advice}", str(signature)[:200]) from None
    return signature, declared


def _parameters(script: Script, given: ast.arguments) -> list[inspect.Parameter]:
    kinds = inspect.Parameter
    missing = [None] * (len(given.posonlyargs) + len(given.args) - len(given.defaults))
    defaults = iter([*missing, *given.defaults, *given.kw_defaults])
    sorts = (
        (given.posonlyargs, kinds.POSITIONAL_ONLY),
        (given.args, kinds.POSITIONAL_OR_KEYWORD),
        ([given.vararg] if given.vararg else [], kinds.VAR_POSITIONAL),
        (given.kwonlyargs, kinds.KEYWORD_ONLY),
        ([given.kwarg] if given.kwarg else [], kinds.VAR_KEYWORD),
    )
    starred = (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    return [
        _parameter(script, one, None if kind in starred else next(defaults), kind)
        for those, kind in sorts
        for one in those
    ]


def _parameter(script: Script, one: ast.arg, default: ast.expr | None, kind: Any) -> inspect.Parameter:
    written = inspect.Parameter.empty if one.annotation is None else _annotation(one.annotation)
    value = inspect.Parameter.empty if default is None else _default(script, default)
    return inspect.Parameter(one.arg, kind, default=value, annotation=written)


def _annotation(node: ast.expr) -> str:
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)
    return text.replace("typing.", "")


class Computed:
    """A default that is no literal: the guest has it, and the host only its text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _default(script: Script, node: ast.expr) -> Any:
    """A default as it is written, or as a name stands for that is bound once."""
    value = node
    if isinstance(node, ast.Name):
        found = script.module.bindings.get(node.id, [])
        value = found[0].value if len(found) == 1 and found[0].value is not None else node
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Computed(ast.unparse(node)[:200])


_FIRST: Final = "_antiphon_main"


def _building(declared: Mapping[str, Declared]) -> str:
    """What is added below the script, so that main is given instances of its classes and no JSON; "" for nothing."""
    lines = [
        f"    if {name!r} in given:\n        given[{name!r}] = {one.built(f'given[{name!r}]')}"
        for name, one in declared.items()
        if one.build is not None
    ]
    if not lines:
        return ""
    begin, end = f"\n\n{_FIRST} = main\nasync def main(**given):", f"    return await {_FIRST}(**given)\n"
    return "\n".join([begin, *lines, end])
