"""How a resumed run ends for whoever typed the command: as it would have ended for whoever began it."""

from __future__ import annotations

from typing import Any, Protocol

from antiphon.workflows.builtin import Bound
from antiphon.workflows.cli.summary import value_text
from antiphon.workflows.cli.terminal import Paper
from antiphon.workflows.running import Ended


class End(Protocol):
    """What a command prints once its run is over, and its exit code."""

    def bound(self, bound: Any, /) -> None:
        """Take the workflow, before it begins."""
        ...

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write to stdout what was asked for."""
        ...

    def judged(self, ended: Ended) -> int:
        """The exit code."""
        ...

    def say_verdict(self) -> None:
        """Say on stderr why it failed, if it did."""
        ...


class ResumedEnd:
    """The end of whichever workflow a resumed run turns out to be; of a plain file, its value and its own code."""

    def __init__(self) -> None:
        self._end: End | None = None

    def bound(self, name: str, bound: Bound) -> None:
        """Take a workflow that ships with antiphon, by its name."""
        self._end = _end_of(name)
        self._end.bound(bound)

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write to stdout what the command that began it would have written."""
        if self._end is not None:
            self._end.report(ended, paper)
        elif ended.value is not None:
            paper.text(value_text(ended.value))

    def judged(self, ended: Ended) -> int:
        """The exit code that the command that began it would have had."""
        return ended.result.exit_code if self._end is None else self._end.judged(ended)

    def say_verdict(self) -> None:
        """Say on stderr why it failed, if it did."""
        if self._end is not None:
            self._end.say_verdict()


def _end_of(name: str) -> End:
    if name == "fix":
        from antiphon.workflows.cli.fix_end import FixEnd

        return FixEnd()
    if name == "build":
        from antiphon.workflows.cli.build_end import BuildEnd

        return BuildEnd()
    if name == "plan":
        from antiphon.workflows.cli.plan_end import PlanEnd

        return PlanEnd()
    from antiphon.workflows.cli.audit_end import AuditEnd

    return AuditEnd()
