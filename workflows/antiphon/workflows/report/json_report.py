"""The report for a program: everything, in one fixed order."""

from __future__ import annotations

import json

from antiphon.workflows.report.about import About
from antiphon.workflows.synthesis import Synthesis

FORMAT = "antiphon-report/1"


def json_report(synthesis: Synthesis, about: About) -> str:
    """The report as JSON. ASCII, so that nothing in it acts on a terminal either."""
    content = {"format": FORMAT, "about": about.to_json(), **synthesis.to_json()}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n"
