"""semgrep: patterns in code, with rules of our own, for languages that few other analysers here read."""

from __future__ import annotations

import json

from pydantic import BaseModel, Field

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Place, Severity, Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

_SEVERITIES: dict[str, Severity] = {"ERROR": "high", "WARNING": "medium", "INFO": "low"}


class _Point(BaseModel):
    line: Place
    col: Place


class _Extra(BaseModel):
    message: Text
    severity: Text
    is_ignored: bool = False


class _Result(BaseModel):
    check_id: Text
    path: Text
    start: _Point
    end: _Point
    extra: _Extra

    @property
    def hit(self) -> Hit:
        """The result as we read it. A rule's id begins with the folders of its file; columns are bytes, from 1."""
        return Hit(
            path=self.path,
            rule=self.check_id.rpartition(".")[2],
            text=self.extra.message,
            line=self.start.line,
            end_line=max(self.start.line, self.end.line),
            column=self.start.col - 1,
            end_column=self.end.col - 1,
            columns="utf8",
            severity=_SEVERITIES.get(self.extra.severity, "medium"),
        )


class _Error(BaseModel):
    message: Text = ""
    path: Text | None = None


class _Paths(BaseModel):
    scanned: list[Text]


class _Output(BaseModel):
    results: list[_Result]
    errors: list[_Error] = Field(default_factory=list[_Error])
    paths: _Paths


def read(output: Completed, job: Job) -> Reading:
    """Read semgrep's JSON. Raises `UnreadableOutput`."""
    try:
        said = _Output.model_validate(json.loads(output.stdout))
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not semgrep's JSON: {first_problem(error)}", output.stdout) from None
    remarks = tuple(Remark(error.path, error.message, "partial") for error in said.errors if error.path)
    return Reading(tuple(result.hit for result in said.results), remarks, frozenset(said.paths.scanned))


ENTRY = Entry(
    tool="semgrep",
    home="https://semgrep.dev/",
    licence="LGPL-2.1-or-later",
    lineage="semgrep",
    asks=Asks(program="semgrep", version=("--version", "--disable-version-check"), oldest=(1, 60)),
    advice="pip install semgrep",
    languages=file_languages("javascript", "typescript"),
    lenses={"security": ()},
    options=(
        "scan",
        "--config={data}/semgrep.yml",
        "--metrics=off",
        "--disable-version-check",
        "--no-git-ignore",
        "--scan-unknown-extensions",
        "--max-target-bytes=0",
        "--jobs=1",
        "--quiet",
        "--json",
    ),
    honouring=Honouring(words=(b"nosem",), method="nosemgrep", ignoring=("--disable-nosem",)),
    read=read,
    exits=frozenset({0, 1}),
    reads=("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    isolation="only the rules that come with antiphon, no network, no .semgrepignore of the project",
    environment={"SEMGREP_SEND_METRICS": "off", "SEMGREP_ENABLE_VERSION_CHECK": "0"},
    shard=256,
)
