"""How a project's tests are run, told from its files alone: nothing is executed, no configuration is obeyed."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from antiphon.subagents.workspace.looking import files_below, read_text

Framework = Literal["pytest", "unittest", "tap", "go", "cargo", ""]
"""Whose output it is; "" for one whose output is not read test by test."""

_TEST_FILE: Final = re.compile(r"test_.*\.py|.*_test\.py|tests?\.py")
_LOOKED_INTO: Final = 200
_NO_TEST: Final = "no test specified"
_USES_PYTEST: Final = re.compile(r"^[ \t]*(?:import|from)[ \t]+pytest\b|^(?:async )?def test", re.MULTILINE)
_USES_UNITTEST: Final = re.compile(r"^[ \t]*(?:import|from)[ \t]+unittest\b", re.MULTILINE)
_OF_THE_SYSTEM: Final = ("lib/python3/dist-packages", "lib/python3*/site-packages")
_PROGRAMS: Final[dict[str, Framework]] = {
    "pytest": "pytest",
    "py.test": "pytest",
    "unittest": "unittest",
    "cargo": "cargo",
    "npm": "tap",
    "node": "tap",
    "go": "go",
}
_TEST_TARGET: Final = re.compile(r"^test\s*:(?!=)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Suite:
    """One way to run a project's tests.

    Attributes:
        argv: the command. framework: whose output it gives.
        reason: what of the project says so, in words.
    """

    argv: tuple[str, ...]
    framework: Framework
    reason: str


def suites_in(root: Path, site_packages: Sequence[str]) -> tuple[Suite, ...]:
    """The ways to run the tests of a tree, best first; none where it has no tests that are known.

    Args:
        root: the tree.
        site_packages: the packages that its Python code can import.
    """
    looks: tuple[Callable[[], Suite | None], ...] = (
        lambda: _python(root, site_packages),
        lambda: _npm(root),
        lambda: _cargo(root),
        lambda: _go(root),
        lambda: _make(root),
    )
    return tuple(suite for look in looks if (suite := look()) is not None)


def _python(root: Path, site_packages: Sequence[str]) -> Suite | None:
    pytest, whose = _pytest(site_packages)
    configured = _pytest_configured(root)
    if configured and pytest:
        return Suite(pytest, "pytest", configured + whose)
    files = list(islice((path for path in files_below(root) if _TEST_FILE.fullmatch(path.name)), _LOOKED_INTO))
    texts = [read_text(path) for path in files]
    named = next((path for path, text in zip(files, texts, strict=True) if _USES_PYTEST.search(text)), None)
    if named is not None and pytest:
        return Suite(pytest, "pytest", f"{named.relative_to(root)} is written for pytest{whose}")
    plain = next((path for path, text in zip(files, texts, strict=True) if _USES_UNITTEST.search(text)), None)
    if plain is None:
        return None
    return Suite(_unittest(root, plain), "unittest", f"{plain.relative_to(root)} is written for unittest")


def _pytest(site_packages: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """How pytest is called, and a word on whose it is if it is not the project's; nothing where there is none."""
    if _holds_pytest(site_packages):
        return ("python", "-m", "pytest"), ""
    if _holds_pytest([path for path in sys.path if os.path.basename(path) == "site-packages"]):
        own = ", and run by the pytest beside antiphon: the project has none of its own"
        return (os.path.abspath(sys.executable), "-m", "pytest"), own
    if _holds_pytest([str(path) for pattern in _OF_THE_SYSTEM for path in Path("/usr").glob(pattern)]):
        return ("/usr/bin/python3", "-m", "pytest"), ", and run by the system's pytest: the project has none of its own"
    return (), ""


def _holds_pytest(folders: Sequence[str]) -> bool:
    return any(os.path.isdir(os.path.join(folder, "pytest")) for folder in folders)


def _pytest_configured(root: Path) -> str:
    """The file that configures pytest, or "" if none does."""
    if (root / "pytest.ini").is_file() or (root / ".pytest.ini").is_file():
        return "there is a pytest.ini"
    tables: Any = _toml(root / "pyproject.toml").get("tool")
    if isinstance(tables, dict) and "pytest" in tables:
        return "pyproject.toml configures pytest"
    for name, section in (("tox.ini", "[pytest]"), ("setup.cfg", "[tool:pytest]")):
        if section in read_text(root / name):
            return f"{name} configures pytest"
    at = next((folder for folder in (".", "tests", "test") if (root / folder / "conftest.py").is_file()), None)
    return f"there is {os.path.normpath(os.path.join(at, 'conftest.py'))}" if at else ""


def _unittest(root: Path, found: Path) -> tuple[str, ...]:
    """Discovery from the folder that the tests are in, named as its parts are imported."""
    folder = found.relative_to(root).parts[:-1]
    command = ("python", "-m", "unittest", "discover", "-v")
    if not folder:
        return command
    package = (root / folder[0] / "__init__.py").is_file()
    names = ("-p", "*test*.py")
    return (*command, "-s", folder[0], *names, *(("-t", ".") if package else ()))


def _npm(root: Path) -> Suite | None:
    try:
        package: Any = json.loads(read_text(root / "package.json") or "{}")
        script = package["scripts"]["test"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(script, str) or not script or _NO_TEST in script:
        return None
    return Suite(("npm", "test", "--silent"), "tap", f"package.json says how to test: {script[:80]}")


def _cargo(root: Path) -> Suite | None:
    if not (root / "Cargo.toml").is_file():
        return None
    return Suite(("cargo", "test", "--offline", "--no-fail-fast"), "cargo", "there is a Cargo.toml")


def _go(root: Path) -> Suite | None:
    if not (root / "go.mod").is_file():
        return None
    return Suite(("go", "test", "-json", "./..."), "go", "there is a go.mod")


def _make(root: Path) -> Suite | None:
    names = ("GNUmakefile", "makefile", "Makefile")
    named = next((name for name in names if _TEST_TARGET.search(read_text(root / name))), None)
    return Suite(("make", "test"), "", f"the {named} has a target test") if named else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError):
        return {}


def words_of(command: str) -> Iterator[str]:
    """The words of a command line, roughly: enough to recognise a program."""
    yield from re.split(r"[\s;&|()'\"]+", command)


def framework_of(command: str) -> Framework:
    """Whose output a command line gives, by its words; "" where they do not say."""
    words = [os.path.basename(word) for word in words_of(command)]
    for program, framework in _PROGRAMS.items():
        if program in words:
            return framework
    return ""
