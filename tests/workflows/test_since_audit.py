"""`antiphon audit` from day to day, whole: what is new since a revision or a run, what is reused, when it fails."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from antiphon.tracing import read_log
from antiphon.workflows.cli import main

pytestmark = pytest.mark.long

BAD = "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n"
FINE = "def add(a, b):\n    return a + b\n"
Audit = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's, and a folder of its own to run in."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "old.py").write_text(BAD)
    (folder / "fine.py").write_text(FINE)
    git("init", "-q", "-b", "main")
    commit()
    return folder


@pytest.fixture
def audit(capfd: pytest.CaptureFixture[str]) -> Audit:
    """Audit the current folder; exit code, stdout, stderr."""

    def run(*options: str) -> tuple[int, str, str]:
        code = main(["audit", ".", "--plain", "--lens", "security", *options])
        out, err = capfd.readouterr()
        return code, out, err

    return run


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit() -> None:
    git("add", "-A")
    git("commit", "-qm", "one")


def runs() -> list[Path]:
    """Oldest first; their names tell only seconds apart."""
    return sorted(Path(".antiphon/runs").iterdir(), key=lambda run: (run / "script.py").stat().st_mtime_ns)


def newest(name: str) -> Any:
    return json.loads((runs()[-1] / name).read_text())


def states() -> dict[tuple[str, str], set[str]]:
    """By file and rule of the newest run's SARIF log: the states."""
    found: dict[tuple[str, str], set[str]] = {}
    for run in newest("report.sarif")["runs"]:
        for result in run["results"]:
            uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            found.setdefault((uri, result["ruleId"]), set()).add(result["baselineState"])
    return found


def test_since_a_revision(project: Path, audit: Audit) -> None:
    (project / "new.py").write_text(BAD)
    (project / "old.py").write_text("# a line more\n" + BAD)
    (project / "gone.py").write_text(BAD)
    commit()
    (project / "gone.py").unlink()
    before = git("status", "--porcelain")
    code, out, _ = audit("--since", "HEAD~1", "--fail-on", "high")
    assert code == 1
    assert "since HEAD~1 (" in out
    found = states()
    assert found["new.py", "S602"] == {"new"}
    assert found["old.py", "S602"] == {"unchanged"}
    assert ("gone.py", "S602") not in found
    assert git("status", "--porcelain") == before
    code, _, _ = audit("--since", "HEAD", "--fail-on", "info")
    assert code == 0
    assert states()["gone.py", "S602"] == {"absent"}
    facts = newest("before.json")
    assert facts["commit"] == git("rev-parse", "HEAD")
    assert newest("report.json")["comparison"]["counts"]["new"] == 0


def test_it_says_which_finding_made_it_fail(project: Path, audit: Audit) -> None:
    code, _, err = audit("--fail-on", "high")
    assert code == 1
    assert "--fail-on high: " in err
    assert "at old.py:5" in err
    code, _, err = audit("--fail-on", "critical")
    assert code == 0
    assert "no findings of that severity or above" in err


def test_beside_an_earlier_run(project: Path, audit: Audit) -> None:
    audit()
    first = runs()[-1].name
    assert audit("--baseline", "last", "--fail-on", "info")[0] == 0
    (project / "new.py").write_text(BAD)
    code, out, err = audit("--baseline", first[-4:], "--fail-on", "high")
    assert code == 1
    assert "S602 at new.py:5" in err
    assert f"since {first}: " in out


def test_a_baseline_survives_being_compared_itself(project: Path, audit: Audit) -> None:
    """What was absent then is not absent again, and what was new then is not new again."""
    audit()
    (project / "old.py").unlink()
    audit("--baseline", runs()[-1].name)
    assert states()["old.py", "S602"] == {"absent"}
    audit("--baseline", runs()[-1].name)
    assert ("old.py", "S602") not in states()


def test_one_edited_file_runs_only_its_shards_again(project: Path, audit: Audit) -> None:
    for number in range(40):
        (project / f"file{number}.py").write_text(FINE + f"# {number}\n")
    audit("--reuse")
    first = performed()
    audit("--reuse")
    assert performed() == []
    assert "were reused" in Path(runs()[-1], "report.md").read_text()
    (project / "file7.py").write_text(BAD)
    audit("--reuse")
    again = performed()
    assert again
    assert all("file7.py" in units for units in again)
    assert len(again) < len(first)
    assert audit("--reuse", "--fail-on", "high")[0] == 1


def test_a_cache_that_a_repository_brings_along_counts_for_nothing(
    project: Path, audit: Audit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as theirs:
        theirs.setenv("XDG_STATE_HOME", str(tmp_path / "their-state"))
        audit("--reuse")
    everything = performed()
    audit("--reuse")
    assert sorted(performed()) == sorted(everything)
    notes = " ".join(newest("report.json")["about"]["notes"])
    assert "not of this user's making" in notes
    assert "were reused" not in notes


def performed() -> list[list[str]]:
    """The units of each call of the newest run that an analyser was started for."""
    events = read_log(runs()[-1])
    covers: dict[str, list[str]] = {}
    found: list[list[str]] = []
    for event in events:
        data: Any = event.data
        if event.kind == "call.started" and data.get("covers"):
            covers[event.path] = data["covers"]
        if event.kind == "attempt.started" and event.path in covers and covers[event.path] not in found:
            found.append(covers[event.path])
    return found


def test_a_resumed_audit_is_compared_with_the_same_commit(project: Path, audit: Audit) -> None:
    (project / "new.py").write_text(BAD)
    audit("--since", "main", "--reuse")
    commit_then = git("rev-parse", "main")
    commit()
    [run] = runs()
    assert main(["resume", run.name, "--plain"]) == 0
    assert newest("before.json")["commit"] == commit_then
    assert states()["new.py", "S602"] == {"new"}


def test_a_folder_or_a_file_of_a_repository(project: Path, audit: Audit) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "a.py").write_text(BAD)
    commit()
    (project / "sub" / "b.py").write_text(BAD)
    for path, files in (("sub", {"a.py", "b.py"}), ("sub/a.py", {"a.py"}), ("sub/b.py", {"b.py"})):
        assert main(["audit", path, "--plain", "--lens", "security", "--since", "main"]) == 0
        assert {file for file, _ in states()} == files
    assert states()["b.py", "S602"] == {"new"}
    assert "everything is new" in (runs()[-1] / "report.md").read_text()


def test_what_is_left_out_now_is_not_called_absent(project: Path, audit: Audit) -> None:
    _, out, _ = audit("--since", "main", "--exclude", "old.py")
    assert states() == {}
    assert newest("report.json")["comparison"]["counts"]["absent"] == 0
    audit()
    _, out, _ = audit("--baseline", runs()[-1].name, "--exclude", "old.py")
    assert "0 absent" in out
    [unseen] = newest("report.json")["comparison"]["not_looked_at_again"]
    assert unseen["reason"] == "not looked at: excluded by you (--exclude)"


def test_a_lens_that_was_not_asked_for_makes_nothing_absent(project: Path, audit: Audit) -> None:
    audit()
    main(["audit", ".", "--plain", "--lens", "correctness", "--baseline", runs()[-1].name])
    comparison = newest("report.json")["comparison"]
    assert comparison["counts"]["absent"] == 0
    reasons = {unseen["reason"] for unseen in comparison["not_looked_at_again"]}
    assert reasons <= {"the lens security was not asked for", "bandit did not take part"}
    assert reasons


def test_the_log_with_states_is_valid_against_the_official_schema(project: Path, audit: Audit) -> None:
    brought = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
    schema = Path(os.environ.get("ANTIPHON_SARIF_SCHEMA") or Path(__file__).parents[2] / ".ci" / "sarif" / brought)
    if not schema.is_file():
        pytest.skip("no SARIF schema here: npm install --prefix .ci/sarif @microsoft/jest-sarif@1.0.0-beta.0")
    audit()
    (project / "old.py").unlink()
    (project / "new.py").write_text(BAD)
    audit("--baseline", runs()[-1].name)
    rules = json.loads(schema.read_text("utf-8"))
    jsonschema.validate(newest("report.sarif"), rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**newest("report.sarif"), "version": "3"}, rules)


def test_annotations_and_sarif_on_stdout(project: Path, audit: Audit) -> None:
    _, out, _ = audit("--format", "github")
    assert "::error file=old.py,line=5," in out
    assert all(line.startswith("::") for line in out.splitlines())
    _, out, _ = audit("--format", "sarif")
    assert json.loads(out)["version"] == "2.1.0"
    _, out, _ = audit("--format", "json")
    assert json.loads(out)["kind"] == "completed"


def test_the_configuration_that_was_used_is_named(project: Path, audit: Audit) -> None:
    (project / "antiphon.toml").write_text('[audit]\nexclude = ["old.py"]\nfail_on = "high"\n')
    code, _, err = audit()
    assert code == 0
    assert "antiphon.toml" in err
    assert newest("report.json")["about"]["configuration"].endswith("antiphon.toml")
    assert newest("report.json")["about"]["left_out"]["excluded by you (--exclude)"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "nope"], "--since 'nope': there is no such revision"),
        (["--baseline", "nope.sarif"], "the baseline 'nope.sarif' is neither a file nor a run"),
        (["--baseline", "old.py"], "the baseline 'old.py' is no JSON"),
        (["--lens", "securty"], "there is no lens 'securty'; did you mean 'security'?"),
        (["--fail-on", "terrible"], "'terrible' is not one of"),
        (["--exclude", "#"], "--exclude '#' is no pattern"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--json", "--format", "sarif"], "--json and --format sarif ask for two things"),
        (["--since", "main", "--baseline", "last"], "--baseline and --since name two audits"),
        (["--since", "", "--baseline", "last"], "--baseline and --since name two audits"),
        (["--since", ""], "--since is empty: say what to compare with"),
        (["--baseline", ""], "--baseline is empty: say what to compare with"),
    ],
)
def test_a_wrong_value_says_what_and_what_next(project: Path, audit: Audit, options: list[str], said: str) -> None:
    code, out, err = audit(*options)
    assert (code, out) == (2, "")
    assert said in err
    assert "next: " in err
    assert not Path(".antiphon/runs").exists() or not list(Path(".antiphon/runs").iterdir())
