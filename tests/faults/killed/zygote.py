"""Imports antiphon once, then forks a child for each line of input: ``BACKEND start|resume RUN_DIR EXECUTIONS AFTER``.

Sends the child SIGKILL after AFTER seconds (``inf``: never) and prints its exit code, or -signal, once it ended. A
child is a process of its own, killed for real; only the imports are shared. The parent that forked it sends the
signal: nobody else can know that the pid is still the child's.
"""

import gc
import json
import os
import select
import signal
import sys
from pathlib import Path

import anyio

from antiphon.engine import Amount, Settings
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Options, resume, start

WORKFLOW = Path(__file__).with_name("workflow.py")
TOP_UP = Amount(model_calls=4)
SETTINGS = Settings(settle_seconds=0.3)
"""A pause may come while a race's loser is in flight that never ends by itself."""


async def perform(what: str, directory: Path) -> int:
    """Start or resume the run; the exit code that the command line would give."""
    if what == "start":
        ended = await start(make_run(directory), load(WORKFLOW), {}, Options(settings=SETTINGS))
    else:
        top_up = TOP_UP if what == "top_up" else None
        ended = await resume(RunPlace(directory), Options(settings=SETTINGS, top_up=top_up))
    if ended.result.exit_code in (0, 3):
        (directory.parent / "value.json").write_text(json.dumps(ended.value, sort_keys=True))
    if ended.result.exit_code == 1:
        print(ended.result.reason, file=sys.stderr, flush=True)
    return ended.result.exit_code


def child(words: list[str]) -> None:
    """In the forked process: never returns."""
    code = 70
    try:
        backend, what, directory, executions = words
        os.environ["EXECUTIONS"] = executions
        code = anyio.run(perform, what, Path(directory), backend=backend)
    finally:
        os._exit(code)


def main() -> None:
    """Serve until standard input ends."""
    gc.freeze()
    for line in sys.stdin:
        *words, after = line.split()
        ended, held_open = os.pipe()
        pid = os.fork()
        if not pid:
            child(words)
        os.close(held_open)
        if not select.select([ended], [], [], None if after == "inf" else float(after))[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(ended)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
