"""mypy: types that do not fit."""

from __future__ import annotations

import json

from pydantic import BaseModel

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

# Without the packages that a project imports, these say only that they are not there.
_ABOUT_IMPORTS = ("import", "import-not-found", "import-untyped", "no-redef")


class _Line(BaseModel):
    file: Text
    line: int
    column: int = -1
    message: Text
    code: Text | None = None
    severity: Text = "error"

    @property
    def hit(self) -> Hit:
        """The line as we read it. It counts columns from 0."""
        return Hit(
            path=self.file,
            rule=self.code or "misc",
            text=self.message,
            line=max(self.line, 1),
            end_line=max(self.line, 1),
            column=self.column if self.column >= 0 else None,
            columns="utf8",
            url=f"https://mypy.readthedocs.io/en/stable/_refs.html#code-{self.code}" if self.code else None,
        )


def read(output: Completed, job: Job) -> Reading:
    """Read mypy's JSON lines. Raises `UnreadableOutput`."""
    try:
        lines = [_Line.model_validate(json.loads(line)) for line in output.stdout.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not mypy's JSON: {first_problem(error)}", output.stdout) from None
    errors = [line for line in lines if line.severity == "error"]
    remarks = tuple(
        Remark(line.file, f"it does not parse, line {line.line}: {line.message}")
        for line in errors
        if line.code == "syntax"
    )
    if output.exit == 2:  # it stops at the first file that it cannot parse, or at two files of one name
        said = f"{errors[0].file}: {errors[0].message}" if errors else output.stderr[-300:].decode("utf-8", "replace")
        return Reading(failure=f"mypy gave up on the whole: {' '.join(said.split())}")
    return Reading(tuple(line.hit for line in errors if line.code not in (*_ABOUT_IMPORTS, "syntax")), remarks)


ENTRY = Entry(
    tool="mypy",
    home="https://www.mypy-lang.org/",
    licence="MIT",
    lineage="mypy",
    asks=Asks(program="mypy", oldest=(1, 11)),
    advice="pip install mypy",
    languages=file_languages("python", "stub"),
    lenses={"types": ()},
    options=(
        "--config-file=",
        "--no-incremental",
        "--cache-dir=/dev/null",
        "--no-site-packages",
        "--ignore-missing-imports",
        "--follow-imports=skip",
        "--explicit-package-bases",
        "--scripts-are-modules",
        "--no-error-summary",
        "--show-error-codes",
        "--output=json",
    ),
    whole=True,
    parsed=True,
    honouring=Honouring(words=(b"type:", b"mypy:"), method="type: ignore", ignoring=None),
    read=read,
    exits=frozenset({0, 1, 2}),
    isolation="--config-file= with nothing: neither mypy.ini nor pyproject.toml is read, so no plugin is loaded",
    timeout_seconds=600.0,
    # Modules are then named by their folders below these; two files of one name would else stop it.
    environment={"MYPYPATH": "{root}:{root}/src"},
)
