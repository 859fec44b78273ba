"""Literals, taken from an audited file by value. Nothing else of it ever becomes part of a program that is run."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass

_LONGEST = 300
_LARGEST = 10_000
_MOST_ELEMENTS = 32
_DEEPEST = 4
STAND_IN = 7
"""What takes the place of a value that is no literal. It fits most formats; what comes of it alone proves nothing."""


class Unsuitable(Exception):
    """There is no literal here, or one that is too large to be tried. The text says which."""


@dataclass(slots=True)
class Rebuilt:
    """Values taken from syntax.

    Attributes:
        stood_in: whether something in it is a stand-in.
    """

    stood_in: bool = False

    def value(self, node: ast.expr, *, stand_in: bool = False, depth: int = 0) -> object:
        """The value of a literal.

        Args:
            node: the syntax.
            stand_in: whether something else than a literal is replaced, and not refused.
            depth: how deep it is nested in the literal asked for.

        Raises:
            Unsuitable: see there.
        """
        if depth > _DEEPEST:
            raise Unsuitable("the literal is nested too deep to be tried")
        match node:
            case ast.Constant(value=str() | bytes() | int() | float() | None as value):
                return _bounded(value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -_number(_bounded(value))
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                _few(len(elements))
                values = [self._element(one, stand_in, depth) for one in elements]
                return tuple(values) if isinstance(node, ast.Tuple) else values
            case ast.Dict(keys=keys, values=values):
                _few(len(keys))
                return {
                    self._key(key, depth): self._element(value, stand_in, depth)
                    for key, value in zip(keys, values, strict=True)
                }
            case _:
                return self._instead(stand_in)

    def _element(self, node: ast.expr, stand_in: bool, depth: int) -> object:
        if isinstance(node, ast.Starred):
            raise Unsuitable("how many values there are is not known")
        return self.value(node, stand_in=stand_in, depth=depth + 1)

    def _key(self, node: ast.expr | None, depth: int) -> object:
        value = None if node is None else self.value(node, depth=depth + 1)
        if not isinstance(value, str | bytes | int | float):
            raise Unsuitable("a key is no simple literal")
        return value

    def _instead(self, allowed: bool) -> int:
        if not allowed:
            raise Unsuitable("it is made of more than literals")
        self.stood_in = True
        return STAND_IN


def _few(count: int) -> None:
    if count > _MOST_ELEMENTS:
        raise Unsuitable("the literal has too many elements to be tried")


def _bounded(value: str | bytes | float | None) -> str | bytes | float | None:
    if isinstance(value, str | bytes) and len(value) > _LONGEST:
        raise Unsuitable("the literal is too long to be tried")
    if isinstance(value, int | float) and not (abs(value) <= _LARGEST and math.isfinite(value)):
        raise Unsuitable("a number is too large to be tried")
    return value


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def plain_format(text: object) -> str:
    """A format string, if trying it cannot take much time or memory.

    Raises:
        Unsuitable: it is no text, or a width or precision in it has four digits or more.
    """
    if not isinstance(text, str):
        raise Unsuitable("the format is no text literal")
    digits = 0
    for character in text:
        digits = digits + 1 if character.isdigit() else 0
        if digits > 3:
            raise Unsuitable("a width in the format is too large to be tried")
    return text
