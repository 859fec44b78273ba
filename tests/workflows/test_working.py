"""Calls that work in workspaces: what each sees, leaves and replays; who may work where at once; the built-in steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import AgentFailure, CallContext
from antiphon.engine.script.api import agent, branch, parallel, step
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import function_agent
from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.testing.workspaces import write_files
from antiphon.subagents.workspace import Base, RunWorkspaces, workspace_of
from antiphon.tracing.log import Event
from antiphon.workflows.steps import Steps, step_function
from antiphon.workflows.working import STEPS

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PROJECT = {"a.txt": "a\n", "b.txt": "b\n"}


@function_agent("writer")
async def writer(task: str, ctx: CallContext) -> str:
    """Writes ``name=content``, and says what the folder held before."""
    root = workspace_of(ctx).root
    before = {file.name: file.read_text() for file in sorted(root.iterdir()) if file.suffix == ".txt"}
    name, _, content = task.partition("=")
    (root / name).write_text(content)
    if content == "fail":
        raise AgentFailure("it could not")
    return " ".join(f"{file}:{text.strip()}" for file, text in before.items())


@function_agent("reader")
async def reader(task: str, ctx: CallContext) -> list[str]:
    return sorted(file.name for file in workspace_of(ctx).root.iterdir() if file.suffix)


@step_function("count")
async def count(workspace: str, ctx: CallContext) -> int:
    return len([file for file in workspace_of(ctx).root.iterdir() if file.suffix])


@dataclass
class Ground:
    """What one test runs on: a project, and the directory of one run, of which every `run` is an attempt."""

    project: Path
    place: Path
    base: Base | None = None
    patches: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    async def run(self, main: Callable[[], Awaitable[Any]], history: Iterable[Event] = ()) -> MemoryRun:
        workspaces = RunWorkspaces(self.place, "a-test", self.project, sandbox=Unconfined, base=self.base)
        async with workspaces:
            ran = await memory_run(
                main,
                performers={
                    "agent": Agents({"writer": writer, "reader": reader}, workspaces=workspaces),
                    "step": Steps({**STEPS, "count": count}, workspaces),
                },
                host={"left": workspaces.replayed},
                history=history,
            )
            self.base = await workspaces.open_base()
            found = await workspaces.patches()
            self.patches = {patch.name: [change.path for change in patch.files] for patch in found}
        return ran


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project, place = tmp_path / "project", tmp_path / "run"
    project.mkdir()
    place.mkdir()
    write_files(project, PROJECT)
    return Ground(project, place)


def write(text: str, workspace: str) -> Awaitable[str]:
    return agent(text, role="writer", workspace=workspace)


async def test_calls_of_one_name_go_on_in_each_others_files_and_other_names_do_not(here: Ground) -> None:
    async def main() -> object:
        return [await write("a.txt=1", "one"), await write("b.txt=2", "one"), await write("c.txt=3", "two")]

    ran = await here.run(main)
    assert ran.value == ["a.txt:a b.txt:b", "a.txt:1 b.txt:b", "a.txt:a b.txt:b"]
    assert here.patches == {"one": ["a.txt", "b.txt"], "two": ["c.txt"]}


async def test_a_replayed_call_leaves_its_files_for_the_next_that_is_performed(here: Ground) -> None:
    async def first() -> object:
        return [await write("a.txt=1", "one")]

    async def longer() -> object:
        return [await write("a.txt=1", "one"), await write("b.txt=2", "one")]

    history = (await here.run(first)).events()
    again = await here.run(longer, history)
    assert again.result.reuse.reused == 1
    assert again.value[1] == "a.txt:1 b.txt:b"


async def test_what_follows_an_edit_in_the_same_workspace_is_performed_again(here: Ground) -> None:
    def script(content: str) -> Callable[[], Awaitable[object]]:
        async def main() -> object:
            await write(f"a.txt={content}", "one")
            return [await write("b.txt=2", "one"), await write("c.txt=3", "two")]

        return main

    history = (await here.run(script("1"))).events()
    again = await here.run(script("other"), history)
    assert again.value[0] == "a.txt:other b.txt:b"
    assert (again.result.reuse.reused, again.result.reuse.performed) == (1, 2)


async def test_a_call_that_failed_leaves_its_changes_and_restore_goes_back(here: Ground) -> None:
    async def main() -> object:
        await write("a.txt=good", "one")
        good = await step("tree", {"workspace": "one"})
        await branch("try", write("a.txt=fail", "one"))
        after = await write("b.txt=x", "one")
        await step("restore", {"workspace": "one", "tree": good})
        await step("restore", {"workspace": "fork", "tree": good})
        return [after, await write("b.txt=y", "one"), await write("b.txt=z", "fork")]

    ran = await here.run(main)
    assert ran.value == ["a.txt:fail b.txt:b", "a.txt:good b.txt:b", "a.txt:good b.txt:b"]
    again = await here.run(main, ran.events())
    assert (again.value, again.result.reuse.performed) == (ran.value, 0)


async def test_two_that_write_at_once_are_refused_with_what_to_do_and_readers_are_not(here: Ground) -> None:
    async def writing() -> object:
        found = await parallel([write("a.txt=1", "one"), write("b.txt=2", "one")])
        return [outcome.reason for outcome in found if not outcome.ok]

    async def reading() -> object:
        found = await parallel(agent(f"{number}", role="reader", workspace="read") for number in range(5))
        return found.succeeded()

    [why] = (await here.run(writing)).value
    assert "'one'" in why
    assert "name" in why
    assert (await here.run(reading)).value == [["a.txt", "b.txt"]] * 5


async def test_what_is_read_can_be_changed_by_nobody(here: Ground) -> None:
    async def main() -> object:
        outcome = await branch("r", step("restore", {"workspace": "read", "tree": "0" * 40}))
        return [outcome.ok, await agent("", role="reader", workspace="read")]

    assert (await here.run(main)).value == [False, ["a.txt", "b.txt"]]


async def test_a_step_sees_the_state_of_its_workspace_and_is_performed_again_when_that_is_another(here: Ground) -> None:
    def script(content: str) -> Callable[[], Awaitable[object]]:
        async def main() -> object:
            await write(content, "one")
            return [await step("count", {"workspace": "one"}), await step("count", {"workspace": "two"})]

        return main

    ran = await here.run(script("a.txt=1"))
    assert ran.value == [2, 2]
    assert (await here.run(script("c.txt=1"), ran.events())).value == [3, 2]


@pytest.mark.parametrize("sources", [["one", "two"], ["two", "one"]], ids=["one-two", "two-one"])
async def test_merge_is_the_union_of_what_others_changed_in_any_order(here: Ground, sources: list[str]) -> None:
    async def main() -> object:
        await write("a.txt=1\n", "one")
        await write("c.txt=3\n", "two")
        merged = await step("merge", {"workspace": "all", "sources": sources})
        return [merged["conflicts"], await agent("", role="reader", workspace="all"), await write("b.txt=x", "all")]

    assert (await here.run(main)).value == [[], ["a.txt", "b.txt", "c.txt"], "a.txt:1 b.txt:b c.txt:3"]


async def test_merge_keeps_what_the_workspace_itself_has_by_now(here: Ground) -> None:
    async def main() -> object:
        await write("a.txt=1\n", "one")
        start = await step("tree", {"workspace": "one"})
        await step("restore", {"workspace": "fork", "tree": start})
        await write("b.txt=2\n", "two")
        await write("a.txt=again\n", "fork")
        said = [await step("merge", {"workspace": "one", "sources": [name]}) for name in ("two", "fork", "read")]
        said.append(await step("merge", {"workspace": "two", "sources": ["fork"]}))
        return [[one["conflicts"] for one in said], await write("c=", "one"), await write("c=", "two")]

    first = await here.run(main)
    both = "a.txt:again b.txt:2"
    assert first.value == [[[], [], [], []], both, both]
    again = await here.run(main, first.events())
    assert (again.value, again.result.reuse.performed) == (first.value, 0)


async def test_merge_takes_what_was_gone_back_on_for_no_common_past(here: Ground) -> None:
    async def main() -> object:
        base = await step("tree", {"workspace": "one"})
        await write("a.txt=1\n", "one")
        start = await step("tree", {"workspace": "one"})
        await step("restore", {"workspace": "two", "tree": start})
        await step("restore", {"workspace": "two", "tree": base})
        await write("b.txt=2\n", "two")
        merged = await step("merge", {"workspace": "one", "sources": ["two"]})
        return [merged["conflicts"], await write("c=", "one")]

    assert (await here.run(main)).value == [[], "a.txt:1 b.txt:2"]


async def test_what_does_not_go_together_is_said_and_changes_nothing(here: Ground) -> None:
    async def main() -> object:
        await write("a.txt=1\n", "one")
        await write("a.txt=2\n", "two")
        merged = await step("merge", {"workspace": "all", "sources": ["one", "two"]})
        return [len(merged["conflicts"]), await write("b.txt=x", "all")]

    assert (await here.run(main)).value == [1, "a.txt:a b.txt:b"]


async def test_without_workspaces_a_call_that_wants_one_is_refused() -> None:
    async def main() -> object:
        return await write("a.txt=1", "one")

    ran = await memory_run(main, performers={"agent": Agents({"writer": writer})})
    assert ran.result.outcome is not None
    assert "no workspaces" in ran.result.outcome.reason


async def test_the_files_of_a_workspace_are_listed_by_patterns_and_replay(here: Ground) -> None:
    write_files(here.project, {"src/deep/c.py": "c\n", "src/d.md": "d\n", ".gitignore": "*.log\n", "e.log": "e\n"})

    async def main() -> Any:
        every = await step("files", {"workspace": "read"})
        some = await step("files", {"workspace": "read", "match": ["src/**/*.py", "*.txt"]})
        none = await step("files", {"workspace": "read", "match": ["/etc/*", "../**"]})
        return [every, some, none]

    ran = await here.run(main)
    every, some, none = ran.value
    assert every == [".gitignore", "a.txt", "b.txt", "src/d.md", "src/deep/c.py"]
    assert (some, none) == (["a.txt", "b.txt", "src/deep/c.py"], [])
    again = await here.run(main, ran.events())
    assert (again.value, again.result.reuse.performed) == (ran.value, 0)
