"""Fingerprints of code: how a change to a function is told from no change."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any, cast

_BEGINNING = re.compile(r"^(?:async\s+)?def ", re.MULTILINE)


def source_fingerprint(function: Callable[..., Any]) -> str:
    """Hash of a function's source text, or of its compiled code where the source is out of reach.

    Its decorators are left out: a floor or a limit changes nothing in what it does. Functions it calls and variables
    it captures are not followed: whoever changes only those names a new ``version``.
    """
    return hashlib.sha256(_text(function).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _text(function: Any) -> str:
    plain = inspect.unwrap(function)
    if isinstance(plain, functools.partial):
        given = plain.args, sorted(plain.keywords.items())
        return f"{_text(plain.func)}\n{given!r}"
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):  # an object that can be called, or something written in C
        code = getattr(type(plain).__call__, "__code__", None)
    return _of_code(code) if isinstance(code, CodeType) else getattr(plain, "__qualname__", type(plain).__qualname__)


@functools.lru_cache(maxsize=4096)
def _of_code(code: CodeType) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return _compiled(code)
    beginning = _BEGINNING.search(text)
    return text[beginning.start() :] if beginning else text


def _compiled(code: CodeType) -> str:
    """What the code does, without addresses and without the order of sets, which change from process to process."""
    constants = [_compiled(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    return repr((code.co_code.hex(), code.co_names, constants))


def _constant(value: object) -> str:
    return repr(sorted(map(repr, cast("frozenset[object]", value)))) if isinstance(value, frozenset) else repr(value)
