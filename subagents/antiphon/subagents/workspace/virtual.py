"""A project's virtual environment: where its packages are, which Python runs it, and what it only links to."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon.subagents.sandbox.exposure import is_below
from antiphon.subagents.workspace.looking import read_text

_NAMES: Final = (".venv", "venv")
_INTERPRETER: Final = re.compile(r"(?:python|pypy)[\d.t]*")
_MAPPING: Final = re.compile(r"^MAPPING\b[^=\n]*= (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualEnvironment:
    """One that was found.

    Attributes:
        folder: where it is. scripts: its programs. site_packages: its packages.
        interpreter: the Python that it was made of, outside of the project.
        editable: folders of the project, relative to it, that it imports packages from in place.
    """

    folder: str
    scripts: str
    site_packages: tuple[str, ...]
    interpreter: str
    editable: tuple[str, ...]


def virtual_environment(root: Path) -> tuple[VirtualEnvironment | None, tuple[str, ...]]:
    """The virtual environment of a project, and why what looks like one is not used.

    Args:
        root: the project's folder, real.
    """
    notes: list[str] = []
    for name in _NAMES:
        folder = root / name
        if not os.path.lexists(folder):
            continue
        reason = _unusable(folder)
        if reason is None:
            return _described(folder, root), tuple(notes)
        notes.append(f"{name} is not used: {reason}")
    return None, tuple(notes)


def _unusable(folder: Path) -> str | None:
    if os.path.realpath(folder) != str(folder) or not folder.is_dir():
        return "it is no folder of its own"
    if not read_text(folder / "pyvenv.cfg"):
        return "it has no pyvenv.cfg"
    return None if _interpreter(folder) else "its Python is not there, or lies in the project itself"


def _interpreter(folder: Path) -> str:
    """Where the Python is that an environment leads to; "" for none that could be trusted to be one.

    It is shown to commands with its libraries: so it is no file of the project, and nothing but a Python.
    """
    link = folder / "bin" / "python"
    try:
        target = os.path.normpath(os.path.join(link.parent, os.readlink(link)))
        while is_below(target, str(folder)) and os.path.islink(target):
            target = os.path.normpath(os.path.join(os.path.dirname(target), os.readlink(target)))
        real = os.path.realpath(target, strict=True)
    except OSError:
        return ""
    outside = not is_below(real, str(folder.parent)) and not is_below(target, str(folder.parent))
    named = all(_INTERPRETER.fullmatch(os.path.basename(one)) for one in (target, real))
    return target if outside and named and os.path.isfile(real) and os.access(real, os.X_OK) else ""


def _described(folder: Path, root: Path) -> VirtualEnvironment:
    found = [path for path in (folder / "lib").glob("python*/site-packages") if os.path.realpath(path) == str(path)]
    edited = dict.fromkeys(place for packages in found for place in _editable(packages, root))
    return VirtualEnvironment(
        folder=str(folder),
        scripts=str(folder / "bin"),
        site_packages=tuple(str(path) for path in sorted(found)),
        interpreter=_interpreter(folder),
        editable=tuple(edited),
    )


def _editable(packages: Path, root: Path) -> Iterator[str]:
    """Folders of the project that packages are imported from, as files of the environment say it."""
    for path in sorted(packages.glob("*.pth"))[:200]:
        for line in read_text(path).splitlines()[:100]:
            yield from _relative(line.strip(), root)
    for path in sorted(packages.glob("__editable__*finder.py"))[:200]:
        for found in _MAPPING.findall(read_text(path)):
            with suppress(ValueError, SyntaxError, AttributeError, RecursionError, MemoryError):
                for place in ast.literal_eval(found).values():
                    yield from _relative(os.path.dirname(str(place)), root)


def _relative(place: str, root: Path) -> Iterator[str]:
    if os.path.isabs(place) and is_below(real := os.path.realpath(place), str(root)) and real != str(root):
        yield os.path.relpath(real, root)
