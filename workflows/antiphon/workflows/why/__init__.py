"""Why a run says what it says: for one claim, who says it and who disputes it, on what evidence, in which context.

All of it is read from the run's log, which may come from anybody: nothing is executed, and nothing in it is trusted.
"""

from antiphon.workflows.why.account import Account, account_of
from antiphon.workflows.why.lookup import Found, NotFound, find
from antiphon.workflows.why.reading import RecordedCall, RecordedRun, read_run

__all__ = ["Account", "Found", "NotFound", "RecordedCall", "RecordedRun", "account_of", "find", "read_run"]
