"""What the functions of a script do where they are called, and what main does with the arguments it is given."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from antiphon.tracing import Json
from antiphon.workflows.preflight.following.calls import Given
from antiphon.workflows.preflight.following.constructs import Constructs
from antiphon.workflows.preflight.following.contested import contested_attributes, contested_names, root_of
from antiphon.workflows.preflight.following.frames import (
    YIELDED,
    Frame,
    rebound_names,
)
from antiphon.workflows.preflight.following.values import (
    NOTHING,
    Callable,
    Items,
    Known,
    OneOf,
    Record,
    Unknown,
    Value,
    Work,
    joined,
    of_json,
)
from antiphon.workflows.preflight.model import ONCE, UNKNOWN, Place
from antiphon.workflows.syntax.kinds import Kinds
from antiphon.workflows.syntax.scopes import SCRIPT, parameters

_MOST_ACTIVE: Final = 24
"""Functions inside functions that are followed."""
_MOST_AGAIN: Final = 10
"""How often a function is followed into itself, as long as a number it is given goes down."""
_NAMES_A_STEP: Final = 20
"""Names that are copied in the time of one step."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Functions(Constructs):
    """Looks at functions: each is followed where it is called, with what is known of its arguments."""

    def __init__(self, kinds: Kinds) -> None:
        super().__init__(kinds)
        self.contested = contested_names(self.script)
        self.contested_attributes = contested_attributes(self.script)
        self._changing: dict[int, frozenset[str]] = {}
        self.hands_back = any(self._changes_its_own(node) for node in self.script.nodes)
        self._active: list[tuple[ast.AST, tuple[Value, ...]]] = []
        self._returned: list[list[Value]] = []
        self._endless: set[ast.AST] = set()
        self._retold: set[ast.AST] = set()
        self.module = Frame()

    # --- the whole ------------------------------------------------------------------------------------------------

    def script_of(self, arguments: Mapping[str, Json]) -> list[Place]:
        """What main does, given these arguments."""
        with self.apart():
            self.block(self.script.tree.body, self.module)
        main = self.module.values.get("main")
        if not isinstance(main, Callable) or not isinstance(main.node, ast.AsyncFunctionDef):
            return []
        frame = Frame(around=self.module)
        self._bind_main(main.node, arguments, frame)
        with self.apart() as places:
            self._body(main.node, frame)
        return places

    def _bind_main(self, main: ast.AsyncFunctionDef, arguments: Mapping[str, Json], frame: Frame) -> None:
        self.bind(main, Given(node=ast.Call(ast.Constant(None), [], [])), frame)
        for one in parameters(main.args):
            if one.arg in arguments:
                frame.values[one.arg] = of_json(arguments[one.arg])
            elif frame.values.get(one.arg, NOTHING) == NOTHING:
                frame.values[one.arg] = Unknown(f"the argument {one.arg}", argument=True)

    def named(self, node: ast.Name, name: str, frame: Frame) -> Value:
        """What a name stands for."""
        if name in self.contested:
            return Unknown(f"{name}, which changes in several places")
        found = frame.look(name)
        if found is not None:
            return found
        origin = self.script.origin(node)
        return Callable(api=origin.rpartition(".")[2]) if origin.startswith(f"{SCRIPT}.") else NOTHING

    # --- functions ------------------------------------------------------------------------------------------------

    def inline(self, function: Callable, given: Given, caller: Frame) -> Value:
        """What a call of a function in this file gives; of a coroutine, what awaiting it does."""
        own = function.node
        assert own is not None
        given = replace(given, values=(*function.given, *given.values), named={**function.named, **given.named})
        if not self._may_enter(own, given):
            title = f"{getattr(own, 'name', 'a function')}() calls itself"
            place = Place(
                kind="loop",
                title=title,
                line=own.lineno,
                bound=UNKNOWN,
                construct="recursion",
                children=self._asks_something(own),
            )
            return Work((place,)) if isinstance(own, ast.AsyncFunctionDef) else Unknown(title)
        outermost = all(one is not own for one, _ in self._active)
        found = self._followed(own, function, given, caller)
        if outermost and own in self._endless and own not in self._retold:
            self._retold.add(own)  # its depth has no end that could be shown: told once, and not ten deep
            found = self._followed(own, function, given, caller)
        return found

    def _followed(self, own: Definition, function: Callable, given: Given, caller: Frame) -> Value:
        frame = Frame(around=function.frame)
        self.bind(own, given, frame)
        self._active.append((own, given.all))
        try:
            return self._entered(own, frame, given, caller)
        finally:
            self._active.pop()

    def _asks_something(self, own: ast.AST) -> tuple[Place, ...]:
        """The leaves that a function's own text calls, for what a recursion may repeat."""
        self.spend(self.size(own) // _NAMES_A_STEP)
        names = dict.fromkeys(self.kinds.api_name(node) for node in ast.walk(own) if isinstance(node, ast.Call))
        line = getattr(own, "lineno", 1)
        return tuple(
            Place(kind="call", title=name, line=line, bound=ONCE, construct=name) for name in names if name == "agent"
        )

    def _changes_its_own(self, node: ast.AST) -> bool:
        """Whether a function changes in place what it is given."""
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        return bool({one.arg for one in parameters(node.args)} & self.changed_in(node))

    def _may_enter(self, own: ast.AST, given: Given) -> bool:
        """Not once more into a function that is being looked at, unless a number that it is given changes."""
        again = [before for node, before in self._active if node is own]
        if len(self._active) > _MOST_ACTIVE or len(again) > _MOST_AGAIN:
            self.complete = self.complete and len(again) > _MOST_AGAIN
            self._endless.add(own)
            return False
        if again and own in self._endless:
            return False
        return not again or _numbers(given.all) not in [_numbers(before) for before in again]

    def _entered(
        self, own: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, frame: Frame, given: Given, caller: Frame
    ) -> Value:
        if isinstance(own, ast.Lambda):
            return self.evaluate(own.body, frame)
        if isinstance(own, ast.FunctionDef):
            value = self._body(own, frame)
            self._hand_back(own, frame, given, caller)
            return value
        with self.apart() as places:
            value = self._body(own, frame)
        self._hand_back(own, frame, given, caller)
        if YIELDED in frame.values:
            self.put(places)
            return value
        return Work(self.counted(places), value)

    def _body(self, own: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> Value:
        self._returned.append([])
        ended = self.block(own.body, frame)
        returned = self._returned.pop()
        if YIELDED in frame.values:
            return frame.values[YIELDED]
        return joined(returned if ended and returned else [*returned, Known(None)])

    def _hand_back(
        self, own: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame, given: Given, caller: Frame
    ) -> None:
        """A list that was handed over, and changed in place there, is changed here too."""
        changed = self.changed_in(own)
        for parameter, handed in _handed(own, given):
            name = root_of(handed) if parameter in changed or parameter is None else None
            if name is None or not isinstance(caller.look(name.id), Items | Record | OneOf):
                continue  # a number or a text is the caller's own
            whole = parameter is not None and name is handed and parameter not in rebound_names(own)
            now = frame.values.get(parameter, NOTHING) if whole and parameter is not None else NOTHING
            caller.home(name.id).values[name.id] = now

    def bind(self, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, given: Given, frame: Frame) -> None:
        """Give the parameters of a function their values."""
        known = function.args
        places = [*known.posonlyargs, *known.args]
        defaults = dict(
            zip([one.arg for one in places[len(places) - len(known.defaults) :]], known.defaults, strict=True)
        )
        defaults |= {one.arg: value for one, value in zip(known.kwonlyargs, known.kw_defaults, strict=True) if value}
        around = frame.around or frame
        for one in parameters(known):
            default = defaults.get(one.arg)
            fixed = not given.spread and one.arg not in self.changed_in(function)
            frame.values[one.arg] = self.evaluate(default, around) if default is not None and fixed else NOTHING
        frame.values.update({one.arg: value for one, value in zip(places, given.values, strict=False)})
        frame.values.update({name: value for name, value in given.named.items() if name in frame.values})

    @abstractmethod
    def block(self, statements: Sequence[ast.stmt], frame: Frame) -> bool:
        """Look at statements in order; whether they never get to their end."""


def _handed(own: ast.FunctionDef | ast.AsyncFunctionDef, given: Given) -> Iterator[tuple[str | None, ast.expr]]:
    """Each argument of a call as it is written, with its parameter; None for those that are not written out."""
    places = [one.arg for one in (*own.args.posonlyargs, *own.args.args)]
    offset = max(len(given.values) - len(given.node.args), 0)
    for number, argument in enumerate(given.node.args, offset):
        if isinstance(argument, ast.Starred):
            yield None, argument.value
        else:
            yield places[number] if number < len(places) else None, argument
    for keyword in given.node.keywords:
        yield keyword.arg, keyword.value


def _numbers(values: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(value for value in values if isinstance(value, Known) and type(value.value) is int)
