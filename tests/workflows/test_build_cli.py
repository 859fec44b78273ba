"""`antiphon build` as it is typed: a program of four modules on two levels, by a model behind a server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.testing import Answer, LoopbackServer
from antiphon.tracing import Json
from antiphon.workflows.cli import main
from antiphon.workflows.cli.crafting_options import project_folder, text_of

TASK = "A program that counts the words of a file: python -m tally FILE prints the most frequent words, one a line."

READING = {
    "tally/reading.py": '''"""Reads words."""

import re


def words(text: str) -> list[str]:
    """The words of a text in lower case, in their order."""
    return re.findall(r"[^\\W\\d_]+", text.lower())
''',
    "tests/test_reading.py": """from tally.reading import words


def test_words_are_in_lower_case_and_in_order() -> None:
    assert words("To be, or NOT to be!") == ["to", "be", "or", "not", "to", "be"]


def test_no_text_has_no_words() -> None:
    assert words(" 12 _ ") == []
""",
}
COUNTING = {
    "tally/counting.py": '''"""Counts words."""

from collections import Counter
from collections.abc import Iterable


def most_frequent(words: Iterable[str], most: int) -> list[tuple[str, int]]:
    """The most frequent words with their numbers, equal ones in the order of the alphabet."""
    return sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0]))[:most]
''',
    "tests/test_counting.py": """from tally.counting import most_frequent


def test_equal_ones_are_in_the_order_of_the_alphabet() -> None:
    assert most_frequent(["b", "a", "b", "a", "c"], 2) == [("a", 2), ("b", 2)]
""",
}
FORMATTING = {
    "tally/formatting.py": '''"""Writes counts."""

from collections.abc import Sequence


def table(counts: Sequence[tuple[str, int]]) -> str:
    """One line for each word: its number, right-aligned, and the word."""
    width = max((len(str(number)) for _, number in counts), default=0)
    return "\\n".join(f"{number:>{width}} {word}" for word, number in counts)
''',
    "tests/test_formatting.py": """from tally.formatting import table


def test_numbers_are_right_aligned() -> None:
    assert table([("to", 10), ("be", 2)]) == "10 to\\n 2 be"
""",
}
COMMAND = {
    "tally/__init__.py": '"""Counts the words of files."""\n',
    "tally/__main__.py": '''"""The command line."""

import sys
from pathlib import Path

from tally.counting import most_frequent
from tally.formatting import table
from tally.reading import words


def main(arguments: list[str]) -> int:
    """Print the most frequent words of a file: the exit code."""
    if len(arguments) != 1:
        print("usage: python -m tally FILE", file=sys.stderr)
        return 2
    print(table(most_frequent(words(Path(arguments[0]).read_text(encoding="utf-8")), 10)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
''',
    "tests/test_command.py": """from pathlib import Path

import pytest

from tally.__main__ import main


def test_it_prints_what_it_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "text"
    file.write_text("to be or not to be")
    assert main([str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["2 be", "2 to"]


def test_without_a_file_it_says_how() -> None:
    assert main([]) == 2
""",
}


def subtask(id: str, files: Mapping[str, str], goal: str, offers: str = "", needs: tuple[str, ...] = ()) -> Json:
    tests: list[Json] = [path for path in files if path.startswith("tests/")]
    return {
        "id": id,
        "goal": goal,
        "owns": list[Json](files),
        "needs": list[Json](needs),
        "offers": offers,
        "criterion": {"tests": tests},
    }


PLAN: dict[str, Json] = {
    "subtasks": [
        subtask(
            "command", COMMAND, "The command line: python -m tally FILE.", "", ("reading", "counting", "formatting")
        ),
        subtask("reading", READING, "Take a text apart into words.", "tally.reading.words(text) -> list[str]"),
        subtask("counting", COUNTING, "Count words.", "tally.counting.most_frequent(words, most)"),
        subtask("formatting", FORMATTING, "Write counts as lines.", "tally.formatting.table(counts) -> str"),
    ],
    "test_command": "python -m pytest -q",
    "assumptions": ["words are letters alone, in any alphabet"],
}


Said = list[Completion | Answer]


def writing(files: Mapping[str, str]) -> Said:
    calls = [
        ToolCall(f"w{n}", "write", json.dumps({"path": p, "content": c})) for n, (p, c) in enumerate(files.items())
    ]
    run = ToolCall("t", "run_tests", json.dumps({}))
    return [Completion(calls=tuple(calls)), Completion(calls=(run,)), Answer({"summary": f"wrote {', '.join(files)}"})]


# What a model would say that looks at the end of the text only once a reviewer has asked for it.
HASTY = FORMATTING | {"tally/formatting.py": FORMATTING["tally/formatting.py"].replace(", default=0", "")}
EMPTY: dict[str, Json] = {
    "file": "tally/formatting.py",
    "line": 8,
    "what": "table([]) raises ValueError",
    "change": "default=0",
}
ACCEPT: Said = [Answer({"blocks": []})]
SCRIPT: dict[str, list[Said]] = {
    "Plan the build of the task.": [[Answer(PLAN)]],
    "Build the subtask 'reading'.": [writing(READING)],
    "Build the subtask 'counting'.": [writing(COUNTING)],
    "Build the subtask 'formatting'.": [writing(HASTY)],
    "Mend the subtask 'formatting'.": [writing({"tally/formatting.py": FORMATTING["tally/formatting.py"]})],
    "Build the subtask 'command'.": [writing(COMMAND)],
    "Review the change of the subtask 'reading'.": [ACCEPT],
    "Review the change of the subtask 'counting'.": [ACCEPT],
    "Review the change of the subtask 'formatting'.": [[Answer({"blocks": [EMPTY]})], ACCEPT],
    "Review the change of the subtask 'command'.": [ACCEPT],
    "Criticise the whole build.": [ACCEPT],
}


def scripted(request: Request) -> Completion | Answer:
    """Answers by whom it is asked as, and how far its conversation is; a reviewer, by what it is shown."""
    said = "\n".join(one.text for one in request.messages if one.role == "user")
    (marker,) = [marker for marker in SCRIPT if marker in said]
    conversations = SCRIPT[marker]
    mended = len(conversations) > 1 and "default=0" in said
    return conversations[mended][sum(one.role == "assistant" for one in request.messages)]


def type_build(project: Path, *more: str) -> int:
    """What a person types, with a model on this machine."""
    with LoopbackServer(lambda asked: scripted(asked.request)) as server:
        typed = ["build", TASK, "--path", str(project), "--model", f"compatible/scripted@{server.url}#tools,schema"]
        return main([*typed, "--price", "compatible/scripted=0/0", *more])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "project"


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_program_of_four_modules_on_two_levels(
    backend: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = project.parent / "runs"
    code = type_build(project, "--plain", "--runs-dir", str(runs), "--backend", backend)
    said = capsys.readouterr()
    assert code == 0, said.err + said.out
    assert "4 of 4 subtasks are integrated" in said.out
    assert "tally/__main__.py" in said.out
    assert "antiphon apply" in said.err
    (run,) = runs.iterdir()
    found = json.loads((run / "report.json").read_text())
    assert found["suite"]["counts"] == {"passed": 6}
    assert len(found["checkpoints"]) == 3, "the base and two levels"
    by_id: dict[str, Any] = {one["id"]: one for one in found["subtasks"]}
    assert "table([]) raises ValueError" in by_id["formatting"]["tried"][0]
    patch = (run / "patches" / "integration.patch").read_bytes()
    apply = ["git", "-c", "safe.directory=*", "apply", "-"]
    clean = {
        "HOME": str(project.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run(apply, input=patch, cwd=project, env=clean, check=True)
    text = project.parent / "text"
    text.write_text("to be or not to be, that is the question")
    ran = subprocess.run([sys.executable, "-m", "tally", str(text)], cwd=project, capture_output=True, check=True)
    assert ran.stdout.decode().splitlines()[:2] == ["2 be", "2 to"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["  ", "--model", "file:box"], "the task is empty"),
        (["@missing.md", "--model", "file:box"], "cannot be read"),
        (["a task", "--model", "file:box", "--path", "nowhere"], "does not exist"),
        (["a task", "--model", "file:box", "--test", " "], "--test is empty"),
        (["a task"], "no model answers the role 'planner'"),
        (["a task", "--model", "reviewr=file:box", "--model", "file:box"], "reviewer"),
        (["a task", "--model", "file:box", "--budget", "much"], "cannot be read"),
        (["a task", "--model", "file:box", "--depth", "9"], "--depth"),
        (["a task", "--model", "openai/gpt-4o-mini"], "--budget 2usd holds it"),
        (["a task", "--model", "file:box", "--sandbox", "nope"], "the sandbox 'nope' cannot be used"),
        (["a task", "--model", "openai/gpt-4o-mini", "--mcp", "nope"], "there is no MCP server 'nope'"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_begins(
    typed: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *typed]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert not (project.parent / ".antiphon" / "runs").exists()


def test_a_task_is_words_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "task.md").write_text("\ufeff Build it.\n", "utf-8")
    assert text_of(f"@{tmp_path / 'task.md'}", "task") == "Build it."
    assert text_of(" Build it. ", "task") == "Build it."
    with pytest.raises(UsageError, match="too long"):
        text_of("x" * 200_001, "task")


@pytest.mark.long
def test_a_build_that_ran_out_of_subagents_goes_on_and_ends_like_any_other(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--plain", "--runs-dir", str(project.parent / "runs")]
    with LoopbackServer(lambda asked: scripted(asked.request)) as server:
        model = ["--model", f"compatible/scripted@{server.url}#tools,schema", "--price", "compatible/scripted=0/0"]
        typed = ["build", TASK, "--path", str(project), *model, *runs, "--quality", "tests", "--test", "true"]
        assert main([*typed, "--max-agents", "3"]) == 4
        assert "antiphon resume" in capsys.readouterr().err
        asked = len(server.tally.asked)
        assert main(["resume", "last", "--budget", "+200agent_calls", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in found["value"]["subtasks"]] == ["integrated"] * 4
    assert len(server.tally.asked) > asked
    assert found["value"]["gaps"] == []


def test_the_project_is_the_one_around_unless_a_folder_is_typed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".git").mkdir()
    (project / "part").mkdir()
    monkeypatch.chdir(project / "part")
    assert project_folder(None) == str(project)
    assert project_folder(".") == str(project / "part")


def test_the_servers_that_a_build_starts_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[mcp.stuck]\ncommand = ["/bin/false", "--now"]\nread = ["."]\n'
    (project.parent / "antiphon.toml").write_text(text)
    typed = ["build", TASK, "--path", str(project), "--model", "file:box", "--mcp", "stuck", "--runs-dir", "runs"]
    assert main(typed) == 2, "it does not start"
    assert "mcp stuck: /bin/false --now; reads ." in capsys.readouterr().err


@pytest.mark.long
def test_yes_begins_without_asking_about_money_and_answers_nothing_else(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--plain", "--runs-dir", str(project.parent / "runs")]
    with LoopbackServer(lambda asked: scripted(asked.request)) as server:
        model = ["--model", f"compatible/scripted@{server.url}#tools,schema"]
        typed = ["build", TASK, "--path", str(project), *model, *runs, "--quality", "tests", "--test", "true"]
        assert main([*typed, "--yes", "--ask", "write"]) == 4
    assert "write" in capsys.readouterr().err, "it is asked"
