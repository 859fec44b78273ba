"""The JSON that our own runners write: one form for every tool that we call by its Python interface."""

from __future__ import annotations

import json

from pydantic import BaseModel

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Confidence, Severity, Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import first_problem


class _Item(BaseModel, extra="forbid"):
    path: Text
    rule: Text
    text: Text
    title: Text = ""
    line: int
    end_line: int
    severity: Severity | None = None
    confidence: Confidence | None = None
    fingerprint: Text = ""


class _Problem(BaseModel, extra="forbid"):
    path: Text
    reason: Text


class _Output(BaseModel, extra="forbid"):
    items: list[_Item]
    problems: list[_Problem]
    looked_at: list[Text]


def read_runner(output: Completed, job: Job) -> Reading:
    """Read what a runner wrote. Raises `UnreadableOutput`."""
    try:
        said = _Output.model_validate(json.loads(output.stdout))
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not our runner's JSON: {first_problem(error)}", output.stdout) from None
    hits = tuple(Hit(**dict(item)) for item in said.items)
    return Reading(hits, tuple(Remark(item.path, item.reason) for item in said.problems), frozenset(said.looked_at))
