"""The words of a task: what of it stands in the script, and what is filled in."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Final

from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.syntax.scopes import Function

_MOST: Final = 200
_LONGEST: Final = 100_000
"""Characters of a task that are looked at, all in all."""
_FILLING: Final = frozenset({"format", "format_map", "replace", "substitute", "safe_substitute"})
_KEEPING: Final = frozenset({"strip", "lower", "upper", "join", "removesuffix", "removeprefix", "lstrip", "rstrip"})
_WHOLE: Final = frozenset({"textwrap.dedent", "inspect.cleandoc", "builtins.str"})


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A piece of text that stands in the script.

    Attributes:
        at: where. text: it. filled: something fills its placeholders, or its braces are meant.
        before, after: whether something else follows on it there, without a space.
    """

    at: ast.AST
    text: str
    filled: bool
    before: bool = False
    after: bool = False

    def is_joined(self, end: int, start: int) -> bool:
        """Whether a word at the edge of the text goes on in what is filled in beside it."""
        return (self.after and end >= len(self.text)) or (self.before and start == 0)


@dataclass(slots=True)
class Words:
    """What a text is made of. open: whether anything is in it that the script computes."""

    constants: list[Text] = field(default_factory=list[Text])
    open: bool = False

    @property
    def said(self) -> str:
        """Everything that stands in the script, in one piece."""
        return " ".join(one.text for one in self.constants)

    @property
    def gapped(self) -> str:
        """The same, with a null character wherever something else stands between two pieces."""
        return "\0".join(one.text for one in self.constants)


def words_of(reading: Reading, node: ast.expr | None) -> Words:
    """The words that an expression is made of; through names that are only one text, and functions that give one."""
    words = Words()
    if node is not None:
        _Wording(reading, words).take(node, filled=False)
    return words


class _Wording:
    def __init__(self, reading: Reading, words: Words) -> None:
        self.reading, self.words, self.left, self.room = reading, words, _MOST, _LONGEST

    def take(self, node: ast.expr, *, filled: bool) -> None:
        self.left -= 1
        if self.left < 0:
            self.words.open = True
            return
        match node:
            case ast.Constant(value=value):
                if isinstance(value, str):
                    self._add(Text(node, value, filled))
            case ast.JoinedStr():
                self._joined(node)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                self.take(left, filled=filled)
                self.take(right, filled=filled)
            case ast.BinOp(left=left, op=ast.Mod()):
                self.take(left, filled=True)
                self.words.open = True
            case ast.IfExp(body=body, orelse=orelse):
                self.take(body, filled=filled)
                self.take(orelse, filled=filled)
            case _:
                self._named(node, filled)

    def _add(self, text: Text) -> None:
        self.room -= len(text.text)
        if self.room < 0:
            self.words.open = True
        else:
            self.words.constants.append(text)

    def _named(self, node: ast.expr, filled: bool) -> None:
        match node:
            case ast.Name():
                self._name(node, filled)
            case ast.Call():
                self._call(node, filled)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for one in elements:
                    self.take(one, filled=filled)
            case _:
                self.words.open = True

    def _joined(self, node: ast.JoinedStr) -> None:
        parts = node.values
        for place, part in enumerate(parts):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                after = place + 1 < len(parts)
                self._add(Text(part, part.value, True, before=place > 0, after=after))
            elif isinstance(part, ast.FormattedValue):
                self.take(part.value, filled=True)

    def _name(self, node: ast.Name, filled: bool) -> None:
        binding = self.reading.script.only_binding(node)
        if binding is not None and binding.value is not None:
            self.take(binding.value, filled=filled)
            return
        source = binding.iterated if binding is not None else None
        if isinstance(source, ast.Name):
            made = self.reading.script.only_binding(source)
            source = made.value if made is not None else None
        if isinstance(source, ast.List | ast.Tuple) and binding is not None and binding.position is None:
            self.take(source, filled=filled)
        else:
            self.words.open = True

    def _call(self, node: ast.Call, filled: bool) -> None:
        if self.reading.script.origin(node.func) in _WHOLE and node.args:
            self.take(node.args[0], filled=filled)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _FILLING:
            self.take(node.func.value, filled=True)
            self.words.open = True
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPING:
            self.take(node.func.value, filled=filled)
            for one in node.args:
                self.take(one, filled=filled)
        else:
            self._own(node)

    def _own(self, node: ast.Call) -> None:
        function = self.reading.calls.function(node)
        if isinstance(function, Function):
            for one in self.reading.script.returns.get(self.reading.script.inner[function], []):
                if one.value is not None:
                    self.take(one.value, filled=False)
        elif isinstance(function, ast.Lambda):
            self.take(function.body, filled=False)
        self.words.open = True
