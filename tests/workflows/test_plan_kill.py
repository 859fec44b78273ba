"""The making of a plan whose process is killed goes on where it was: no model is asked twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.corpus.planning import GOOD, Author, gone_on, inputs, wanted, written

from antiphon.tracing import read_log
from antiphon.workflows.author.plans import read_plan
from antiphon.workflows.author.words import MEND, WRITE

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.long]

MOVES = {WRITE: [written("import os\n" + GOOD)], MEND: [written()]}
REQUESTS = 5
"""Shape, outline, review, the script, and its mending."""
DIES = """
import os, signal, sys
from pathlib import Path
import anyio
from tests.corpus.planning import Author, planning, wanted
from tests.workflows.test_plan_kill import MOVES

class Dying(Author):
    async def complete(self, request):
        if len(self.requests) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().complete(request)

def dies():
    async def main():
        await planning(wanted(Path(sys.argv[1])), Dying(MOVES), Path(sys.argv[1]) / "runs" / "r")
    anyio.run(main, backend=sys.argv[3])

dies()
"""
HERE = Path(__file__).parents[2]


def killed(folder: Path, request: int, backend: str) -> int:
    """Make a plan in a process that is killed when it is about to send a request; its exit status."""
    paths = os.pathsep.join([str(HERE), *(path for path in sys.path if path)])
    words = [sys.executable, "-c", DIES, str(folder), str(request), backend]
    return subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, check=False, timeout=120).returncode


@pytest.mark.parametrize("request_number", [1, 4])
async def test_a_killed_plan_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_number: int, anyio_backend_name: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    inputs(tmp_path)
    assert killed(tmp_path, request_number, anyio_backend_name) == -signal.SIGKILL
    folder = wanted(tmp_path).folder
    assert read_plan(folder).state == "planning"
    assert not list(folder.rglob("*.py"))
    author = Author(MOVES)
    made = await gone_on(tmp_path / "runs" / "r", author)
    assert (made.ended.result.exit_code, made.plan.state) == (0, "planned")
    assert len(author.requests) == REQUESTS - request_number, "what was answered is not asked again"
    ended = Counter(event.data["hash"] for event in read_log(tmp_path / "runs" / "r") if event.kind == "call.ended")
    assert set(ended.values()) == {1}
