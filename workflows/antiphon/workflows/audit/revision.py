"""Reads the files of a git revision into a folder of our own, without running anything that the repository says.

A repository may come from anybody, and git runs what its configuration names: hooks, filters, a file system monitor,
helpers of transports. Only plumbing that needs none of them is called, with every way to name one shut; nothing of the
user's checkout, index, refs or configuration is written, and no network is used.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from antiphon.engine.errors import UsageError
from antiphon.workflows.audit.files import read_regular
from antiphon.workflows.audit.presence import find
from antiphon.workflows.audit.survey import LARGEST_BYTES, Omission

MOST_FILES: Final = 500_000
MOST_BYTES: Final = 4 << 30
_TIMEOUT_SECONDS: Final = 600.0
_GIT_FILE_BYTES: Final = 10_000
_NAME = re.compile(rb"[0-9a-f]{40}([0-9a-f]{24})?")
_SAFE: Final = (
    *("--no-pager", "--literal-pathspecs", "--no-replace-objects", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.attributesFile=/dev/null"),
    *("-c", "core.excludesFile=/dev/null", "-c", "core.sshCommand=false", "-c", "core.gitProxy=false"),
    *("-c", "core.askPass=false", "-c", "credential.helper=", "-c", "protocol.allow=never"),
    *("-c", "core.quotePath=false", "-c", "core.commitGraph=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
)


class RevisionError(UsageError):
    """The files of a revision cannot be had.

    Attributes:
        revision: as it was typed. problem: why.
    """

    def __init__(self, revision: str, problem: str, advice: str) -> None:
        self.revision, self.problem = revision, problem
        super().__init__(f"--since {revision[:200]!r}: {problem}", advice=advice)


@dataclass(frozen=True, slots=True)
class Blob:
    """A regular file of a revision.

    Attributes:
        unit: its name, relative to the audited folder. name: of its content, for git. size: in bytes.
    """

    unit: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on disk, as it is addressed.

    Attributes:
        top: the checkout's folder. directory: what holds objects and refs. git: the program.
        said: the revision that it is asked about, as it was typed.
    """

    top: Path
    directory: Path
    git: str
    said: str

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Ask git, and wait for the answer.

        Raises:
            RevisionError: git cannot be started, or does not answer.
        """
        try:
            return subprocess.run(
                [self.git, *_SAFE, *arguments],
                env=self.environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except OSError as error:
            problem = f"{self.git} cannot be started: {error.strerror}"
        except subprocess.TimeoutExpired as error:
            problem = f"{self.git} did not answer within {error.timeout:g} s"
        raise RevisionError(self.said, problem, "compare with --baseline FILE or with a run instead")

    def environment(self) -> dict[str, str]:
        """All that git is told: nothing of the user's, and where everything is."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "HOME": "/nonexistent",
            "GIT_DIR": str(self.directory),
            "GIT_WORK_TREE": str(self.top),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            # A repository may lack objects on purpose and name a program that fetches them.
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none",
        }


@dataclass(frozen=True, slots=True)
class Revision:
    """The files of a revision below the audited folder.

    Attributes:
        said: as it was typed. commit: its full name. blobs: its regular files. skipped: what else it holds, and why
            that is not looked at.
    """

    said: str
    commit: str
    blobs: tuple[Blob, ...]
    skipped: tuple[Omission, ...]


def repository_of(root: Path, said: str) -> Repository:
    """The repository whose checkout holds `root`.

    Raises:
        RevisionError: there is none, or no git outside it.
    """
    for top in (root, *root.parents):
        directory = _git_directory(top / ".git")
        if directory is not None:
            return Repository(top, directory, _git(top, said), said)
    raise RevisionError(said, f"{root} is in no git repository", "compare with --baseline FILE or with a run instead")


def _git(top: Path, said: str) -> str:
    """The program; never one that the repository brings along, whatever PATH says."""
    git = find("git", top.resolve())
    if git is None:
        advice = "install git outside the repository, or compare with --baseline FILE"
        raise RevisionError(said, "git is not installed", advice)
    return git


def _git_directory(place: Path) -> Path | None:
    """A `.git` folder, or where the file of that name in a linked worktree or submodule says that it is."""
    if place.is_file():
        text = (read_regular(place, _GIT_FILE_BYTES) or b"").decode("utf-8", "surrogateescape")
        if not text.startswith("gitdir:"):
            return None
        place = place.parent / text.removeprefix("gitdir:").strip()
    return place.resolve() if (place / "HEAD").is_file() else None


def read_revision(repository: Repository, said: str, below: Path) -> Revision:
    """List the files of a revision below a folder of the checkout. Blocks.

    Raises:
        RevisionError: git does not know the revision, or does not have its files.
    """
    commit = _commit(repository, said)
    listed = repository.ask("ls-tree", "-r", "-z", "-l", "--full-tree", commit)
    if listed.returncode:
        raise _missing(repository, said, f"its files cannot be listed ({_words(listed.stderr)})")
    blobs: list[Blob] = []
    skipped: list[Omission] = []
    prefix = os.fsencode(below.relative_to(repository.top).as_posix() + "/") if below != repository.top else b""
    for entry in filter(None, listed.stdout.split(b"\0")):
        found = _entry(entry, prefix)
        if isinstance(found, Blob):
            blobs.append(found)
        elif found is not None:
            skipped.append(found)
    if lacking := next((blob for blob in blobs if blob.size < 0), None):
        raise _missing(repository, said, f"the content of {lacking.unit!r} is not in this repository")
    if len(blobs) > MOST_FILES or sum(blob.size for blob in blobs) > MOST_BYTES:
        raise RevisionError(
            said, f"it holds more than {MOST_FILES:,} files or {MOST_BYTES >> 30} GiB", "audit a folder"
        )
    return Revision(said, commit, tuple(blobs), tuple(skipped))


def _commit(repository: Repository, said: str) -> str:
    if not said or said.startswith("-") or "\0" in said:
        raise RevisionError(said, "this is no revision", "name a branch, a tag or a commit: --since main")
    asked = repository.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{said}^{{commit}}")
    commit = asked.stdout.strip()
    if asked.returncode or not _NAME.fullmatch(commit):
        raise _missing(repository, said, _words(asked.stderr) or "there is no such revision")
    return commit.decode()


def _missing(repository: Repository, said: str, problem: str) -> RevisionError:
    """What to do about a revision that is not here, which depends on why."""
    if _held(repository, "shallow").exists():
        advice = "the clone is shallow: git fetch --unshallow (in GitHub's checkout action: fetch-depth: 0)"
        return RevisionError(said, f"{problem}, and this clone has only a part of the history", advice)
    if "content" in problem:
        return RevisionError(
            said, problem, "a partial clone (--filter) lacks contents: git fetch --refetch --no-filter"
        )
    return RevisionError(said, problem, "git log --oneline --all shows what there is; git fetch brings more")


def _held(repository: Repository, name: str) -> Path:
    """A file of the repository that all its worktrees share."""
    shared = (read_regular(repository.directory / "commondir", _GIT_FILE_BYTES) or b".").decode("utf-8", "replace")
    return repository.directory / shared.strip() / name


def _entry(line: bytes, prefix: bytes) -> Blob | Omission | None:
    """One line of `ls-tree -l`: mode, type, name, size, a tab, and the path as it is; None for what is elsewhere."""
    about, _, path = line.partition(b"\t")
    if not path.startswith(prefix):
        return None
    unit = path.removeprefix(prefix).decode("utf-8", "backslashreplace")
    mode, _, name, size = about.split()
    if mode == b"120000":
        return Omission(unit, "a symbolic link")
    if mode == b"160000":
        return Omission(unit, "a submodule, whose files are not in this revision")
    if not _plain(path):
        return Omission(unit, "its name cannot be written safely")
    length = int(size) if size.isdigit() else -1  # a clone may lack contents on purpose
    if length > LARGEST_BYTES:
        return Omission(unit, f"it is too large: {length:,} bytes, and the limit is {LARGEST_BYTES:,}")
    return Blob(unit, name.decode("ascii"), length)


def _plain(path: bytes) -> bool:
    """Whether a path stays below where it is put, and names nothing that git or we would act on."""
    parts = path.split(b"/")
    return _is_utf8(path) and all(part not in (b"", b".", b"..") and part.lower() != b".git" for part in parts)


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def write_revision(repository: Repository, revision: Revision, folder: Path) -> tuple[Omission, ...]:
    """Write the files of a revision into an empty folder that only this user can write. Blocks.

    Contents are as they were committed: no filter, no conversion of line ends.

    Returns:
        What could not be written, such as two names that the file system takes for one.

    Raises:
        RevisionError: the repository does not have the content of a file.
        OSError: disk full or I/O.
    """
    by_name: dict[str, list[Blob]] = {}
    for blob in revision.blobs:
        by_name.setdefault(blob.name, []).append(blob)
    problems: list[Omission] = []
    for name, data in _contents(repository, revision.said, list(by_name)):
        problems += filter(None, (_write(folder, blob, data) for blob in by_name[name]))
    return tuple(problems)


def _write(folder: Path, blob: Blob, data: bytes) -> Omission | None:
    file = folder / blob.unit
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
            out.write(data)
    except (FileExistsError, NotADirectoryError):
        return Omission(blob.unit, "the file system takes its name for that of another file")
    return None


def _contents(repository: Repository, said: str, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    with _asking(repository, names) as answers:
        for name in names:
            header = answers.readline(200).split()
            if len(header) != 3 or header[0] != name.encode() or header[1] != b"blob":
                raise _missing(repository, said, f"the content {name[:12]} is not in this repository")
            data = answers.read(int(header[2]))
            answers.read(1)
            yield name, data


@contextmanager
def _asking(repository: Repository, names: Iterable[str]) -> Generator[IO[bytes]]:
    """The answers of `cat-file --batch` about some objects. It is ended with the block, whatever it was at."""
    with tempfile.TemporaryFile() as asked:  # and no pipe, which could fill up while the answers are waited for
        asked.writelines(name.encode() + b"\n" for name in names)
        asked.seek(0)
        process = subprocess.Popen(
            [repository.git, *_SAFE, "cat-file", "--batch", "--buffer"],
            env=repository.environment(),
            cwd="/",
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _words(said: bytes) -> str:
    return " ".join(said[-300:].decode("utf-8", "backslashreplace").split()).removeprefix("fatal: ")
