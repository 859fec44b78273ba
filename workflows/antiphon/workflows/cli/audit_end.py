"""How an audit ends for whoever typed the command, also where it was interrupted and resumed."""

from __future__ import annotations

from antiphon.subagents.records import SEVERITIES, Severity
from antiphon.workflows.audit.failing import Failing, failing
from antiphon.workflows.audit.launch import Audit
from antiphon.workflows.baseline import Comparison
from antiphon.workflows.cli.audit_output import print_annotations, print_audit, print_sarif, synthesis_of
from antiphon.workflows.cli.model_options import tell_boxes
from antiphon.workflows.cli.summary import value_text
from antiphon.workflows.cli.terminal import Paper, Piece, talk
from antiphon.workflows.running import Ended


class AuditEnd:
    """What is printed once an audit is over, and the exit code. Of a run that is no audit: its value, and its own code.

    Args:
        form: what goes to stdout: text, sarif or github.
    """

    def __init__(self, form: str = "text") -> None:
        self._form = form
        self._audit: Audit | None = None
        self._verdict: Failing | None = None

    def bound(self, audit: Audit) -> None:
        """Take the audit, before it begins; says what a person must know of its isolation and who has to answer."""
        self._audit = audit
        tell_boxes(audit.asked.models)
        if audit.banner:
            talk().line(Piece("note: ", "bold"), audit.banner)

    @property
    def _comparison(self) -> Comparison | None:
        return self._audit.told.comparison if self._audit else None

    @property
    def _threshold(self) -> Severity | None:
        wanted = self._audit.asked.fail_on if self._audit else ""
        return next((severity for severity in SEVERITIES if severity == wanted), None)

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write to stdout what was asked for."""
        match self._form:
            case _ if self._audit is None:
                if ended.value is not None:
                    paper.text(value_text(ended.value))
            case "sarif":
                print_sarif(ended, paper)
            case "github":
                print_annotations(ended, paper, self._audit.survey.root, self._comparison)
            case _:
                print_audit(ended, paper, self._comparison)

    def judged(self, ended: Ended) -> int:
        """The exit code: 1 where what was found is bad enough, also if the audit was degraded."""
        found, threshold = synthesis_of(ended), self._threshold
        if threshold is None or found is None:
            return ended.result.exit_code
        self._verdict = failing(found, threshold, self._comparison)
        return 1 if self._verdict else ended.result.exit_code

    def say_verdict(self) -> None:
        """Say on stderr which finding made it fail, or that none did."""
        verdict = self._verdict
        if verdict is None:
            return
        paper = talk()
        paper.columns = None  # a sentence that is cut names no finding any more
        paper.line(Piece("failed  " if verdict else "passed  ", "bad" if verdict else "good"), verdict.sentence())
