"""No escape gets through to a terminal: not from labels, reasons, questions, notes, names, paths or typed words."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.workflows.cli import main

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202e\u2066\x7f"
BAD = {character for character in EVIL if not character.isprintable()}

SCRIPT = f"""
from antiphon.workflows.script import AgentFailure, agent, approve, branch, function_agent, log, parallel, phase

EVIL = {EVIL!r}
manifest = {{"name": "evil", "roles": ["worker"]}}

@function_agent("worker")
async def worker(task, ctx):
    if "good" in task:
        return {{"value" + EVIL: "value" + EVIL}}
    raise AgentFailure("reason" + EVIL)

async def main(text: str, ask: bool = False):
    phase("phase" + EVIL)
    log("note" + EVIL)
    found = await parallel(agent(f"task {{n}}" + EVIL, label="label" + EVIL) for n in range(3))
    await branch("name" + EVIL, agent("good", label="label" + EVIL))
    if ask:
        await approve("question" + EVIL)
    return "value" + EVIL + "\\nsecond line" + text
"""

Antiphon = Callable[..., tuple[int, str, str]]


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder with the evil script: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "evil.py").write_text(SCRIPT)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def assert_harmless(*texts: str) -> None:
    """Nothing in them commands a terminal."""
    for text in texts:
        assert not BAD & set(text), text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_prints_no_escapes(antiphon: Antiphon, backend: str) -> None:
    code, out, err = antiphon("run", "evil.py", "--arg", f"text=typed{EVIL}", "--backend", backend)
    assert code == 3
    assert_harmless(out, err)
    assert out.count("\n") == 2
    for seen in ("phase", "note", "label", "reason"):
        assert f"{seen}\\x1b]0;owned" in err


def test_a_pause_prints_no_escapes(antiphon: Antiphon) -> None:
    code, out, err = antiphon("run", "evil.py", "--arg", "text=x", "--arg", "ask=true")
    assert code == 4
    assert_harmless(out, err)
    assert "question\\x1b]0;owned" in err


def test_looking_at_it_prints_no_escapes(antiphon: Antiphon) -> None:
    antiphon("run", "evil.py", "--arg", "text=x", "--arg", "ask=true")
    for typed in (["show", "last"], ["show", "last", "--json"], ["runs"], ["verify", "last"], ["clean", "--dry-run"]):
        _, out, err = antiphon(*typed)
        assert_harmless(out, err)
    assert "label\\x1b]0;owned" in antiphon("show", "last")[1]


def test_json_is_exact_and_harmless(antiphon: Antiphon) -> None:
    _, out, _ = antiphon("run", "evil.py", "--arg", "text=x", "--json")
    assert_harmless(out.rstrip("\n"))
    assert out.isascii()
    assert json.loads(out)["value"] == f"value{EVIL}\nsecond linex"


@pytest.mark.parametrize(
    "typed",
    [
        ["run", f"no{EVIL}.py"],
        ["run", "evil.py", "--arg", f"te{EVIL}xt=1"],
        ["run", "evil.py", "--arg", f"{EVIL}"],
        ["run", "evil.py", f"--{EVIL}"],
        ["show", f"{EVIL}"],
        ["show", "last", "--branch", f"main/{EVIL}"],
        ["resume", "last", f"--retry-failed={EVIL}"],
        ["resume", "last", "--budget", f"{EVIL}"],
        ["runs", "--runs-dir", f"evil.py/{EVIL}"],
        [f"{EVIL}"],
    ],
)
def test_what_is_typed_comes_back_harmless(antiphon: Antiphon, typed: list[str]) -> None:
    antiphon("run", "evil.py", "--arg", "text=x")
    _, out, err = antiphon(*typed)
    assert_harmless(out, err)


def test_files_and_folders_with_evil_names(antiphon: Antiphon, tmp_path: Path) -> None:
    evil = tmp_path / "folder\x1b[2J\udcff"
    evil.mkdir()
    (evil / "bad.py").write_text("manifest = 3")
    code, out, err = antiphon("run", str(evil / "bad.py"))
    assert code == 2
    assert_harmless(out, err)
    code, out, err = antiphon("run", "evil.py", "--arg", "text=x", "--runs-dir", str(evil))
    assert code == 3
    assert_harmless(out, err)
    for command in ("runs", "show last", "verify last"):
        _, out, err = antiphon(*command.split(), "--runs-dir", str(evil))
        assert_harmless(out, err)


def on_a_terminal(*typed: str, **environment: str) -> bytes:
    """What a terminal of 40 columns gets to see of a command."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "antiphon", *typed],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "40", "LINES": "20", "TERM": "xterm-256color", **environment},
    )
    os.close(follower)
    seen = b""
    try:
        while piece := os.read(leader, 65536):
            seen += piece
    except OSError:
        pass  # how Linux says that the other end is closed
    finally:
        os.close(leader)
    process.wait(30)
    return seen


OURS = (b"\x1b[31m", b"\x1b[32m", b"\x1b[33m", b"\x1b[2m", b"\x1b[1m", b"\x1b[0m", b"\r\n")


def test_on_a_terminal_only_our_own_styles_get_through(antiphon: Antiphon) -> None:
    antiphon("run", "evil.py", "--arg", "text=x")
    seen = on_a_terminal("show", "last")
    assert b"\x1b[31m" in seen
    for ours in OURS:
        seen = seen.replace(ours, b"\n" if ours == b"\r\n" else b"")
    assert_harmless(seen.decode())
    assert all(len(line) <= 40 for line in seen.decode().splitlines() if line[:1] in "◌├└│✗✓")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(antiphon: Antiphon, environment: dict[str, str]) -> None:
    antiphon("run", "evil.py", "--arg", "text=x")
    assert b"\x1b" not in on_a_terminal("show", "last", **environment)


def test_the_live_view_draws_nothing_that_is_not_its_own(antiphon: Antiphon) -> None:
    seen = on_a_terminal("run", "evil.py", "--arg", "text=x")
    for evil in (b"\x1b]", b"\x1b[2J\x9b", b"\x07", b"\x08", b"\x7f", "\u202e".encode(), "\x9b".encode()):
        assert evil not in seen
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h")


def test_a_dumb_terminal_gets_plain_lines(antiphon: Antiphon) -> None:
    seen = on_a_terminal("run", "evil.py", "--arg", "text=x", TERM="dumb")
    assert b"\x1b" not in seen
    assert b"] phase phase" in seen
