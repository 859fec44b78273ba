"""What a backend is: something that says how to start one command so that it is confined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from antiphon.subagents.sandbox.confinement import Confinement


class Refused(Exception):
    """A backend cannot start this command as it was asked to. `reason` says why, `advice` what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason, self.advice = reason, advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command to start.

    Attributes:
        program: what to execute: an absolute path, or for a backend with its own files what that one finds.
        arguments: what follows it.
        cwd: where it runs.
        env: its whole environment.
        private: an empty folder of its own, removed afterwards; its HOME and TMPDIR.
        confinement: what it may reach and use.
        report: the descriptor on which the launcher says that the program runs, or why not.
        alive: a descriptor that reads end of file once nobody wants the command any more.
        leash: a descriptor through which a process puts itself under the bound on tasks; None for no such bound.
    """

    program: str
    arguments: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    private: str
    confinement: Confinement
    report: int
    alive: int
    leash: int | None = None

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors that the launcher is told of."""
        return (self.report, self.alive, *(() if self.leash is None else (self.leash,)))


def _never(status: int, said: bytes) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a job.

    Attributes:
        argv: the process to start, by absolute path.
        env: that process's environment, which the command may be able to read.
        cwd: where that process starts.
        inherit: descriptors it keeps.
        reports: something in it says on `Job.report` that the program runs; without that word it did not start.
        supervised: it ends by itself, with all its descendants, once `Job.alive` is closed.
        namespaced: its first child is the first process of a namespace of its own, and takes all others with it.
        shell_status: a signal is told as 128 and its number.
        refused: whether an exit status and what it wrote to stderr mean that it did not start the program.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    inherit: tuple[int, ...] = ()
    reports: bool = True
    supervised: bool = False
    namespaced: bool = False
    shell_status: bool = False
    refused: Callable[[int, bytes], bool] = _never


class Sandbox(Protocol):
    """A way to confine commands. Its methods may block: they are called in a worker thread."""

    @property
    def name(self) -> str:
        """What a person types after `--sandbox`, and what reports say."""
        ...

    @property
    def confines(self) -> bool:
        """Whether it keeps a command from anything at all."""
        ...

    def find(self, program: str, search: str) -> str | None:
        """What to execute for a program's name; None if it is not there.

        Args:
            program: a path, or a name to look up.
            search: the value of PATH.
        """
        ...

    def prepare(self, job: Job) -> AbstractContextManager[Launch]:
        """How to start a job. What it made for that is closed when the context ends; the started process keeps its own.

        Raises:
            Refused: it cannot hold this job to its confinement.
            OSError: something it needs could not be made.
        """
        ...
