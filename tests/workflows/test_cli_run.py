"""`antiphon run` and `antiphon resume`, whole: what goes where, how it exits, what is said, on both backends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.tracing import Event, read_log
from antiphon.tracing.ownership import Ownership
from antiphon.workflows.cli import main
from antiphon.workflows.places import RunPlace

SCRIPT = """
from antiphon.workflows.script import AgentFailure, Amount, agent, approve, function_agent, log, parallel, phase

manifest = {"name": "sums", "phases": ["find", "sum"], "roles": ["worker"], "limits": {"agent_calls": LIMIT}}

@function_agent("worker", floor=Amount(model_calls=1))
async def worker(task, ctx):
    async with ctx.attempt(Amount(usd="0.01"), name="small") as attempt:
        attempt.settle(Amount(usd="0.004"))
    if "bad" in task:
        raise AgentFailure("it is bad")
    return len(task)

async def main(words: list[str], ask: bool = False, strict: bool = False):
    print("printed by the script")
    phase("find")
    found = await parallel(agent(word, label=word) for word in words)
    if strict:
        await agent("bad luck")
    phase("sum")
    if ask:
        log("about to ask")
        return await approve("Go on?")
    return sum(found.succeeded())
"""

Antiphon = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The event loop."""
    return str(request.param)


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_script(tmp_path)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def write_script(folder: Path, limit: int = 100) -> None:
    """The workflow that these tests run."""
    (folder / "sums.py").write_text(SCRIPT.replace("LIMIT", str(limit)))


def words(*each: str) -> str:
    """The argument."""
    return f"words={json.dumps(each)}"


def last_run() -> RunPlace:
    """The newest run here."""
    return RunPlace(sorted(Path(".antiphon/runs").iterdir())[-1])


def events(kind: str) -> list[Event]:
    """The last run's events of a kind."""
    return [event for event in read_log(last_run().directory) if event.kind == kind]


def test_a_run_that_completes(antiphon: Antiphon, backend: str) -> None:
    code, out, err = antiphon("run", "sums.py", "--arg", words("a", "bb"), "--backend", backend)
    assert (code, out) == (0, "3\n")
    assert "printed by the script" in err
    assert f"completed  sums  {last_run().run_id}" in err
    assert "2 succeeded" in err
    assert f"antiphon verify {last_run().run_id} --head " in err
    assert "phase find ended: 2 succeeded" in err


def test_the_head_that_is_printed_verifies(antiphon: Antiphon) -> None:
    _, _, err = antiphon("run", "sums.py", "--arg", words("a"))
    command = next(line.split("antiphon ")[1] for line in err.splitlines() if "--head" in line)
    code, out, _ = antiphon(*command.split())
    assert code == 0
    assert out.startswith(f"ok  {last_run().run_id}")


def test_one_json_object(antiphon: Antiphon, backend: str) -> None:
    code, out, _ = antiphon("run", "sums.py", "--arg", words("a", "bad"), "--json", "--backend", backend)
    facts: dict[str, Any] = json.loads(out)
    assert code == facts["exit_code"] == 3
    assert facts["kind"] == "degraded"
    assert facts["value"] == 1
    assert facts["run"] == last_run().run_id
    assert facts["calls"] == {"find": {"planned": 2, "started": 2, "failed": 1, "succeeded": 1}}
    assert facts["failures"] == {"task": 1}
    assert facts["spent"]["usd"] == 8_000_000
    assert facts["reuse"]["performed"] == 2
    assert facts["pending"] == {}
    assert facts["reports"] == []
    assert facts["missing"] == [{"path": "main/0/1", "kind": "failed", "reason": "it is bad"}]
    assert len(facts["head"]) == 64


def test_a_run_that_fails_says_why_and_what_to_type(antiphon: Antiphon) -> None:
    code, out, err = antiphon("run", "sums.py", "--arg", words("a"), "--arg", "strict=true")
    assert (code, out) == (1, "")
    assert "reason    it is bad" in err
    assert f"antiphon show {last_run().run_id}" in err
    assert "worker failed: it is bad" in err


def test_the_runs_own_limit_pauses_and_a_top_up_goes_on(antiphon: Antiphon, backend: str, tmp_path: Path) -> None:
    write_script(tmp_path, limit=2)
    code, _, err = antiphon("run", "sums.py", "--arg", words("a", "bb", "ccc"), "--backend", backend)
    run = last_run().run_id
    assert code == 4
    assert f"antiphon resume {run} --budget +100agent_calls" in err
    code, out, err = antiphon("resume", run, "--budget", "+5agent_calls", "--backend", backend)
    assert (code, out) == (0, "6\n")
    assert "2 calls replayed; 1 performed; saved 0.008 usd" in err


def test_a_question_pauses_and_an_answer_goes_on(antiphon: Antiphon, backend: str) -> None:
    code, _, err = antiphon("run", "sums.py", "--arg", words("a"), "--arg", "ask=true", "--backend", backend)
    assert code == 4
    assert "asks      Go on?  (main/1)" in err
    assert "note: about to ask" in err
    assert antiphon("resume", "last", "--approve=main/7")[0] == 2
    assert antiphon("resume", "--deny=main/1", "last", "--backend", backend)[:2] == (0, "false\n")


@pytest.mark.parametrize(("flag", "value"), [("--approve", "true\n"), ("--deny", "false\n")])
def test_a_bare_answer_never_takes_the_run_for_a_path(antiphon: Antiphon, flag: str, value: str) -> None:
    antiphon("run", "sums.py", "--arg", words("a"), "--arg", "ask=true")
    assert antiphon("resume", flag, "last")[:2] == (0, value)


def test_yes_answers_everything(antiphon: Antiphon) -> None:
    assert antiphon("run", "sums.py", "--arg", words("a"), "--arg", "ask=true", "--yes")[:2] == (0, "true\n")


def test_failures_are_performed_again_only_when_asked(antiphon: Antiphon) -> None:
    antiphon("run", "sums.py", "--arg", words("a", "bad"))
    _, out, _ = antiphon("resume", "last", "--json")
    assert json.loads(out)["reuse"] | {"saved": 0} == {"reused": 2, "rebound": 0, "performed": 0, "saved": 0}
    _, out, _ = antiphon("resume", "--retry-failed=task", "last", "--json")
    assert json.loads(out)["reuse"]["performed"] == 1
    code, _, err = antiphon("resume", "last", "--retry-failed=tusk")
    assert code == 2
    assert "there is no kind of failure 'tusk' (did you mean 'task'?)" in err


def test_budget_for_a_run_that_goes_on_elsewhere_is_left_for_its_owner(antiphon: Antiphon) -> None:
    antiphon("run", "sums.py", "--arg", words("a"))
    owner = Ownership(last_run().directory)
    try:
        code, out, err = antiphon("resume", "last", "--budget", "+2usd", "--approve=main/1")
        assert (code, out) == (0, "")
        assert "it was asked to add +2usd to its limits" in err
        assert "it was told yes for main/1" in err
        left = [json.loads(file.read_text()) for file in last_run().control.glob("*.json")]
        assert sorted(request["ask"] for request in left) == ["answer", "top_up"]
        code, _, err = antiphon("resume", "last")
        assert code == 2
        assert "is in use by process" in err
        assert antiphon("resume", "last", "--budget", "+2usd", "--retry-failed")[0] == 2
    finally:
        owner.release()


def test_a_run_from_elsewhere_needs_trust(antiphon: Antiphon) -> None:
    antiphon("run", "sums.py", "--arg", words("a"))
    last_run().origin.unlink()
    code, _, err = antiphon("resume", "last")
    assert code == 2
    assert "was not made here, and resuming it executes its script" in err
    assert antiphon("resume", "last", "--trust")[:2] == (0, "1\n")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["run", "nope.py"], "cannot read nope.py: No such file or directory"),
        (["run", "."], ". is a folder, and a workflow is a file"),
        (["run", "sums.py"], "words is missing"),
        (["run", "sums.py", "--arg", "words=3"], "words must be a valid array"),
        (["run", "sums.py", "--arg", "wrods=[]"], "did you mean 'words'?"),
        (["run", "sums.py", "--concurrency", "0"], "0 is not in the range x>=1"),
        (["run"], "missing argument 'FILE'"),
        (["resume", "nope"], "there is no run 'nope'"),
        (["resume", "last", "--budget", "2bananas"], "there is no dimension 'bananas'"),
        (["resume", "last", "--approve", "--deny"], "everything is both approved and denied"),
        (["show", "nope"], "there is no run 'nope'"),
        (["show", "a\0b"], "there is no run 'a\\x00b'"),
        (["rnu"], "there is no command 'rnu'; did you mean 'run'?"),
        (["runs", "--runs-dir", "sums.py"], "is a file"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence_and_exit_code_2(
    antiphon: Antiphon, typed: list[str], message: str
) -> None:
    code, out, err = antiphon(*typed)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_configuration_is_heeded(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text('runs_dir = "kept"\nbackend = "trio"\n')
    antiphon("run", "sums.py", "--arg", words("a"))
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert "1 succeeded" in antiphon("runs")[1]
    (tmp_path / "antiphon.toml").write_text("concurency = 3")
    code, _, err = antiphon("runs")
    assert code == 2
    assert "did you mean 'concurrency'?" in err


def test_a_bug_is_one_line_unless_debugging(antiphon: Antiphon, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_home: Path) -> list[RunPlace]:
        raise LookupError("what \x1b[2Jnow")

    monkeypatch.setattr("antiphon.workflows.places.list_runs", broken)
    code, _, err = antiphon("runs")
    assert code == 1
    assert err.startswith(r"error: LookupError: what \x1b[2Jnow (test_cli_run.py:")
    assert "this is a bug in antiphon; run with ANTIPHON_DEBUG=1 for the traceback" in err
    assert "Traceback" not in err
    monkeypatch.setenv("ANTIPHON_DEBUG", "1")
    assert "Traceback" in antiphon("runs")[2]


def test_a_full_disk_is_exit_code_74(antiphon: Antiphon) -> None:
    antiphon("run", "sums.py", "--arg", words("a"))
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "wb", buffering=0) as full:
        command = [sys.executable, "-m", "antiphon", "show", "last"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 74
    assert done.stderr.startswith("error: No space left on device\nnext: ")
    assert "Exception ignored" not in done.stderr


def test_a_reader_that_leaves_ends_it_quietly(antiphon: Antiphon) -> None:
    antiphon("run", "sums.py", "--arg", words(*"abcdefghijkl"))
    shell = f"{sys.executable} -m antiphon show last | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(last_run().run_id)
    assert done.stderr == ""


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_locale_without_the_letters(antiphon: Antiphon, environment: dict[str, str]) -> None:
    antiphon("run", "sums.py", "--arg", words("naïve 漢字"))
    command = [sys.executable, "-m", "antiphon", "show", "last"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0
    assert b"`- + 0 parallel of 1" in done.stdout
    assert rb"\u6f22\u5b57" in done.stdout
