"""Models on the command line: who answers which role, what a resume takes again, what a tree may not decide."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model.contract import Message, Request
from antiphon.subagents.model.file_inbox import Open, document_of, inbox, leave
from antiphon.subagents.testing import FunctionModel
from antiphon.tracing import Event, read_log
from antiphon.tracing.ownership import Ownership
from antiphon.workflows.cli import main
from antiphon.workflows.cli.configuration import ConfigurationError, configuration
from antiphon.workflows.cli.model_options import asked
from antiphon.workflows.cli.untrusted import mapping
from antiphon.workflows.loading import load
from antiphon.workflows.model_roles import ModelRoles, ModelsAsked
from antiphon.workflows.places import RunPlace, new_run
from antiphon.workflows.running import Options, start

SCRIPT = """
from antiphon.workflows.script import agent, choose, parallel
manifest = {"name": "asks", "roles": ["worker", "judge"], "limits": {"agent_calls": 100}}

async def main(n: int = 2):
    found = await parallel(agent(f"Say {i}") for i in range(n))
    return [*found.succeeded(), await choose("Which?", ["a", "b"])]
"""
FINDS = """
from antiphon.workflows.script import *
manifest = {"name": "finds", "roles": ["auditor"]}
async def main():
    found = await agent("Audit a.py", role="auditor", output="findings", covers=["a.py"])
    return [len(found["findings"]), [claim.key.path for claim in claims()]]
"""
Antiphon = Callable[..., tuple[int, str, str]]


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder with a workflow: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("asks.py").write_text(SCRIPT)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def reply(request: Open) -> str:
    """A model that repeats what it was told, and prefers b."""
    return "b" if request.schema else f"{request.task}!"


@contextmanager
def answering(*boxes: str, reply: Callable[[Open], str] = reply) -> Generator[Counter[str]]:
    """Somebody who answers what is asked in these directories; counts what by box."""
    stop, answered = threading.Event(), Counter[str]()

    def serve() -> None:
        while not stop.wait(0.005):
            for box in filter(os.path.isdir, boxes):
                for request in inbox(Path(box)).open:
                    with suppress(UsageError):
                        leave(request, document_of(request, reply(request)))
                        answered[box] += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()


def events(kind: str) -> list[Event]:
    """Events of the newest run."""
    return [event for event in read_log(last_run().directory) if event.kind == kind]


def last_run() -> RunPlace:
    """The newest run here."""
    return RunPlace(sorted(Path(".antiphon/runs").iterdir())[-1])


def test_without_a_model_nothing_begins(antiphon: Antiphon) -> None:
    code, out, err = antiphon("run", "asks.py")
    assert (code, out) == (2, "")
    assert "error: no model answers the role 'worker', which asks.py does not define itself" in err
    assert "next: antiphon run asks.py --model MODEL" in err
    assert not Path(".antiphon").exists()
    code, _, err = antiphon("run", "asks.py", "--model", "worker=ollama/x")
    assert "no model answers the role 'judge'" in err


def test_a_model_without_a_price_is_refused_under_a_limit_on_usd_before_anything_begins(antiphon: Antiphon) -> None:
    limited = Path("asks.py").read_text().replace('"agent_calls": 100', '"agent_calls": 100, "usd": "1"')
    assert '"usd"' in limited
    Path("limited.py").write_text(limited)
    name = "compatible/m@http://127.0.0.1:1/v1"
    code, out, err = antiphon("run", "limited.py", "--model", name)
    assert (code, out) == (2, "")
    assert f"the price of {name} is not known, and a limit on usd holds" in err
    assert f"--price {name}=IN/OUT" in err
    assert not Path(".antiphon").exists()


def test_a_person_or_a_program_answers_for_every_role(antiphon: Antiphon, tmp_path: Path) -> None:
    with answering("box") as answered:
        code, out, err = antiphon("run", "asks.py", "--model", "file:box")
    assert (code, json.loads(out)) == (0, ["Say 0!", "Say 1!", "b"])
    assert f"requests wait in {tmp_path}/box: antiphon answer {tmp_path}/box\n" in err
    assert answered == {"box": 3}
    (opened,) = events("run.opened")
    assert opened.data["models"] == {"specs": [f"file:{tmp_path}/box"]}
    assert events("models") == []
    turns = [mapping(event.data["value"]) for event in events("turn")]
    models = {str(turn["model"]) for turn in turns if turn["turn"] == "prompt"}
    assert models == {f"file:{tmp_path}/box"}


def test_a_new_run_asks_anew_and_takes_no_answer_of_another(antiphon: Antiphon) -> None:
    for tag in ("one", "two"):

        def tagged(request: Open, tag: str = tag) -> str:
            return "b" if request.schema else tag

        with answering("box", reply=tagged) as answered:
            code, out, _ = antiphon("run", "asks.py", "--model", "file:box")
        assert (code, json.loads(out)) == (0, [tag, tag, "b"])
        assert answered == {"box": 3}


def test_a_resume_says_where_requests_wait(antiphon: Antiphon, tmp_path: Path) -> None:
    with answering("box", "a =b"):
        assert antiphon("run", "asks.py", "--model", "file:box")[0] == 0
        _, _, err = antiphon("resume", "last", "--model", "judge=file:a =b")
    assert f"requests wait in {tmp_path}/box: antiphon answer {tmp_path}/box\n" in err
    assert f"requests wait in {tmp_path}/a =b: antiphon answer '{tmp_path}/a =b'\n" in err


def test_a_resume_refuses_a_model_for_a_role_that_there_is_not(antiphon: Antiphon) -> None:
    with answering("box"):
        assert antiphon("run", "asks.py", "--model", "file:box")[0] == 0
    code, _, err = antiphon("resume", "last", "--model", "jugde=ollama/x")
    assert code == 2
    assert "there is no role 'jugde'; did you mean 'judge'?" in err
    assert events("models") == []


@pytest.mark.parametrize("models", ["", '"models": {"worker": "file:BOX", "judge": "file:BOX"}, '])
@pytest.mark.parametrize("begun", ["with roles", "without"])
def test_roles_are_read_where_the_run_began(
    antiphon: Antiphon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: str, begun: str
) -> None:
    """Wherever it is resumed from: a role of another project would be another call, and be paid again."""
    for place in ("with roles", "without"):
        (tmp_path / place / ".antiphon/roles").mkdir(parents=True)
    (tmp_path / "with roles/.antiphon/roles/worker.md").write_text("---\n---\nYou are the project's own.")
    (tmp_path / "without/.antiphon/roles").rmdir()
    box = str(tmp_path / "box")
    script = SCRIPT.replace('"limits"', f'{models}"limits"').replace("BOX", box)
    (tmp_path / begun / "asks.py").write_text(script)
    monkeypatch.chdir(tmp_path / begun)
    with answering(box) as answered:
        assert antiphon("run", "asks.py", *([] if models else ["--model", f"file:{box}"]))[0] == 0
        run = str(last_run().directory.absolute())
        monkeypatch.chdir(tmp_path / ("without" if begun == "with roles" else "with roles"))
        assert antiphon("resume", run)[0] == 0
    assert answered == {box: 3}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [("opnai/gpt-5", "litellm knows no provider 'opnai'"), ("file:~nobody-is-called-so/x", "no such home folder")],
)
def test_a_model_that_nobody_serves_is_refused_before_anything_begins(
    antiphon: Antiphon, spec: str, problem: str
) -> None:
    code, _, err = antiphon("run", "asks.py", "--model", spec)
    assert code == 2
    assert problem in err
    assert not Path(".antiphon").exists()


def test_a_role_may_have_a_model_of_its_own(antiphon: Antiphon) -> None:
    with answering("box", "bench") as answered:
        assert antiphon("run", "asks.py", "--model", "file:box", "--model", "judge=file:bench")[0] == 0
    assert answered == {"box": 2, "bench": 1}


def test_a_resume_takes_the_models_again(antiphon: Antiphon, tmp_path: Path) -> None:
    Path("asks.py").write_text(SCRIPT.replace('"agent_calls": 100', '"agent_calls": 2'))
    with answering("box") as answered:
        assert antiphon("run", "asks.py", "--model", "file:box")[0] == 4
        code, out, _ = antiphon("resume", "last", "--budget", "+10agent_calls")
    assert (code, json.loads(out)[-1]) == (0, "b")
    assert answered == {"box": 3}
    assert antiphon("resume", "last")[0] == 0
    assert events("models") == []


def test_another_model_performs_again_only_what_it_answers(antiphon: Antiphon, tmp_path: Path) -> None:
    with answering("box", "bench") as answered:
        assert antiphon("run", "asks.py", "--model", "file:box")[0] == 0
        assert antiphon("resume", "last", "--model", "judge=file:bench")[0] == 0
        assert answered == {"box": 3, "bench": 1}
        assert antiphon("resume", "last")[0] == 0
    assert answered == {"box": 3, "bench": 1}
    (changed,) = events("models")
    assert changed.data["specs"] == [f"file:{tmp_path}/box", f"judge=file:{tmp_path}/bench"]
    assert [(event.data["reused"], event.data["performed"]) for event in events("run.ended")] == [
        (0, 3),
        (2, 1),
        (3, 0),
    ]


def test_the_configuration_names_models(antiphon: Antiphon) -> None:
    Path("antiphon.toml").write_text('model = "file:box"\n[models]\njudge = "file:bench"')
    with answering("box", "bench", "other") as answered:
        assert antiphon("run", "asks.py")[0] == 0
        assert antiphon("run", "asks.py", "--model", "file:other")[0] == 0
        assert antiphon("run", "asks.py", "--arg", "n=1", "--model", "judge=file:other")[0] == 0
    assert answered == {"box": 3, "bench": 2, "other": 3}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model = 5", "model must be the name of a model, not 5"),
        ("model = ''", "model must be the name of a model"),
        ("model = 'ollama/'", "model: 'ollama/' is no model's name"),
        ("models = 'x'", "models must be a table, not 'x'"),
        ("models.'a b' = 'a/x'", "models.a b is not named like a role"),
        ("models.judge = 5", "models.judge must be the name of a model"),
        ("prices = 5", "prices must be a table"),
        ("prices.'a/b' = '1'", "prices: the price "),
        ("prices.'openai/gpt-4o' = '0/0'", "prices.'openai/gpt-4o' is below its known price"),
        ("model = 'openai/x@http://example.org/v1'", "model names an address, which only the command line can"),
        ("model = 'file:../elsewhere'", "model leads out of"),
        ("models.judge = 'file:/tmp/elsewhere'", "models.judge leads out of"),
        ("modle = 'x'", "there is no setting 'modle'; did you mean 'model'?"),
    ],
)
def test_what_a_configuration_may_not_say(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "antiphon.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        configuration(tmp_path)
    assert problem in caught.value.message


def test_a_configuration_may_name_what_is_on_this_machine(tmp_path: Path) -> None:
    text = "model = 'openai/x@http://127.0.0.1:8000/v1'\nmodels.judge = 'file:box'\nprices.'a/b' = '1/2'"
    (tmp_path / "antiphon.toml").write_text(text)
    held = configuration(tmp_path)
    assert held.models == ("openai/x@http://127.0.0.1:8000/v1", f"judge=file:{tmp_path}/box")
    assert held.prices == {"a/b": "1/2"}


def test_prices_are_read_and_kept_with_the_run(antiphon: Antiphon) -> None:
    with answering("box"):
        assert antiphon("run", "asks.py", "--model", "file:box", "--price", "ollama/x=1.5/2")[0] == 0
    assert mapping(events("run.opened")[0].data["models"])["prices"] == {"ollama/x": "1.5/2"}
    code, _, err = antiphon("run", "asks.py", "--model", "file:box", "--price", "x=a/b")
    assert code == 2
    assert "the price 'x=a/b' cannot be read" in err


def test_a_model_for_a_role_that_there_is_not(antiphon: Antiphon) -> None:
    for words in (["run", "asks.py", "--model", "file:box"], ["roles"]):
        code, _, err = antiphon(*words, "--model", "jugde=ollama/x")
        assert code == 2
        assert "there is no role 'jugde'; did you mean 'judge'?" in err
        assert "next: antiphon roles" in err
    assert not Path(".antiphon").exists()


@pytest.mark.parametrize("spec", ["", "judge=", "=file:x", "file:", "judge=file:", "a/"])
def test_a_model_that_is_none(antiphon: Antiphon, spec: str) -> None:
    code, _, err = antiphon("run", "asks.py", "--model", spec)
    assert code == 2
    assert "no model" in err


def test_a_role_of_the_project_is_taken(antiphon: Antiphon) -> None:
    role = Path(".antiphon/roles/worker.md")
    role.parent.mkdir(parents=True)
    role.write_text("---\n---\nYou are the project's own.")
    with answering(
        "box",
        reply=lambda request: (
            "b" if request.schema else f"{request.asker}, {request.document['messages'][0]['text'][:26]}"
        ),
    ):
        code, out, _ = antiphon("run", "asks.py", "--arg", "n=1", "--model", "file:box")
    assert (code, json.loads(out)[0]) == (0, "worker at main/0/0/0, You are the project's own.")
    role.write_text("---\nnmae: worker\n---\nx")
    code, _, err = antiphon("run", "asks.py", "--model", "file:box")
    assert code == 2
    assert ".antiphon/roles/worker.md:2: a role has no 'nmae' (did you mean 'name'?)" in err
    role.write_text("---\ntools: [bash]\n---\nx")
    code, _, err = antiphon("run", "asks.py", "--model", "file:box")
    assert code == 2
    assert "role 'worker' names the tool 'bash', and the tools are: apply_patch, complete, docs, edit," in err


def test_a_manifest_says_who_answers_where_nobody_else_does(antiphon: Antiphon, tmp_path: Path) -> None:
    text = SCRIPT.replace('"limits"', f'"models": {{"judge": "file:{tmp_path}/bench"}}, "limits"')
    Path("asks.py").write_text(text)
    with answering("box", "bench") as answered:
        assert antiphon("run", "asks.py", "--model", "worker=file:box")[0] == 0
    assert answered == {"box": 2, "bench": 1}


def test_a_manifest_names_models_of_its_roles_only(antiphon: Antiphon) -> None:
    Path("asks.py").write_text(SCRIPT.replace('"limits"', '"models": {"jugde": "ollama/x"}, "limits"'))
    code, _, err = antiphon("run", "asks.py", "--model", "file:box")
    assert code == 2
    assert "the manifest's models name the role 'jugde', and its roles do not" in err
    assert "next: did you mean 'judge'?" in err


def test_a_call_says_it_before_everybody_else(antiphon: Antiphon, tmp_path: Path) -> None:
    Path("asks.py").write_text(SCRIPT.replace('f"Say {i}"', f'f"Say {{i}}", model="file:{tmp_path}/own"'))
    with answering("box", "own") as answered:
        assert antiphon("run", "asks.py", "--model", "judge=file:box", "--model", "worker=file:box")[0] == 0
    assert answered == {"own": 2, "box": 1}


def test_a_function_of_the_file_goes_before_a_role(antiphon: Antiphon) -> None:
    own = '\n@function_agent("worker")\nasync def worker(task, ctx):\n    return task.upper()\n'
    Path("asks.py").write_text(SCRIPT.replace("import agent", "import function_agent, agent") + own)
    with answering("box") as answered:
        code, out, _ = antiphon("run", "asks.py", "--arg", "n=1", "--model", "file:box")
    assert (code, json.loads(out)) == (0, ["SAY 0", "b"])
    assert answered == {"box": 1}


def test_what_is_not_declared_is_denied(antiphon: Antiphon) -> None:
    Path("asks.py").write_text(SCRIPT.replace('["worker", "judge"]', '["worker"]'))
    with answering("box"):
        code, _, err = antiphon("run", "asks.py", "--model", "file:box")
    assert code == 1
    assert "denied: role 'judge' is not in the manifest's roles (worker); declare it in the manifest's roles" in err
    Path("asks.py").write_text(SCRIPT.replace('"judge"', '"jugde"'))
    code, _, err = antiphon("run", "asks.py", "--model", "file:box")
    assert code == 2
    assert "did you mean 'judge'? define it with @function_agent('jugde'), or write .antiphon/roles/jugde.md" in err


def test_a_nested_workflow_has_the_same_models(antiphon: Antiphon) -> None:
    outer = 'from antiphon.workflows.script import workflow\nmanifest = {"name": "outer"}\n'
    Path("outer.py").write_text(outer + 'async def main():\n    return await workflow("./asks.py", {"n": 1})\n')
    with answering("box"):
        code, out, _ = antiphon("run", "outer.py", "--model", "file:box")
    assert (code, json.loads(out)) == (0, ["Say 0!", "b"])


def test_a_run_in_another_process_is_not_handed_models(antiphon: Antiphon) -> None:
    with answering("box"):
        antiphon("run", "asks.py", "--model", "file:box")
    owner = Ownership(last_run().directory)
    try:
        code, _, err = antiphon("resume", "last", "--model", "file:other")
    finally:
        owner.release()
    assert code == 2
    assert "is in use by" in err


@pytest.mark.anyio
@pytest.mark.real_time
async def test_a_named_output_becomes_records(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "finds.py").write_text(FINDS)
    said = {
        "findings": [
            {
                "file": "a.py",
                "line": 3,
                "quote": "eval(x)",
                "rule": "eval",
                "message": "It runs what it is given.",
                "severity": "high",
                "why": "x is the user's.",
            }
        ]
    }
    client = FunctionModel(lambda request: json.dumps(said))
    models = ModelsAsked(specs=("test/x",), clients={"test/": client})
    loaded = load(Path("finds.py"))
    ended = await start(new_run(Path("runs")), loaded, {}, Options(models=models))
    assert ended.value == [1, ["a.py"]], ended.result.reason
    assert len(client.requests) == 1


@pytest.mark.anyio
@pytest.mark.real_time
async def test_clients_are_made_late_and_closed_at_the_end(tmp_path: Path) -> None:
    request = Request(model="file:x", messages=(Message(role="user", text="?"),))
    async with ModelRoles(ModelsAsked(specs=(f"file:{tmp_path}/box",), folder=tmp_path)) as roles:
        client = roles.models.model_for("worker").client
        assert roles.models.model_for("judge").client is client
        assert roles.sender is roles.sender
    with pytest.raises(InfrastructureError, match="not asked any more"):
        await client.complete(request)
    roles = ModelRoles(ModelsAsked(specs=(f"file:{tmp_path}/box",), folder=tmp_path))
    with anyio.CancelScope() as scope:
        async with roles:
            client = roles.models.model_for("worker").client
            scope.cancel()
            await checkpoint()
    with pytest.raises(InfrastructureError, match="not asked any more"):
        await client.complete(request)


def test_what_was_asked_is_read_back() -> None:
    first = ModelsAsked(specs=("a/x", "judge=a/y"), prices={"a/x": "1/2"})
    assert ModelsAsked.of(first.to_json()) == first
    later = first.then(ModelsAsked(specs=("judge=a/z", "a/w"), prices={"a/w": "3/4"}))
    assert later.specs == ("a/w", "judge=a/z")
    assert later.prices == {"a/x": "1/2", "a/w": "3/4"}
    assert ModelsAsked().to_json() == {}
    stranger: tuple[object, ...] = (None, 5, [], {"specs": "x"}, {"specs": [5], "prices": [], "folder": "\0"})
    for strange in stranger:
        assert ModelsAsked.of(strange) == ModelsAsked()


def test_a_directory_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    specs = asked(None, ["file:box", "judge=file:a/../b", "worker=file:~/c", "ollama/d"], ()).specs
    assert specs == (f"file:{tmp_path}/box", f"judge=file:{tmp_path}/b", "worker=file:/home/me/c", "ollama/d")


def started(*words: str) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    with open("said", "wb") as said:
        return subprocess.Popen([sys.executable, "-m", "antiphon", *words], stdout=said, stderr=said)


def wait_for(there: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    pause = threading.Event()
    for _ in range(4_000):
        if there():
            return
        pause.wait(0.005)
    raise AssertionError("it did not come")


def open_in(box: str, number: int) -> dict[str, Open]:
    """The open requests by id, once there are so many."""
    wait_for(lambda: os.path.isdir(box) and len(inbox(Path(box)).open) == number)
    return {request.id: request for request in inbox(Path(box)).open}


def test_a_killed_run_asks_nobody_twice_and_loses_no_answer(antiphon: Antiphon) -> None:
    process = started("run", "asks.py", "--arg", "n=3", "--model", "file:box")
    try:
        before = open_in("box", 3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    first, *others = before.values()
    leave(first, document_of(first, "while it was dead"))
    with answering("box", reply=reply) as answered:
        code, out, _ = antiphon("resume", "last")
    found: list[Any] = json.loads(out)
    assert code == 0
    assert found.count("while it was dead") == 1
    assert answered == {"box": len(others) + 1}
    requests = {path.name[8:-5]: json.loads(path.read_text()) for path in Path("box").glob("request-*.json")}
    assert len(requests) == 4
    for id, request in before.items():
        assert requests[id]["asked_at"] == request.asked_at


def test_who_names_no_model_imports_none(antiphon: Antiphon) -> None:
    plain = 'from antiphon.workflows.script import *\nmanifest = {"name": "plain"}\nasync def main():\n    return 1\n'
    Path("plain.py").write_text(plain)
    report = (
        "import sys\nfrom antiphon.workflows.cli import main\ncode = main(['run', 'plain.py'])\n"
        "heavy = {'litellm', 'httpx2', 'mcp', 'yaml', 'openai', 'sqlite3.fts'} & set(sys.modules)\n"
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1", "0 []"]


def test_ctrl_c_pauses_once_what_is_asked_is_answered(antiphon: Antiphon) -> None:
    process = started("run", "asks.py", "--model", "file:box")
    try:
        before = open_in("box", 2)
        process.send_signal(signal.SIGINT)
        for request in before.values():
            leave(request, document_of(request, "settled"))
        assert process.wait(30) == 4
    finally:
        process.kill()
    with answering("box") as answered:
        code, out, _ = antiphon("resume", "last")
    assert (code, json.loads(out)) == (0, ["settled", "settled", "b"])
    assert answered == {"box": 1}


def test_ctrl_c_twice_takes_the_requests_back(antiphon: Antiphon) -> None:
    process = started("run", "asks.py", "--model", "file:box")
    try:
        open_in("box", 2)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: "pausing" in Path("said").read_text())
        open_in("box", 2)  # they stay while the run pauses
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
    assert os.listdir("box") == []
    with answering("box"):
        assert antiphon("resume", "last")[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("after", [0, 3, 7])
def test_whenever_it_is_killed_each_request_is_answered_once(antiphon: Antiphon, after: int) -> None:
    enough, asked_for = threading.Event(), Counter[str]()

    def once(request: Open) -> str:
        asked_for[request.id] += 1
        if sum(asked_for.values()) > after:
            enough.set()
        return reply(request)

    with answering("box", reply=once):
        process = started("run", "asks.py", "--arg", "n=7", "--model", "file:box")
        try:
            assert enough.wait(30)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        code, out, _ = antiphon("resume", "last")
    assert (code, json.loads(out)) == (0, [*(f"Say {number}!" for number in range(7)), "b"])
    assert len(asked_for) == 8
    assert set(asked_for.values()) == {1}
