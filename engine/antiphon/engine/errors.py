"""Everything the engine raises, on one screen.

::

    AntiphonError                    message, advice, exit_code (the floor below: antiphon.tracing.errors)
     ├─ UsageError                   what was typed or written is wrong; nothing was performed      exit 2
     │   ├─ ManifestError            the manifest literal
     │   ├─ ParameterError           the arguments for main
     │   ├─ UndeclaredError          a step, role or tool outside the manifest
     │   └─ HabitError               a habit from another tool; the message names the fix
     ├─ CallFailed                   what awaiting a failed call raises; text is ``kind: reason``   exit 1
     ├─ AgentFailure                 raised by a subagent: the task failed
     │   ├─ MalformedOutput          what came out could not be read
     │   └─ OutsideManifest          it did what the manifest does not declare
     ├─ InfrastructureError          raised by a subagent: not the task, what it runs on
     ├─ ScriptRaised                 a confined script raised an exception of its own (script/runtime.py)
     └─ GuestDied                    a confined script was ended before its end (script/runtime.py)
    Stopped (BaseException)          the run is over for this branch; never caught by ``except Exception``

Cancellation itself is the backend's own exception and is neither caught nor translated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

from antiphon.tracing.errors import AntiphonError

if TYPE_CHECKING:
    from antiphon.engine.outcome import Outcome

InfrastructureCategory = Literal[
    "rate", "overloaded", "timeout", "network", "quota", "credit", "authentication", "environment"
]
INFRASTRUCTURE: frozenset[str] = frozenset(get_args(InfrastructureCategory))
RETRYABLE: frozenset[str] = frozenset({"rate", "overloaded", "timeout", "network"})
BREAKING: frozenset[str] = frozenset({"quota", "credit", "authentication"})
NOT_BILLED: frozenset[str] = frozenset({"rate", "overloaded", "quota", "credit", "authentication", "environment"})


class UsageError(AntiphonError):
    """What was typed or written is wrong. Raised before anything is performed."""

    exit_code = 2


class ManifestError(UsageError):
    """The manifest is missing, not a literal, or has a field that does not fit."""

    def __init__(self, file: str, problem: str, line: int | None = None) -> None:
        self.file, self.problem, self.line = file, problem, line
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {problem}", advice="see `manifest` in docs/reference/script-api.md")


class ParameterError(UsageError):
    """The arguments given do not fit main's typed parameters."""

    def __init__(self, workflow: str, problem: str, expected: str) -> None:
        self.workflow, self.problem, self.expected = workflow, problem, expected
        super().__init__(f"{workflow}: {problem}", advice=f"main takes {expected}; pass each as --arg name=value")


class UndeclaredError(UsageError):
    """The script used a step or role that its manifest does not declare, or that does not exist."""

    def __init__(self, sort: str, name: str, known: list[str]) -> None:
        self.sort, self.name, self.known = sort, name, known
        listing = ", ".join(sorted(known)) or "none"
        super().__init__(f"{sort} {name!r} is not available here (available: {listing})")


class HabitError(UsageError):
    """A habit from another tool that would go wrong here. The message names the fix."""

    def __init__(self, problem: str, fix: str, place: str = "") -> None:
        self.problem, self.fix, self.place = problem, fix, place
        super().__init__(f"{place}: {problem}" if place else problem, advice=fix)


class CallFailed(AntiphonError):
    """Awaiting a call that did not end in a value. ``str()`` is ``kind: reason``; `outcome` has the rest."""

    def __init__(self, outcome: Outcome[object]) -> None:
        self.outcome = outcome
        super().__init__(f"{outcome.kind}: {outcome.reason}")


class AgentFailure(AntiphonError):
    """A subagent says that its task failed. Ends the call as `Failed(task)`.

    Attributes:
        raw: what there is to keep besides the message: a diagnosis as JSON; None for nothing.
    """

    raw: str | None = None


class MalformedOutput(AgentFailure):
    """A program's or model's output could not be read. Ends the call as `Failed(malformed)`."""


class OutsideManifest(AgentFailure):
    """What a subagent or a step did is outside of what the manifest declares. Ends the call as `Denied`.

    Args:
        what: such as ``role 'auditor'``.
        field: the manifest's, such as ``scope.write``.
        reason: one sentence.
    """

    def __init__(self, what: str, field: str, reason: str) -> None:
        self.what, self.field, self.reason = what, field, reason
        super().__init__(reason)


class InfrastructureError(AntiphonError):
    """A subagent could not work for a reason outside its task.

    Args:
        category: what failed. Quota, credit and authentication pause the run; rate, overloaded, timeout and
            network are retried inside an attempt.
        reason: one sentence.
        retry_after: seconds the other side asked to wait, or None.
        billed: whether the attempt may have cost money; by default known from the category.
        breaks: whether it pauses the run; by default known from the category. Whoever sees that the other side keeps
            failing says so here.
    """

    def __init__(
        self,
        category: InfrastructureCategory,
        reason: str,
        *,
        retry_after: float | None = None,
        billed: bool | None = None,
        breaks: bool | None = None,
    ) -> None:
        if category not in INFRASTRUCTURE:
            raise ValueError(f"unknown infrastructure category {category!r}; one of {sorted(INFRASTRUCTURE)}")
        self.category: InfrastructureCategory = category
        self.reason, self.retry_after = reason, retry_after
        self.billed = category not in NOT_BILLED if billed is None else billed
        self.breaks = category in BREAKING if breaks is None else breaks
        super().__init__(f"{category}: {reason}")


def leading(error: Exception) -> Exception:
    """What a task group of somebody's own code really says: the first of our errors in it, or the only one."""
    if not isinstance(error, ExceptionGroup):
        return error
    inside = [leading(inner) for inner in cast("ExceptionGroup[Exception]", error).exceptions]
    ours = next((inner for inner in inside if isinstance(inner, AntiphonError)), None)
    return ours or (inside[0] if len(inside) == 1 else cast("Exception", error))


class Stopped(BaseException):
    """The run has stopped: no engine call may begin. Raised by calls that do not await."""
