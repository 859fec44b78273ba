"""Asking about Python code: the question goes to a process of its own, and what comes back is checked."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.subagents.tools.apart import Apart, Script, apart
from antiphon.subagents.tools.contract import Misfit
from antiphon.subagents.tools.files.working import between_files, files_of
from antiphon.subagents.tools.paging import one_line
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.subagents.workspace.files import Files, PathRefused, Walk
from antiphon.subagents.workspace.files.viewing import LEFT_OUT
from antiphon.tracing import Json

MOST_FILES: Final = 5_000
"""Python files of a workspace that are looked through."""
ASK_SECONDS: Final = 30.0
_ASKER: Final = Script(
    file=Path(__file__).resolve().with_name("asker.py"), name="jedi", seconds=ASK_SECONDS, packages=True
)
_PYTHON: Final = (".py", ".pyi")
_MOST_COPIED: Final = 256 << 20
_MOST_FILE: Final = (2 << 20) + 1
"""A byte more than is looked at."""


class Installed(Protocol):
    """What is known of a project's packages; `antiphon.subagents.workspace.environment.Environment` is one."""

    @property
    def site_packages(self) -> tuple[str, ...]:
        """Folders of the Python packages that the project's code imports: absolute, real."""
        ...


class NotAnswered(UsageError):
    """A question on code has no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was answered.

    Attributes:
        answers: each as the script says it. files: the Python files of the workspace that were looked through.
        notes: what may be missing, and why.
    """

    answers: tuple[Mapping[str, Any], ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]


async def ask(
    question: str,
    given: Mapping[str, Json],
    *,
    ctx: CallContext,
    installed: Installed,
    path: str = "",
    whole: bool = True,
) -> Asked:
    """Ask about the code of the workspace that a call works in.

    Args:
        question: one of the script's.
        given: what belongs to it.
        ctx: of the call.
        installed: the project's packages.
        path: the file that it is about; or the folder; "" for the whole workspace.
        whole: all Python files are looked through, or those below the folder.

    Raises:
        Misfit: the file is none of Python's.
        NotAnswered: there is no answer.
        PathRefused: there is no such file.
    """
    files, sandbox = files_of(ctx), workspace_of(ctx).sandbox
    name, listed, hidden = await anyio.to_thread.run_sync(lambda: _looked_through(files, path, whole=whole))
    site = [one for one in installed.site_packages if not one.startswith(f"{files.root}/")]
    with _visible(files) as root:
        if root != str(files.root):
            await anyio.to_thread.run_sync(_copy, files, {name, *listed[:MOST_FILES]}, Path(root))
        job: dict[str, Json] = {
            "ask": question,
            "root": root,
            "site": list(site),
            "path": name,
            "files": list(listed[:MOST_FILES]) if whole else [],
            **given,
        }
        said = await apart(_ASKER, job, ctx=ctx, sandbox=sandbox, read=(root, *site))
    asked = _checked(said, listed)
    return replace(asked, notes=(*asked.notes, f"not looked at: {hidden:,} {LEFT_OUT}")) if hidden else asked


@contextmanager
def _visible(files: Files) -> Generator[str]:
    """Where code is looked at: the workspace, or a folder for what of it may be seen; imports lead to no more."""
    if files.view is None:
        yield str(files.root)
    else:
        with private_folder() as folder:
            yield folder


def _copy(files: Files, names: Iterable[str], root: Path) -> None:
    """Put Python files into a folder, under their own names.

    Raises:
        NotAnswered: they are too many bytes.
    """
    left = _MOST_COPIED
    for name in sorted(one for one in names if one.endswith(_PYTHON)):
        between_files()
        try:
            data = files.read(name, _MOST_FILE).data
        except (UsageError, OSError):  # it has gone, or nobody can read it
            continue
        left -= len(data)
        if left < 0:
            raise NotAnswered(f"the Python files are more than {_MOST_COPIED >> 20} MiB; grep may do instead")
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _looked_through(files: Files, path: str, *, whole: bool) -> tuple[str, tuple[str, ...], int]:
    """The file or folder that is meant; the Python files, where they are needed; and how many names are not shown."""
    name = files.named(path)
    entry = files.look(name)
    if entry is None:
        raise PathRefused(path, "there is no such file or folder")
    if entry.kind != "folder":
        if not name.endswith(_PYTHON):
            raise Misfit(only_python(path))
        name = files.read(name, 1).path
    if not whole and files.view is None:
        return name, (), 0
    walk = Walk(files, between=between_files)
    below = walk.below("" if entry.kind != "folder" else name)
    found = sorted(one.path for one in below if one.entry.kind == "file" and one.path.endswith(_PYTHON))
    return name, tuple(found), walk.left_out[LEFT_OUT]


def _checked(said: Apart, listed: Sequence[str]) -> Asked:
    answers = [one for one in said.answers if "name" in one]
    notes = [one_line(str(one["note"])) for one in said.answers if "note" in one]
    errors = [one_line(str(one["error"])) for one in said.answers if "error" in one]
    if errors:
        raise NotAnswered(errors[0])
    if said.trouble and not answers:
        raise NotAnswered(f"the code could not be looked at: {said.trouble}; grep may do instead")
    if said.trouble:
        notes.append(f"there may be more: {said.trouble}")
    if len(listed) > MOST_FILES:
        notes.append(f"only the first {MOST_FILES:,} of {len(listed):,} Python files were looked through")
    others = [one for one in said.answers if "others" in one]
    return Asked((*answers, *others), tuple(listed), tuple(notes))


def only_python(path: str, name: str = "") -> str:
    """What is said of other languages."""
    word = f"\\b{name}\\b" if name else "^\\s*(function|class|func|fn|def|type|struct)\\b"
    return f"only Python is understood here; for {one_line(path) or 'other files'} use grep with pattern {word!r}"
