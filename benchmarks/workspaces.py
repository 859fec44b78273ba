"""What a workspace costs, beside git's own worktree and a copy of the folder: to make, to know its state, to go back.

``python benchmarks/workspaces.py [PATH] [--rounds 7]`` takes a git repository (this one by default; a clone of it is
worked on, never itself). All three take turns, so that what else the machine does falls on all of them alike. Bytes are
what one more of each adds on the disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio

from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.workspace import RunWorkspaces

QUIET = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
Taken = dict[tuple[str, str], list[float]]


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    return subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True, env=QUIET
    ).stdout


def disk(folder: Path) -> int:
    """Bytes that a folder takes."""
    return (
        int(subprocess.run(["du", "-sk", folder], check=True, capture_output=True, text=True).stdout.split()[0]) * 1024
    )


def timed(taken: Taken, what: str, who: str, act: Callable[[], object]) -> None:
    """Do it, and keep how long that took."""
    began = time.perf_counter()
    act()
    taken[what, who].append(time.perf_counter() - began)


async def awaited(taken: Taken, what: str, who: str, act: Callable[[], Awaitable[object]]) -> None:
    """The same of what is awaited."""
    began = time.perf_counter()
    await act()
    taken[what, who].append(time.perf_counter() - began)


def state(folder: Path) -> str:
    """The state of a worktree of git's, as a tree id."""
    git(folder, "add", "-A")
    return git(folder, "write-tree")


def edit(folder: Path, number: int) -> None:
    """One file changed, as an agent would."""
    (folder / "antiphon-benchmark.txt").write_text(f"{number}\n")


async def measure(project: Path, top: Path, rounds: int) -> tuple[Taken, dict[str, int]]:
    """Every round makes one of each, and changes a file in each."""
    taken: Taken = defaultdict(list)
    run = top / "run"
    run.mkdir()
    async with RunWorkspaces(run, "benchmark", project, sandbox=Unconfined) as workspaces:
        await awaited(taken, "the base, once a run", "antiphon", workspaces.open_base)
        base, last = workspaces.base.tree, project
        for number in range(rounds):
            copy, tree = top / f"copy-{number}", top / f"worktree-{number}"
            timed(taken, "make", "copy", partial(shutil.copytree, project, copy, symlinks=True))
            timed(taken, "make", "git worktree", partial(git, project, "worktree", "add", "--detach", str(tree)))
            began = time.perf_counter()
            workspace = await workspaces.take(f"w{number}", base, writes=True)
            taken["make", "antiphon"].append(time.perf_counter() - began)
            edit(tree, number)
            timed(taken, "its state", "git worktree", partial(state, tree))
            edit(workspace.root, number)
            await awaited(taken, "its state", "antiphon", workspace.tree)
            timed(taken, "go back", "git worktree", partial(git, tree, "reset", "--hard", "-q", "HEAD"))
            await awaited(taken, "go back", "antiphon", partial(workspace.restore, base))
            last = workspace.root
        sizes = {
            "copy": disk(top / "copy-0"),
            "git worktree": disk(top / "worktree-0"),
            "antiphon": disk(last),
        }
        sizes["antiphon, the run's repository"] = disk(run)
    return taken, sizes


def report(taken: Taken, sizes: dict[str, int]) -> None:
    """Medians, and the ratio to git's own worktree."""
    for what in dict.fromkeys(name for name, _ in taken):
        theirs = statistics.median(taken[what, "git worktree"]) if (what, "git worktree") in taken else None
        for (name, who), seconds in taken.items():
            if name == what:
                median = statistics.median(seconds)
                ratio = f"x{median / theirs:.2f}" if theirs else ""
                print(f"{what:<22} {who:<14} {median * 1e3:9.1f} ms {ratio}")
    for who, size in sizes.items():
        print(f"{'bytes on the disk':<22} {who:<30} {size / 1e6:9.1f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path(__file__).parents[1], help="a git repository")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        top = Path(made).resolve()
        os.environ["XDG_CACHE_HOME"] = str(top / "cache")
        project = top / "project"
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", asked.path, project], check=True, env=QUIET)
        print(
            f"{len(git(project, 'ls-files', '-z').split(chr(0))) - 1:,} files, {disk(project) / 1e6:.1f} MB with .git"
        )
        report(*anyio.run(measure, project, top, asked.rounds))


if __name__ == "__main__":
    main()
