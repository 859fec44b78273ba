"""The types that a script's main declares, read from its text: nothing of a confined script runs on the host.

A type is what pydantic validates with, so that messages are those of trusted files, and how a value of it is built from
JSON on the other side: the host sends JSON, and `main` is given what a trusted one would be.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, Union, cast

from typing_extensions import TypedDict

from antiphon.workflows.syntax.scopes import Binding, Script

_DEEPEST: Final = 20
_LARGEST: Final = 500
_PLAIN: Final[dict[str, Any]] = {
    "builtins.str": str,
    "builtins.int": int,
    "builtins.bool": bool,
    "builtins.object": Any,
    "typing.Any": Any,
    "builtins.list": list[Any],
    "builtins.dict": dict[str, Any],
    "typing.List": list[Any],
    "typing.Dict": dict[str, Any],
}
_BUILT: Final[dict[str, tuple[Any, str]]] = {
    "builtins.float": (float, "float({})"),
    "builtins.tuple": (tuple[Any, ...], "tuple({})"),
    "builtins.set": (set[Any], "set({})"),
    "builtins.frozenset": (frozenset[Any], "frozenset({})"),
}
_SAME: Final[dict[str, str]] = {
    "typing.Tuple": "builtins.tuple",
    "typing.Set": "builtins.set",
    "typing.Sequence": "builtins.list",
    "collections.abc.Sequence": "builtins.list",
    "typing.Iterable": "builtins.list",
    "collections.abc.Iterable": "builtins.list",
    "typing.Mapping": "builtins.dict",
    "collections.abc.Mapping": "builtins.dict",
    "typing.List": "builtins.list",
    "typing.Dict": "builtins.dict",
}
Build = Callable[[str], str]


class UnreadableType(Exception):
    """An annotation is none that can be read from a text, or none that JSON has a form for; the message says which."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared type.

    Attributes:
        hint: what pydantic validates with.
        build: gives the expression that makes the value of an expression for its JSON; None where they are the same.
    """

    hint: Any
    build: Build | None = None

    def built(self, expression: str) -> str:
        """The expression for a value whose JSON is `expression`."""
        return self.build(expression) if self.build else expression


class Types:
    """Reads the annotations of one script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._within: list[str] = []
        self._parts = 0

    def read(self, node: ast.expr, depth: int = 0) -> Declared:
        """The type that an annotation declares.

        Raises:
            UnreadableType: it declares none that can be read.
        """
        self._parts += 1
        if depth > _DEEPEST or self._parts > _LARGEST:
            raise UnreadableType("it is nested too deeply")
        match node:
            case ast.Constant(value=None):
                return Declared(None)
            case ast.Constant(value=str(text)):
                return self.read(_quoted(text), depth + 1)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return _union([self.read(left, depth + 1), self.read(right, depth + 1)])
            case ast.Subscript(value=whole, slice=inside):
                parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
                return self._generic(self.origin(whole), parts, depth + 1)
            case ast.Name() | ast.Attribute():
                return self._named(node, depth + 1)
            case _:
                raise UnreadableType(f"{ast.unparse(node)[:60]} is no type")

    def origin(self, node: ast.expr) -> str:
        """The dotted name that an expression at the left margin stands for; that of a name of the script is its own."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise UnreadableType(f"{ast.unparse(node)[:60]} is no type")
        binding = self._binding(node.id)
        root = binding.origin if binding else f"builtins.{node.id}"
        return ".".join([root or node.id, *reversed(parts)])

    def _binding(self, name: str) -> Binding | None:
        found = self._script.module.bindings.get(name, [])
        return found[0] if len(found) == 1 else None

    def _named(self, node: ast.Name | ast.Attribute, depth: int) -> Declared:
        binding = self._binding(node.id) if isinstance(node, ast.Name) else None
        if binding is not None and not binding.origin:
            return self._own(cast(ast.Name, node).id, binding, depth)
        name = self.origin(node)
        name = _SAME.get(name, name)
        if name in _PLAIN:
            return Declared(_PLAIN[name])
        if name in _BUILT:
            return _built(*_BUILT[name])
        if name.startswith("builtins.") and binding is None:
            raise UnreadableType(f"name {name.removeprefix('builtins.')[:60]!r} is not defined")
        raise UnreadableType(f"{name[:60]} is nothing that a confined main can be given")

    def _generic(self, name: str, parts: Sequence[ast.expr], depth: int) -> Declared:
        name = _SAME.get(name, name)
        if name == "typing.Literal":
            return _one_of([_literal(part) for part in parts])
        if name == "typing.Annotated":
            return self.read(parts[0], depth)
        if name == "builtins.tuple" and isinstance(parts[-1], ast.Constant) and parts[-1].value is ...:
            item = self.read(parts[0], depth)
            return Declared(_of(tuple, item.hint, ...), lambda text: f"tuple({_each(item, text)})")
        inner = [self.read(part, depth) for part in parts]
        match name, inner:
            case "typing.Optional", [one]:
                return _union([one, Declared(None)])
            case "typing.Union", _:
                return _union(inner)
            case "builtins.list", [one]:
                return Declared(_of(list, one.hint), _list(one))
            case "builtins.dict", [key, value]:
                return Declared(_of(dict, key.hint, value.hint), _dict(key, value))
            case "builtins.set" | "builtins.frozenset", [one]:
                kind = set if name == "builtins.set" else frozenset
                return Declared(_of(kind, one.hint), lambda text: f"{kind.__name__}({_each(one, text)})")
            case "builtins.tuple", _:
                return Declared(_of(tuple, *(one.hint for one in inner)), _tuple(inner))
            case _:
                raise UnreadableType(f"{name.removeprefix('builtins.')[:60]} takes no such types")

    # --- what the script defines itself ---------------------------------------------------------------------------

    def _own(self, name: str, binding: Binding, depth: int) -> Declared:
        if name in self._within:
            raise UnreadableType(f"{name[:60]} contains itself; declare that part as dict[str, Any]")
        self._within.append(name)
        try:
            if isinstance(binding.node, ast.ClassDef):
                return self._class(binding.node, depth)
            if binding.value is not None:
                return self.read(binding.value, depth)
        finally:
            self._within.pop()
        raise UnreadableType(f"{name[:60]} is no type")

    def _class(self, node: ast.ClassDef, depth: int) -> Declared:
        bases = [self.origin(base) for base in node.bases]
        if "typing.TypedDict" in bases:
            return self._typed_dict(node, depth)
        if any(base.startswith("enum.") for base in bases):
            return _enumeration(node)
        if not bases and any(self._is_dataclass(one) for one in node.decorator_list):
            return self._dataclass(node, depth)
        raise UnreadableType(f"{node.name[:60]} is no dataclass, TypedDict or enumeration")

    def _is_dataclass(self, decorator: ast.expr) -> bool:
        return self.origin(decorator.func if isinstance(decorator, ast.Call) else decorator) == "dataclasses.dataclass"

    def _fields(self, node: ast.ClassDef, depth: int) -> dict[str, tuple[Declared, bool]]:
        """What a class declares: the type of each field, and whether it has to be given."""
        return {
            one.target.id: (self.read(one.annotation, depth), one.value is None)
            for one in node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        }

    def _dataclass(self, node: ast.ClassDef, depth: int) -> Declared:
        fields = self._fields(node, depth)
        # What a default is does not matter here: the guest's own dataclass has it.
        each: list[Any] = [
            (name, declared.hint) if needed else (name, declared.hint, dataclasses.field(default=None))
            for name, (declared, needed) in fields.items()
        ]
        try:
            made = dataclasses.make_dataclass(node.name, each, kw_only=True)
        except (TypeError, ValueError) as error:
            raise UnreadableType(f"{node.name[:60]}: {error}") from None
        inner = _entries({name: declared for name, (declared, _) in fields.items()})
        return Declared(made, lambda text: f"{node.name}(**{inner(text)})")

    def _typed_dict(self, node: ast.ClassDef, depth: int) -> Declared:
        fields = self._fields(node, depth)
        total = not any(one.arg == "total" and _literal(one.value) is False for one in node.keywords)
        hints = {name: declared.hint for name, (declared, _) in fields.items()}
        made = cast(Any, TypedDict)(node.name, hints, total=total)
        return Declared(made, _entries({name: declared for name, (declared, _) in fields.items()}))


# --- parts --------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> ast.expr:
    try:
        return ast.parse(text[:1000].strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UnreadableType(f"{text[:60]!r} is no type") from None


def _of(kind: Any, *parts: Any) -> Any:
    """A generic type with its parts, which are known only here."""
    return kind[parts]


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | bool | None):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if isinstance(node.operand.value, int) else None
    raise UnreadableType(f"{ast.unparse(node)[:60]} is no literal")


def _enumeration(node: ast.ClassDef) -> Declared:
    members = {
        one.targets[0].id: one.value.value
        for one in node.body
        if isinstance(one, ast.Assign)
        and len(one.targets) == 1
        and isinstance(one.targets[0], ast.Name)
        and isinstance(one.value, ast.Constant)
    }
    if not members:
        raise UnreadableType(f"{node.name[:60]} has no members that are written out")
    try:
        make: Any = Enum  # its functional form, which type checkers take for a class statement
        made = make(node.name, members)
    except (TypeError, ValueError) as error:
        raise UnreadableType(f"{node.name[:60]}: {error}") from None
    return Declared(made, lambda text: f"{node.name}({text})")


def _built(hint: Any, form: str) -> Declared:
    return Declared(hint, form.format)


def _union(parts: Sequence[Declared]) -> Declared:
    """One of several types. What is built only in some of them is told apart by None, and by nothing else."""
    some = [one for one in parts if one.hint is not None]
    hints: list[Any] = [one.hint for one in some] + ([None] if len(some) < len(parts) else [])
    hint: Any = _of(Union, *hints) if some else None
    building = [one for one in some if one.build is not None and one.hint is not float]
    if not building and len(some) != 1:
        return Declared(hint)
    if len(some) != 1:
        raise UnreadableType("a union of which one part is a class or a tuple; declare it as object")
    one = some[0]
    return Declared(hint, (lambda text: f"(None if {text} is None else {one.built(text)})") if one.build else None)


def _each(one: Declared, text: str) -> str:
    return f"[{one.built('_one')} for _one in {text}]" if one.build else text


def _list(one: Declared) -> Build | None:
    return (lambda text: _each(one, text)) if one.build else None


def _dict(key: Declared, value: Declared) -> Build | None:
    if key.hint is int:  # names in JSON are texts
        key = Declared(int, "int({})".format)
    if key.build is None and value.build is None:
        return None
    return lambda text: f"{{{key.built('_key')}: {value.built('_value')} for _key, _value in {text}.items()}}"


def _tuple(parts: Sequence[Declared]) -> Build:
    def build(text: str) -> str:
        return "(" + "".join(f"{one.built(f'{text}[{index}]')}, " for index, one in enumerate(parts)) + ")"

    return build


def _one_of(values: list[Any]) -> Declared:
    """A literal. JSON's true passes for a 1 that is written out; main is given what is written."""
    plain = all(value is None or isinstance(value, str) for value in values)
    return Declared(
        _of(Literal, *values), None if plain else lambda text: f"[_one for _one in {values!r} if _one == {text}][0]"
    )


def _entries(fields: Mapping[str, Declared]) -> Build:
    """The object of an expression: those of its entries that are declared, built where they have to be."""
    building = {name: one for name, one in fields.items() if one.build is not None}

    def build(text: str) -> str:
        known = f"**{{_name: {text}[_name] for _name in {list(fields)!r} if _name in {text}}}"
        made = "".join(
            f", **({{{name!r}: {one.built(f'{text}[{name!r}]')}}} if {name!r} in {text} else {{}})"
            for name, one in building.items()
        )
        return f"{{{known}{made}}}"

    return build
