"""`antiphon show RUN --transcript BRANCH`: a conversation as a person reads it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import Critic
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.model.contract import Completion, Request, ToolCall, Usage
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import FREE, Answer, FunctionModel, model, model_agents
from antiphon.subagents.tools import ToolResult, function_tool
from antiphon.subagents.tools.contract import Traits
from antiphon.tracing import Event
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.workflows.cli import main

Antiphon = Callable[..., tuple[int, str, str]]
LINES = "".join(f"{number:4} line\n" for number in range(1, 61))


@function_tool(name="read", traits=Traits(paths=("path",)))
def read(path: str, lines: int = 0) -> str:
    """Reads."""
    return f"{path}\n{LINES}"


@function_tool(name="edit", traits=Traits(paths=("path",), cost="write"))
def edit(path: str, old: str, new: str) -> str:
    """Edits."""
    return f"{path}: replaced"


@function_tool(name="run")
def run(command: str) -> ToolResult:
    """Fails."""
    return ToolResult("1 failed\nE assert 3 == 2", failed=True)


def call(number: int, name: str, **arguments: Any) -> ToolCall:
    """A call as a model writes it."""
    return ToolCall(f"c{number}", name, json.dumps(arguments))


USED = Usage(input=1200, output=34)
SAID = [
    Completion(
        text="I read it first.",
        rationale="The bug must be\nin src/a.py.",
        calls=(call(1, "read", path="src/a.py", lines=40),),
        finish="tool_calls",
        usage=USED,
        model="test-1",
    ),
    Completion(
        text="",
        calls=(
            call(2, "edit", path="src/a.py", old="a = 1\nb = 2\n", new="a = 1\nb = 3\n"),
            call(3, "run", command="pytest -q"),
            ToolCall("c4", "run", "{broken"),
        ),
        finish="tool_calls",
        usage=USED,
        model="test-1",
    ),
    Completion(text="Not done.", usage=USED, model="test-1"),
    Completion(text="Done: b is 3.", usage=USED, model="test-1"),
]


def answer(request: Request) -> Completion | str:
    """The coder's answers in order; the critic says no, then yes."""
    said = request.messages[0].text
    if said.startswith("Judge"):
        met = "Done" in request.messages[-1].text
        return json.dumps({"met": met, "missing": "" if met else "b is still 2"})
    return SAID[sum(message.role == "assistant" for message in request.messages)]


def roles() -> list[RoleDefinition]:
    """A coder with tools, and its critic."""
    limits = AgentLimits(turns=20)
    return [
        RoleDefinition(name="coder", instructions="Code.", tools=("read", "edit", "run"), limits=limits),
        RoleDefinition(name="critic", instructions="Judge it."),
    ]


def performed() -> MemoryRun:
    """A run of three conversations, in memory."""

    async def script() -> Any:
        await agent("Fix b.\nIt is wrong.", role="coder", until=Critic("critic", "Is b 3?"))
        return len(await parallel([agent(f"Say {name}", role="critic") for name in "xy"]))

    async def go() -> MemoryRun:
        answering = model(FunctionModel(answer), name="test/m", price=FREE)
        return await memory_run(script, performers=model_agents(answering, *roles(), tools=(read, edit, run)))

    return anyio.run(go)


def written(home: Path, events: Sequence[Event]) -> Path:
    """A run directory with these events."""
    directory = home / "20260101-000000-aaaa"
    directory.mkdir(parents=True)
    database = Database(directory, full_fsync=False)
    rows = [
        Row(number, 1_700_000_000.0 + number, event.kind, event.path, encode(event.kind, event.path, event.data))
        for number, event in enumerate(events, start=1)
    ]
    database.commit(rows)
    database.close()
    return directory


@pytest.fixture(scope="module")
def events() -> Sequence[Event]:
    """What the run recorded."""
    return performed().events()


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capfd.readouterr()
        return code, out, err

    return typed


@pytest.fixture
def shown(antiphon: Antiphon, tmp_path: Path, events: Sequence[Event]) -> Callable[..., str]:
    """What `show last --transcript PLACE …` prints."""
    written(tmp_path / ".antiphon" / "runs", events)

    def of(place: str, *words: str) -> str:
        code, out, err = antiphon("show", "last", "--transcript", place, *words)
        assert (code, err) == (0, "")
        return out

    return of


def test_a_conversation_reads_from_its_task_to_its_end(shown: Callable[..., str]) -> None:
    out = shown("main/0")
    assert out.startswith("main/0  coder  succeeded\n  role: coder\n  model: test/m\n  cost: ")
    assert "; 4 answers, 4 tool calls\n" in out
    parts = (
        "task\n  │ Fix b.\n  │ It is wrong.\n",
        "1  test-1, 1,234 tokens\n  ┆ The bug must be\n  ┆ in src/a.py.\n  │ I read it first.\n",
        "  ▸ read src/a.py\n      ┆ lines: 40\n      │ src/a.py\n      │    1 line\n",
        "      │ … 53 more lines; --turn 1 shows all\n      │   59 line\n      │   60 line\n",
        "  ▸ edit src/a.py\n      │ --- a/src/a.py\n      │ +++ b/src/a.py\n      │ @@ -1,2 +1,2 @@\n      │  a = 1\n"
        "      │ -b = 2\n      │ +b = 3\n      │ src/a.py: replaced\n",
        "  ✗ run pytest -q\n      │ 1 failed\n      │ E assert 3 == 2\n",
        "  ✗ run\n      ┆ {broken\n      │ not called: the arguments cannot be read",
        "3  test-1, 1,234 tokens\n  │ Not done.\n",
        "told: what is missing\n  │ b is still 2\n",
        "4  test-1, 1,234 tokens\n  │ Done: b is 3.\n",
        "it asked critic  succeeded  main/0/0\n",
        "ended: succeeded\n  │ Done: b is 3.\n",
    )
    places = [out.index(part) for part in parts]
    assert places == sorted(places)


def test_one_turn_is_shown_whole_and_nothing_else(shown: Callable[..., str]) -> None:
    out = shown("main/0", "--turn", "1")
    assert all(f"      │ {number:4} line\n" in out for number in range(1, 61))
    assert "task" not in out
    assert "pytest" not in out


def test_a_branch_of_many_names_those_below(shown: Callable[..., str]) -> None:
    out = shown("main/1")
    assert "main/1 has 2 calls; name one of them:" in out
    assert "main/1/0/0  critic  succeeded  Say x" in out


def test_all_of_it_is_data_with_json(shown: Callable[..., str]) -> None:
    said = json.loads(shown("main/0", "--json"))
    assert (said["kind"], said["value"], said["task"]) == ("succeeded", "Done: b is 3.", "Fix b.\nIt is wrong.")
    first, second, third, missing, last = said["entries"]
    assert first["calls"][0] == {
        "id": "c1",
        "name": "read",
        "arguments": {"path": "src/a.py", "lines": 40},
        "result": f"src/a.py\n{LINES}",
        "failed": False,
    }
    assert [one["failed"] for one in second["calls"]] == [False, True, True]
    assert second["calls"][2]["arguments"] == "{broken"
    assert (third["text"], last["text"], first["tokens"]) == (
        "Not done.",
        "Done: b is 3.",
        {"input": 1200, "output": 34},
    )
    assert missing == {"entry": "missing", "heading": "told: what is missing", "text": "b is still 2"}
    assert said["below"] == ["main/0/0", "main/0/1"]
    one = json.loads(shown("main/0", "--json", "--turn", "2"))
    assert one == {"run": "20260101-000000-aaaa", "path": "main/0", "answer": second}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--transcript", "main/0", "--turn", "9"), "main/0 has no turn 9: it has 4"),
        (("--transcript", "main/0", "--context", "main/0"), "--context and --transcript are two views of one call"),
        (("--transcript", "main/0", "--depth", "2"), "--transcript shows one call"),
        (("--transcript", "main", "--turn", "1"), "main has 5 calls; --turn is of one"),
        (("--transcript", "main/7"), "there is no 'main/7'"),
    ],
)
def test_what_cannot_be_shown_says_why(
    antiphon: Antiphon, tmp_path: Path, events: Sequence[Event], words: tuple[str, ...], says: str
) -> None:
    written(tmp_path / ".antiphon" / "runs", events)
    code, out, err = antiphon("show", "last", *words)
    assert (code, out) == (2, "")
    assert says in err


def test_money_is_told_where_it_was_spent_and_what_a_person_said_and_was_noted(
    antiphon: Antiphon, tmp_path: Path, events: Sequence[Event]
) -> None:
    """Events of attempts, decisions and notes are told before the turn that they led to."""
    told: list[Event] = []
    answers = 0
    for one in events:
        data: Any = one.data
        is_answer = one.kind == "turn" and one.path == "main/0" and data["value"]["turn"] == "model"
        answers += is_answer
        if is_answer and answers == 2:
            told += [
                event("attempt.ended", {"attempt": 90, "spent": {"usd": 1_500_000}, "error": "X", "category": "rate"}),
                event("attempt.ended", {"attempt": 91, "spent": {"usd": 2_000_000}}),
            ]
        if one.kind == "turn" and one.path == "main/0" and data["value"]["turn"] == "tools" and answers == 2:
            told.append(event("decision", {"decision": "tool run x", "value": {"tool": "run", "answer": "always"}}))
            told.append(event("note", {"text": "run denied: no\nat all"}))
        told.append(one)
    written(tmp_path / ".antiphon" / "runs", told)
    _, out, _ = antiphon("show", "last", "--transcript", "main/0")
    assert "  an attempt failed: rate\n\nanswer 2  test-1, 1,234 tokens, 0.0035 usd\n  a person was asked" in out
    assert "  a person was asked about run, and said always\n" in out
    assert "note\n  │ run denied: no\n  │ at all\n  ▸ edit" in out


def event(kind: str, data: dict[str, Any]) -> Event:
    """An event of the first call."""
    return Event(seq=1, at=0.0, kind=kind, path="main/0", data=data, hash="")


def test_what_is_handed_back_is_no_call_without_a_result(antiphon: Antiphon, tmp_path: Path) -> None:
    async def script() -> Any:
        return await agent("Say", role="coder", output=int)

    async def go() -> MemoryRun:
        one = model(FunctionModel(lambda _request: Answer(3)), name="test/m", price=FREE, schema=False)
        return await memory_run(script, performers=model_agents(one, *roles(), tools=(read, edit, run)))

    written(tmp_path / ".antiphon" / "runs", anyio.run(go).events())
    _, out, _ = antiphon("show", "last", "--transcript", "main/0")
    assert "  ▸ answer\n" in out
    assert "; 1 answer, 0 tool calls\n" in out
    assert "the log has no result" not in out


def test_code_that_is_indented_by_tabs_reads_as_it_is(antiphon: Antiphon, tmp_path: Path) -> None:
    @function_tool(name="read", traits=Traits(paths=("path",)))
    def read_tabs(path: str) -> str:
        """Reads."""
        return "1\tall:\n2\t\tcc x.c"

    wants = call(1, "read", path="Makefile"), call(2, "edit", path="Makefile", old="all:\n\tcc", new="all:\n\tgcc")

    async def script() -> Any:
        return await agent("Say", role="coder")

    def says(request: Request) -> Completion | str:
        return "Done." if len(request.messages) > 2 else Completion(calls=wants, finish="tool_calls")

    async def go() -> MemoryRun:
        one = model(FunctionModel(says), name="test/m", price=FREE)
        return await memory_run(script, performers=model_agents(one, *roles(), tools=(read_tabs, edit, run)))

    written(tmp_path / ".antiphon" / "runs", anyio.run(go).events())
    _, out, _ = antiphon("show", "last", "--transcript", "main/0")
    assert "      │ 1   all:\n      │ 2       cc x.c\n" in out
    assert "      │ -    cc\n      │ +    gcc\n" in out
    assert "\\t" not in out
