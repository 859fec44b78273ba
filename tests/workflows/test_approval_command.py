"""A script that a model wrote runs only once a person agreed to this version of it; the log says to what they did."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.tracing import read_log
from antiphon.workflows.cli import main, run

Antiphon = Callable[..., tuple[int, str, str]]
BODY = """
manifest = {"name": "tidy", "limits": {"agent_calls": 5}, "scope": {"read": ["**"], "write": []}, "steps": ["tree"],
            "phases": ["one", "two"]}


async def main(n: int = 3):
    phase("one")
    found = await parallel(step("tree", {"workspace": "read"}) for k in range(min(n, 9)))
    phase("two")
    last = await branch("last", step("tree", {"workspace": "read"}))
    return [*(outcome.kind for outcome in found), last.kind, found.census.to_json()["skipped"] if n > 90 else 0]
"""
PLANNED = f"# antiphon: planned tidy 0a1b2c3d{BODY}"


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder with a planned script: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".home"))
    (tmp_path / "tidy.py").write_text(PLANNED)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def asked_for(told: str) -> list[str]:
    """The command to type next, as words."""
    [command] = re.findall(r"^next: antiphon (.*)$", told, re.MULTILINE)
    return str(command).split()


def events(tmp_path: Path, kind: str) -> list[Any]:
    """Of the last run."""
    run = max((tmp_path / ".antiphon" / "runs").iterdir(), key=lambda one: (one / "origin").stat().st_mtime_ns)
    return [event.data for event in read_log(run) if event.kind == kind]


def runs(tmp_path: Path) -> int:
    """How many were begun."""
    home = tmp_path / ".antiphon" / "runs"
    return len(list(home.iterdir())) if home.is_dir() else 0


def test_without_a_terminal_the_next_command_agrees_to_exactly_this(antiphon: Antiphon, tmp_path: Path) -> None:
    code, said, told = antiphon("run", "tidy.py", "--arg", "n=2", "--plain")
    assert (code, said, runs(tmp_path)) == (2, "", 0)
    assert "outline" in told
    assert "scope      read        **" in told
    assert "no version of it was approved before" in told
    words = asked_for(told)
    assert words[:-2] == ["run", "tidy.py", "--arg", "n=2", "--plain"]
    checked = json.loads(antiphon("check", "tidy.py", "--arg", "n=2", "--json")[1])
    assert checked["approval"]["hash"] == words[-1]
    code, said, told = antiphon(*words)
    assert code == 0, told
    assert "approved   on " in antiphon("check", "tidy.py", "--arg", "n=2")[1]
    [event] = events(tmp_path, "approval")
    assert (event["hash"][: len(words[-1])], event["how"]) == (words[-1], "hash")
    assert event["who"]
    assert abs(event["at"] - time.time()) < 3_600


def test_what_was_agreed_to_is_not_asked_again_and_anything_else_is(antiphon: Antiphon, tmp_path: Path) -> None:
    antiphon(*asked_for(antiphon("run", "tidy.py", "--plain")[2]))
    assert antiphon("run", "tidy.py", "--plain")[0] == 0
    assert events(tmp_path, "approval")[0]["how"] == "earlier"
    for words in (("--arg", "n=4"), ("--allow", "run"), ("--sandbox", "none")):
        assert antiphon("run", "tidy.py", "--plain", *words)[0] == 2
    assert antiphon("run", "tidy.py", "--plain", "--arg", "n=3", "--deny", "run")[0] == 0  # a default; and less
    (tmp_path / "tidy.py").write_text(PLANNED.replace('"write": []', '"write": ["src/**"]'))
    code, _, told = antiphon("run", "tidy.py", "--plain")
    assert code == 2
    assert "+ scope.write: src/**" in told
    assert '+            "' not in told
    assert '-manifest = {"name": "tidy"' in told


def test_a_hash_of_another_version_is_refused_with_this_ones(antiphon: Antiphon, tmp_path: Path) -> None:
    words = asked_for(antiphon("run", "tidy.py", "--plain")[2])
    (tmp_path / "tidy.py").write_text(PLANNED + "\n")
    code, _, told = antiphon(*words)
    assert (code, runs(tmp_path)) == (2, 0)
    assert "is not what would run" in told
    assert antiphon("run", "tidy.py", "--approve", words[-1][:12])[0] == 2
    [own] = re.findall(r"the hash of this is ([0-9a-f]{32})", told)
    assert antiphon("run", "tidy.py", "--plain", "--approve", own)[0] == 0


def test_what_a_person_wrote_runs_as_before_and_can_be_held_to_a_hash(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"from antiphon.workflows.script import branch, parallel, phase, step\n{BODY}")
    assert antiphon("run", "own.py", "--plain")[0] == 0
    assert events(tmp_path, "approval") == []
    code, _, told = antiphon("run", "own.py", "--plain", "--approve", "0" * 32)
    assert code == 2
    [own] = re.findall(r"the hash of this is ([0-9a-f]{32})", told)
    assert antiphon("run", "own.py", "--plain", "--approve", own)[0] == 0
    assert events(tmp_path, "approval")[0]["how"] == "hash"


@pytest.mark.parametrize(("edited", "later"), [("tidy.py", f"{PLANNED}\n"), ("n.json", "4")])
def test_what_is_changed_after_it_was_agreed_to_does_not_run(
    antiphon: Antiphon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, later: str
) -> None:
    (tmp_path / "n.json").write_text("2")
    words = asked_for(antiphon("run", "tidy.py", "--plain", "--arg", "n=@n.json")[2])
    loaded = run._loaded  # pyright: ignore[reportPrivateUsage] - the moment between the yes and the run

    def load_later(*given: Any) -> Any:
        (tmp_path / edited).write_text(later)
        return loaded(*given)

    monkeypatch.setattr(run, "_loaded", load_later)
    code, _, told = antiphon(*words)
    assert (code, runs(tmp_path)) == (2, 0)
    assert "was changed while it was being read" in told


def test_a_script_that_becomes_planned_while_it_is_read_does_not_run(
    antiphon: Antiphon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidy.py").write_text(BODY)
    loaded = run._loaded  # pyright: ignore[reportPrivateUsage] - as above

    def load_later(*given: Any) -> Any:
        (tmp_path / "tidy.py").write_text(PLANNED)
        return loaded(*given)

    monkeypatch.setattr(run, "_loaded", load_later)
    assert antiphon("run", "tidy.py", "--plain", "--runtime", "jail")[0] == 2
    assert runs(tmp_path) == 0


def test_what_is_not_shown_of_an_argument_is_counted(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "tidy.py").write_text(PLANNED.replace("n: int = 3", "n: int = 3, text: str = ''"))
    told = antiphon("run", "tidy.py", "--plain", "--arg", f"text={'x' * 1_250}")[2]
    assert f"text = {'x' * 1_000} ... and 250 more characters that are not shown" in told


def test_the_next_command_is_right_where_options_were_ended(antiphon: Antiphon, tmp_path: Path) -> None:
    words = asked_for(antiphon("run", "--plain", "--", "tidy.py")[2])
    assert antiphon(*words)[0] == 0


def test_the_hash_is_of_what_an_mcp_server_is_given(antiphon: Antiphon, tmp_path: Path) -> None:
    said: list[str] = []
    for command in ("one", "two"):
        (tmp_path / "antiphon.toml").write_text(f'[mcp.tools]\ncommand = ["{command}"]\n')
        told = antiphon("run", "tidy.py", "--plain", "--mcp", "tools")[2]
        assert f"tools: {command}" in told
        said.append(asked_for(told)[-1])
    assert said[0] != said[1]


def test_a_script_that_preflight_refuses_cannot_be_approved(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "tidy.py").write_text(
        '# antiphon: planned tidy 0a1b2c3d\nmanifest = {"name": "x", "roles": ["worker"]}\n\n\n'
        'async def main():\n    while True:\n        await agent("again")\n'
    )
    code, _, told = antiphon("run", "tidy.py", "--model", "file:box", "--plain")
    assert (code, runs(tmp_path)) == (2, 0)
    assert "tidy.py:6:" in told
    assert "antiphon check" in told


def test_an_approval_that_comes_with_a_project_counts_nothing(
    antiphon: Antiphon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    antiphon(*asked_for(antiphon("run", "tidy.py", "--plain")[2]))
    approved = tmp_path / ".home" / "antiphon" / "approved"
    assert list(approved.rglob("*.json"))
    for place in (tmp_path / ".antiphon" / "approved", tmp_path / "other" / "antiphon" / "approved"):
        shutil.copytree(approved, place)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))  # another user's state, with the same records
    assert antiphon("run", "tidy.py", "--plain")[0] == 2


# --- pilot, gates, and going on -----------------------------------------------------------------------------------


def test_pilot_and_gate_ask_and_a_resume_goes_on_asking(antiphon: Antiphon, tmp_path: Path) -> None:
    words = asked_for(antiphon("run", "tidy.py", "--plain", "--pilot", "1", "--gate")[2])
    code, _, told = antiphon(*words)
    assert code == 4
    assert "Go on with the other 2 of 3 items of parallel main/0?" in told
    assert "the first 1: 1 succeeded" in told
    assert events(tmp_path, "run.opened")[0]["asks"] == {"pilot": 1, "gate_phases": True}
    code, _, told = antiphon("resume", "last", "--plain", "--approve=main/0/pilot/0")
    assert code == 4
    [place] = re.findall(r"Begin the phase 'two'\?  \((main/gate:two-[0-9a-f]+/0)\)", told)
    code, said, told = antiphon("resume", "last", "--plain", f"--approve={place}")
    assert code == 0, told
    assert said.count("succeeded") == 4
    approvals = [data for data in events(tmp_path, "call.ended") if data["call"] == "approval" and "value" in data]
    assert [data["value"] for data in approvals] == [True, True]


def test_a_no_to_the_rest_degrades_the_run(antiphon: Antiphon) -> None:
    words = asked_for(antiphon("run", "tidy.py", "--plain", "--pilot", "1")[2])
    antiphon(*words)
    code, said, told = antiphon("resume", "last", "--plain", "--deny")
    assert code == 3
    assert said.count("skipped") == 2
    assert "a person said no to the rest" in told


def test_a_resume_of_another_version_needs_a_new_yes(antiphon: Antiphon, tmp_path: Path) -> None:
    antiphon(*asked_for(antiphon("run", "tidy.py", "--plain", "--pilot", "1")[2]))
    (tmp_path / "tidy.py").write_text(PLANNED.replace('"two"]', '"two", "three"]'))
    code, _, told = antiphon("resume", "last", "--plain", "--approve")
    assert code == 2
    words = asked_for(told)
    assert words[:1] == ["resume"]
    code, _, told = antiphon(*words, "--plain", "--approve=*")
    assert code == 0, told
    assert len(events(tmp_path, "approval")) == 2


def test_a_resume_that_confines_it_no_more_needs_a_new_yes(antiphon: Antiphon, tmp_path: Path) -> None:
    antiphon(*asked_for(antiphon("run", "tidy.py", "--plain", "--pilot", "1")[2]))
    code, _, told = antiphon("resume", "last", "--plain", "--approve", "--runtime", "trusted", "--trust")
    assert code == 2
    assert "confined: no" in told
    assert antiphon("resume", "last", "--plain", "--approve")[0] == 0  # as it was agreed to


def test_the_command_that_goes_on_with_a_run_from_elsewhere_is_whole(
    antiphon: Antiphon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    antiphon(*asked_for(antiphon("run", "tidy.py", "--plain", "--pilot", "1", "--runs-dir", "kept")[2]))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))  # whose approvals and runs are others
    words = asked_for(antiphon("resume", "last", "--plain", "--trust", "--approve", "--runs-dir", "kept")[2])
    assert words[1] != "last"
    assert antiphon(*words)[0] == 0


# --- on a terminal ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals here")
@pytest.mark.parametrize(("answer", "code"), [("y", 0), pytest.param("n", 2, marks=pytest.mark.long)])
def test_a_person_at_a_terminal_is_shown_all_of_it_and_asked(
    antiphon: Antiphon, tmp_path: Path, answer: str, code: int
) -> None:
    ours, theirs = os.openpty()
    script = "import sys; from antiphon.workflows.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "run", "tidy.py", "--plain"], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen, asked = b"", False
    try:
        while select.select([ours], [], [], 60)[0]:
            try:
                some = os.read(ours, 65_536)
            except OSError:
                break
            seen += some
            if not some:
                break
            if b"Run it?" in seen and not asked:
                asked = True
                os.write(ours, f"{answer}\n".encode())
        assert process.wait(60) == code, seen
    finally:
        process.kill()
        os.close(ours)
    assert b"outline" in seen
    assert b"hash" in seen
    assert runs(tmp_path) == (answer == "y")


def test_nothing_is_executed_before_it_is_approved(antiphon: Antiphon, tmp_path: Path) -> None:
    """Also where a person trusts the script to run in this process, or holds their own to a hash."""
    executed = 'open("executed", "w").write("yes")\n'
    for name, text in (("tidy.py", PLANNED), ("own.py", f"from antiphon.workflows.script import *\n{BODY}")):
        (tmp_path / name).write_text(text.replace("async def main", f"{executed}\n\nasync def main"))
        words = ("--runtime", "trusted", "--trust", "--plain") if name == "tidy.py" else ("--approve", "0" * 32)
        assert antiphon("run", name, *words)[0] == 2
        assert not (tmp_path / "executed").exists()
