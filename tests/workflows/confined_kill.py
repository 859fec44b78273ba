"""Run by test_confined_resume.py as a process of its own: a confined run that stands still in the middle, to be killed.

``python -m tests.workflows.confined_kill RUNTIME SCRIPT DIRECTORY TASK``: the worker says so and waits at that task.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from tests.workflows import confined_runs

from antiphon.engine import CallContext
from antiphon.subagents.function import function_agent


async def main(*given: str) -> None:
    """Run it; only a signal ends this."""
    runtime, script, directory, stop_at = given
    real = confined_runs.worker

    @function_agent("worker", version=real.version)
    async def worker(task: str, ctx: CallContext) -> str:
        if stop_at in task:
            print("there", flush=True)
            await anyio.sleep_forever()
        return await confined_runs.worked(task, ctx)

    roles = {**confined_runs.ROLES, "worker": worker}
    await confined_runs.run_in(runtime, Path(script), Path(directory), roles=roles)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
