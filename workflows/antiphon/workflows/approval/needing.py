"""Whether a person has to agree before a script is run, and what they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.tracing import Json
from antiphon.workflows.approval.difference import Change, changes, unified
from antiphon.workflows.approval.planned import planned_of
from antiphon.workflows.approval.store import Approved, Kept
from antiphon.workflows.approval.subject import Subject, subject_of

if TYPE_CHECKING:
    from antiphon.workflows.loading import Loaded
    from antiphon.workflows.preflight import Preflight


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person is asked to agree to.

    Attributes:
        subject: exactly what. preflight: what there is to say of it.
        last: the version that was approved before; None for the first.
    """

    subject: Subject
    preflight: Preflight
    last: Approved | None = None

    @property
    def hash(self) -> str:
        """What ``--approve`` takes."""
        return self.subject.hash

    @property
    def changes(self) -> list[Change]:
        """By meaning, what is not as it was approved."""
        return [] if self.last is None else changes(self.last, self.subject, self.preflight.cost.to_json())

    @property
    def patch(self) -> str:
        """Line by line, what is not as it was approved."""
        return "" if self.last is None else unified(self.last.source, self.subject.source)


def needs_approval(
    loaded: Loaded,
    preflight: Preflight,
    *,
    arguments: Mapping[str, Any] | None = None,
    granted: Mapping[str, Json] | None = None,
    kept: Kept | None = None,
) -> Asked | None:
    """What a person has to agree to before a workflow is run; None where it may run.

    A script that antiphon planned needs it, every version of it with all that it is given. A script that a person wrote
    does not.

    Args:
        loaded: the workflow.
        preflight: what there is to say of it.
        arguments: for main, validated.
        granted: what it is given besides; see `Subject`.
        kept: what was approved already; by default by this user.
    """
    if planned_of(loaded.source) is None:
        return None
    subject, kept = subject_of(loaded, arguments or {}, granted), kept or Kept()
    if kept.find(subject) is not None:
        return None
    return Asked(subject=subject, preflight=preflight, last=kept.before(subject))
