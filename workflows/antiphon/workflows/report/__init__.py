"""Reports: one synthesis for a person (Markdown), for a program (JSON) and for other tools (SARIF 2.1.0)."""

from antiphon.workflows.report.about import About
from antiphon.workflows.report.json_report import json_report
from antiphon.workflows.report.markdown import markdown
from antiphon.workflows.report.sarif import sarif

__all__ = ["About", "json_report", "markdown", "sarif"]
