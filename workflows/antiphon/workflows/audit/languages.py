"""What sort of file something is, by its name and its beginning; and what nobody here wrote by hand."""

from __future__ import annotations

import io
import os
import re
import tokenize
from typing import Literal

Language = Literal["python", "stub", "javascript", "typescript", "shell", "rust", "workflow", "text", "other"]
"""`workflow` is one of GitHub's; `text` any other text, which only a search for secrets reads; `other` no text."""

TEXT_LANGUAGES: frozenset[Language] = frozenset(
    {"python", "stub", "javascript", "typescript", "shell", "rust", "workflow", "text"}
)
CODE: frozenset[Language] = TEXT_LANGUAGES - {"text"}

_SUFFIXES: dict[str, Language] = {
    ".py": "python",
    ".pyw": "python",
    ".pyi": "stub",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".mts": "typescript",
    ".cts": "typescript",
    ".tsx": "typescript",
    ".sh": "shell",
    ".bash": "shell",
    ".ksh": "shell",
    ".rs": "rust",
}
_INTERPRETERS: tuple[tuple[re.Pattern[bytes], Language], ...] = (
    (re.compile(rb"\bpython"), "python"),
    (re.compile(rb"\b(?:node|deno|bun)\b"), "javascript"),
    (re.compile(rb"\b(?:ba|da|k)?sh\b"), "shell"),
)
_WORKFLOW = re.compile(r"(?:^|/)(?:\.github/workflows/[^/]+|action)\.ya?ml$")
_VENDORED = frozenset({"vendor", "vendored", "_vendor", "_vendored", "third_party", "third-party", "bower_components"})
_GENERATED_NAMES = re.compile(r"(?:_pb2(?:_grpc)?\.pyi?|\.min\.[cm]?js|[.-]bundle\.js|\.pb\.(?:go|cc|h))$")
_COMMENT = re.compile(rb"^\s*(?:#|//|/\*|\*|<!--|--|;|\"\"\"|''')")
_GENERATED = re.compile(
    rb"@generated\b|\bDO NOT EDIT\b|\b(?:auto-?|automatically )generated\b.*\bdo not (?:edit|modify)"
)
_MARKER_LINES = 20
_MINIFIED_LINE_BYTES = 2_000


def language_of(unit: str, beginning: bytes) -> Language:
    """The language of a file, by its name, or by the interpreter that its first line names."""
    if _WORKFLOW.search(unit):
        return "workflow"
    suffix = os.path.splitext(unit)[1].lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if beginning.startswith(b"#!") and not suffix:
        first = beginning.split(b"\n", 1)[0]
        for interpreter, language in _INTERPRETERS:
            if interpreter.search(first):
                return language
    return "other" if b"\0" in beginning else "text"


def undecodable(language: Language, data: bytes) -> str | None:
    """Why a file cannot be decoded, or None. Python says itself how it is to be (PEP 263); all else is UTF-8."""
    try:
        if language in ("python", "stub"):
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        else:
            encoding = "utf-8"
        data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        return f"it cannot be decoded: {' '.join(str(error).split())}"
    return None


def vendored(folder: str) -> str | None:
    """Why a folder of this name is left out: others' code, copied in. None if it is not."""
    return "vendored code" if folder in _VENDORED else None


def generated(unit: str, beginning: bytes) -> str | None:
    """Why a file was not written by a person, by its name or what its first lines say; None if nothing says so."""
    if _GENERATED_NAMES.search(unit):
        return "generated, by its name"
    lines = beginning.splitlines()[:_MARKER_LINES]
    if any(_COMMENT.match(line) and _GENERATED.search(line) for line in lines):
        return "generated, as its first lines say"
    if unit.endswith((".js", ".mjs", ".cjs")) and any(len(line) > _MINIFIED_LINE_BYTES for line in lines):
        return "minified"
    return None
