"""ruff: many Python linters' rules, reimplemented in one fast program."""

from __future__ import annotations

import json

from pydantic import BaseModel, TypeAdapter

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Place, Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

# Always on: without it ruff says of a file that it cannot decode nothing but a warning, and reports success.
_UNREADABLE = "E902"
_SYNTAX = "invalid-syntax"
DEAD_CODE = ("F401", "F811", "F841")
# A lens is a question, and the rules that go into it.
LENSES: dict[str, tuple[str, ...]] = {
    "security": ("S",),
    "correctness": ("F", "B", "PLE"),
    "async": ("ASYNC", "RUF006"),
    "performance": ("PERF",),
    "complexity": ("C90", "PLR0911", "PLR0912", "PLR0913", "PLR0915"),
    "dead-code": DEAD_CODE,
}


class _Point(BaseModel, frozen=True):
    row: Place
    column: Place


class _Diagnostic(BaseModel):
    """What is read of one entry of ruff's list."""

    filename: Text
    code: Text | None
    name: Text
    message: Text
    location: _Point
    end_location: _Point
    url: Text | None = None

    @property
    def problem(self) -> str | None:
        """Why ruff could not look at the whole file, if that is what this entry says."""
        if self.code not in (_SYNTAX, _UNREADABLE, None):
            return None
        what = "it cannot be read" if self.code == _UNREADABLE else "it does not parse"
        return f"{what}, line {self.location.row}: {self.message}"

    @property
    def hit(self) -> Hit:
        """The entry as we read it."""
        return Hit(
            path=self.filename,
            rule=self.code or "",
            text=self.message,
            title=self.name,
            line=self.location.row,
            end_line=max(self.location.row, self.end_location.row),
            column=self.location.column,
            end_column=self.end_location.column,
            url=self.url,
        )


_LIST = TypeAdapter(list[_Diagnostic])


def read(output: Completed, job: Job) -> Reading:
    """Read ruff's JSON. Raises `UnreadableOutput`."""
    try:
        found = _LIST.validate_python(json.loads(output.stdout))
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not ruff's JSON: {first_problem(error)}", output.stdout) from None
    remarks = tuple(Remark(item.filename, item.problem) for item in found if item.problem)
    return Reading(tuple(item.hit for item in found if not item.problem), remarks)


def _options(lens: str) -> tuple[str, ...]:
    options = ("--select", ",".join((*LENSES[lens], _UNREADABLE)))
    # What another lens looks for would be found twice, and by the same tool.
    return (*options, "--ignore", ",".join(DEAD_CODE)) if lens == "correctness" else options


ENTRY = Entry(
    tool="ruff",
    home="https://docs.astral.sh/ruff/",
    licence="MIT",
    lineage="ruff",
    asks=Asks(program="ruff", oldest=(0, 12)),
    advice="pip install ruff",
    bundled=True,
    languages=file_languages("python", "stub"),
    lenses={lens: _options(lens) for lens in LENSES},
    options=("check", "--isolated", "--no-cache", "--quiet", "--output-format", "json"),
    honouring=Honouring(words=(b"noqa", b"ruff:"), method="noqa", ignoring=("--ignore-noqa",)),
    read=read,
    exits=frozenset({0, 1}),
    isolation="--isolated: no configuration file of the project, of a folder above it or of the user is read",
)
