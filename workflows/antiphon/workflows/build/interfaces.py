"""What a module offers to others, read from its file: names, signatures and docstrings, and no word of a model."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from typing import Final

MOST_BYTES: Final = 400_000
MOST_CHARACTERS: Final = 12_000
_DOC_CHARACTERS: Final = 600
_VALUE_CHARACTERS: Final = 80

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def interface_of(path: str, content: bytes) -> str:
    """The public interface of a Python module as text that reads like a stub; of any other file, its size.

    Names that begin with ``_`` are left out unless ``__all__`` names them; where there is an ``__all__``, only its
    names count.
    """
    if not path.endswith((".py", ".pyi")):
        return f"({len(content):,} bytes)"
    if len(content) > MOST_BYTES:
        return f"({len(content):,} bytes: too large to be read)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a strange escape in somebody's text is none of ours
            module = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"(not readable as Python: {type(error).__name__})"
    try:
        text = "\n".join(_lines(module))
    except RecursionError:
        return "(nested too deeply to be read)"
    shown = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}\n… (cut)"
    return shown or "(nothing public)"


def _lines(module: ast.Module) -> Iterator[str]:
    yield from _doc(module, "")
    named = _all(module)
    for part in module.body:
        match part:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if _public(part.name, named):
                yield from _function(part, "")
            case ast.ClassDef() if _public(part.name, named):
                yield from _class(part)
            case ast.Assign() | ast.AnnAssign():
                yield from _value(part, "", named)
            case _:
                pass


def _class(part: ast.ClassDef) -> Iterator[str]:
    bases = ", ".join(ast.unparse(each) for each in (*part.bases, *(keyword.value for keyword in part.keywords)))
    yield from _decorators(part, "")
    yield f"class {part.name}({bases}):" if bases else f"class {part.name}:"
    inside = [*_doc(part, "    ")]
    for one in part.body:
        match one:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if _public(one.name, None) or _special(one.name):
                inside += _function(one, "    ")
            case ast.Assign() | ast.AnnAssign():
                inside += _value(one, "    ", None)
            case _:
                pass
    yield from inside or ["    ..."]


def _function(part: _Function, indent: str) -> Iterator[str]:
    yield from _decorators(part, indent)
    word = "async def" if isinstance(part, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(part.returns)}" if part.returns else ""
    doc = [*_doc(part, f"{indent}    ")]
    yield f"{indent}{word} {part.name}({ast.unparse(part.args)}){returns}:{'' if doc else ' ...'}"
    yield from doc


def _decorators(part: _Function | ast.ClassDef, indent: str) -> Iterator[str]:
    for decorator in part.decorator_list:
        yield f"{indent}@{ast.unparse(decorator)}"


def _value(part: ast.Assign | ast.AnnAssign, indent: str, named: frozenset[str] | None) -> Iterator[str]:
    targets = part.targets if isinstance(part, ast.Assign) else [part.target]
    names = [one.id for one in targets if isinstance(one, ast.Name) and _public(one.id, named)]
    if not names:
        return
    said = f": {ast.unparse(part.annotation)}" if isinstance(part, ast.AnnAssign) else ""
    value = ast.unparse(part.value) if part.value is not None else ""
    short = value if len(value) <= _VALUE_CHARACTERS else "..."
    yield f"{indent}{' = '.join(names)}{said}{f' = {short}' if value else ''}"


def _doc(part: ast.Module | ast.ClassDef | _Function, indent: str) -> Iterator[str]:
    text = ast.get_docstring(part)
    if text:
        short = text if len(text) <= _DOC_CHARACTERS else f"{text[:_DOC_CHARACTERS]}…"
        yield from (f"{indent}{line}".rstrip() for line in f'"""{short}"""'.splitlines())


def _all(module: ast.Module) -> frozenset[str] | None:
    """The names in a literal ``__all__``, or None."""
    for part in module.body:
        if not isinstance(part, ast.Assign | ast.AnnAssign):
            continue
        targets = part.targets if isinstance(part, ast.Assign) else [part.target]
        named = any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets)
        if named and isinstance(part.value, ast.List | ast.Tuple):
            return frozenset(_texts(part.value.elts))
    return None


def _texts(elements: Iterable[ast.expr]) -> Iterator[str]:
    for one in elements:
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def _public(name: str, named: frozenset[str] | None) -> bool:
    return name in named if named is not None else not name.startswith("_")


def _special(name: str) -> bool:
    """What is called without being named, and so belongs to what a class offers."""
    return name.startswith("__") and name.endswith("__")
