"""What runs inside a guest, as text: the script API (`prelude/`), and what each runtime gives it to stand on.

Nothing of this is imported by the host. The prelude is one text for all runtimes, so it is written in the dialect that
all of them run (docs/dialect.md); `cpython.py` and `monty.py` supply what differs. None of it guards anything: the host
believes no word of what comes out.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal

_FILES: Final = {
    "prelude": ("asking", "calls", "outcomes", "fanning", "branch"),
    "cpython": ("cpython",),
    "monty": ("monty",),
}


@cache
def text_of(name: Literal["prelude", "cpython", "monty"]) -> str:
    """One of the texts; the files of the prelude are one text, in this order."""
    here = Path(__file__).parent
    folder = here / name if name == "prelude" else here
    return "\n\n".join((folder / f"{file}.py").read_text(encoding="utf-8") for file in _FILES[name])
