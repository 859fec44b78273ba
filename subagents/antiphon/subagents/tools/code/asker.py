"""Answers one question on Python code: ``asker.py JOB``, in a process that can be ended.

It imports nothing of antiphon's. Code is read and never run: jedi is told to import nothing of the workspace, neither
extension modules nor what it would otherwise import to look into, and it starts no interpreter of anybody's.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

MOST_FILE_BYTES = 2 << 20
MOST_SIGNATURE = 300
MOST_DOCUMENTATION = 2_000
MOST_ANSWERS = 5_000
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINES = re.compile(r"[ \t]*(?:async[ \t]+)?(def|class)[ \t]+(\w+)")


def say(**said: Any) -> None:
    """Write one answer."""
    print(json.dumps(said), flush=True)


def text_of(file: str) -> str | None:
    """A file's text; None for what is too large, or no file."""
    try:
        if os.path.getsize(file) > MOST_FILE_BYTES or not os.path.isfile(file) or os.path.islink(file):
            return None
        with open(file, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return None


def file_of(job: Any, path: str = "") -> str:
    """Where a file of the workspace is; by default the one that the job is about."""
    return f"{job['root']}/{path or job['path']}"


def parsed(text: str) -> ast.Module | str:
    """The syntax tree of a text, or why there is none."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return type(error).__name__


def definitions(tree: ast.Module) -> Iterator[tuple[str, str, ast.stmt]]:
    """What is defined: qualified name, kind, where; in order of the lines, what is inside of functions left out."""
    waiting: list[tuple[str, ast.stmt]] = [("", one) for one in reversed(tree.body)]
    while waiting:
        around, one = waiting.pop()
        if isinstance(one, (*_FUNCTIONS, ast.ClassDef)):
            name = f"{around}{one.name}"
            kind = "class" if isinstance(one, ast.ClassDef) else "method" if around else "function"
            yield name, kind, one
            if isinstance(one, ast.ClassDef):
                waiting += [(f"{name}.", inner) for inner in reversed(one.body)]
        elif isinstance(one, ast.Assign | ast.AnnAssign):
            for name in targets(one):
                yield f"{around}{name}", "variable", one
        else:
            blocks = (getattr(one, field, []) for field in ("finalbody", "orelse", "handlers", "body"))
            inside = [inner for block in blocks for inner in reversed(block) if isinstance(block, list)]
            waiting += [(around, inner) for inner in inside if isinstance(inner, ast.stmt)]


def targets(one: ast.Assign | ast.AnnAssign) -> list[str]:
    """The plain names that an assignment binds."""
    given = one.targets if isinstance(one, ast.Assign) else [one.target]
    return [target.id for target in given if isinstance(target, ast.Name)]


def signature(one: ast.stmt) -> str:
    """What a definition looks like, on one line."""
    try:
        if isinstance(one, _FUNCTIONS):
            returns = f" -> {ast.unparse(one.returns)}" if one.returns else ""
            said = f"({ast.unparse(one.args)}){returns}"
        elif isinstance(one, ast.ClassDef):
            said = f"({', '.join(map(ast.unparse, one.bases))})" if one.bases else ""
        else:
            said = f": {ast.unparse(one.annotation)}" if isinstance(one, ast.AnnAssign) else ""
    except RecursionError:
        return ""
    return said if len(said) <= MOST_SIGNATURE else f"{said[:MOST_SIGNATURE]}…"


def outline(job: Any) -> None:
    """What one file defines; by its lines alone where it is no Python that can be parsed."""
    text = text_of(file_of(job))
    if text is None:
        say(error="it is too large to be read")
        return
    tree = parsed(text)
    if isinstance(tree, str):
        say(note=f"it cannot be parsed ({tree}); these lines look like definitions")
        for number, line in enumerate(text.split("\n"), 1):
            if found := _DEFINES.match(line):
                say(path=job["path"], line=number, name=found[2], kind=found[1], signature="")
        return
    for name, kind, one in definitions(tree):
        say(path=job["path"], line=one.lineno, name=name, kind=kind, signature=signature(one))


def named(job: Any) -> None:
    """Where a name is defined, in all files; a dotted one says what it is in."""
    wanted = job["name"]
    last = wanted.rpartition(".")[2]
    broken = 0
    for path in job["files"]:
        text = text_of(file_of(job, path))
        if text is None or last not in text:
            continue
        tree = parsed(text)
        if isinstance(tree, str):
            broken += 1
            continue
        for name, kind, one in definitions(tree):
            if f".{name}".endswith(f".{wanted}"):
                say(path=path, line=one.lineno, name=name, kind=kind, signature=signature(one))
    if broken:
        say(note=f"{broken} files that have the word cannot be parsed")


def keep_nothing(*_given: Any, **_named: Any) -> None:
    """Take the place of writing a parsed file down."""


def script_of(job: Any, text: str) -> Any:
    """Jedi's view of a text in a file, in the process that this is, with the project's packages as text."""
    jedi: Any = import_module("jedi")
    environments: Any = import_module("jedi.api.environment")
    settings: Any = import_module("jedi.settings")
    references: Any = import_module("jedi.inference.references")
    file_io: Any = import_module("jedi.file_io")
    root = job["root"]
    settings.auto_import_modules = []  # what is named here it would import: `gi`, wherever it finds one
    cache: Any = import_module("parso.cache")
    cache._save_to_file_system = keep_nothing  # its folder goes with this process
    settings.cache_directory = os.path.join(os.environ.get("HOME", "/nonexistent"), "jedi")

    def contexts(state: Any, given: Any, name: str, **_limits: int) -> Iterator[Any]:
        """All files of the workspace that have a name; jedi itself takes 30 of them, and none for short names."""
        yield from (one for one in given if not one.is_compiled())
        known = {str(one.py__file__()) for one in given}
        paths = (file_of(job, one) for one in job["files"])
        others = (file_io.FileIO(path) for path in paths if path not in known)
        yield from references.search_in_file_ios(state, others, name)

    references.get_module_contexts_containing_name = contexts
    references._PARSED_FILE_LIMIT = references._OPENED_FILE_LIMIT = len(job["files"]) + 1
    own = [path for path in sys.path if path and os.path.basename(path) not in ("site-packages", "dist-packages")]
    project = jedi.Project(
        root,
        sys_path=[root, os.path.join(root, "src"), *job["site"], *own],
        smart_sys_path=False,
        load_unsafe_extensions=False,
    )
    environment = environments.InterpreterEnvironment()
    return jedi.Script(text, path=Path(root, job["path"]), project=project, environment=environment)


def place_of(job: Any, text: str) -> int | None:
    """The column of a name in the line that the job says."""
    lines = text.split("\n")
    name: str = job["name"]
    number: int = job["line"]
    if not 0 < number <= len(lines):
        return None
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", lines[number - 1])
    return found.start() if found else None


def asked(job: Any) -> tuple[Any, int] | None:
    """Jedi's view of the file, and the column of the name; says why where there is none."""
    text = text_of(file_of(job))
    if text is None:
        say(error="the file is too large to be read")
        return None
    text = text.removeprefix("\ufeff")
    column = place_of(job, text)
    if column is None:
        say(error=f"line {job['line']} of {job['path']} has no {job['name']!r} in it")
        return None
    return script_of(job, text), column


def where(job: Any, found: Any) -> dict[str, Any]:
    """Where a name is: its path below the root, or among the packages; "" where it is in no file."""
    file = str(found.module_path or "")
    inside = file.startswith(job["root"] + "/")
    site = next((one for one in job["site"] if file.startswith(one + "/")), "")
    path = file[len(job["root"]) + 1 :] if inside else file[len(site) + 1 :] if site else os.path.basename(file)
    return {"path": path, "inside": inside, "line": found.line or 0, "column": found.column or 0, "name": found.name}


def definition(job: Any) -> None:
    """Where what is used in a place is defined, and what it is."""
    if (given := asked(job)) is None:
        return
    script, column = given
    found = script.goto(job["line"], column, follow_imports=True) or script.infer(job["line"], column)
    for one in found[:20]:
        say(
            **where(job, one),
            kind=one.type,
            full=one.full_name or one.name,
            documentation=one.docstring()[:MOST_DOCUMENTATION],
        )


def references(job: Any) -> None:
    """Where what is used in a place is used or defined, and how many other places have the word."""
    if (given := asked(job)) is None:
        return
    script, column = given
    lines: dict[str, set[int]] = {}
    for one in script.get_references(job["line"], column, include_builtins=False)[:MOST_ANSWERS]:
        place = where(job, one)
        lines.setdefault(place["path"], set()).add(place["line"])
        line = one.get_line_code().strip()
        defined = one.is_definition() and not line.startswith(("import ", "from "))
        say(**place, kind=one.type, definition=defined, text=line[:500])
    say(others=others(job, lines))


def others(job: Any, known: dict[str, set[int]]) -> dict[str, int]:
    """Files in which other lines have the word, and how many: comments, strings, and what jedi does not see."""
    word = re.compile(rf"(?<!\w){re.escape(job['name'])}(?!\w)")
    found: dict[str, int] = {}
    for path in job["files"]:
        text = text_of(file_of(job, path))
        if text is None or job["name"] not in text:
            continue
        lines = {number for number, line in enumerate(text.split("\n"), 1) if word.search(line)}
        if count := len(lines - known.get(path, set())):
            found[path] = count
    return found


def complete(job: Any) -> None:
    """What could follow a text, were it written on a line of its own behind a line."""
    text = text_of(file_of(job))
    if text is None:
        say(error="the file is too large to be read")
        return
    lines = text.removeprefix("\ufeff").split("\n")
    at = min(job["line"], len(lines))
    before = next((line for line in reversed(lines[:at]) if line.strip()), "")
    indentation = before[: len(before) - len(before.lstrip())] + ("    " if before.rstrip().endswith(":") else "")
    written = job["text"] if job["text"][:1] in (" ", "\t") else indentation + job["text"]
    script = script_of(job, "\n".join([*lines[:at], written, *lines[at:]]))
    found = script.complete(at + 1, len(written))
    for one in found[:MOST_ANSWERS]:
        say(name=one.name, kind=one.type)


QUESTIONS = {
    "outline": outline,
    "named": named,
    "definition": definition,
    "references": references,
    "complete": complete,
}


def main(file: str) -> None:
    """Answer, an object a line; the last one says that this is all."""
    sys.setrecursionlimit(3_000)
    with open(file, encoding="utf-8") as stream:
        job = json.load(stream)
    QUESTIONS[job["ask"]](job)
    say(done=True)


if __name__ == "__main__":
    main(sys.argv[1])
