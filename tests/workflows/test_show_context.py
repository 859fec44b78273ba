"""`antiphon show RUN --context BRANCH`: exactly what a subagent saw, from the log alone."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.function import function_agent
from antiphon.subagents.loop.agent import ModelAgent
from antiphon.subagents.model.contract import Completion, Model, Request, ToolCall, ToolSpec
from antiphon.subagents.model.registry import Models
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.prompt import Retrieval
from antiphon.subagents.roles.definition import AgentLimits, Retrieve, RoleDefinition
from antiphon.subagents.testing import FREE, FunctionModel, GivenModels, performers_of
from antiphon.subagents.testing import model as a_model
from antiphon.subagents.tools.contract import ToolResult, Traits
from antiphon.tracing import Event, Json
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.workflows.cli import main
from antiphon.workflows.cli.seen import context_of, read_calls
from antiphon.workflows.cli.seen_sent import sent_at

Antiphon = Callable[..., tuple[int, str, str]]
LINES = "".join(f"line {number} of the file\n" for number in range(1_500))


class Read:
    """A tool that gives a long text."""

    spec = ToolSpec(name="read", description="Reads a file.", parameters={"type": "object", "properties": {}})
    version = "1"
    traits = Traits()

    async def __call__(self, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
        """See `Tool`."""
        return ToolResult(f"part {arguments['part']}\n{LINES}")


@function_agent("counter")
async def counter(task: str, ctx: CallContext) -> int:
    """Count frames."""
    await ctx.turn({"counted": len(ctx.frames)})
    return len(ctx.frames)


def reading(request: Request) -> Completion | str:
    """Reads five times, natively or by the text protocol, then says so."""
    results = "".join(message.text for message in request.messages).count("<result ")
    if results == 5:
        return "done"
    arguments = json.dumps({"part": results})
    if not request.tools:
        return f"I read.\n```call read\n{arguments}\n```"
    return Completion(text="I read.", calls=(ToolCall(f"c{results}", "read", arguments),), finish="tool_calls")


def role(**more: Any) -> RoleDefinition:
    """A role with a tool and a rule for passages."""
    content: dict[str, Any] = {"name": "reader", "instructions": "Read.\x1b[2J", "tools": ("read",)}
    return RoleDefinition(**(content | more))


def performed(model: FunctionModel, definition: RoleDefinition, root: Path) -> MemoryRun:
    """A run of model agents and of a function agent, in memory."""

    async def inside() -> Any:
        await parallel([agent(f"read {name}", role="reader", covers=[f"{name}.py"]) for name in ("a", "b")])
        return await agent("count", role="counter")

    async def script() -> Any:
        return (await branch("b", inside(), context=["a frame\n2 of 3, system: instructions"])).kind

    async def go() -> MemoryRun:
        models = Models.of(["test/m"], clients={"test/": model})
        reader = ModelAgent(
            definition, models, Sender(), tools={"read": Read()}, retrieval=Retrieval(root, scope=["*.md"])
        )
        return await memory_run(script, performers=performers_of(reader, counter))

    return anyio.run(go)


def written(home: Path, events: Sequence[Event], name: str = "20260101-000000-aaaa") -> Path:
    """A run directory with these events."""
    directory = home / name
    directory.mkdir(parents=True)
    database = Database(directory, full_fsync=False)
    rows = [
        Row(number, 1_700_000_000.0 + number, event.kind, event.path, encode(event.kind, event.path, event.data))
        for number, event in enumerate(events, start=1)
    ]
    database.commit(rows)
    database.close()
    return directory


def event(kind: str, path: str, data: dict[str, Any]) -> Event:
    """An event that somebody wrote."""
    return Event(seq=1, at=0.0, kind=kind, path=path, data=data, hash="")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where runs live."""
    return tmp_path / ".antiphon" / "runs"


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def shown(antiphon: Antiphon, path: str, *words: str) -> str:
    code, out, err = antiphon("show", "last", "--context", path, *words)
    assert code == 0, err
    return out


def test_all_that_a_model_agent_saw_is_printed_in_order(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("How to read: slowly.\n")
    model = FunctionModel(reading)
    written(home, performed(model, role(retrieve=Retrieve(sources=("*.md",))), tmp_path).events())
    out = shown(antiphon, "main/b/0/0/0")
    order = [
        "main/b/0/0/0  agent reader  succeeded",
        "role: reader",
        "model: test/m",
        "mode: text",
        "covers: a.py",
        "1 of 4, system: instructions",
        "| Read.\\x1b[2J",
        "2 of 4, user: frame",
        "| 2 of 3, system: instructions",
        "3 of 4, user: passages",
        "| How to read: slowly.",
        "4 of 4, user: task",
        "| read a",
        "retrieved: notes.md:1-1  sha256 ",
        "tool read",
        "| Reads a file.",
        "answer 1 of test/m, stop",
        "result of read ",
        "| line 1499 of the file",
        "ended: succeeded",
    ]
    plain = out.replace("│", "|")
    places = [plain.find(wanted) for wanted in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert "\x1b" not in out


def test_what_is_shown_for_a_turn_is_what_was_sent(home: Path, tmp_path: Path) -> None:
    """Byte for byte, the shortened included: against the requests that the client really got."""
    for number, can in enumerate([(), ("tools",), ("tools", "schema", "caching")]):
        model = FunctionModel(reading)
        ran = with_model(model, can)
        seen = read_calls(written(home, ran.events(), f"20260101-000000-aaa{number}"))
        context = context_of(seen, seen.calls["main/0"])
        found = [sent_at(context, turn) for turn in range(1, len(model.requests) + 1)]
        assert [one.request.messages for one in found] == [request.messages for request in model.requests]
        assert [one.request.tools for one in found] == [request.tools for request in model.requests]
        assert all(one.agrees for one in found)
        assert found[-1].shortened


class Only(Models):
    """One model for everybody."""

    def __init__(self, only: Model) -> None:
        super().__init__(only.name)
        self.only = only

    def model_for(self, role: str, named: str | None = None) -> Model:
        """See `Models.model_for`."""
        return self.only


def with_model(model: FunctionModel, can: Sequence[str] = (), history: Sequence[Event] = ()) -> MemoryRun:
    """One agent of a model that can do this."""

    async def script() -> Any:
        return await agent("read it", role="reader", context=["f"], output=None)

    async def go() -> MemoryRun:
        settled = {name: name in can for name in ("schema", "tools", "caching")}
        only = a_model(model, "test/m", window=40_000, price=FREE, **settled)
        reader = ModelAgent(role(), Only(only), Sender(), tools={"read": Read()})
        return await memory_run(script, performers=performers_of(reader), history=history)

    return anyio.run(go)


@pytest.mark.parametrize(("cheap", "strong"), [(("tools",), ()), ((), ("tools",)), (("schema",), ("tools",))])
def test_what_a_stronger_model_was_sent_is_in_its_own_mode(
    home: Path, cheap: Sequence[str], strong: Sequence[str]
) -> None:
    def gives_up(request: Request) -> Completion | str:
        return "no" if "<result" in str(request.messages) else reading(request)

    client, stronger = FunctionModel(gives_up), FunctionModel(lambda _: '```answer\n{"n": 1}\n```')
    made = {
        name: a_model(asked, name, price=FREE, **{one: one in can for one in ("schema", "tools")})
        for name, asked, can in (("test/m", client, cheap), ("test/s", stronger, strong))
    }
    definition = role(escalate="test/s", limits=AgentLimits(repairs=0))

    async def script() -> Any:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        return await branch("b", agent("read it", role="reader", output=schema))

    async def go() -> MemoryRun:
        models = GivenModels(default="test/m", given=made)
        reader = ModelAgent(definition, models, Sender(), tools={"read": Read()})
        return await memory_run(script, performers=performers_of(reader))

    seen = read_calls(written(home, anyio.run(go).events()))
    context = context_of(seen, seen.calls["main/b/0"])
    sent = [*client.requests, *stronger.requests]
    found = [sent_at(context, turn).request for turn in range(1, len(sent) + 1)]
    assert [one.messages for one in found] == [request.messages for request in sent]
    assert [[spec.name for spec in one.tools] for one in found] == [[t.name for t in one.tools] for one in sent]
    assert len(stronger.requests) == 1


def test_a_turn_is_printed_and_given_as_json(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    model = FunctionModel(reading)
    written(home, with_model(model, ["tools"]).events())
    out = shown(antiphon, "main/0", "--turn", "6")
    assert "request 6: 13 messages, at most 4096 tokens back" in out
    assert "made of a conversation of 13 messages, of which 5, 7 shortened" in out
    assert "characters of this result left out to make room; to read on, call read for less at a time" in out
    assert "not exact" not in out
    content = json.loads(shown(antiphon, "main/0", "--turn", "6", "--json"))
    assert [one["text"] for one in content["messages"]] == [one.text for one in model.requests[5].messages]
    assert content["shortened"] == [4, 6]
    assert content["agrees"] is True
    for words, said in (
        (("main/0", "--turn", "7"), "main/0 has no turn 7: it has 6"),
        (("main/0", "--turn", "0"), "0 is not in the range"),
        (("main", "--turn", "1", "--branch", "main"), "--context shows one call"),
    ):
        code, _, err = antiphon("show", "last", "--context", *words)
        assert (code, said in err) == (2, True), err
    code, _, err = antiphon("show", "last", "--turn", "1")
    assert (code, "antiphon show last --context BRANCH --turn 1" in err) == (2, True)


def test_all_of_it_is_data_with_json(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("How to read: slowly.\n")
    events = performed(FunctionModel(reading), role(retrieve=Retrieve(sources=("*.md",))), tmp_path).events()
    written(home, events)
    content = json.loads(shown(antiphon, "main/b/0/1/0", "--json"))
    assert [one["sort"] for one in content["messages"]] == ["instructions", "frame", "passages", "task"]
    assert content["messages"][3]["text"].endswith("read b")
    assert (content["path"], content["name"], content["kind"]) == ("main/b/0/1/0", "reader", "succeeded")
    assert content["task"] == "read b"
    assert content["covers"] == ["b.py"]
    assert content["frames"] == ["a frame\n2 of 3, system: instructions"]
    assert content["tools"][0]["name"] == "read"
    assert content["retrieved"][0]["path"] == "notes.md"
    assert [turn["turn"] for turn in content["turns"]] == ["model", "tools"] * 5 + ["model"]


def test_a_branch_of_several_calls_names_them(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    written(home, performed(FunctionModel(reading), role(), tmp_path).events())
    out = shown(antiphon, "main/b")
    assert out.splitlines()[0] == "main/b has 3 calls; name one of them:"
    assert "  main/b/0/1/0  reader  succeeded  read b" in out
    assert "  main/b/1  counter  succeeded  count" in out
    assert shown(antiphon, "main/b/0/0/") == shown(antiphon, "main/b/0/0/0")
    calls = json.loads(shown(antiphon, "main", "--json"))["calls"]
    assert [call["path"] for call in calls] == ["main/b/0/0/0", "main/b/0/1/0", "main/b/1"]
    code, _, err = antiphon("show", "last", "--context", "main/b", "--turn", "1")
    assert (code, "main/b has 3 calls; --turn is of one" in err) == (2, True)


def test_a_function_agent_saw_its_task_and_frames(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    written(home, performed(FunctionModel(reading), role(), tmp_path).events())
    lines = [line.replace("│", "|") for line in shown(antiphon, "main/b/1").splitlines()]
    assert lines == [
        "main/b/1  agent counter  succeeded",
        "frame 1 of 1",
        "  | a frame",
        "  | 2 of 3, system: instructions",
        "task",
        "  | count",
        "turn",
        '  | {"counted": 1}',
        "ended: succeeded",
    ]
    content = json.loads(shown(antiphon, "main/b/1", "--json"))
    assert (content["model"], content["messages"], content["turns"]) == (None, [], [{"counted": 1}])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("main/b/7/0", "there is no 'main/b/7/0'; below main/b there is 0, 1"),
        ("mian/b/1", "there is no 'mian/b/1'; did you mean main/b/1"),
        ("nothing", "there is no 'nothing'; this run holds 3 calls"),
        ("main/c", "there is no 'main/c'; below main there is b"),
    ],
)
def test_a_place_that_is_not_there_says_what_is(
    antiphon: Antiphon, home: Path, tmp_path: Path, asked: str, said: str
) -> None:
    written(home, performed(FunctionModel(reading), role(), tmp_path).events())
    code, out, err = antiphon("show", "last", "--context", asked)
    assert (code, out) == (2, "")
    assert said in err


def test_a_branch_without_a_call_says_so(antiphon: Antiphon, home: Path) -> None:
    written(home, [event("branch.started", "main/0", {"construct": "parallel"})])
    code, _, err = antiphon("show", "last", "--context", "main/0")
    assert (code, "no call was performed at main/0" in err) == (2, True)


def test_what_a_call_asked_of_others_is_named(antiphon: Antiphon, home: Path) -> None:
    said = {"call": "agent", "hash": "h", "task": "t"}
    written(
        home,
        [
            event("call.started", "main/0", {**said, "name": "coder"}),
            event("call.started", "main/0/0", {**said, "name": "critic"}),
            event("call.ended", "main/0/0", {**said, "name": "critic", "kind": "succeeded"}),
        ],
    )
    assert "  below it: main/0/0  critic  succeeded" in shown(antiphon, "main/0").splitlines()
    assert json.loads(shown(antiphon, "main/0", "--json"))["below"] == ["main/0/0"]
    assert shown(antiphon, "main/0/0").startswith("main/0/0  agent critic  succeeded")


def test_a_cleaned_run_says_so(antiphon: Antiphon, home: Path) -> None:
    written(home, [event("run.cleaned", "", {"workflow": "x"})])
    code, _, err = antiphon("show", "last", "--context", "main/0")
    assert (code, "this run was cleaned" in err) == (2, True)


def test_large_texts_are_read_from_blobs_and_missing_ones_are_said_to_be(
    antiphon: Antiphon, home: Path, tmp_path: Path
) -> None:
    run = home / "20260101-000000-aaaa"
    content = json.dumps("a large text\n" * 3).encode()
    digest = hashlib.sha256(content).hexdigest()
    messages = [{"role": "system", "digest": "d1"}, {"role": "user", "digest": "d2"}]
    prompt = {"turn": "prompt", "model": "m", "role": "r", "mode": "text", "messages": messages, "tools": ["read"]}
    answer: dict[str, Any] = {
        "turn": "model",
        "text": "x",
        "calls": [],
        "finish": "stop",
        "model": "m",
        "usage": None,
        "sent": {},
    }
    written(
        home,
        [
            event("frame", "", {"frame": "d1", "blob": digest}),
            event("frame", "", {"frame": "d2", "blob": "0" * 64}),
            event("call.started", "main/0", {"call": "agent", "name": "r", "hash": "h", "task_blob": "1" * 64}),
            event("turn", "main/0", {"value": prompt}),
            event("turn", "main/0", {"value": answer}),
        ],
    )
    (run / "blobs").mkdir()
    (run / "blobs" / digest).write_bytes(content)
    out = shown(antiphon, "main/0")
    assert out.replace("│", "|").count("  | a large text") == 3
    assert "2 of 2, user: task  d2\n  (the run does not hold this text any more)" in out
    assert "tools: read" in out
    assert "ended: in flight" in out
    code, _, err = antiphon("show", "last", "--context", "main/0", "--turn", "1")
    assert (code, "the run does not hold its prompt any more" in err) == (2, True)


def test_a_call_that_a_resume_went_on_with_shows_all_of_its_conversation(home: Path, tmp_path: Path) -> None:
    """Cut after every event: what is shown of the resumed call is what is shown of the uncut one."""
    model = FunctionModel(reading)
    whole = with_model(model).events()
    seen = read_calls(written(home, whole))
    turns = context_of(seen, seen.calls["main/0"]).turns
    cuts = [number for number, one in enumerate(whole, start=1) if one.kind == "turn"]
    for cut in cuts[::4]:
        again = with_model(FunctionModel(reading), history=whole[:cut]).events()
        found = read_calls(written(home, again, f"20260101-000000-b{cut:03}"))
        context = context_of(found, found.calls["main/0"])
        assert [one.request.messages for one in (sent_at(context, n) for n in range(1, 7))] == [
            request.messages for request in model.requests
        ]
        assert [turn["turn"] for turn in context.turns] == [turn["turn"] for turn in turns]


def test_runs_from_anywhere_are_shown_as_far_as_they_make_sense(antiphon: Antiphon, home: Path) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e\rended: succeeded"
    message = {"role": evil, "digest": "d1", "cached": evil}
    prompt = {
        "turn": "prompt",
        "model": evil,
        "role": [],
        "mode": evil,
        "messages": [message, 7, {"digest": "gone"}],
        "tools": [evil, 3],
        "offered": "d2",
        "retrieved": [{"path": evil, "lines": "x", "sha256": 3, "score": evil * 100}, "y"],
    }
    offered = {"tools": [{"name": evil, "description": evil, "parameters": evil}, 4], "schema": [evil]}
    odd: list[Any] = [
        {"turn": "model", "text": evil, "calls": [{"name": evil}, 3], "usage": {evil: 1}, "sent": 4, "rationale": evil},
        {"turn": "tools", "results": [{"text": evil, "name": 3}, None]},
        {"turn": "repair", "problem": evil},
        {"turn": "missing", "text": 5},
        {"turn": "notice", "anomaly": evil, "text": evil},
        {"turn": "escalated", "from": evil, "to": None, "why": evil, "mode": [evil]},
        {"turn": evil, "more": [evil]},
        [evil],
        None,
    ]
    written(
        home,
        [
            event("frame", "", {"frame": "d1", "value": evil}),
            event("frame", "", {"frame": "d2", "value": offered}),
            event("call.started", "main/0", {"call": evil, "name": evil, "task": evil, "covers": [evil], "about": 3}),
            event("turn", "main/0", {"value": prompt}),
            *(event("turn", "main/0", {"value": one}) for one in odd),
            event("turn", "main/0", {"blob": "../../etc/passwd"}),
            event("call.ended", "main/0", {"kind": evil, "reason": evil, "hash": 3}),
            event("turn", "main/9", {"value": prompt}),
            event("call.ended", "main/1", {"kind": "succeeded"}),
            event("call.reused", "main/2", {"source": "main/0", "kind": "succeeded", "name": "x", "call": "agent"}),
        ],
    )
    for words in (("main/0",), ("main/1",), ("main/2",), ("main",), ("main/0", "--json"), ("main", "--json")):
        out = shown(antiphon, *words)
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(out)
        assert "\nended: succeeded\n" not in out or words[0] in ("main/1", "main/2")
    assert "replayed: what main/0 saw and did" in shown(antiphon, "main/2")
    code, out, err = antiphon("show", "last", "--context", "main/0", "--turn", "1")
    assert (code, "\x1b" in out + err) == (2, False)
