"""What tools may do: rules, scopes, a person's yes and no; and that nothing gets around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest

from antiphon.engine import CallContext, Run, Settings, UsageError
from antiphon.engine.script.api import agent
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.function import function_agent
from antiphon.subagents.loop.calling import call_tools, current_tools, perform_tool
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.loop.turns import ToolsTurn
from antiphon.subagents.model.contract import ToolCall
from antiphon.subagents.sandbox import Sandbox, Unconfined, choose
from antiphon.subagents.testing import performers_of
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools import FunctionTool, ToolResult, function_tool
from antiphon.subagents.tools.asking import besides_diff, consent_in, diff_of
from antiphon.subagents.tools.contract import Traits
from antiphon.subagents.tools.policy import Mode, Policy, Rule, Scope, paths_of, read_rule
from antiphon.subagents.workspace.contract import workspace_of

WRITES = Traits(cost="write", paths=("path",), works=True)


@function_tool(name="read", traits=Traits(paths=("path",), works=True))
def read(path: str = ".") -> str:
    """Reads."""
    return f"read {path}"


@function_tool(name="write", traits=WRITES)
def write(path: str, content: str, ctx: CallContext) -> str:
    """Writes."""
    (workspace_of(ctx).root / path).write_text(content)
    return "written"


@function_tool(name="apply_patch", traits=Traits(cost="write", works=True))
def apply_patch(patch: str) -> str:
    """Patches."""
    return "patched"


@function_tool(name="run", traits=Traits(cost="process", works=True))
def run(command: str, ctx: CallContext) -> str:
    """Runs ``touch NAME``, and nothing else."""
    (workspace_of(ctx).root / command.removeprefix("touch ")).write_text("")
    return "exit 0"


@function_tool(name="fetch", traits=Traits(cost="network"))
def fetch(url: str) -> str:
    """Fetches."""
    return f"fetched {url}"


@function_tool(name="compose", traits=Traits(cost="process", works=True))
async def compose(name: str, arguments: dict[str, Any], ctx: CallContext) -> ToolResult:
    """Calls another tool, as `run_code` does."""
    return await perform_tool(current_tools()[name], name, arguments, ctx)


TOOLS: dict[str, FunctionTool] = {tool.spec.name: tool for tool in (read, write, apply_patch, run, fetch, compose)}


def mode(policy: Policy, tool: FunctionTool, **arguments: Any) -> Mode:
    """What becomes of a call."""
    return policy.ruling(tool, arguments).mode


def ruled(*rules: tuple[Mode, str], **scope: Sequence[str]) -> Policy:
    """A policy of typed rules and a scope."""
    scopes = (Scope(**{name: tuple(said) for name, said in scope.items()}),) if scope else ()
    return Policy(rules=tuple(read_rule(each, text) for each, text in rules), scopes=scopes)


# --- ruling -----------------------------------------------------------------------------------------------------------


def test_by_default_the_workspace_is_free_and_the_network_is_asked_about() -> None:
    assert mode(Policy(), write, path="a.py", content="") == "auto"
    assert mode(Policy(), run, command="rm -rf .") == "auto"
    assert Policy().ruling(fetch, {"url": "x"}).why == "it reaches the network"
    assert mode(ruled(("auto", "fetch")), fetch, url="x") == "auto"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("auto", "fetch"), ("ask", "fetch")], "ask"),
        ([("auto", "*"), ("deny", "f*")], "deny"),
        ([("deny", "fetch"), ("auto", "fetch"), ("ask", "fetch")], "deny"),
        ([("ask", "read")], "ask"),
        ([("auto", "fetch"), ("deny", "write")], "auto"),
    ],
)
def test_the_strictest_rule_that_fits_holds_whatever_their_order(rules: list[tuple[Mode, str]], expected: Mode) -> None:
    assert mode(ruled(*rules), fetch, url="x") == expected
    assert mode(ruled(*reversed(rules)), fetch, url="x") == expected


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("src/**", "src/a.py", True),
        ("src/**", "./src//a.py", True),
        ("src/**", "tests/../src/a.py", True),
        ("src/**", "src", True),
        ("src/**", "tests/src.py", False),
        ("secrets/", "secrets", True),
        ("*.key", "deep/down/a.key", True),
        ("/a.py", "b/a.py", False),
        ("src/**", "../src/a.py", False),
        ("**", "/etc/passwd", True),
    ],
)
def test_patterns_of_paths_are_those_of_ignore_files(pattern: str, path: str, fits: bool) -> None:
    assert (mode(ruled(("deny", f"write:{pattern}")), write, path=path, content="") == "deny") is fits


@pytest.mark.parametrize(
    "patch",
    [
        "--- a/secrets/k\n+++ b/secrets/k\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\nrename from x\nrename to secrets/k\n",
        "*** Begin Patch\n*** Update File: secrets/k\n@@\n-a\n+b\n*** End Patch\n",
        "*** Begin Patch\n*** Update File: x\n*** Move to: ./secrets/k\n*** End Patch\n",
        "--- /dev/null\n+++ secrets/k\t2020-01-01\n@@ -0,0 +1 @@\n+b\n",
    ],
)
def test_the_paths_in_a_patch_are_paths_of_the_call(patch: str) -> None:
    assert "secrets/k" in paths_of(apply_patch, {"patch": patch})
    assert mode(ruled(("deny", "apply_patch:secrets/**")), apply_patch, patch=patch) == "deny"


def test_a_patch_of_what_may_be_changed_is_no_stray_for_the_letters_git_puts_before_its_paths() -> None:
    patch = "--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +1,1 @@\n x\n--- secrets/k\n"
    assert paths_of(apply_patch, {"patch": patch}) == ("src/x.py",)
    assert mode(Policy(scopes=(Scope(write=("src/**",)),)), apply_patch, patch=patch) == "auto"


@pytest.mark.parametrize("paths", [None, [], [""], ["."]])
def test_no_path_at_all_is_the_whole_workspace(paths: list[str] | None) -> None:
    @function_tool(name="diff", traits=Traits(works=True, paths=("paths",)))
    def diff(paths: list[str] | None = None) -> str:
        """Looks at files."""
        return ""

    assert mode(ruled(("deny", "diff:secrets/**")), diff, paths=paths) == "deny"
    assert mode(ruled(read=["src/**"]), diff, paths=paths) == "deny"


def test_a_scope_denies_what_is_outside_of_it_and_says_why() -> None:
    policy = ruled(tools=["read", "write"], read=["src/**", "*.md"], write=["src/**"])
    assert mode(policy, read, path="src/a.py") == "auto"
    assert mode(policy, read, path="src") == "auto"
    assert mode(policy, write, path="src/a.py", content="") == "auto"
    assert "../a is not in scope.write (src/**)" in policy.ruling(write, {"path": "../a"}).why
    assert "README.md is not in scope.write" in policy.ruling(write, {"path": "README.md"}).why
    assert mode(policy, read, path=".") == "deny", "a folder of which only a part may be read"
    assert mode(policy, read) == "deny"
    assert "scope.tools is read, write" in policy.ruling(run, {"command": "ls"}).why
    assert mode(ruled(("auto", "*"), write=[]), write, path="a", content="") == "deny", "nobody allows beyond a scope"
    assert mode(ruled(network=[]), fetch, url="x") == "deny"
    assert mode(Policy(scopes=(Scope(),)), write, path="a", content="") == "auto"


def test_what_can_never_be_called_is_not_offered() -> None:
    policy = ruled(("deny", "run"), ("deny", "write:secrets/**"), write=["src/**"])
    assert [name for name, tool in TOOLS.items() if not policy.offers(tool)] == ["run"]
    nothing = ruled(write=[], network=[])
    assert [name for name, tool in TOOLS.items() if not nothing.offers(tool)] == ["write", "apply_patch", "fetch"]
    nested = Policy().within(Scope(tools=("read",))).within(Scope(tools=("write",)))
    assert not any(nested.offers(tool) for tool in TOOLS.values())


@pytest.mark.parametrize(
    ("pattern", "folder", "denied"),
    [
        ("secrets/**", ".", True),
        ("a/secrets/**", "a", True),
        ("a/secrets/**", "b", False),
        ("a/secrets/**", "a/secrets/deep", True),
        ("a/*/key", "a/b", True),
        ("*.key", "src", True),
        ("/top", "src", False),
        ("!src/x", "src", False),
    ],
)
def test_a_look_at_a_folder_is_denied_where_some_of_it_may_not_be_seen(pattern: str, folder: str, denied: bool) -> None:
    policy = ruled(("deny", f"*:{pattern}"))
    assert (policy.ruling(read, {"path": folder}, lambda path: True).mode == "deny") is denied
    assert policy.ruling(read, {"path": "src/a.py"}, lambda path: False).mode == "auto"


@pytest.mark.parametrize("text", ["", ":a", "run:", "run:,", "a b", "run:#x", "x\0", "--deny", "run:" + "a," * 200])
def test_what_is_no_rule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_rule("deny", text)
    assert "--deny" in str(refused.value.advice)


# --- calling ----------------------------------------------------------------------------------------------------------


Wanted = tuple[str, Mapping[str, Any]]


async def called(
    *wanted: Wanted,
    policy: Policy | None = None,
    sandbox: Callable[[], Sandbox] = Unconfined,
    beside: Callable[[Run], Any] | None = None,
    settings: Settings | None = None,
    history: Sequence[Any] = (),
    tools: Mapping[str, Any] = TOOLS,
    turn: int = 4,
) -> tuple[ToolsTurn | None, MemoryRun, dict[str, str]]:
    """The calls of one answer in a workspace: their turn, the run, and the files as they are then."""
    calls = [ToolCall(f"c{place}", name, json.dumps(given)) for place, (name, given) in enumerate(wanted)]
    left: dict[str, str] = {}
    turns: list[ToolsTurn] = []

    @function_agent("coder")
    async def coder(task: str, ctx: CallContext) -> int:
        """Calls tools."""
        files = {"src/a.py": "a\n", "secrets/k": "k\n"}
        async with temporary_workspace(files, sandbox=sandbox) as workspace:
            ctx.workspace = workspace
            try:
                turns.append(await call_tools(calls, 50, Toolbox(ctx, tools, policy=policy, turn=turn)))
            finally:
                found = (path for path in workspace.root.rglob("*") if path.is_file() and ".git" not in path.parts)
                left.update((str(path.relative_to(workspace.root)), path.read_text()) for path in found)
        return len(calls)

    async def main() -> Any:
        return await agent("work", role="coder")

    ran = await memory_run(main, performers=performers_of(coder), beside=beside, settings=settings, history=history)
    return (turns[0] if turns else None), ran, left


def told(turn: ToolsTurn | None) -> list[tuple[bool, str]]:
    """What tools answered."""
    assert turn is not None
    return [(one.failed, one.text) for one in turn.results]


pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


async def test_a_denied_call_is_answered_and_noted_and_never_performed() -> None:
    policy = ruled(("deny", "write:secrets/**"))
    secret = ("write", {"path": "src/../secrets/k", "content": "mine"})
    turn, ran, left = await called(secret, ("write", {"path": "src/a.py", "content": "b"}), policy=policy)
    assert told(turn) == [(True, "denied: the rule --deny write:secrets/**"), (False, "written")]
    assert left == {"src/a.py": "b", "secrets/k": "k\n"}
    assert "write denied: the rule --deny write:secrets/**" in [event.data["text"] for event in ran.events("note")]
    tried = [event.data["name"] for event in ran.events("attempt.started")]
    assert tried == ["write"], "what is denied is no attempt"


@pytest.mark.parametrize("policy", [ruled(), ruled(("ask", "write")), ruled(write=["src/**"])])
async def test_what_is_no_text_is_told_and_ends_nothing(policy: Policy) -> None:
    turn, ran, _ = await called(("write", {"path": "\ud800", "content": "x"}), policy=policy)
    assert ran.result.kind == "completed", ran.result.reason
    assert told(turn) == [(True, "not called: the arguments are no text: there is half of a character in them")]


@pytest.mark.parametrize("through", ["compose", "call_tool"])
async def test_a_tool_that_calls_others_gets_no_further_than_they_do(through: str) -> None:
    from antiphon.subagents.tools.choosing import REACHING

    policy = ruled(("deny", "write:secrets/**"), ("deny", "fetch"))
    tools = {**TOOLS, **REACHING}
    inner = {"name": "write", "arguments": {"path": "secrets/k", "content": "mine"}}
    other = {"name": "fetch", "arguments": {"url": "x"}}
    turn, _, left = await called((through, inner), (through, other), policy=policy, tools=tools)
    assert [text.partition(":")[0] for _, text in told(turn)] == ["denied", "denied"]
    assert left["secrets/k"] == "k\n"


@pytest.mark.parametrize("link", ["s", "..s"])
async def test_a_link_is_ruled_by_where_it_leads(link: str) -> None:
    @function_tool(name="run", traits=Traits(cost="process", works=True))
    def links(ctx: CallContext) -> str:
        """Makes links, as a command may."""
        (workspace_of(ctx).root / link).symlink_to("secrets")
        (workspace_of(ctx).root / "src/out").symlink_to("/etc")
        return "linked"

    tools = {**TOOLS, "run": links}
    names = (f"{link}/k", link, "src/out/passwd", "src/a.py", "\ud800", "a\0")
    calls: list[Wanted] = [("run", {}), *(("read", {"path": name}) for name in names)]
    turn, _, _ = await called(*calls, policy=ruled(("deny", "read:secrets/**")), tools=tools)
    said = [text.partition(":")[0] for _, text in told(turn)]
    assert said[1:6] == ["denied", "denied", "read src/out/passwd", "read src/a.py", "not called"]
    turn, _, _ = await called(*calls, policy=ruled(read=["src/**", link]), tools=tools)
    assert [text.partition(":")[0] for _, text in told(turn)][1:3] == ["denied", "denied"]


async def test_what_a_program_writes_outside_of_the_scope_is_undone_and_told() -> None:
    policy = ruled(write=["src/**"])
    calls: list[Wanted] = [("run", {"command": "touch README"}), ("run", {"command": "touch src/new"})]
    turn, ran, left = await called(*calls, policy=policy)
    (first_failed, first), second = told(turn)
    assert not first_failed, "the program itself did what it does"
    assert first.startswith("denied: it changed README, which it may not; all files are again what they were")
    assert first.endswith("exit 0")
    assert second == (False, "exit 0")
    assert sorted(left) == ["secrets/k", "src/a.py", "src/new"]
    assert any("it changed README" in str(event.data["text"]) for event in ran.events("note"))


async def test_what_a_program_wrote_before_it_was_cut_off_is_undone_as_well() -> None:
    @function_tool(name="run", traits=Traits(cost="process", works=True))
    async def slow(ctx: CallContext) -> str:
        """Writes, and then takes for ever."""
        (workspace_of(ctx).root / "README").write_text("")
        (workspace_of(ctx).root / "src/a.py").write_text("changed")
        written.set()
        await anyio.sleep_forever()
        return ""

    seen: list[str] = []
    written = anyio.Event()

    @function_agent("coder")
    async def coder(task: str, ctx: CallContext) -> int:
        """Is cut off."""
        async with temporary_workspace({"src/a.py": "a\n"}) as workspace:
            ctx.workspace = workspace
            box = Toolbox(ctx, {"run": slow}, policy=ruled(write=["src/**"]))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call_tools, [ToolCall("c", "run", "{}")], 1, box)
                await written.wait()
                tasks.cancel_scope.cancel()
            seen.extend([(workspace.root / "src/a.py").read_text(), str((workspace.root / "README").exists())])
        return 0

    async def main() -> Any:
        return await agent("work", role="coder")

    ran = await memory_run(main, performers=performers_of(coder))
    assert seen == ["a\n", "False"]
    assert any("it changed README" in str(event.data["text"]) for event in ran.events("note"))


async def test_a_turn_that_changed_files_has_their_state_and_one_that_looked_has_none() -> None:
    turn, _, _ = await called(("read", {"path": "src/a.py"}))
    assert turn is not None
    assert turn.tree == ""
    assert "tree" not in turn.to_json()
    turn, _, _ = await called(("write", {"path": "b", "content": "b"}), ("read", {}))
    assert turn is not None
    assert len(turn.tree) == 40
    assert turn.to_json()["tree"] == turn.tree


async def test_calls_that_change_files_run_alone_in_their_place_and_those_that_look_together() -> None:
    order: list[str] = []
    both = anyio.Event()

    @function_tool(name="look", traits=Traits(paths=("path",), works=True))
    async def look(path: str) -> str:
        """Waits for the other that looks."""
        order.append(f"look {path}")
        if sum(one.startswith("look") for one in order) % 2 == 0:
            both.set()
        await both.wait()
        return path

    @function_tool(name="change", traits=WRITES)
    async def change(path: str) -> str:
        """Takes a while."""
        nonlocal both
        order.append(f"begin {path}")
        await anyio.lowlevel.checkpoint()
        order.append(f"end {path}")
        both = anyio.Event()
        return path

    wanted: list[Wanted] = [("change", {"path": "1"}), ("look", {"path": "2"}), ("look", {"path": "3"})]
    more: list[Wanted] = [("change", {"path": "4"}), ("change", {"path": "5"}), ("look", {"path": "6"})]
    turn, _, _ = await called(*wanted, *more, ("look", {"path": "7"}), tools={"look": look, "change": change})
    assert [text for _, text in told(turn)] == list("1234567")
    assert order[:2] == ["begin 1", "end 1"]
    assert sorted(order[2:4]) == ["look 2", "look 3"]
    assert order[4:8] == ["begin 4", "end 4", "begin 5", "end 5"]
    assert sorted(order[8:]) == ["look 6", "look 7"]


# --- asking -----------------------------------------------------------------------------------------------------------


class Pending(dict[str, str]):
    """Open questions, with an event for each that is asked and each that is settled."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = anyio.Event()

    def __setitem__(self, place: str, question: str) -> None:
        """A question is asked."""
        super().__setitem__(place, question)
        self._tell()

    def __delitem__(self, place: str) -> None:
        """It is settled."""
        super().__delitem__(place)
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


def answering(*answers: str) -> tuple[list[tuple[str, str]], Callable[[Run], Any]]:
    """Somebody who answers what the run asks: ``yes``, ``no`` or ``always``; and the questions, with their places."""
    questions: list[tuple[str, str]] = []

    async def beside(run: Run) -> None:
        run.is_attended, run.pending = True, (pending := Pending())
        for answer in answers:
            await pending.changed.wait()
            [(place, question)] = pending.items()
            questions.append((place, question))
            if answer == "always":
                consent_in(run).always(place)
            settled = pending.changed
            run.give_answer(place, answer != "no")
            await settled.wait()

    return questions, beside


async def test_a_person_is_asked_with_all_that_would_be_done_and_may_say_no() -> None:
    questions, beside = answering("yes", "no")
    calls: list[Wanted] = [("write", {"path": "src/a.py", "content": "b\n"}), ("run", {"command": "touch x\ny"})]
    turn, ran, left = await called(*calls, policy=ruled(("ask", "write"), ("ask", "run")), beside=beside)
    assert told(turn) == [(False, "written"), (True, "denied: the person who was asked said no")]
    assert left["src/a.py"] == "b\n"
    (place, first), (_, second) = questions
    assert place == "main/0#4"
    assert first.split("\n") == [
        "may coder at main/0 write src/a.py?",
        "asked because of: the rule --ask write",
        *["--- a/src/a.py", "+++ b/src/a.py", "@@ -1 +1 @@", "-a", "+b"],
    ]
    assert second.split("\n")[0] == "may coder at main/0 run touch x y?"
    assert "  command: touch x\n    y" in second
    decided = [event.data["value"] for event in ran.events("decision")]
    assert decided == [{"tool": "write", "answer": "yes"}, {"tool": "run", "answer": "no"}]


@pytest.mark.parametrize("path", ["a/../../k", "/etc/x", "a\0b", "x" * 5_000, "", "\udc80"])
async def test_any_path_can_be_asked_about(path: str) -> None:
    questions, beside = answering("no", "no")
    calls: list[Wanted] = [("write", {"path": path, "content": "b"}), ("read", {"path": path})]
    turn, ran, _ = await called(*calls, policy=ruled(("ask", "write"), ("ask", "read")), beside=beside)
    assert ran.result.kind == "completed", ran.result.reason
    assert [failed for failed, _ in told(turn)] == [True, True]
    assert "\0" not in questions[0][1]


@pytest.mark.parametrize(
    ("arguments", "beside"),
    [
        ({"path": "a", "content": "b"}, {}),
        ({"path": "a", "old": "b", "new": "c", "all": True}, {"all": True}),
        ({"path": "a", "old_text": "b", "new_text": "c", "content": "hidden"}, {"content": "hidden"}),
        ({"patch": "--- a\n", "path": "b", "content": "hidden"}, {"path": "b", "content": "hidden"}),
        ({"path": "a", "old": "b", "new": "c", "old_string": "hidden"}, {"old_string": "hidden"}),
    ],
)
def test_what_is_not_in_the_diff_is_shown_beside_it(arguments: dict[str, Any], beside: dict[str, Any]) -> None:
    assert diff_of(arguments)
    assert besides_diff(arguments) == beside


async def test_always_is_for_this_tool_and_no_other() -> None:
    questions, beside = answering("always", "yes")
    calls: list[Wanted] = [("fetch", {"url": str(number)}) for number in range(3)]
    turn, _, _ = await called(*calls, ("run", {"command": "touch z"}), policy=ruled(("ask", "run")), beside=beside)
    assert [failed for failed, _ in told(turn)] == [False] * 4
    assert [question.split("\n")[0] for _, question in questions] == [
        "may coder at main/0 fetch?",
        "may coder at main/0 run touch z?",
    ]


async def test_without_a_person_the_run_pauses_and_an_answer_lets_it_go_on_at_that_very_call() -> None:
    calls: list[Wanted] = [("read", {}), ("run", {"command": "touch z"}), ("fetch", {"url": "x"})]
    policy = ruled(("ask", "run"))
    turn, paused, _ = await called(*calls, policy=policy)
    assert turn is None
    assert (paused.result.kind, paused.result.pause, paused.result.exit_code) == ("paused", "approval", 4)
    assert paused.result.reason == "waiting for an answer: may coder at main/0 run touch z?"
    assert list(paused.result.pending) == ["main/0#4"]

    yes = Settings(answers={"main/0#4": True})
    turn, again, left = await called(*calls, policy=policy, settings=yes, history=paused.events())
    assert turn is None, "the next question is another"
    assert list(again.result.pending) == ["main/0#4.2"]
    assert "z" in left

    all_yes = Settings(answers={"main/0#4.2": True})
    turn, done, _ = await called(*calls, policy=policy, settings=all_yes, history=again.events())
    assert [failed for failed, _ in told(turn)] == [False, False, False]
    assert done.result.kind == "completed"


async def test_an_answer_is_recorded_and_not_asked_for_again_after_a_kill_at_any_event() -> None:
    policy = ruled(("ask", "run"))
    call: Wanted = ("run", {"command": "touch z"})
    _, beside = answering("no")
    _, whole, _ = await called(call, policy=policy, beside=beside)
    events = whole.events()
    decided = next(place for place, event in enumerate(events) if event.kind == "decision") + 1
    for cut in range(decided, len(events)):
        turn, again, _ = await called(call, policy=policy, history=events[:cut])
        assert again.result.kind == "completed", cut
        if turn is not None:
            assert told(turn) == [(True, "denied: the person who was asked said no")]


async def test_an_answer_to_other_arguments_is_no_answer_to_these() -> None:
    policy = ruled(("ask", "run"))
    _, beside = answering("yes")
    _, whole, _ = await called(("run", {"command": "touch z"}), policy=policy, beside=beside)
    cut = [event for event in whole.events() if event.kind in ("run.opened", "run.started", "call.started", "decision")]
    turn, again, left = await called(("run", {"command": "touch y"}), policy=policy, history=cut)
    assert (turn, again.result.kind, "y" in left) == (None, "paused", False)


def test_a_rule_reads_back_what_it_wrote() -> None:
    rule = Rule(tool="edit", mode="ask", paths=("a", "b"), source="x")
    assert rule.to_json() == {"tool": "edit", "mode": "ask", "paths": ["a", "b"], "source": "x"}


async def test_a_snippet_of_run_code_is_held_to_the_same_policy_and_questions() -> None:
    from antiphon.subagents.tools.commands import run_code

    code = (
        "tools.write(path='src/b', content='b')\n"
        "try:\n    tools.write(path='secrets/k', content='mine')\nexcept Exception as error:\n    print(error)\n"
        "print(tools.fetch(url='x'))\n"
    )
    questions, beside = answering("yes")
    tools = {**TOOLS, "run_code": run_code}
    policy = ruled(("deny", "write:secrets/**"))
    turn, ran, left = await called(
        ("run_code", {"code": code}), policy=policy, tools=tools, beside=beside, sandbox=choose
    )
    [(failed, text)] = told(turn)
    assert not failed, text
    assert "denied: the rule --deny write:secrets/**" in text
    assert "fetched x" in text
    assert [place for place, _ in questions] == ["main/0#4"]
    assert (left["src/b"], left["secrets/k"]) == ("b", "k\n")
    assert turn is not None
    assert turn.tree
    assert ran.run.acts == {}
