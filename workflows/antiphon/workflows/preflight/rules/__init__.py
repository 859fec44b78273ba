"""Structural findings of preflight: what is wrong with how a script puts its calls together (docs/check-findings.md).

One module for each family. All of them work on one `Reading` of the script: which values get where, through names,
containers, texts, functions and fan-outs. Nothing is executed, and the work is bounded: what is too large to be
followed is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from antiphon.workflows.preflight.examined import Examined, Rule
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.coverage import uncovered_inputs
from antiphon.workflows.preflight.rules.failures import swallowed_failures
from antiphon.workflows.preflight.rules.fanouts import unlimited_fan_outs
from antiphon.workflows.preflight.rules.framing import identical_framings
from antiphon.workflows.preflight.rules.inputs import unreachable_inputs
from antiphon.workflows.preflight.rules.loops import unbounded_loops
from antiphon.workflows.preflight.rules.needs import uncovered_needs
from antiphon.workflows.preflight.rules.outcomes import uncounted_failures
from antiphon.workflows.preflight.rules.outputs import unbounded_outputs
from antiphon.workflows.preflight.rules.reading import MOST_CALLS, Reading, TooLarge, is_too_large
from antiphon.workflows.preflight.rules.results import unused_results
from antiphon.workflows.preflight.rules.sequence import awaits_in_sequence
from antiphon.workflows.preflight.rules.summaries import hiding_summaries
from antiphon.workflows.preflight.rules.verifying import shown_conclusions, unverified_claims
from antiphon.workflows.preflight.rules.writers import parallel_writers

CHECKS: Final[tuple[Callable[[Reading], Iterator[Finding]], ...]] = (
    unbounded_loops,
    unlimited_fan_outs,
    unused_results,
    awaits_in_sequence,
    parallel_writers,
    unreachable_inputs,
    unverified_claims,
    shown_conclusions,
    identical_framings,
    swallowed_failures,
    uncounted_failures,
    hiding_summaries,
    uncovered_inputs,
    unbounded_outputs,
    uncovered_needs,
)
"""What is looked for, each in a module of its family."""
IDS: Final = frozenset(
    {
        "awaits-in-sequence",
        "failure-swallowed",
        "failures-not-counted",
        "identical-framing",
        "need-not-covered",
        "parallel-writers",
        "result-unused",
        "summary-hides-disagreement",
        "too-large-to-follow",
        "unbounded-fan-out",
        "unbounded-loop",
        "unbounded-output",
        "unbounded-recursion",
        "uncovered-input",
        "unreachable-input",
        "unverified-claims",
        "verifier-shown-conclusion",
    }
)
"""The rules that findings name. docs/check-findings.md says what each means."""


def structure(examined: Examined) -> Iterator[Finding]:
    """Everything that is wrong with how a script puts its calls together."""
    if is_too_large(examined):
        yield _too_large(examined)
        return
    found: set[Finding] = set()
    try:
        reading = Reading(examined)
        for check in CHECKS:
            found.update(check(reading))
    except (TooLarge, RecursionError):
        yield _too_large(examined)
    yield from sorted(found, key=lambda one: one.order)


def _too_large(examined: Examined) -> Finding:
    return Finding(
        rule="too-large-to-follow",
        line=1,
        severity="note",
        reason=f"{examined.file} is too large, or its values take too many ways, to look at all of its structure",
        remedy='split it into workflows that call each other: workflow("./part.py", {...})',
    )


RULES: Final[tuple[Rule, ...]] = (structure,)
"""The rules, for `preflight`: one, as all checks share what was read."""

__all__ = ["CHECKS", "IDS", "MOST_CALLS", "RULES", "structure"]
