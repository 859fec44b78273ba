"""Imported SARIF files beside an earlier audit: what their tools no longer say is absent, if they were asked again."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.workflows.cli import main

pytestmark = pytest.mark.long

BAD = "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n"
Audit = Callable[..., str]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to audit, and nothing of the user's."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    (folder / "old.py").write_text(BAD)
    return folder


@pytest.fixture
def audit(capfd: pytest.CaptureFixture[str]) -> Audit:
    """Audit the current folder for what is wrong in its security; stdout."""

    def run(*options: str) -> str:
        assert main(["audit", ".", "--plain", "--lens", "security", *options]) == 0
        return capfd.readouterr().out

    return run


def result(rule: str, line: int, text: str = "it is bad") -> dict[str, Any]:
    place = {"artifactLocation": {"uri": "old.py"}, "region": {"startLine": line}}
    return {"ruleId": rule, "message": {"text": text}, "locations": [{"physicalLocation": place}]}


def log(tmp_path: Path, tool: str, *results: dict[str, Any]) -> str:
    """A SARIF file outside the tree, which is written anew each time."""
    file = tmp_path / "given.sarif"
    driver = {"name": tool, "version": "7.1"}
    file.write_text(json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": [*results]}]}))
    return str(file)


def last() -> str:
    """The newest run; `last` tells only seconds apart."""
    runs = Path(".antiphon/runs").iterdir()
    return max(runs, key=lambda run: (run / "script.py").stat().st_mtime_ns).name


def newest(name: str) -> Any:
    return json.loads(Path(".antiphon/runs", last(), name).read_text())


def unseen() -> dict[str, int]:
    """Of the newest run: by reason, how many results nobody looked for."""
    found = newest("report.json")["comparison"]["not_looked_at_again"]
    return {each["reason"]: len(each["results"]) for each in found}


def own_result() -> dict[str, Any]:
    """A result of the newest run that bandit found itself."""
    [run] = [run for run in newest("report.sarif")["runs"] if run["tool"]["driver"]["name"] == "bandit"]
    found: dict[str, Any] = next(one for one in run["results"] if one["ruleId"] == "B602")
    return found


def test_a_log_that_is_not_given_again_makes_nothing_absent(tmp_path: Path, audit: Audit) -> None:
    audit("--sarif", log(tmp_path, "bandit", result("B999", 2)))
    out = audit("--baseline", last())
    assert "0 absent" in out
    assert "1 not looked for again" in out
    assert unseen() == {"no readable log of bandit was given this time": 1}


def test_what_a_tool_and_its_log_both_say_is_kept_apart(tmp_path: Path, audit: Audit) -> None:
    audit()
    own = own_result()
    same = {"ruleId": "B602", "message": own["message"], "locations": own["locations"]}
    for given in (log(tmp_path, "bandit", same), log(tmp_path, "bandit", same, same)):
        audit("--sarif", given)
        assert "0 new, 0 updated" in (out := audit("--baseline", last()))
        assert "0 absent" in out


@pytest.mark.parametrize("tool", ["xtool", "bandit"])
def test_what_a_log_no_longer_says_is_absent(tmp_path: Path, audit: Audit, tool: str) -> None:
    audit("--sarif", log(tmp_path, tool, result("X1", 2), result("X2", 5)))
    out = audit("--baseline", last(), "--sarif", log(tmp_path, tool, result("X1", 2)))
    assert "1 absent" in out
    assert unseen() == {}
    assert "1 absent" in audit("--baseline", last(), "--sarif", log(tmp_path, tool))
    assert unseen() == {}


def test_a_tool_whose_log_is_empty_took_part(tmp_path: Path, audit: Audit) -> None:
    audit("--sarif", log(tmp_path, "xtool"))
    drivers = {run["tool"]["driver"]["name"]: run["tool"]["driver"] for run in newest("report.sarif")["runs"]}
    assert drivers["xtool"] == {"name": "xtool", "version": "7.1", "rules": []}
    [report] = Path(".antiphon/runs").glob("*/report.md")
    assert "; from SARIF files: xtool 7.1" in report.read_text()


def test_a_log_of_a_tool_says_nothing_of_what_ours_would_find(tmp_path: Path, audit: Audit, project: Path) -> None:
    audit()
    (project / "old.py").unlink()
    (project / "page.js").write_text("export const one = 1;\n")
    audit("--baseline", last(), "--sarif", log(tmp_path, "bandit"))
    reasons = unseen()
    assert reasons["bandit did not take part"] >= 1
    assert newest("report.json")["comparison"]["counts"]["absent"] == 0


def test_a_log_that_cannot_be_read_makes_nothing_absent(
    tmp_path: Path, audit: Audit, capfd: pytest.CaptureFixture[str]
) -> None:
    audit("--sarif", log(tmp_path, "bandit", result("B999", 2)))
    (tmp_path / "given.sarif").write_text("[]")
    options = ["--lens", "security", "--baseline", last(), "--sarif", str(tmp_path / "given.sarif")]
    assert main(["audit", ".", "--plain", *options]) == 3
    assert "0 absent" in capfd.readouterr().out
    assert unseen() == {"no readable log of bandit was given this time": 1}


def test_since_a_revision_what_a_log_says_is_new_and_that_is_said(tmp_path: Path, audit: Audit) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "old.py"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    out = audit("--since", "HEAD", "--sarif", log(tmp_path, "xtool", result("X1", 2)))
    assert "1 new" in out
    assert unseen() == {}
    assert any(note.startswith("Not compared with HEAD: ") for note in newest("report.json")["about"]["notes"])
