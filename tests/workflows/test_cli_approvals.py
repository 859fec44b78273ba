"""Approvals: asked inline on a terminal, and where there is none the run pauses and goes on at that very call."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import Run, UsageError
from antiphon.engine.approval import Approvals
from antiphon.engine.script.api import approve, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.model.file_inbox import Open, inbox, leave
from antiphon.subagents.tools.asking import consent_in
from antiphon.tracing import Event, read_log
from antiphon.workflows.cli import main
from antiphon.workflows.cli.asking import Asker
from antiphon.workflows.cli.configuration import ConfigurationError, configuration
from antiphon.workflows.cli.policy_options import denied_tools, tools_asked
from antiphon.workflows.cli.terminal import Paper
from antiphon.workflows.manifest import read_manifest
from antiphon.workflows.policy import ToolsAsked, policy_of

Antiphon = Callable[..., tuple[int, str, str]]
SCRIPT = """
from antiphon.workflows.script import agent
manifest = {"name": "writes", "roles": ["hand"]}

async def main():
    return await agent("Write b.txt", role="hand", workspace="w")
"""
ROLE = "---\nname: hand\ndescription: Writes.\ntools: [read, write]\n---\nYou write files.\n"
WRITE = {"name": "write", "arguments": {"path": "b.txt", "content": "b\n"}}


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder with a workflow: exit code, stdout, stderr."""
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / ".home"))

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def project(folder: Path) -> None:
    """A workflow, its role, and a file."""
    roles = folder / ".antiphon" / "roles"
    roles.mkdir(parents=True)
    (roles / "hand.md").write_text(ROLE)
    (folder / "writes.py").write_text(SCRIPT)
    (folder / "a.txt").write_text("a\n")


def document(request: Open) -> dict[str, Any]:
    """A model that writes once, and then says what came of it."""
    told = [message["text"] for message in request.document["messages"] if message["role"] == "tool"]
    offered = [tool["name"] for tool in request.document["tools"]]
    if not told and "write" in offered:
        return {"version": 1, "calls": [WRITE]}
    return {"version": 1, "text": told[-1].split("\n")[2] if told else f"offered: {offered}"}


@contextmanager
def answering(box: Path) -> Generator[list[str]]:
    """Somebody who answers what is asked in this directory; who asked."""
    stop, asked = threading.Event(), list[str]()

    def serve() -> None:
        while not stop.wait(0.005):
            for request in inbox(box).open if box.is_dir() else ():
                with suppress(UsageError):
                    leave(request, document(request))
                    asked.append(request.asker)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        stop.set()
        thread.join()


def events(kind: str) -> list[Event]:
    """Events of the newest run."""
    return [event for event in read_log(sorted(Path(".antiphon/runs").iterdir())[-1]) if event.kind == kind]


RUN = ("run", "writes.py", "--model", "file:box")


def test_without_a_terminal_it_pauses_and_goes_on_at_that_very_call(antiphon: Antiphon, tmp_path: Path) -> None:
    with answering(tmp_path / "box") as asked:
        code, out, err = antiphon(*RUN, "--ask", "write")
        assert (code, out) == (4, "")
        assert "waiting for an answer: may hand at main/0 write b.txt?" in err
        assert "+b" not in err, "what would be written is told by show"
        run_id = sorted(Path(".antiphon/runs").iterdir())[-1].name
        assert f"next      antiphon resume {run_id} --approve=main/0#1\n" in err
        _, shown, _ = antiphon("show", run_id, "--transcript", "main/0")
        assert (
            "asks: may hand at main/0 write b.txt?  (main/0#1)\n  │ asked because of: the rule --ask write\n" in shown
        )
        assert len(asked) == 1
        code, out, err = antiphon("resume", "last", "--approve=main/0#1")
    assert code == 0, err
    assert len(asked) == 2, "the answer that wanted it is not asked for again"
    assert out.startswith("b.txt")
    assert [event.data["value"] for event in events("decision")] == [{"tool": "write", "answer": "yes"}]
    turns = [event.data["value"] for event in events("turn")]
    [turn] = [turn for turn in turns if isinstance(turn, dict) and turn["turn"] == "tools"]
    assert len(str(turn["tree"])) == 40
    assert not Path("b.txt").exists(), "only apply writes to the project"


def test_a_no_is_told_to_the_model(antiphon: Antiphon, tmp_path: Path) -> None:
    with answering(tmp_path / "box"):
        assert antiphon(*RUN, "--ask", "write")[0] == 4
        code, out, _ = antiphon("resume", "last", "--deny=main/0#1")
    assert (code, out.strip()) == (0, "denied: the person who was asked said no")


def test_what_a_run_began_with_holds_when_it_goes_on(antiphon: Antiphon, tmp_path: Path) -> None:
    Path("antiphon.toml").write_text('[tools]\nwrite = "ask"\n')
    with answering(tmp_path / "box"):
        assert antiphon(*RUN, "--deny", "read:b*")[0] == 4
        Path("antiphon.toml").unlink()
        code, out, _ = antiphon("resume", "last", "--deny=write:*.txt", "--approve")
    assert (code, out.strip()) == (0, "denied: the rule --deny write:*.txt")
    opened = events("run.opened")[0].data["tools"]
    assert opened == {
        "rules": [
            {"tool": "write", "mode": "ask", "paths": [], "source": "tools.write in antiphon.toml"},
            {"tool": "read", "mode": "deny", "paths": ["b*"], "source": "--deny read:b*"},
        ]
    }


@pytest.mark.parametrize(
    ("words", "scope"),
    [(("--deny", "write"), ""), ((), ', "scope": {"tools": ["read"]}'), ((), ', "scope": {"write": []}')],
)
def test_what_can_never_be_called_is_not_offered(
    antiphon: Antiphon, tmp_path: Path, words: Sequence[str], scope: str
) -> None:
    Path("writes.py").write_text(SCRIPT.replace('["hand"]}', f'["hand"]{scope}}}'))
    with answering(tmp_path / "box"):
        code, out, err = antiphon(*RUN, *words)
    assert (code, out.strip()) == (0, "offered: ['read']"), err


def test_on_a_terminal_it_is_asked_inline_and_the_view_comes_back(tmp_path: Path) -> None:
    project(tmp_path)
    with answering(tmp_path / "box"):
        code, out, seen = on_a_terminal(tmp_path, [*RUN, "--ask", "write"], "y")
    assert code == 0, seen
    assert out.startswith("b.txt")
    assert "may hand at main/0 write b.txt?" in seen
    assert "\x1b[32m+b\x1b[0m" in seen
    assert "y yes, n no, a always for write > " in seen
    asked, after = seen.split("a always for write > ")
    assert asked.rstrip().count("\x1b[?25l") == asked.count("\x1b[?25h"), "the cursor is back before it is asked"
    assert "\x1b[?25l" in after, "the view is drawn again"
    assert "completed" in after


def on_a_terminal(folder: Path, words: Sequence[str], answer: str) -> tuple[int, str, str]:
    """The command line in a process of its own, on a terminal where somebody answers its question."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "XDG_STATE_HOME": str(folder / ".home")}
    command = [sys.executable, "-c", "import sys; from antiphon.workflows.cli import main; sys.exit(main())", *words]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**environment, "XDG_CACHE_HOME": str(folder / ".home"), "NO_COLOR": ""},
    )
    os.close(theirs)
    seen = b""
    for some in _read(ours):
        seen += some
        if answer and seen.endswith(b" > "):
            os.write(ours, f"{answer}\n".encode())
            answer = ""
    os.close(ours)
    out = process.communicate(timeout=30)[0]
    return process.returncode, out.decode(), seen.decode()


def _read(terminal: int) -> Iterator[bytes]:
    """What is written on a terminal, until nobody can write on it any more."""
    while select.select([terminal], [], [], 60)[0]:
        try:
            some = os.read(terminal, 65536)
        except OSError:
            return
        if not some:
            return
        yield some


# --- who asks ---------------------------------------------------------------------------------------------------------


class Stepping:
    """A view that counts how often it stepped aside."""

    def __init__(self) -> None:
        self.stepped = 0
        self.is_aside = False

    @contextmanager
    def aside(self) -> Generator[None]:
        """See `View`."""
        self.stepped, self.is_aside = self.stepped + 1, True
        try:
            yield
        finally:
            self.is_aside = False


class Prompted(io.StringIO):
    """Paper on which a prompt makes somebody type the next of their answers."""

    def __init__(self, keyboard: int, *answers: bytes) -> None:
        super().__init__()
        self._keyboard, self._answers = keyboard, list(answers)

    def write(self, text: str) -> int:
        """Write, and type."""
        if text.endswith(" > ") and self._answers:
            answer = self._answers.pop(0)
            if answer:
                os.write(self._keyboard, answer)
            else:
                os.close(self._keyboard)
        return super().write(text)


async def asked(*typed: bytes, questions: int = 1, tool: str = "", ahead: bytes = b"") -> tuple[Any, str, Stepping]:
    """A run that asks, with somebody who types: how it ended, what they saw, and the view."""
    ours, theirs = os.openpty()
    out, view = Prompted(ours, *typed), Stepping()
    if ahead:
        os.write(ours, ahead)

    async def script() -> Any:
        return (await parallel([approve(f"Number {number}?") for number in range(questions)])).succeeded()

    async def beside(run: Run) -> None:
        if tool:
            consent_in(run).asked["main/0/0/0"] = tool
        await Asker(view, Paper(out), theirs).watch(run)

    try:
        with anyio.fail_after(20):
            ran = await memory_run(script, performers={"approval": Approvals()}, beside=beside)
    finally:
        with suppress(OSError):
            os.close(ours)
        os.close(theirs)
    return ran, out.getvalue(), view


@pytest.mark.anyio
@pytest.mark.real_time
async def test_several_questions_are_asked_one_after_another() -> None:
    ran, seen, view = await asked(b"y\n", b" NO \n", b"yes\n", questions=3)
    assert (view.stepped, view.is_aside) == (3, False)
    order = [int(line.split("Number ")[1][0]) for line in seen.split("\n") if "asks: " in line]
    assert [ran.value[number] for number in order] == [True, False, True]


@pytest.mark.anyio
@pytest.mark.real_time
async def test_what_is_no_answer_is_asked_again_and_always_only_holds_for_a_tool() -> None:
    ran, seen, _ = await asked(b"what?\n", b"a\n", b"\n", b"n\n")
    assert (ran.value, seen.count(" > ")) == ([False], 4)
    ran, seen, _ = await asked(b"a\n", tool="edit")
    assert ran.value == [True]
    assert "y yes, n no, a always for edit > " in seen
    assert consent_in(ran.run).tools == {"edit"}


@pytest.mark.anyio
@pytest.mark.real_time
async def test_what_was_typed_before_the_question_is_no_answer() -> None:
    ran, _, _ = await asked(b"n\n", ahead=b"y\ny\n")
    assert ran.value == [False]


@pytest.mark.anyio
@pytest.mark.real_time
async def test_when_whoever_typed_is_gone_the_run_pauses() -> None:
    ran, _, _ = await asked(b"")
    assert (ran.result.kind, ran.result.pause, list(ran.result.pending)) == ("paused", "approval", ["main/0/0/0"])


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("how", ["elsewhere", "pause"])
async def test_a_question_that_is_answered_elsewhere_or_paused_over_is_let_go(how: str) -> None:
    ours, theirs = os.openpty()
    out, view = Prompted(-1), Stepping()

    async def beside(run: Run) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Asker(view, Paper(out), theirs).watch, run)
            while not view.is_aside:
                await anyio.wait_all_tasks_blocked()
            if how == "elsewhere":
                run.give_answer("main/0", yes=True)
            else:
                run.pause("asked", "Ctrl-C")

    async def script() -> bool:
        return await approve("Well?")

    ran = await memory_run(script, performers={"approval": Approvals()}, beside=beside)
    os.close(ours)
    os.close(theirs)
    assert ran.result.kind == {"elsewhere": "completed", "pause": "paused"}[how]
    assert view.is_aside is False
    assert out.getvalue().endswith(" > \n"), "what is printed next begins on a line of its own"


# --- options and configuration ----------------------------------------------------------------------------------------


def configured(folder: Path, text: str) -> ToolsAsked:
    """The tools of a configuration file."""
    (folder / "antiphon.toml").write_text(f"[tools]\n{text}\n")
    held = configuration(folder).tools
    assert held is not None
    return held


def test_a_file_asks_denies_and_requires(tmp_path: Path) -> None:
    text = 'run = "ask"\nedit = {deny = ["secrets/**"], ask = ["*.lock"]}\ngit_commit = {after = ["run_tests"]}'
    held = configured(tmp_path, text)
    assert [(rule.tool, rule.mode, rule.paths) for rule in held.rules] == [
        ("run", "ask", ()),
        ("edit", "deny", ("secrets/**",)),
        ("edit", "ask", ("*.lock",)),
    ]
    assert held.after == {"git_commit": ("run_tests",)}
    assert ToolsAsked.of(json.loads(json.dumps(held.to_json()))) == held
    manifest = read_manifest('manifest = {"name": "x", "scope": {"write": ["src/**"]}}\nasync def main(): pass', "x")
    policy = policy_of(manifest, held, tools_asked(None, ["run"], [], ["docs"]))
    assert [rule.mode for rule in policy.rules] == ["ask", "deny", "ask", "auto", "deny"]
    assert policy.after == held.after
    assert policy.scopes[0].write == ("src/**",)
    assert policy.scopes[0].read is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('run = "auto"', "only the command line can allow: --allow run"),
        ('run = "sometimes"', "tools.run must be 'ask' or 'deny'"),
        ("run = 3", "tools.run must be a table"),
        ('run = {forbid = ["x"]}', "tools.run has no 'forbid' (there are ask, deny, after)"),
        ('run = {deny = "x"}', "tools.run.deny must be a list of texts"),
        ("run = {deny = []}", "tools.run.deny must be a list of texts"),
        ('"a b" = "ask"', "tools.a b: 'a b' names no tool"),
        ('run = {deny = ["#x"]}', "tools.run"),
    ],
)
def test_what_a_file_cannot_say_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configured(tmp_path, text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "said", [None, [], {"rules": 3, "after": []}, {"rules": [{"tool": 1, "mode": "ask"}, {"tool": "x", "mode": "y"}]}]
)
def test_a_log_of_anybody_is_read_as_far_as_it_makes_sense(said: Any) -> None:
    assert ToolsAsked.of(said) == ToolsAsked()


def test_a_later_rule_replaces_an_earlier_one_about_the_same_and_no_other() -> None:
    earlier = tools_asked(None, [], ["run", "edit:src/**"], ["docs"])
    later = tools_asked(None, ["run", "edit"], [], [])
    assert [(rule.mode, rule.tool, rule.paths) for rule in earlier.then(later).rules] == [
        ("ask", "edit", ("src/**",)),
        ("deny", "docs", ()),
        ("auto", "run", ()),
        ("auto", "edit", ()),
    ]


def test_a_rule_about_no_tool_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError) as refused:
        tools_asked(None, [], [], ["run_test"])
    assert "--deny run_test: there is no such tool" in str(refused.value)
    assert "did you mean 'run_tests'?" in str(refused.value.advice)
    assert tools_asked(None, ["time__*"], ["git_*"], ["find_tools"]).rules  # of servers nobody knows yet


def test_resume_tells_an_answer_from_a_tool() -> None:
    given = ("main/0#3", "*", "main", "run", "git_*", "main_tool")
    assert denied_tools(given) == (("main/0#3", "*", "main"), ("run", "git_*", "main_tool"))
