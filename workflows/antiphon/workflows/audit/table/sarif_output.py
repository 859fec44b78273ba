"""The reader of tools that write SARIF themselves."""

from __future__ import annotations

from dataclasses import replace

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.workflows.audit.hits import Hit, Job, Reading
from antiphon.workflows.audit.sarif.document import NotSarif, read_document
from antiphon.workflows.audit.sarif.result import SarifResult, results_of


def read_sarif(output: Completed, job: Job) -> Reading:
    """Read a tool's SARIF. Raises `UnreadableOutput`."""
    try:
        runs = read_document(output.stdout)
    except NotSarif as error:
        raise UnreadableOutput(error.reason, output.stdout) from None
    hits: list[Hit] = []
    for run in runs:
        for one in results_of(run, "/", bool):  # locations are absolute, so every path is below this root
            if not isinstance(one, SarifResult):
                raise UnreadableOutput(one, output.stdout)
            if one.present:
                hits.append(replace(one.hit, path=f"/{one.hit.path}"))
    return Reading(tuple(hits))
