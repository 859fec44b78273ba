"""A script's text and syntax tree, with one clear error for whatever cannot be read."""

from __future__ import annotations

import ast
import warnings
from typing import Final

from antiphon.engine.errors import ManifestError

LARGEST_SOURCE_BYTES: Final = 1 << 20


def parse(source: str | bytes, file: str) -> ast.Module:
    """The syntax tree of `source`. Nothing in it is executed.

    Raises:
        ManifestError: It is not Python, not UTF-8, holds null bytes, or is too large or too deeply nested.
    """
    text = _decoded(source, file) if isinstance(source, bytes) else source.removeprefix("\ufeff")
    _check_text(text, file)
    try:
        with warnings.catch_warnings():
            # A doubtful escape is for the interpreter to warn about, once, when it compiles the script.
            warnings.simplefilter("ignore")
            return ast.parse(text, file)
    except SyntaxError as error:
        problem, line = f"this is not Python: {error.msg}", error.lineno
    except (RecursionError, MemoryError):
        problem, line = "the code is nested too deeply to be read", None
    except ValueError as error:
        problem, line = f"this is not Python: {error}", None
    raise ManifestError(file, problem, line)


def _decoded(data: bytes, file: str) -> str:
    _check_size(len(data), file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
    raise ManifestError(file, f"the text is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8", line)


def _check_text(source: str, file: str) -> None:
    _check_size(len(source), file)
    null = source.find("\0")
    if null >= 0:
        raise ManifestError(file, "there is a null byte; a script is plain text", source.count("\n", 0, null) + 1)
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
    else:
        return _check_size(size, file)
    raise ManifestError(file, "the text is not UTF-8; save the file as UTF-8", line)


def _check_size(size: int, file: str) -> None:
    if size > LARGEST_SOURCE_BYTES:
        limit = f"{LARGEST_SOURCE_BYTES >> 20} MiB"
        raise ManifestError(file, f"the file is larger than {limit}; keep data in files that the script's steps read")
