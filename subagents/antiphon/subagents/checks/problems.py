"""What checks complain of, and which of that is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from antiphon.engine import CallContext
from antiphon.subagents.records.claims import RANK, Severity
from antiphon.subagents.sandbox import Sandbox
from antiphon.tracing import Json


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint of one tool.

    Attributes:
        tool: who complains. rule: its name for it.
        path: the file, relative to the tree. line: from 1; None where it is about the whole file.
        text: what the tool says. severity: how bad.
    """

    tool: str
    rule: str
    path: str
    line: int | None
    text: str
    severity: Severity

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two states must share for it to be the same problem: not the line, which moves with what is above."""
        return (self.tool, self.rule, self.path, self.text)

    def __str__(self) -> str:
        """``path:line: severity tool rule: text``."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.severity} {self.tool} {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A tool that did not look, or not at everything, and why."""

    tool: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckRun:
    """What came out of checking some files.

    Attributes:
        problems: in order of path, line, tool. ran: the tools that looked.
        absent: tools that were not run. failed: tools that broke down on something.
    """

    problems: tuple[Problem, ...] = ()
    ran: tuple[str, ...] = ()
    absent: tuple[NotChecked, ...] = ()
    failed: tuple[NotChecked, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As JSON; `from_json` reads it again."""
        return cast("dict[str, Json]", asdict(self))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CheckRun:
        """What `to_json` gave."""
        return cls(
            problems=tuple(Problem(**one) for one in value["problems"]),
            ran=tuple(value["ran"]),
            absent=tuple(NotChecked(**one) for one in value["absent"]),
            failed=tuple(NotChecked(**one) for one in value["failed"]),
        )


class Checker(Protocol):
    """What looks at files for problems: linters, formatters, type checkers, security analysers."""

    async def __call__(
        self, root: Path, units: Sequence[str] | None, *, sandbox: Sandbox, ctx: CallContext
    ) -> CheckRun:
        """Check files of a tree. Nothing in it is executed.

        Args:
            root: the tree.
            units: its files to check, relative to it; None for all. Those that are not there are passed over.
            sandbox: what confines the tools.
            ctx: of the call that this is done for; each tool is a process attempt of it.
        """
        ...


def new_problems(before: Iterable[Problem], after: Iterable[Problem]) -> list[Problem]:
    """The problems that are in one state and were not in another, in order.

    Problems are the same by tool, rule, path and text: one that only moved to another line is not new. Of several that
    are the same, as many are new as there are more of them now: those on lines that had none, and of these the last.
    """
    before, after = list(before), list(after)
    known = Counter(problem.key for problem in before)
    places = Counter((problem.key, problem.line) for problem in before)
    new = set(range(len(after)))
    for staying in (True, False):
        for number, problem in enumerate(after):
            place = (problem.key, problem.line)
            if number in new and known[problem.key] and (places[place] or not staying):
                known[problem.key] -= 1
                places[place] -= staying
                new.discard(number)
    return [after[number] for number in sorted(new)]


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By path, line, tool, rule and text."""
    return tuple(sorted(problems, key=lambda one: (one.path, one.line or 0, one.tool, one.rule, one.text)))


def at_least(problems: Iterable[Problem], severity: Severity) -> list[Problem]:
    """Those that are as bad as `severity` or worse."""
    return [problem for problem in problems if RANK[problem.severity] >= RANK[severity]]
