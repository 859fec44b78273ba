"""A fix whose process is killed goes on where it was: nothing that was finished is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.corpus.box import CODE, USUAL, WRONG, changed, project, write
from tests.corpus.driving import Team
from tests.corpus.fixing import gone_on

from antiphon.tracing import read_log
from antiphon.workflows.fix.words import CODE_MARK, REFINE_MARK
from antiphon.workflows.places import RunPlace

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.long]

MOVES = {
    **USUAL,
    CODE_MARK: (WRONG, changed()),
    REFINE_MARK: (write("box.py", CODE.replace("items[len(items)]", "items[-1]")), changed()),
}
REQUESTS = 9
"""Planner 1, tester 2, coder 2, critic 1, refiner 2, critic 1."""
DIES = """
import os, signal, sys
from pathlib import Path
import anyio
from tests.corpus.driving import Team
from tests.corpus.fixing import fixing
from tests.corpus.box import REPORT
from tests.workflows.test_fix_kill import MOVES

class Dying(Team):
    async def complete(self, request):
        if len(self.requests) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().complete(request)

def dies():
    async def main():
        await fixing(Path(sys.argv[1]), REPORT, client=Dying(MOVES), run=Path(sys.argv[2]), quality="tests")
    anyio.run(main, backend=sys.argv[4])

dies()
"""
HERE = Path(__file__).parents[2]


def killed(root: Path, run: Path, request: int, backend: str) -> int:
    """Fix a project in a process that is killed when it is about to send a request; its exit status."""
    words = [sys.executable, "-c", DIES, str(root), str(run), str(request), backend]
    paths = os.pathsep.join([str(HERE), *(path for path in sys.path if path)])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(words, cwd=Path.cwd(), env=environment, check=False, timeout=120).returncode


@pytest.mark.parametrize("request_number", [2, 5, 7])
async def test_a_killed_fix_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_number: int, anyio_backend_name: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    root, run = project(tmp_path), tmp_path / "run"
    assert killed(root, run, request_number, anyio_backend_name) == -signal.SIGKILL
    before = finished(run)
    team = Team(MOVES)
    done = await gone_on(RunPlace(run), team)
    assert (done.result.status, done.exit_code) == ("fixed", 0)
    assert "+    return items[-1]" in done.patch()
    assert len(team.requests) == REQUESTS - request_number, "what was answered is not asked again"
    started = Counter(event.data["hash"] for event in read_log(run) if event.kind == "call.started")
    ended = Counter(event.data["hash"] for event in read_log(run) if event.kind == "call.ended")
    assert all(started[hash] == ended[hash] for hash in before), "nothing that was finished began again"
    assert (root / "box.py").read_text() == CODE
    assert not list((tmp_path / "cache").rglob("box.py")), "no copy of the project is left behind"


def finished(run: Path) -> set[str]:
    """What was finished by the log."""
    return {str(event.data["hash"]) for event in read_log(run) if event.kind == "call.ended"}
