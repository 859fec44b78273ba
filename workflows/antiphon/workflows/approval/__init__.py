"""What a person agreed to before a script that a model wrote is run: its text, its scope, what it is given.

`subject` is what an approval is of, and its hash. `store` keeps what was approved under a seal, in the user's own state
folder and never in a project. `difference` says what a version has that the one approved before had not.
docs/approval.md.
"""

from antiphon.workflows.approval.difference import Change, changes, unified
from antiphon.workflows.approval.needing import Asked, needs_approval
from antiphon.workflows.approval.planned import Planned, planned_of
from antiphon.workflows.approval.store import Approved, Kept, approved_now
from antiphon.workflows.approval.subject import HASH_DIGITS, Subject, subject_of, subject_of_text

__all__ = [
    "HASH_DIGITS",
    "Approved",
    "Asked",
    "Change",
    "Kept",
    "Planned",
    "Subject",
    "approved_now",
    "changes",
    "needs_approval",
    "planned_of",
    "subject_of",
    "subject_of_text",
    "unified",
]
