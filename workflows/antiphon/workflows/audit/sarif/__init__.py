"""SARIF 2.1.0, read from anybody: bounded, and refused with a reason where it is something else."""

from antiphon.workflows.audit.sarif.document import MOST_BYTES, MOST_RESULTS, NotSarif, SarifRun, read_document
from antiphon.workflows.audit.sarif.result import SarifResult, Suppression, results_of

__all__ = [
    "MOST_BYTES",
    "MOST_RESULTS",
    "NotSarif",
    "SarifResult",
    "SarifRun",
    "Suppression",
    "read_document",
    "results_of",
]
