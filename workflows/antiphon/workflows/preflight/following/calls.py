"""What the calls of a script do: the API's own, Python's, and those of functions and classes in the file."""

from __future__ import annotations

import ast
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from antiphon.workflows.preflight.following.builtin_calls import builtin, flattened, method
from antiphon.workflows.preflight.following.contested import ANY
from antiphon.workflows.preflight.following.frames import CHANGING, EXTENDING, GROWING, Frame
from antiphon.workflows.preflight.following.gathering import Gathering
from antiphon.workflows.preflight.following.values import (
    NOTHING,
    Callable,
    Class,
    Instance,
    Items,
    Known,
    Outcome,
    Record,
    Shaped,
    Unknown,
    Value,
    Work,
    added,
    joined,
    listed,
    size_of,
    ways_of,
)
from antiphon.workflows.preflight.model import ONCE, UNKNOWN, Bound, Place
from antiphon.workflows.syntax.scopes import SCRIPT

PYTHONS: Final = frozenset({"builtins", *sys.stdlib_module_names})
_SIZED: Final = frozenset({"builtins", "itertools", "collections", "math", "functools"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The arguments of one call.

    Attributes:
        node: the call. values: by place. named: by keyword. spread: whether some are not written out.
    """

    node: ast.Call
    values: tuple[Value, ...] = ()
    named: Mapping[str, Value] = field(default_factory=dict[str, Value])
    spread: bool = False

    def get(self, name: str, place: int | None = None) -> Value | None:
        """An argument by its name, or by its place; None where it is not given."""
        if name in self.named:
            return self.named[name]
        return self.values[place] if place is not None and place < len(self.values) else None

    @property
    def all(self) -> tuple[Value, ...]:
        """Every argument."""
        return (*self.values, *self.named.values())


class Calls(Gathering):
    """Looks at calls. `contested` are the names that somebody else may change, `fixed` says which attributes stay."""

    contested: frozenset[str]
    contested_attributes: frozenset[str]

    @abstractmethod
    def api(self, name: str, given: Given) -> Value:
        """What a call of a name of the API gives."""

    @abstractmethod
    def inline(self, function: Callable, given: Given, caller: Frame) -> Value:
        """What a call of a function in this file gives."""

    # --- calls ----------------------------------------------------------------------------------------------------

    def call(self, node: ast.Call, frame: Frame) -> Value:
        """What a call gives."""
        name, origin = self.kinds.api_name(node), self.script.origin(node.func)
        if name:
            return self.api(name, self._given(node, frame))
        if isinstance(node.func, ast.Attribute) and not origin.startswith((SCRIPT, "builtins.")):
            found = self._method(node, node.func, frame, origin)
            if found is not None:
                return found
        target = self._target(node.func, frame)
        given = self._given(node, frame)
        ways = [self.called(way, given, origin, frame) for way in ways_of(target)]
        return joined(ways)

    def _target(self, node: ast.expr, frame: Frame) -> Value:
        origin = self.script.origin(node)
        if origin.startswith(f"{SCRIPT}."):
            return Callable(api=origin.rpartition(".")[2])
        return self.evaluate(node, frame)

    def called(self, target: Value, given: Given, origin: str, frame: Frame) -> Value:
        """What calling a value gives."""
        match target:
            case Callable(api=str() as name) if name:
                merged = replace(given, values=(*target.given, *given.values), named={**target.named, **given.named})
                return self.api(name, merged)
            case Callable():
                return self.inline(target, given, frame)
            case Class():
                return self._made(target, given, frame)
            case _:
                return self._foreign(given, origin)

    def _given(self, node: ast.Call, frame: Frame) -> Given:
        values: list[Value] = []
        spread = False
        for one in node.args:
            value = self.evaluate(one, frame)
            each = size_of(value).each if isinstance(one, ast.Starred) else (value,)
            values += each or ()
            spread = spread or each is None
        named: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, frame)
            if keyword.arg is not None:
                named[keyword.arg] = value
            elif isinstance(value, Record):
                named.update(value.fields)
            else:
                spread = True
        return Given(node=node, values=tuple(values), named=named, spread=spread)

    # --- what is not in the file ----------------------------------------------------------------------------------

    def _foreign(self, given: Given, origin: str) -> Value:
        """A call of Python's own functions, or of something that is in another file."""
        module = origin.partition(".")[0]
        if module in _SIZED:
            values = tuple(self.members(one) if isinstance(one, Class) else one for one in given.values)
            given = replace(given, values=values)
            found = self._partial(given, origin) or self._mapped(given, origin) or self._summed(given, origin)
            found = found or builtin(origin, given.values)
            if found is not None:
                return found
        if module in PYTHONS:
            return self._told_by(given, module)
        if not origin:
            return self._told_by(given, "")
        # It may be a coroutine function: then awaiting it does what nobody sees here.
        handed = [place for value in given.all for place in _handed(value)]
        place = Place(
            kind="call",
            title=origin.rpartition(".")[2],
            line=given.node.lineno,
            bound=ONCE,
            construct="unseen",
            source=origin,
            children=tuple(handed),
        )
        return Work((place,), Unknown(f"what {origin.rpartition('.')[2]}() on line {given.node.lineno} gives"))

    def _told_by(self, given: Given, module: str) -> Value:
        """Nothing is known of it; what could be handed to it is not done here, unless it awaits it."""
        handed = [place for value in given.all for place in _handed(value)]
        told = next((one for one in given.all if isinstance(one, Unknown) and one.source), NOTHING)
        return Work(tuple(handed), told) if handed and module != "builtins" else told

    def unseen(self, node: ast.expr) -> Value:
        """Awaiting something of which nothing is known."""
        told = self.told(node.value if isinstance(node, ast.Await) else node)
        called = node.value.func if isinstance(node, ast.Await) and isinstance(node.value, ast.Call) else None
        origin = "" if called is None else self.script.origin(called)
        if origin.partition(".")[0] not in PYTHONS:
            self.put([Place(kind="call", title=told, line=node.lineno, bound=ONCE, construct="unseen", source=told)])
        return Unknown(f"what {told} on line {node.lineno} gives")

    def _partial(self, given: Given, origin: str) -> Value | None:
        if origin != "functools.partial" or not given.node.args:
            return None
        target = self._target(given.node.args[0], Frame()) if not given.values else given.values[0]
        api = self.script.origin(given.node.args[0])
        if api.startswith(f"{SCRIPT}."):
            target = Callable(api=api.rpartition(".")[2])
        if not isinstance(target, Callable):
            return NOTHING
        more = (*target.given, *given.values[1:])
        return Callable(target.node, target.frame, target.api, more, {**target.named, **given.named})

    def _mapped(self, given: Given, origin: str) -> Value | None:
        """``map(function, items)``."""
        if origin != "builtins.map" or len(given.values) < 2:
            return None
        items, target = size_of(given.values[1]), given.values[0]
        api = self.script.origin(given.node.args[0])
        target = Callable(api=api.rpartition(".")[2]) if api.startswith(f"{SCRIPT}.") else target
        item = self.called(target, replace(given, values=(items.item,)), api, Frame())
        return replace(items, item=item, each=None, held=None, outcomes=False)

    def _summed(self, given: Given, origin: str) -> Value | None:
        """``sum(lists, [])``."""
        if origin != "builtins.sum" or len(given.values) != 2 or not isinstance(given.values[1], Items):
            return None
        return flattened(size_of(given.values[0]))

    # --- methods and attributes -----------------------------------------------------------------------------------

    def _method(self, node: ast.Call, func: ast.Attribute, frame: Frame, origin: str) -> Value | None:
        """What a method gives; None where it is to be looked up as any other attribute."""
        if origin:
            return None
        if func.attr in CHANGING and isinstance(func.value, ast.Name):
            return self._changed(node, func.value, func.attr, frame)
        whole = self.evaluate(func.value, frame)
        given = self._given(node, frame)
        found = [self._method_of(way, func, given, frame) for way in ways_of(whole)]
        return joined(found)

    def _method_of(self, whole: Value, func: ast.Attribute, given: Given, frame: Frame) -> Value:
        known = method(whole, func.attr, given.values)
        if known is not None:
            return known
        target = self.attribute(func, whole)
        if isinstance(target, Callable | Class):
            return self.called(target, given, "", frame)
        if isinstance(whole, Work) and whole.places and whole.places[0].construct == "unseen":
            return self._foreign(given, whole.places[0].source)
        told = self._told_by(given, "")
        if isinstance(whole, Unknown | Shaped) and whole.source and told == NOTHING:
            return Unknown(whole.source)
        return told

    def _changed(self, node: ast.Call, name: ast.Name, attr: str, frame: Frame) -> Value:
        """A list that is changed in place."""
        given = self._given(node, frame)
        whole = frame.look(name.id)
        if whole is None:
            return NOTHING
        if isinstance(whole, Items) and attr in GROWING:
            whole = added(whole, listed([given.values[-1] if given.values else NOTHING]))
        elif isinstance(whole, Items) and attr in EXTENDING and given.values:
            whole = added(whole, size_of(given.values[0]))
        elif isinstance(whole, Items) and attr in ("pop", "popleft", "remove", "discard"):
            frame.home(name.id).values[name.id] = replace(whole, each=None, sure=False)
            return whole.item
        elif isinstance(whole, Items) and attr == "clear":
            whole = replace(whole, size=Bound(expected=None, worst=whole.size.worst), each=None, sure=False)
        elif isinstance(whole, Record):
            found = method(whole, "get", given.values) if attr in ("pop", "setdefault") else NOTHING
            frame.home(name.id).values[name.id] = Unknown(f"{name.id}, which changes")
            return found or NOTHING
        else:
            return self._method_of(whole, ast.Attribute(name, attr, ast.Load()), given, frame)
        frame.home(name.id).values[name.id] = whole
        return Known(None)

    def attribute(self, node: ast.Attribute, whole: Value) -> Value:
        """What an attribute is."""
        return joined([self._attribute(way, node.attr) for way in ways_of(whole)])

    def _attribute(self, whole: Value, name: str) -> Value:
        match whole:
            case Outcome(value=value):
                return {"value": value, "item": NOTHING, "ok": NOTHING}.get(name, NOTHING)
            case Instance() | Class() if {name, ANY} & self.contested_attributes:
                return Unknown(f"{name}, which changes")
            case Instance(made_of=made_of, fields=fields):
                return fields.get(name) or self._of_class(made_of, name, whole)
            case Class():
                return self._of_class(whole, name, None)
            case Known() if name == "value":
                return whole  # of a member of an enumeration
            case Record(fields=fields):
                return fields.get(name, NOTHING)
            case Shaped():
                return self.item(whole, Known(name))
            case Unknown():
                return whole
            case _:
                return NOTHING

    # --- classes --------------------------------------------------------------------------------------------------

    def _of_class(self, made_of: Class, name: str, own: Instance | None, depth: int = 0) -> Value:
        """An attribute of a class: a method, bound where there is an instance, or a value."""
        for part in made_of.node.body:
            match part:
                case ast.FunctionDef() | ast.AsyncFunctionDef() if part.name == name:
                    return self._bound(part, made_of, own)
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    return self.evaluate(value, made_of.frame)
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                    return self.evaluate(value, made_of.frame)
                case _:
                    pass
        for base in made_of.node.bases if depth < 10 else ():
            above = self.evaluate(base, made_of.frame)
            if isinstance(above, Class):
                return self._of_class(above, name, own, depth + 1)
        return NOTHING

    def _bound(self, part: ast.FunctionDef | ast.AsyncFunctionDef, made_of: Class, own: Instance | None) -> Value:
        marks = {one.id for one in part.decorator_list if isinstance(one, ast.Name)}
        first: tuple[Value, ...] = (own if own is not None else Instance(made_of),)
        function = Callable(part, made_of.frame, given=() if "staticmethod" in marks else first)
        if "property" not in marks:
            return function
        return self.inline(function, Given(node=ast.Call(ast.Constant(None), [], [])), made_of.frame)

    def _made(self, made_of: Class, given: Given, frame: Frame) -> Value:
        """An instance: fields by the class's annotations, or by its ``__init__``."""
        init = self._of_class(made_of, "__init__", None)
        if isinstance(init, Callable) and isinstance(init.node, ast.FunctionDef):
            return self._initialised(made_of, init.node, given)
        names = [
            one.target.id
            for one in made_of.node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        ]
        fields = {**dict(zip(names, given.values, strict=False)), **given.named}
        if self.is_enumeration(made_of):
            return joined(list(given.values))
        return Instance(made_of, fields)

    def _initialised(self, made_of: Class, init: ast.FunctionDef, given: Given) -> Value:
        own = Instance(made_of, {})
        inner = Frame(around=made_of.frame)
        self.bind(init, replace(given, values=(own, *given.values)), inner)
        fields: dict[str, Value] = {}
        for part in init.body:
            match part:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(), attr=name)], value=value):
                    fields[name] = self.evaluate(value, inner)
                case ast.AnnAssign(target=ast.Attribute(value=ast.Name(), attr=name), value=ast.expr() as value):
                    fields[name] = self.evaluate(value, inner)
                case _:
                    # What is set on some way only, or by the class above, is not followed.
                    fields.update(dict.fromkeys(_attributes_set(part), NOTHING))
        return Instance(made_of, fields)

    @abstractmethod
    def bind(self, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, given: Given, frame: Frame) -> None:
        """Give the parameters of a function their values."""

    def is_enumeration(self, made_of: Class) -> bool:
        """Whether a class lists its members."""
        bases = [self.script.origin(base).rpartition(".")[2] for base in made_of.node.bases]
        return any(base in ("Enum", "StrEnum", "IntEnum") for base in bases)

    def members(self, made_of: Class) -> Items:
        """The members of an enumeration."""
        if not self.is_enumeration(made_of):
            return Items(UNKNOWN)
        values = [one.value for one in made_of.node.body if isinstance(one, ast.Assign)]
        return listed([self.evaluate(value, made_of.frame) for value in values])


def _attributes_set(part: ast.stmt) -> list[str]:
    return [one.attr for one in ast.walk(part) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)]


def _handed(value: Value) -> Sequence[Place]:
    """What may be done with calls that are handed to something nobody sees: each is awaited once at most."""
    places: list[Place] = []
    for way in ways_of(value):
        if isinstance(way, Work):
            places += way.places
        elif isinstance(way, Items) and not isinstance(way.item, Unknown):
            inner = tuple(place for one in ways_of(way.item) if isinstance(one, Work) for place in one.places)
            if inner:
                line = inner[0].line
                places.append(
                    Place(
                        kind="loop",
                        title="each of them",
                        line=line,
                        bound=way.size,
                        source=way.source,
                        argument=way.argument,
                        children=inner,
                    )
                )
    return places
