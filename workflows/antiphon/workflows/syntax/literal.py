"""Plain data read from a script's text: texts, numbers, True, False, None, lists and objects, and nothing else."""

from __future__ import annotations

import ast
from typing import Any, Final

from antiphon.engine.errors import ManifestError

Path = tuple[int | str, ...]
"""Where in the data: keys and list indexes from the outside in."""

DEEPEST: Final = 16
MOST_PARTS: Final = 10_000
LONGEST_TEXT: Final = 1 << 16
LARGEST_NUMBER: Final = 1 << 63


def read_literal(node: ast.expr, file: str) -> tuple[Any, dict[Path, int]]:
    """The data that an expression writes out, and the line of each of its parts (of the key, in an object).

    Raises:
        ManifestError: some part is computed, is no JSON, is too deep or too large, or a key is there twice.
    """
    reader = _Reader(file)
    reader.check(node, (), node.lineno)
    return ast.literal_eval(node), reader.lines


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}

    def check(self, node: ast.expr, path: Path, line: int) -> None:
        """Accept `node`, or say what to write instead."""
        self.lines[path] = line
        if len(path) > DEEPEST:
            raise ManifestError(self.file, f"the manifest is nested deeper than {DEEPEST}", node.lineno)
        if len(self.lines) > MOST_PARTS:
            raise ManifestError(self.file, f"the manifest has more than {MOST_PARTS:,} parts", node.lineno)
        match node:
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    self.check(value, *self._keyed(key, value, path))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                for index, item in enumerate(items):
                    self.check(item, (*path, index), item.lineno)
            case ast.Constant(value=value):
                self._check_plain(value, node.lineno)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float() as number)):
                self._check_plain(number, node.lineno)
            case _:
                raise ManifestError(self.file, f"the manifest must be a literal: {_instead(node)}", node.lineno)

    def _keyed(self, key: ast.expr | None, value: ast.expr, path: Path) -> tuple[Path, int]:
        if key is None:
            problem = f"the manifest must be a literal: {_instead(value, spread=True)}"
            raise ManifestError(self.file, problem, value.lineno)
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise ManifestError(self.file, "a key in the manifest must be a plain text in quotes", key.lineno)
        self._check_plain(key.value, key.lineno)
        inner = (*path, key.value)
        if inner in self.lines:
            problem = f"the manifest has the key {key.value[:60]!r} twice (first on line {self.lines[inner]})"
            raise ManifestError(self.file, problem, key.lineno)
        return inner, key.lineno

    def _check_plain(self, value: object, line: int) -> None:
        match value:
            case str() if len(value) > LONGEST_TEXT:
                problem = f"a text in the manifest is longer than {LONGEST_TEXT:,} characters"
            case int() if abs(value) >= LARGEST_NUMBER:
                problem = "a number in the manifest is too large"
            case float() if value == float("inf"):
                problem = "a number in the manifest is too large"
            case None | str() | int() | float():
                return
            case bytes():
                problem = "bytes are no JSON; write a text, without the b"
            case _:
                problem = f"{str(value)[:60]} is no JSON; write a text or a number"
        raise ManifestError(self.file, problem, line)


def _instead(node: ast.expr, *, spread: bool = False) -> str:
    """What to write instead of something computed."""
    if spread:
        return "write the keys out instead of **"
    match node:
        case ast.JoinedStr():
            return "write the text out instead of an f-string"
        case ast.Name(id=name):
            return f"write out what {name[:60]} stands for"
        case ast.Call() | ast.Attribute() | ast.Subscript() | ast.Await() | ast.Lambda():
            return "write out the value instead of computing it"
        case ast.Set() | ast.SetComp():
            return "write a list, [...], instead of a set"
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() | ast.Starred():
            return "write the items out one by one"
        case ast.BinOp(left=ast.Constant(value=str())) | ast.BinOp(right=ast.Constant(value=str())):
            return "write one text; two texts side by side need no +"
        case ast.BinOp() | ast.UnaryOp() | ast.BoolOp() | ast.Compare() | ast.IfExp():
            return "write the result out"
        case ast.NamedExpr():
            return "write the value without :="
        case _:
            return "write out the value"
