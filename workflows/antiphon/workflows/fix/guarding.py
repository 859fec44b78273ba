"""What nobody may touch to make tests pass: the tests, their configuration, and the framework that runs them."""

from __future__ import annotations

import configparser
import difflib
import fnmatch
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, cast

_TEST_FOLDERS: Final = frozenset({"test", "tests", "testing", "spec", "specs", "__tests__"})
_TEST_FILES: Final = (
    "test_*.py", "*_test.py", "tests.py", "test.py", "*_test.go", "*.test.*", "*.spec.*", "*_spec.rb", "*Test.java",
    "*Tests.java", "test_*.sh", "*_test.sh", "test.sh", "*.bats", "*.t", "test-*.*", "test.js", "test.mjs", "test.ts",
)  # fmt: skip
_CONFIGURES: Final = (
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "noxfile.py", "toxfile.py",
    "jest.config.*",
    "vitest.config.*", ".mocharc*", "karma.conf.*", "ava.config.*", ".taprc", ".rspec", ".npmrc", ".yarnrc*",
    "bunfig.toml", "deno.json", "deno.jsonc", "phpunit.xml*", ".nycrc*", ".c8rc*", ".coveragerc",
    "sitecustomize.py", "usercustomize.py", "*.pth",
    "pytest.py", "unittest.py", "_pytest.py",
)  # fmt: skip
_STANDS_IN: Final = frozenset({"pytest", "_pytest", "unittest", "pluggy", "sitecustomize", "usercustomize"})
"""Folders that would be imported in place of what runs the tests."""
_BUILDS: Final = ("makefile", "gnumakefile", "justfile", "taskfile.yml", "rakefile")
_FRAMEWORK: Final = re.compile(rb"\b_?pytest\b|\bPYTEST_\w+|\bunittest\b|\bpluggy\b")
_IMPORTS: Final = re.compile(rb"\s*((import|from|use)\b|#include\b|(const|let|var)\b.*\brequire\()")
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Touched:
    """One file that differs between two states. `before` and `after` are its content; None where it is not there."""

    path: str
    before: bytes | None
    after: bytes | None


def is_test(path: str) -> bool:
    """Whether a file is a test, or lies among tests, by the names that test runners go by."""
    pure = PurePosixPath(path)
    if not _TEST_FOLDERS.isdisjoint(part.lower() for part in pure.parts[:-1]):
        return True
    return any(fnmatch.fnmatchcase(pure.name, pattern) for pattern in _TEST_FILES)


def is_configuration(path: str, command: str = "") -> bool:
    """Whether the whole of a file says how tests are run: by its name, or because the test command names it."""
    pure = PurePosixPath(path)
    name = pure.name
    if any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in _CONFIGURES):
        return True
    if not _STANDS_IN.isdisjoint(pure.parts[:-1]):
        return True
    words = [word.removeprefix("./") for word in command.split()]
    if path in words:  # a test that is named is a test: cases may be added to it
        return not any(fnmatch.fnmatchcase(name, pattern) for pattern in _TEST_FILES)
    return name.lower() in _BUILDS and bool({"make", "gmake", "just", "task", "rake"} & set(words))


def offences(files: Sequence[Touched], command: str) -> tuple[str, ...]:
    """What was done, between the state with the new test and now, that could make tests pass by itself.

    Args:
        files: every file that differs.
        command: how the tests are run.

    Returns:
        A sentence for each, in the order of the paths; none for honest work.
    """
    return tuple(said for file in sorted(files, key=lambda one: one.path) for said in _offences(file, command))


def strays(files: Sequence[Touched], command: str) -> tuple[str, ...]:
    """What a tester changed besides adding tests, as sentences for the tester."""
    return tuple(said for file in sorted(files, key=lambda one: one.path) for said in _strays(file, command))


def _offences(file: Touched, command: str) -> Iterator[str]:
    done = _done(file)
    if is_configuration(file.path, command):
        yield f"{file.path} says how tests are run, and was {done}"
    elif is_test(file.path):
        yield f"the test file {file.path} was {done}"
    elif part := _changed_part(file):
        yield f"{file.path}: {part} says how tests are run, and was changed"
    elif file.path.endswith(".py") and _speaks_to_framework(file):
        yield f"{file.path} is no test, and now speaks to the test framework"


def _strays(file: Touched, command: str) -> Iterator[str]:
    if is_configuration(file.path, command):
        yield f"you {_done(file)} {file.path}, which says how tests are run: put it back"
    elif not is_test(file.path):
        yield f"you {_done(file)} {file.path}, which is no test file: put it back, and only add tests"
    elif file.after is None:
        yield f"you deleted the test file {file.path}: put it back"
    elif file.before is not None and (lines := taken_out(file.before, file.after)):
        yield f"you changed or took out lines of {file.path} that were there ({'; '.join(lines)}): only add to it"


def _done(file: Touched) -> str:
    return "added" if file.before is None else "deleted" if file.after is None else "changed"


def taken_out(before: bytes, after: bytes) -> list[str]:
    """The lines of a text that are not in a later one in their order; imports and empty lines do not count."""
    old, new = _weighty(before), _weighty(after)
    rest = iter(new)
    if all(line in rest for line in old):  # in their order: a diff may call more than that a change
        return []
    gone: list[str] = []
    for tag, start, end, _, _ in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone += [line.decode("utf-8", "replace").strip() for line in old[start:end]] if tag != "equal" else []
    return gone[:_SHOWN]


def _weighty(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if line.strip() and not _IMPORTS.match(line)]


def _speaks_to_framework(file: Touched) -> bool:
    """Whether code that is no test mentions the framework that runs the tests, and did not before."""
    return bool(_FRAMEWORK.search(file.after or b"")) and not _FRAMEWORK.search(file.before or b"")


# --- files of which only a part is about tests ------------------------------------------------------------------------


def _changed_part(file: Touched) -> str:
    """The part of a file that is about tests and was changed; "" for none."""
    name = PurePosixPath(file.path).name
    if name not in _PARTS:
        return ""
    what, read = _PARTS[name]
    return what if _part(read, file.before) != _part(read, file.after) else ""


def _part(read: Callable[[str], object], content: bytes | None) -> str:
    """What of a file is about tests, in one form; a file that cannot be read is about tests as a whole."""
    if content is None:
        return json.dumps({})
    text = content.decode("utf-8-sig", "replace")
    try:
        return json.dumps(read(text), sort_keys=True, default=str)
    except (ValueError, configparser.Error, RecursionError):
        return text


def _of_pyproject(text: str) -> object:
    tool = _table(tomllib.loads(text).get("tool"))
    return {name: table for name, table in tool.items() if name in ("pytest", "tox", "nox", "coverage", "hatch", "poe")}


def _of_ini(text: str) -> object:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    about = [
        name for name in parser.sections() if name.startswith(("tool:pytest", "pytest", "tox", "testenv", "unittest"))
    ]
    return {name: dict(parser.items(name)) for name in about}


def _of_package(text: str) -> object:
    whole = _table(json.loads(text))
    return {
        name: whole[name] for name in ("scripts", "jest", "mocha", "ava", "vitest", "c8", "nyc", "tap") if name in whole
    }


def _of_cargo(text: str) -> object:
    whole = tomllib.loads(text)
    return {name: whole[name] for name in ("test", "profile", "bench") if name in whole}


def _table(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


_PARTS: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "pyproject.toml": ("its section on tests", _of_pyproject),
    "setup.cfg": ("its section on tests", _of_ini),
    "tox.ini": ("its section on tests", _of_ini),
    "package.json": ("its scripts, or its section on tests,", _of_package),
    "Cargo.toml": ("its section on tests", _of_cargo),
}
