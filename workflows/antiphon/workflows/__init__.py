"""workflows: what a person runs and sees. Scripts, how they are loaded and run, the audit, reports, the command line.

A workflow file imports `antiphon.workflows.script`. A program that runs workflows uses what is named here::

    loaded = load(Path("workflow.py"))
    arguments = loaded.parameters.validate({"repo": "."})
    ended = await start(new_run(runs_home()), loaded, arguments, Options())
    ended = await resume(ended.place, Options())

`manifest`, `habits` and `parameters` read a file before it is executed; `loading` executes it; `running` starts and
resumes it in a directory (`places`, `disk`) whose copies of workflow files `scripts` keeps; `hosting` lends it steps,
nested workflows, claims and synthesis; `controls` carries requests from other processes. `audit` is the first workflow
that ships, `synthesis` and `report` are what it shows, `cli` is the command line.

Names are imported when they are first used: the command line imports this package, and has to start quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.workflows.loading import Loaded, load
    from antiphon.workflows.manifest import Manifest, read_manifest
    from antiphon.workflows.places import RunPlace, find_run, list_runs, new_run, runs_home
    from antiphon.workflows.running import Ended, Options, resume, start
    from antiphon.workflows.synthesis import Synthesis

__all__ = [
    "Ended",
    "Loaded",
    "Manifest",
    "Options",
    "RunPlace",
    "Synthesis",
    "find_run",
    "list_runs",
    "load",
    "new_run",
    "read_manifest",
    "resume",
    "runs_home",
    "start",
]

_HOMES = {
    "Ended": "running",
    "Loaded": "loading",
    "Manifest": "manifest",
    "Options": "running",
    "RunPlace": "places",
    "Synthesis": "synthesis",
    "find_run": "places",
    "list_runs": "places",
    "load": "loading",
    "new_run": "places",
    "read_manifest": "manifest",
    "resume": "running",
    "runs_home": "places",
    "start": "running",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
