"""eslint: mistakes in JavaScript."""

from __future__ import annotations

import json

from pydantic import BaseModel

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

_PAGE = "https://eslint.org/docs/latest/rules/"


class _Message(BaseModel):
    ruleId: Text | None
    message: Text
    line: int | None = None
    column: int | None = None
    endLine: int | None = None
    endColumn: int | None = None
    fatal: bool = False


class _File(BaseModel):
    filePath: Text
    messages: list[_Message]

    @property
    def remarks(self) -> list[Remark]:
        """Why it could not be looked at, if so."""
        return [
            Remark(
                self.filePath, f"it does not parse, line {one.line or 1}: {one.message}" if one.fatal else one.message
            )
            for one in self.messages
            if one.ruleId is None
        ]

    @property
    def hits(self) -> list[Hit]:
        """What it says of the file."""
        return [self._hit(one, one.ruleId) for one in self.messages if one.ruleId is not None]

    def _hit(self, one: _Message, rule: str) -> Hit:
        line = max(one.line or 1, 1)
        return Hit(
            path=self.filePath,
            rule=rule,
            text=one.message,
            line=line,
            end_line=max(line, one.endLine or line),
            column=one.column if one.column and one.column > 0 else None,
            end_column=one.endColumn if one.endColumn and one.endColumn > 0 else None,
            columns="utf16",
            url=_PAGE + rule,
        )


class _Output(BaseModel):
    files: list[_File]


def read(output: Completed, job: Job) -> Reading:
    """Read eslint's JSON. Raises `UnreadableOutput`."""
    try:
        files = _Output.model_validate({"files": json.loads(output.stdout)}).files
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not eslint's JSON: {first_problem(error)}", output.stdout) from None
    return Reading(
        tuple(hit for file in files for hit in file.hits),
        tuple(remark for file in files for remark in file.remarks),
        frozenset(file.filePath for file in files),
    )


def _options(lens: str) -> tuple[str, ...]:
    return ("--config", f"{{data}}/eslint.{lens}.mjs")


ENTRY = Entry(
    tool="eslint",
    home="https://eslint.org/",
    licence="MIT",
    lineage="eslint",
    asks=Asks(program="eslint", oldest=(9,)),
    advice="npm install --global eslint",
    languages=file_languages("javascript"),
    lenses={lens: _options(lens) for lens in ("security", "correctness", "complexity")},
    options=("--no-config-lookup", "--no-ignore", "--no-warn-ignored", "--format", "json"),
    # What is outside the folder it works in, eslint takes for ignored.
    environment={"NODE_OPTIONS": '--require "{data}/at_root.cjs"'},
    honouring=Honouring(words=(b"eslint",), method="eslint-disable", ignoring=("--no-inline-config",)),
    read=read,
    exits=frozenset({0, 1}),
    shard=64,  # it takes most of a second to start
    reads=("/etc/ssl/openssl.cnf",),
    isolation="--no-config-lookup with a fixed list of its own rules: no configuration of the project, which is a "
    "program, is executed, and no plugin loaded",
)
