"""Git on the host, for repositories of our own: pinned to where it works, told nothing by anybody's configuration.

What it works on is hostile: names, contents, attributes and ignore rules come from whoever wrote the project, or from a
model. Git executes what its configuration names (hooks, filters, monitors, helpers), so it is given none but ours.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Final

import anyio
import anyio.to_thread

from antiphon.engine import UsageError
from antiphon.tracing.errors import AntiphonError

SECONDS: Final = 300.0
OUTPUT_BYTES: Final = 256 * 1024 * 1024
OLDEST: Final = (2, 25)
_SAID_BYTES: Final = 600
_PIECE: Final = 1 << 16
_DISK_TROUBLE: Final = ("No space left on device", "unable to write file", "unable to write new index file")
"""What git says of a full disk; of some writes it does not say why they failed, and there is hardly another reason."""
_VERSION = re.compile(r"(\d+)\.(\d+)")
_SAFE: Final = (
    *("--no-pager", "--literal-pathspecs", "--no-replace-objects", "--no-optional-locks"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"),
    *("-c", "core.attributesFile=/dev/null", "-c", "core.excludesFile=/dev/null"),
    *(
        "-c",
        "core.sshCommand=false",
        "-c",
        "core.gitProxy=false",
        "-c",
        "core.askPass=false",
        "-c",
        "core.editor=false",
    ),
    *("-c", "credential.helper=", "-c", "protocol.allow=never", "-c", "submodule.recurse=false"),
    *("-c", "core.commitGraph=false", "-c", "core.quotePath=false", "-c", "core.autocrlf=false", "-c", "core.eol=lf"),
    *("-c", "core.fileMode=true", "-c", "core.symlinks=true", "-c", "core.safecrlf=false"),
    *("-c", "core.splitIndex=false", "-c", "index.sparse=false", "-c", "core.sparseCheckout=false"),
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "commit.gpgSign=false", "-c", "log.showSignature=false"),
    *("-c", "diff.external=", "-c", "diff.orderFile=/dev/null", "-c", "advice.detachedHead=false"),
)
AUTHOR: Final = ("antiphon", "antiphon@localhost")
"""Who makes the commits that no person made."""


class GitFailed(AntiphonError):
    """Git could not do something in a repository of ours.

    Attributes:
        doing: the subcommand. said: its last words.
    """

    def __init__(self, doing: str, said: str) -> None:
        self.doing, self.said = doing, said
        super().__init__(
            f"git {doing} failed in a workspace: {said or 'it does not say why'}", advice="antiphon doctor"
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """A git command that ended.

    Attributes:
        exit: its status. out: what it printed. said: the end of what it complained, as one line.
        cut: it printed more than was allowed, and was ended for it.
    """

    exit: int
    out: bytes
    said: str
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Git as one repository of ours sees it. Its methods block, but `ask`.

    Attributes:
        program: git itself.
        directory: the value of GIT_DIR.
        common: where the repository's objects and refs are, if `directory` is that of a linked worktree.
        work_tree: the files; None where no command may look at any.
        index: the index; the repository's own by default.
    """

    program: str
    directory: Path
    common: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None

    def at(self, work_tree: Path | None, index: Path | None) -> Git:
        """The same repository with other files."""
        return replace(self, work_tree=work_tree, index=index)

    def __call__(self, *arguments: str, given: bytes = b"", limit: int = OUTPUT_BYTES) -> bytes:
        """What a command prints.

        Args:
            arguments: the subcommand and what follows it.
            given: its input.
            limit: bytes that it may print.

        Raises:
            GitFailed: it did not exit with 0, printed more, or took longer than `SECONDS`.
            OSError: the disk is full.
        """
        ran = self.run(*arguments, given=given, limit=limit)
        if ran.cut:
            raise GitFailed(arguments[0], f"it printed more than {limit:,} bytes")
        if ran.exit:
            raise GitFailed(arguments[0], ran.said)
        return ran.out

    def run(self, *arguments: str, given: bytes = b"", limit: int = OUTPUT_BYTES, seconds: float = SECONDS) -> Ran:
        """Run a command to its end, whatever it says.

        Raises:
            GitFailed: it cannot be started, or took longer than `seconds`.
            OSError: the disk is full.
        """
        with tempfile.TemporaryFile() as said, _input(given) as stdin:
            process = self._start(arguments, stdin, said)
            late = threading.Event()
            timer = threading.Timer(seconds, _end, (process, late))
            timer.daemon = True
            timer.start()
            try:
                assert process.stdout is not None
                with process.stdout as stdout:
                    out, cut = _read(stdout, limit)
                if cut:
                    process.kill()
                process.wait()  # the timer sees to it that this ends
            finally:
                timer.cancel()
                process.kill()
                process.wait()
            words = _words(said)
        if late.is_set():
            raise GitFailed(arguments[0], f"it did not end within {seconds:g} s")
        if process.returncode and any(trouble in words for trouble in _DISK_TROUBLE):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.work_tree or self.directory))
        return Ran(0 if cut else process.returncode, out, words, cut)

    async def ask(
        self, *arguments: str, given: bytes = b"", limit: int = OUTPUT_BYTES, seconds: float = SECONDS
    ) -> Ran:
        """`run`, in a worker thread; cancellation waits for git, which is bounded."""

        def run() -> Ran:
            return self.run(*arguments, given=given, limit=limit, seconds=seconds)

        return await anyio.to_thread.run_sync(run)

    def _start(self, arguments: Sequence[str], stdin: IO[bytes] | int, said: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self.program, *_SAFE, *arguments],
                env=self.environment(),
                cwd=self.work_tree or "/",
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for antiphon, which ends what it began
            )
        except OSError as error:
            raise GitFailed(arguments[0], f"{self.program} cannot be started: {error.strerror}") from None

    def environment(self) -> dict[str, str]:
        """All that git is told: nothing of the user's, and where everything is."""
        told = {
            "PATH": os.pathsep.join(filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep))),
            "LC_ALL": "C",
            "TZ": "UTC",
            "HOME": "/nonexistent",
            "XDG_CONFIG_HOME": "/nonexistent",
            "GIT_DIR": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_EDITOR": "false",
            "GIT_PAGER": "cat",
        }
        places = {"GIT_COMMON_DIR": self.common, "GIT_WORK_TREE": self.work_tree, "GIT_INDEX_FILE": self.index}
        told |= {name: str(place) for name, place in places.items() if place is not None}
        for who in ("AUTHOR", "COMMITTER"):
            told |= {f"GIT_{who}_NAME": AUTHOR[0], f"GIT_{who}_EMAIL": AUTHOR[1], f"GIT_{who}_DATE": "@0 +0000"}
        return told


def find_git(avoiding: Sequence[Path]) -> str:
    """The program; never one that lies in a folder of somebody else's, whatever PATH says. Blocks.

    Args:
        avoiding: such folders: the project, the run's directory.

    Raises:
        UsageError: there is none, or it is too old.
    """
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which("git", path=folder) if os.path.isabs(folder) else None
        if found is not None and not any(_inside(Path(found), place) for place in avoiding):
            _check_version(found)
            return found
    raise UsageError(
        "workspaces need git, which is not installed",
        advice="install git 2.25 or newer: apt install git, dnf install git, or brew install git",
    )


@cache
def _check_version(program: str) -> None:
    """Raises `UsageError` for a git that is too old."""
    said = Git(program=program, directory=Path(os.devnull)).run("version", seconds=30.0).out.decode("ascii", "replace")
    number = _VERSION.search(said)
    if number is None or (int(number[1]), int(number[2])) < OLDEST:
        raise UsageError(
            f"workspaces need git {OLDEST[0]}.{OLDEST[1]} or newer, and {program} is {said.strip()[:100] or 'unknown'}",
            advice="install a newer git, and put it first on PATH",
        )


def _inside(path: Path, folder: Path) -> bool:
    try:
        real = folder.resolve()
        return path.is_relative_to(real) or path.resolve().is_relative_to(real)
    except (OSError, RuntimeError):
        return True


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _read(out: IO[bytes], limit: int) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(out.fileno(), _PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return b"".join(pieces)[:limit], True
    return b"".join(pieces), False


@contextmanager
def _input(given: bytes) -> Generator[IO[bytes] | int]:
    """A file, and no pipe: that could fill up while the answer is waited for."""
    if not given:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        yield file


def _words(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SAID_BYTES))
    text = " ".join(said.read().decode("utf-8", "backslashreplace").split())
    return text.removeprefix("fatal: ").removeprefix("error: ")
