"""What the tries of a fix come to together: which is the best, what was wrong, and what is missing. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from antiphon.workflows.fix.asking import ran
from antiphon.workflows.fix.judging import Judged, Reference
from antiphon.workflows.fix.moves import Measured
from antiphon.workflows.fix.reproducing import Baseline
from antiphon.workflows.fix.results import FixResult, FixStatus, ReproductionResult, TryResult
from antiphon.workflows.fix.shapes import Plan

_NO_TRY: Final = "no try came to anything"
_BLIND: Final = (
    "the tests do not say which case passed: only their exit status counts, and code can end with any; read it"
)


def worth(result: TryResult) -> tuple[object, ...]:
    """What is better is greater, as for the states of one try."""
    return Measured(
        tree=result.tree,
        passed=result.passed,
        failing=tuple(result.reasons),
        problems=len(result.problems),
        lines=result.lines,
        musts=result.musts,
    ).worth


def ordered(results: Iterable[TryResult]) -> list[TryResult]:
    """The tries, the best first; of equals the one that was begun first."""
    return sorted(results, key=lambda one: (bool(one.tree), worth(one)), reverse=True)


def refuted(result: TryResult, judged: Judged) -> TryResult:
    """A try that passed, and did not when its tests were run once more."""
    reasons = tuple(f"it passed, and does not hold in a fresh copy: {reason}" for reason in judged.reasons)
    found = {"reason": reasons[0], "reasons": reasons, "failing": judged.failing}
    return result.model_copy(update={"passed": False, "status": "failed", **found})


def nothing(
    base: Baseline, reason: str, plan: Plan | None = None, shown: ReproductionResult | None = None
) -> FixResult:
    """What a fix came to that ended before any try."""
    none = ReproductionResult(accepted=False, tree=base.tree, why="no test was written")
    return FixResult(
        status="failed",
        reason=reason,
        wrong=plan.hypotheses[0].cause if plan is not None else "",
        base=ran(base.tests),
        reproduction=shown or none,
        notes=base.notes,
    )


def concluded(
    *,
    base: Baseline,
    shown: ReproductionResult,
    held: Reference,
    tries: Sequence[TryResult],
    winner: str,
) -> FixResult:
    """What a fix came to.

    Args:
        base: the project as it was.
        shown: the test that shows the bug.
        held: what tries were held to.
        tries: all of them, the best first.
        winner: the one whose tests passed once more; "" if none did.
    """
    best = next((one for one in tries if one.name == winner), None)
    missing = () if best is None else tuple(lacking(best, shown))
    status: FixStatus = "failed" if best is None else "degraded" if missing else "fixed"
    return FixResult(
        status=status,
        reason="; ".join(missing) if best is not None else _failure(tries),
        wrong=best.cause if best is not None else "",
        winner=winner,
        base=ran(base.tests),
        reproduction=shown,
        kept=len(held.kept),
        tries=tuple(tries),
        notes=base.notes if held.cases else (*base.notes, _BLIND),
        confirmed=best is not None,
    )


def lacking(best: TryResult, shown: ReproductionResult) -> Iterable[str]:
    """What a patch that passes is still without."""
    if not shown.accepted:
        yield f"no test shows the bug ({shown.why})"
    if best.musts is None:
        yield "no critic has read the patch"
    elif best.musts:
        yield f"the critic objects: {'; '.join(best.musts)}"


def why(result: TryResult) -> tuple[str, ...]:
    """Why a try is not what it should be: what speaks against its best state, and how it ended."""
    against = tuple(reason for reason in result.reasons if reason not in result.reason)
    return (*against, result.reason) if result.reason else against


def _failure(tries: Sequence[TryResult]) -> str:
    """Why there is no fix: what is known of the best try, infeasible where all say so."""
    if not tries:
        return _NO_TRY
    best = tries[0]
    how = {"infeasible": "it cannot be mended here", "environment": "what is needed is not here"}.get(best.status, "")
    said = "; ".join(why(best)) or _NO_TRY
    return f"{best.name}: {how + ': ' if how else ''}{said}"[:2_000]
