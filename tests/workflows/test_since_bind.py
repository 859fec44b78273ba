"""An audit bound to what it is compared with: what is pinned, what is left behind, and what stops it."""

import os
import subprocess
import tempfile
from pathlib import Path

import anyio
import pytest

from antiphon.engine import Run
from antiphon.workflows.audit.binding import bind
from antiphon.workflows.audit.changes import Interrupted
from antiphon.workflows.audit.launch import Asked
from antiphon.workflows.audit.revision import RevisionError
from antiphon.workflows.baseline import BaselineError

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

BAD = "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (tmp_path / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text(BAD)
    for words in ("init -q -b main", "add -A", "-c user.name=t -c user.email=t@e commit -qm one"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    return folder


def asked(project: Path, *, since: str = "", baseline: str = "") -> Asked:
    return Asked(path=str(project), lenses=("security",), since=since, baseline=baseline)


def left_behind(project: Path) -> list[Path]:
    return list((project.parent / "private").iterdir())


async def test_the_revision_is_pinned_and_nothing_is_left_behind(project: Path) -> None:
    audit = await bind(asked(project, since="main"), home=project / ".antiphon" / "runs")
    assert len(audit.asked.commit) == 40
    assert audit.before is not None
    assert {sighting.rule for sighting in audit.before.log.sightings} >= {"S602", "B602"}
    assert set(audit.before.files()) == {"before.sarif", "before.json"}
    assert left_behind(project) == []
    assert not (project / ".antiphon").exists()


async def test_whoever_watches_can_stop_it_and_nothing_is_left_behind(project: Path) -> None:
    async def stopping(run: Run) -> None:
        run.pause("asked", "somebody pressed Ctrl-C")
        await anyio.sleep_forever()

    with pytest.raises(Interrupted, match="somebody pressed Ctrl-C") as caught:
        await bind(asked(project, since="main"), home=project, watching=(stopping,))
    assert caught.value.exit_code == 130
    assert left_behind(project) == []


async def test_cancelling_leaves_nothing_behind(project: Path) -> None:
    with anyio.CancelScope() as scope:

        async def cancelling(run: Run) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        await bind(asked(project, since="main"), home=project, watching=(cancelling,))
    assert scope.cancelled_caught
    assert left_behind(project) == []


async def test_a_run_that_came_from_elsewhere_is_told(project: Path) -> None:
    """A repository can hold a run that makes everything look old."""
    run = project / "runs" / "29991231-235959-ffff"
    run.mkdir(parents=True)
    (run / "run.db").touch()
    (run / "report.sarif").write_text('{"version": "2.1.0", "runs": []}')
    audit = await bind(asked(project, baseline="last"), home=project / "runs")
    assert audit.before is not None
    assert audit.asked.baseline == run.name
    assert [run.name in note and "not made by this user" in note for note in audit.before.notes] == [True]


async def test_what_does_not_exist_is_said_before_anything_begins(project: Path) -> None:
    with pytest.raises(RevisionError):
        await bind(asked(project, since="nope"), home=project)
    with pytest.raises(BaselineError):
        await bind(asked(project, baseline="nope"), home=project)
    assert left_behind(project) == []


async def test_a_path_that_is_missing_is_said_by_the_audit_itself(project: Path) -> None:
    with pytest.raises(Exception, match="cannot be audited"):
        await bind(asked(project / "nope", since="main"), home=project)
    assert left_behind(project) == []
