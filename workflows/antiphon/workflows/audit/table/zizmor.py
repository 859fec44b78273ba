"""zizmor: security of GitHub's workflows."""

from __future__ import annotations

from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages
from antiphon.workflows.audit.table.sarif_output import read_sarif

ENTRY = Entry(
    tool="zizmor",
    home="https://docs.zizmor.sh/",
    licence="MIT",
    lineage="zizmor",
    asks=Asks(program="zizmor", oldest=(1, 9)),
    advice="pip install zizmor",
    languages=file_languages("workflow"),
    lenses={"security": ()},
    options=("--offline", "--no-config", "--quiet", "--no-progress", "--format", "sarif"),
    honouring=Honouring(words=(b"zizmor:",), method="zizmor: ignore", ignoring=("--no-ignores",)),
    read=read_sarif,
    isolation="--no-config, and --offline: it asks no server about the actions that are used",
)
