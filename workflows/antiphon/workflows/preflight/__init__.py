"""Preflight: what is said of a script before it runs. Nothing of the script is ever executed.

`outline` says what it does and how often (docs/check.md), `cost` what that may come to, `rules` what is wrong with its
structure (docs/check-findings.md), `preflight` puts all of it together.
"""

from antiphon.workflows.preflight.model import (
    Bound,
    Cost,
    Finding,
    Need,
    Outline,
    Place,
    Portability,
    Preflight,
    Severity,
)
from antiphon.workflows.preflight.preflight import preflight

__all__ = [
    "Bound",
    "Cost",
    "Finding",
    "Need",
    "Outline",
    "Place",
    "Portability",
    "Preflight",
    "Severity",
    "preflight",
]
