"""vulture: Python code that nothing in the tree refers to."""

from __future__ import annotations

from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages
from antiphon.workflows.audit.table.output import read_runner

ENTRY = Entry(
    tool="vulture",
    home="https://github.com/jendrikseipp/vulture",
    licence="MIT",
    lineage="vulture",
    asks=Asks(module="vulture_runner.py", distribution="vulture", oldest=(2, 10)),
    advice="pip install vulture",
    bundled=True,
    languages=file_languages("python"),
    lenses={"dead-code": ()},
    # What one file defines another may use, so it can say nothing of a part of a tree.
    whole=True,
    honouring=Honouring(words=(b"noqa",), method="noqa", ignoring=("--all",)),
    read=read_runner,
    isolation="called by its Python interface, which reads no configuration; its own lists of names used by "
    "frameworks apply",
)
