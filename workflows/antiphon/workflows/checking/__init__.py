"""Checks of a working tree with the analysers that audits have, and the formatters that a project configures."""

from antiphon.workflows.checking.checker import AnalyserChecker

__all__ = ["AnalyserChecker"]
