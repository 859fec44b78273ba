"""Reports: one synthesis for a person (Markdown, HTML), for a program (JSON) and for other tools (SARIF 2.1.0)."""

from antiphon.workflows.report.about import About
from antiphon.workflows.report.excerpts import excerpts
from antiphon.workflows.report.json_report import json_report
from antiphon.workflows.report.markdown import markdown
from antiphon.workflows.report.material import Excerpts
from antiphon.workflows.report.page import html
from antiphon.workflows.report.sarif import sarif

__all__ = ["About", "Excerpts", "excerpts", "html", "json_report", "markdown", "sarif"]
