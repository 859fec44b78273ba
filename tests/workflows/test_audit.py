"""`antiphon audit PATH` as a run: from a real tree on disk to its reports, and again after an edit."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Run, Settings
from antiphon.tracing import Event, Json, read_log, verify_log
from antiphon.workflows.audit import PathMissing, workflow
from antiphon.workflows.audit.launch import Asked, Audit, prepare
from antiphon.workflows.audit.table import TABLE, role_names, ruff
from antiphon.workflows.cli import main
from antiphon.workflows.manifest import read_manifest
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

REPORTS = ["inputs.json", "report.html", "report.json", "report.md", "report.sarif"]
Tree = Callable[[Mapping[str, str | bytes]], Path]
SMALL: dict[str, str | bytes] = {
    "app/__init__.py": "",
    "app/shell.py": "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n",
    "app/unused.py": "import os\nimport sys\n\nprint(sys.path)\n",
    "app/keys.py": 'def login(password="hunter2hunter2"):\n    return eval(password)\n',
}


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Makes a tree of files from their names and contents, and gives its root."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "tree"
        root.mkdir()
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


async def audit(target: Path, directory: Path, settings: Settings | None = None) -> Ended:
    prepared: Audit = await prepare(Asked(path=str(target)))
    options = Options(conclude=prepared.conclude, settings=settings or Settings())
    return await start(make_run(directory), prepared.loaded, {"path": str(target)}, options)


def report(ended: Ended, name: str = "report.json") -> Any:
    return json.loads((ended.place.directory / name).read_text())


def findings(ended: Ended) -> set[tuple[str, str, int]]:
    claims = report(ended)["claims"].values()
    return {(claim["key"]["path"], claim["rule"], claim["line"]) for claim in claims}


def gaps(ended: Ended) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for gap in report(ended)["coverage"]["gaps"]:
        found.setdefault(gap["unit"], set()).add(gap["reason"])
    return found


def events(place: RunPlace, kind: str) -> list[Event]:
    return [event for event in read_log(place.directory) if event.kind == kind]


def in_the_newest_attempt(place: RunPlace, kind: str) -> list[Event]:
    newest: list[Event] = []
    for event in read_log(place.directory):
        if event.kind == "run.epoch":
            newest.clear()
        elif event.kind == kind:
            newest.append(event)
    return newest


def covers(event: Event) -> list[str]:
    units = event.data.get("covers", [])
    assert isinstance(units, list)
    return [str(unit) for unit in units]


def without_run(text: str, ended: Ended) -> str:
    return text.replace(ended.place.run_id, "RUN")


def state_of(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every entry with its mode, its time and its content."""
    entries: dict[str, tuple[int, int, bytes]] = {}
    for path in sorted([root, *root.rglob("*")]):
        state = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(state.st_mode) else b""
        entries[str(path)] = (state.st_mode, state.st_mtime_ns, content)
    return entries


async def test_findings_reports_and_proof(tree: Tree, tmp_path: Path) -> None:
    root = tree(SMALL)
    before = state_of(root)
    ended = await audit(root, tmp_path / "run")
    assert ended.result.kind == "completed"
    found = findings(ended)
    expected = {("app/shell.py", "S602", 5), ("app/shell.py", "B602", 5), ("app/unused.py", "F401", 1)}
    assert expected | {("app/keys.py", "S307", 2), ("app/keys.py", "B307", 2)} <= found
    assert sorted(file.name for file in ended.reports) == REPORTS
    assert report(ended, "report.sarif")["version"] == "2.1.0"
    assert "B602" in (ended.place.directory / "report.md").read_text()
    assert verify_log(ended.place.directory, ended.head).ok
    assert state_of(root) == before, "the audited tree is only read"
    inputs = report(ended, "inputs.json")
    assert inputs["app/keys.py"] == sha256((root / "app/keys.py").read_bytes()).hexdigest()
    check_every_file_was_looked_at_by_every_check(ended)
    check_an_edit_of_a_report_is_found(ended)


def check_every_file_was_looked_at_by_every_check(ended: Ended) -> None:
    looked: dict[str, set[str]] = {}
    for event in events(ended.place, "call.ended"):
        for unit in covers(event):
            looked.setdefault(unit, set()).add(str(event.data.get("label", event.data["name"])))
    always = {f"ruff/{lens}" for lens in ruff.ENTRY.lenses} | {"bandit/security", "vulture/dead-code"}
    assert all(looked[unit] >= always for unit in SMALL)
    assert all("second-look" in looked[unit] for unit in SMALL if unit != "app/__init__.py")


def check_an_edit_of_a_report_is_found(ended: Ended) -> None:
    for file in ended.reports:
        content = file.read_bytes()
        file.write_bytes(content.replace(b"app", b"App", 1))
        found = verify_log(ended.place.directory, ended.head)
        assert [file.name in problem for _, problem in found.problems] == [True]
        file.write_bytes(content)


async def test_what_does_not_parse_is_a_gap_and_no_failure(tree: Tree, tmp_path: Path) -> None:
    files = {**SMALL, "broken.py": "def (:\n", "latin.py": b"# \xe9\nx = 1\n", "picture.png": b"\x89PNG\r\n\x1a\n\0"}
    root = tree(files)
    os.mkfifo(root / "pipe.py")
    ended = await audit(root, tmp_path / "run")
    assert (ended.result.kind, ended.result.exit_code) == ("completed", 0)
    said = gaps(ended)
    assert set(said) == {"broken.py", "latin.py", "pipe.py", "picture.png"}
    assert said["picture.png"] == {"no check reads files like this"}
    assert any("does not parse" in reason for reason in said["broken.py"])
    assert any("cannot be decoded" in reason for reason in said["latin.py"])
    assert ("app/shell.py", "B602", 5) in findings(ended), "its neighbours are looked at all the same"


@pytest.mark.parametrize("files", [{}, {"picture.png": b"\x89PNG\0"}], ids=["empty", "no code"])
async def test_a_folder_with_nothing_to_look_at_says_so(
    files: dict[str, str | bytes], tree: Tree, tmp_path: Path
) -> None:
    ended = await audit(tree(files), tmp_path / "run")
    assert ended.result.kind == "completed"
    assert findings(ended) == set()
    assert "There is nothing to look at" in (ended.place.directory / "report.md").read_text()
    assert [event.data["name"] for event in events(ended.place, "call.started")] == ["surveyor"]


async def test_a_single_file(tree: Tree, tmp_path: Path) -> None:
    root = tree(SMALL)
    ended = await audit(root / "app" / "shell.py", tmp_path / "run")
    assert {path for path, _, _ in findings(ended)} == {"shell.py"}
    assert list(report(ended, "inputs.json")) == ["shell.py"]


async def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"nowhere cannot be audited: no such file") as missing:
        await prepare(Asked(path=str(tmp_path / "nowhere")))
    assert missing.value.exit_code == 2
    assert "antiphon audit PATH" in str(missing.value.advice)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_what_cannot_be_read_is_a_gap(tree: Tree, tmp_path: Path) -> None:
    root = tree(SMALL)
    (root / "app" / "keys.py").chmod(0)
    ended = await audit(root, tmp_path / "run")
    assert ended.result.kind == "completed"
    assert any("permission denied" in reason for reason in gaps(ended)["app/keys.py"])


async def test_a_link_out_of_the_tree_is_a_gap(tree: Tree, tmp_path: Path) -> None:
    root = tree(SMALL)
    (tmp_path / "outside.py").write_text("eval(1)\n")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    ended = await audit(root, tmp_path / "run")
    assert gaps(ended) == {"link.py": {"a symbolic link out of the tree, not followed"}}


@pytest.mark.long
async def test_after_an_edit_only_the_shards_of_that_file_are_performed_again(tree: Tree, tmp_path: Path) -> None:
    root = tree({f"m{n:02}/code.py": f"import os\n\n\ndef f{n}(x):\n    return eval(x)\n" for n in range(16)})
    first = await audit(root, tmp_path / "run")
    again = await resume(first.place, Options())
    assert again.result.reuse.performed == 0
    (root / "m07" / "code.py").write_text("def f(x):\n    return x\n")
    edited = await resume(first.place, Options())
    performed = in_the_newest_attempt(edited.place, "call.started")
    roles = [str(event.data["name"]) for event in performed]
    assert roles.count("surveyor") == 1, "the tree as a whole has changed"
    shards = [event for event in performed if event.data["name"] not in ("surveyor", "second-look")]
    assert len(shards) == len({str(event.data["label"]) for event in shards}), "one of each check"
    assert {"ruff/security", "bandit/security"} <= {str(event.data["label"]) for event in shards}
    assert all("m07/code.py" in covers(event) for event in shards)
    assert edited.result.reuse.reused == first.result.reuse.performed - len(performed)
    fresh = await audit(root, tmp_path / "fresh")
    assert findings(edited) == findings(fresh)
    assert {path for path, _, _ in findings(edited)} == {f"m{n:02}/code.py" for n in range(16) if n != 7}
    assert verify_log(edited.place.directory, edited.head).ok


async def test_two_runs_over_the_same_tree_report_the_same_bytes(tree: Tree, tmp_path: Path) -> None:
    root = tree({**SMALL, "broken.py": "def (:\n"})
    first = await audit(root, tmp_path / "run-of-first", Settings(processes=1))
    second = await audit(root, tmp_path / "run-of-second", Settings(processes=4))
    for name in REPORTS:
        texts = [without_run((ended.place.directory / name).read_text(), ended) for ended in (first, second)]
        assert texts[0] == texts[1], name
    assert findings(first) == findings(second) != set()


def test_the_manifest_declares_every_role_and_no_other() -> None:
    manifest = read_manifest(Path(str(workflow.__file__)).read_bytes(), "workflow.py")
    assert set(manifest.roles) == {"surveyor", "second-look", "sarif", *role_names()}
    assert set(manifest.scope.tools) == {entry.tool for entry in TABLE}


async def test_a_run_that_was_paused_goes_on_with_the_rest(tree: Tree, tmp_path: Path) -> None:
    root = tree({f"m{n:02}.py": f"eval({n})\n" for n in range(12)})
    prepared = await prepare(Asked(path=str(root)))

    async def interrupt(run: Run) -> None:
        def follow(kind: str, path: str, at: float, data: Mapping[str, Json]) -> None:
            if kind == "attempt.ended":
                run.pause("asked", "enough")

        run.log.watch(follow)

    options = Options(conclude=prepared.conclude, watching=(interrupt,), settings=Settings(processes=1))
    paused = await start(make_run(tmp_path / "run"), prepared.loaded, {"path": str(root)}, options)
    assert (paused.result.kind, paused.result.exit_code) == ("paused", 4)
    assert [file.name for file in paused.reports] == ["inputs.json"]
    done = {event.path for event in events(paused.place, "call.ended") if event.data["kind"] == "succeeded"}
    ended = await resume(paused.place, Options())
    assert ended.result.kind == "completed"
    assert ended.result.reuse.reused == len(done)
    assert findings(ended) == findings(await audit(root, tmp_path / "fresh"))


def test_a_resumed_audit_prints_what_an_audit_prints(
    tree: Tree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ["--runs-dir", str(tmp_path / "runs"), "--plain"]
    assert main(["audit", str(tree(SMALL)), *kept, "--lens", "security"]) == 0
    first = capsys.readouterr().out
    assert main(["resume", "last", *kept]) == 0
    assert capsys.readouterr().out == first


def test_what_is_shown_is_what_stands_and_not_what_was_set_aside(
    tree: Tree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(
        {"a.py": "def f():\n    import pickle  # nosec\n    y = 1\n    import pickle\n    z = y\n    import pickle\n"}
    )
    asked = ["--runs-dir", str(tmp_path / "runs"), "--plain", "--lens", "security", "--fail-on", "low"]
    assert main(["audit", str(root), *asked]) == 1
    said = capsys.readouterr()
    assert "a.py:4 (and 1 more)" in said.out
    assert "a.py:2" not in said.out + said.err
    assert "at a.py:4" in said.err.splitlines()[-1]
    (report,) = (tmp_path / "runs").glob("*/report.html")
    assert "also lines 2, 6" in report.read_text()
    assert main(["audit", str(root), *asked, "--format", "github"]) == 1
    annotations = capsys.readouterr().out.splitlines()
    assert [re.findall(r"line=(\d+),", line) for line in annotations] == [["4"], ["6"]]


def test_a_resumed_audit_fails_as_it_would_have(tree: Tree, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = ["--runs-dir", str(tmp_path / "runs"), "--plain"]
    assert main(["audit", str(tree(SMALL)), *kept, "--lens", "security", "--fail-on", "high"]) == 1
    first = capsys.readouterr()
    assert main(["resume", "last", *kept]) == 1
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err.splitlines()[-1] == first.err.splitlines()[-1]


def test_runs_inside_the_tree_are_no_part_of_it(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree({"a.py": 'eval(input())\npassword = "hunter2hunter2"\n'})
    asked = ["audit", str(root), "--runs-dir", str(root / "out"), "--plain", "--lens", "security", "--lens", "secrets"]
    said: list[str] = []
    for _ in range(2):
        assert main(asked) == 0
        said.append(capsys.readouterr().out.partition("report:")[0])
    assert said[0] == said[1]
