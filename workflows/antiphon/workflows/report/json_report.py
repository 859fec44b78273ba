"""The report for a program: everything, in one fixed order. `report.schema.json` says what there is in it."""

from __future__ import annotations

from antiphon.tracing.log import Json
from antiphon.workflows.baseline.comparison import Comparison
from antiphon.workflows.report.about import About
from antiphon.workflows.report.lined import lined
from antiphon.workflows.synthesis import Synthesis

FORMAT = "antiphon-report/2"
_LEVELS = 2


def json_report(synthesis: Synthesis, about: About, comparison: Comparison | None = None) -> str:
    """The report as JSON. ASCII, so that nothing in it acts on a terminal either."""
    compared: dict[str, Json] = {"comparison": comparison.to_json()} if comparison else {}
    return lined({"format": FORMAT, "about": about.to_json(), **compared, **synthesis.to_json()}, _LEVELS)
