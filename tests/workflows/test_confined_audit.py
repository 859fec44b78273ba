"""The audit that ships, ported: confined, it makes the same calls and comes to the same, event by event."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workflows.confined_runs import SCRIPTS, journal

from antiphon.workflows.audit.launch import Asked, prepare
from antiphon.workflows.loading import load
from antiphon.workflows.places import make_run
from antiphon.workflows.running import Options, start
from antiphon.workflows.runtimes import RUNTIMES, RuntimeAsked

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.long]

TREE = {
    "app/__init__.py": "",
    "app/shell.py": "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n",
    "app/unused.py": "import os\nimport sys\n\nprint(sys.path)\n",
    "app/keys.py": 'def login(password="hunter2hunter2"):\n    return eval(password)\n',
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, text in TREE.items():
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "tree"


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_audit_is_the_same_when_its_script_is_confined(tree: Path, tmp_path: Path) -> None:
    audit = await prepare(Asked(path=str(tree)))
    shipped = await start(make_run(tmp_path / "shipped"), audit.loaded, audit.asked.arguments(), Options())
    assert shipped.result.kind == "completed"
    for name in RUNTIMES:
        audit = await prepare(Asked(path=str(tree)))
        script, asked = SCRIPTS / "ported" / "audit.py", RuntimeAsked(name=name)
        loaded = load(script, roles=audit.loaded.roles, runtime=asked)
        ended = await start(make_run(tmp_path / name), loaded, {"path": str(tree)}, Options(runtime=asked))
        assert ended.value == shipped.value
        assert journal(ended.place) == journal(shipped.place)
