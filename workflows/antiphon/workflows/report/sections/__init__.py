"""The parts of a report for a person, each made from the same material, whatever it is written in afterwards."""

from collections.abc import Iterator

from antiphon.workflows.report.document import Section
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.sections.changes import changes
from antiphon.workflows.report.sections.coverage import evidence, gaps, malformed
from antiphon.workflows.report.sections.disagreements import disagreements, minority
from antiphon.workflows.report.sections.findings import first, rules
from antiphon.workflows.report.sections.judged import aside, refuted
from antiphon.workflows.report.sections.method import method
from antiphon.workflows.report.sections.others import others, topics
from antiphon.workflows.report.sections.summary import summary

__all__ = ["changes", "first", "rest_of", "sections_of", "summary"]

_REST = (disagreements, minority, refuted, aside, gaps, evidence, malformed, others, topics, rules, method)


def sections_of(material: Material) -> Iterator[Section]:
    """All parts below the summary, in the order in which a person should read them; empty ones are left out."""
    for part in (changes, first, *_REST):
        if (made := part(material)).blocks:
            yield made


def rest_of(material: Material) -> Iterator[Section]:
    """The parts besides the findings themselves, for a report that shows all of these and the changes first."""
    for part in _REST:
        if part is not rules and (made := part(material)).blocks:
            yield made
