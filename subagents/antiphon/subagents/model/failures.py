"""What becomes of a request that fails, by the class of the failure: one table, which docs/rates.md shows.

The engine's own sets (`RETRYABLE`, `BREAKING`, `NOT_BILLED` in `antiphon.engine.errors`) are what is acted on; this
says the same in one place, for people and for whoever tells a failure's class from a provider's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What becomes of one class of failures.

    Attributes:
        means: what happened.
        again: whether the same request is tried again.
        halves: whether fewer requests are sent at once from now on.
        billed: whether the try is charged: never, or whole and marked as estimated because nobody knows.
        pauses: when the run pauses: at once, when the provider keeps failing, or never.
        ends: what the call ends as when that is all.
    """

    means: str
    again: bool
    halves: bool
    billed: Literal["no", "estimated"]
    pauses: Literal["at once", "if it goes on", "never"]
    ends: str


_OUTSIDE = "failed (infrastructure)"
_TASK = "failed (task)"
_RESUMES = "not at all: it goes on when the run does"

TREATMENTS: Final[Mapping[str, Treatment]] = {
    "rate": Treatment(
        means="too many requests", again=True, halves=True, billed="no", pauses="if it goes on", ends=_OUTSIDE
    ),
    "overloaded": Treatment(
        means="the provider is busy or broken",
        again=True,
        halves=True,
        billed="no",
        pauses="if it goes on",
        ends=_OUTSIDE,
    ),
    "timeout": Treatment(
        means="no answer in time",
        again=True,
        halves=False,
        billed="estimated",
        pauses="if it goes on",
        ends=_OUTSIDE,
    ),
    "network": Treatment(
        means="no connection, or one that was cut",
        again=True,
        halves=False,
        billed="estimated",
        pauses="if it goes on",
        ends=_OUTSIDE,
    ),
    "quota": Treatment(
        means="what may be used is used up", again=False, halves=False, billed="no", pauses="at once", ends=_RESUMES
    ),
    "credit": Treatment(
        means="what was paid for is used up", again=False, halves=False, billed="no", pauses="at once", ends=_RESUMES
    ),
    "authentication": Treatment(
        means="no key, or a wrong one", again=False, halves=False, billed="no", pauses="at once", ends=_RESUMES
    ),
    "context too long": Treatment(
        means="the conversation does not fit", again=False, halves=False, billed="no", pauses="never", ends=_TASK
    ),
    "content refused": Treatment(
        means="the provider refuses what was asked or answered",
        again=False,
        halves=False,
        billed="estimated",
        pauses="never",
        ends=_TASK,
    ),
    "bad request": Treatment(
        means="the provider does not understand it", again=False, halves=False, billed="no", pauses="never", ends=_TASK
    ),
}
"""By the name of the class."""


def table() -> list[str]:
    """The table as lines of Markdown."""
    lines = ["| class | means | tried again | halves | charged | pauses the run | the call ends |", "|---" * 7 + "|"]
    for name, one in TREATMENTS.items():
        again, halves = ("yes" if one.again else "no"), ("yes" if one.halves else "no")
        lines.append(f"| {name} | {one.means} | {again} | {halves} | {one.billed} | {one.pauses} | {one.ends} |")
    return lines
