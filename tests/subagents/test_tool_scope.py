"""Tools that look into folders under `scope.read`: they may, and tell of nothing that is outside of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import memory_run
from antiphon.subagents.function import function_agent
from antiphon.subagents.ignore_patterns import Patterns
from antiphon.subagents.loop.calling import call_tools
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.model.contract import ToolCall
from antiphon.subagents.testing import performers_of
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools.code import code_tools
from antiphon.subagents.tools.contract import Tool, Traits
from antiphon.subagents.tools.files import file_tools
from antiphon.subagents.tools.git import git_tools
from antiphon.subagents.tools.policy import Policy, Scope
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.subagents.workspace.environment import Environment
from antiphon.tracing import Json

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

FILES: Mapping[str, str] = {
    "a.py": "from hidden.vault import opened\n\nword = opened()\n",
    "src/b.py": "word = 2\n\n\ndef shown() -> int:\n    return word\n",
    "src/deep/c.txt": "word c\n",
    "hidden/vault.py": "def opened() -> int:\n    '''The marrow.'''\n    return word\n",
    "hidden/key.pem": "word key\n",
    "README.md": "word readme\n",
}
LINKS: Mapping[str, str] = {
    "to_key.py": "hidden/key.pem",
    "to_b.py": "hidden/../src/b.py",
    "to_hidden.py": "hidden",
    "out.py": "/etc/passwd",
    "gone.py": "hidden/gone",
}

TOOLS: Mapping[str, Tool] = {
    tool.spec.name: tool for tool in (*file_tools(), *git_tools(), *code_tools(Environment(project=Path("/"))))
}
Wanted = tuple[str, dict[str, Any]]
LOOKS: Sequence[Wanted] = (
    ("grep", {"pattern": "word"}),
    ("grep", {"pattern": "word", "files_only": True, "ignored": True}),
    ("glob", {"pattern": "**"}),
    ("glob", {"pattern": "*", "ignored": True}),
    ("list", {}),
    ("list", {"path": "hidden"}),
    ("list", {"path": "src"}),
    ("grep", {"pattern": "word", "path": "hidden"}),
    ("glob", {"pattern": "*", "path": "to_hidden.py"}),
    ("grep", {"pattern": "word", "path": "to_key.py"}),
    ("read", {"path": "to_key.py"}),
    ("read", {"path": "src/key.pem"}),
    ("read", {"path": "vault.py"}),
    ("symbols", {"name": "opened"}),
    ("git_diff", {}),
    ("git_status", {}),
)


async def told(scopes: Sequence[Scope], calls: Sequence[Wanted]) -> list[tuple[bool, str]]:
    """What tools answer under some scopes, in a workspace in which everything was changed."""
    answers: list[tuple[bool, str]] = []
    policy = Policy()
    for scope in scopes:
        policy = policy.within(scope)

    @function_agent("coder")
    async def coder(task: str, ctx: CallContext) -> int:
        """Calls tools."""
        async with temporary_workspace(dict.fromkeys(FILES, "before\n")) as workspace:
            _fill(workspace.root)
            ctx.workspace = workspace
            asked = [ToolCall(f"c{place}", name, json.dumps(said)) for place, (name, said) in enumerate(calls)]
            turn = await call_tools(asked, len(asked), Toolbox(ctx, TOOLS, policy=policy))
            answers.extend((one.failed, one.text) for one in turn.results)
            assert workspace_of(ctx) is workspace
        return len(calls)

    async def main() -> Any:
        return await agent("work", role="coder")

    ran = await memory_run(main, performers=performers_of(coder))
    assert ran.result.kind == "completed", ran.result.reason
    return answers


def _fill(root: Path) -> None:
    for name, content in FILES.items():
        (root / name).write_text(content)
    for name, end in LINKS.items():
        (root / name).symlink_to(end)


def names_outside(scopes: Sequence[Scope]) -> set[str]:
    """The paths of files that not every scope lets be read."""
    return {name for name in FILES if not all(scope.shows(name) for scope in scopes)}


PYTHON = Scope(read=("**/*.py",))


@pytest.mark.parametrize(
    "scopes",
    [
        [PYTHON],
        [Scope(read=("src/**",))],
        [Scope(read=("*.md", "/a.py"))],
        [Scope(read=("**", "!hidden/**"))],
        [PYTHON, Scope(read=("src/**",))],
        [Scope(read=("**",)), Scope(read=("**/*.py", "!hidden/**"))],
        [Scope(read=("nothing/**",))],
        [Scope(read=())],
    ],
    ids=str,
)
async def test_no_path_outside_of_the_scopes_is_in_any_answer(scopes: Sequence[Scope]) -> None:
    answers = await told(scopes, LOOKS)
    outside = names_outside(scopes)
    secrets = ["word key", "/etc/passwd", "hidden/..", "hidden/gone", *(["marrow"] * ("hidden/vault.py" in outside))]
    for (name, said), (_, text) in zip(LOOKS, answers, strict=True):
        body = text.removeprefix("denied: ").replace(str(said.get("path")), "")
        rows = {row.split(":")[0].strip().split("  ")[0] for row in body.splitlines()}
        strays = {one for one in outside if one in body or os.path.basename(one) in rows}
        assert not strays, (name, said, text)
        assert not any(secret in text for secret in secrets), (name, said, text)


@pytest.mark.parametrize(
    ("read", "allowed"),
    [
        (["**/*.py"], {".", "src", "hidden", "src/deep"}),
        (["*.py"], {".", "src", "hidden", "src/deep"}),
        (["src/**"], {".", "src", "src/deep"}),
        (["/src/*.py"], {".", "src"}),
        (["src/b.py"], {".", "src"}),
        (["**", "!hidden/**"], {".", "src", "src/deep"}),
        (["**/*.py", "!src/deep/**"], {".", "src", "hidden"}),
        (["nothing/**"], {"."}),
        ([], set[str]()),
    ],
    ids=lambda one: " ".join(sorted(one)) or "nothing",
)
@pytest.mark.parametrize("tool", ["grep", "glob", "list", "symbols", "git_diff"])
def test_a_folder_that_may_hold_something_in_scope_may_be_looked_into(
    tool: str, read: list[str], allowed: set[str]
) -> None:
    policy = Policy(scopes=(Scope(read=tuple(read)),))

    def let(path: str) -> bool:
        said: dict[str, Json] = {"path": path, "paths": [path]}
        return policy.ruling(TOOLS[tool], said, lambda one: True).mode == "auto"

    assert {path for path in (".", "src", "hidden", "src/deep") if let(path)} == allowed
    assert not any(let(path) for path in ("..", "/etc", "../src"))


def test_a_tool_that_does_not_narrow_itself_is_denied_such_a_folder() -> None:
    policy = Policy(scopes=(PYTHON,))
    for name in ("git_log", "git_blame", "references"):
        why = policy.ruling(TOOLS[name], {"path": "."}, lambda one: True).why
        assert why.endswith(". is not in scope.read (**/*.py)"), name
    assert policy.ruling(TOOLS["grep"], {"path": "README.md"}, lambda one: False).mode == "deny"


async def test_what_is_in_scope_is_found_and_what_is_left_out_is_counted() -> None:
    grep, glob, listed, hidden = await told(
        [PYTHON],
        [
            ("grep", {"pattern": "word"}),
            ("glob", {"pattern": "*.*"}),
            ("list", {}),
            ("list", {"path": "hidden"}),
        ],
    )
    # Not shown: README.md, c.txt, key.pem, and the links to a key, to nothing, out of it.
    assert {"a.py", "src/b.py", "hidden/vault.py"} <= set(grep[1].splitlines())
    assert "names that scope.read leaves out" in grep[1]
    assert glob[1].splitlines()[:-1] == ["a.py", "hidden/vault.py", "src/b.py", "to_b.py", "to_hidden.py"]
    assert glob[1].endswith("(not looked at: 6 names that scope.read leaves out)")
    rows = listed[1].splitlines()
    assert [row.split("  ")[0] for row in rows[:-1]] == [
        "a.py",
        "hidden/",
        "src/",
        "to_b.py -> src/b.py",
        "to_hidden.py -> hidden",
    ]
    assert rows[-1] == "(not shown: 4 names that scope.read leaves out)"
    assert hidden[1].endswith("\n(not shown: 1 names that scope.read leaves out)")
    assert hidden[1].startswith("vault.py")


async def test_changes_are_shown_as_far_as_they_are_in_scope() -> None:
    whole, folder, status = await told(
        [Scope(read=("src/*.py",))], [("git_diff", {}), ("git_diff", {"paths": ["src"]}), ("git_status", {})]
    )
    for failed, text in (whole, folder):
        assert not failed
        assert [row for row in text.splitlines() if row.startswith("diff ")] == ["diff --git a/src/b.py b/src/b.py"]
    assert whole[1].endswith("(not shown: 10 names that scope.read leaves out)")
    assert folder[1].endswith("(not shown: 1 names that scope.read leaves out)")
    assert "changed: src/b.py" in status[1]
    assert status[1].endswith("(not shown: 10 names that scope.read leaves out)")


async def test_a_file_that_became_a_folder_brings_nothing_of_it_along() -> None:
    diff: list[str] = []

    @function_agent("coder")
    async def coder(task: str, ctx: CallContext) -> int:
        """Makes a folder of a file."""
        async with temporary_workspace({"a.py": "a\n", "b.py": "b\n"}) as workspace:
            (workspace.root / "a.py").unlink()
            (workspace.root / "a.py").mkdir()
            (workspace.root / "a.py/key").write_text("secret\n")
            ctx.workspace = workspace
            box = Toolbox(ctx, TOOLS, policy=Policy(scopes=(Scope(read=("*.py", "!*.py/**")),)))
            turn = await call_tools([ToolCall("c", "git_diff", "{}")], 1, box)
            diff.extend(one.text for one in turn.results)
        return 0

    async def main() -> Any:
        return await agent("work", role="coder")

    await memory_run(main, performers=performers_of(coder))
    assert diff == ["nothing that may be seen differs\n(not shown: 2 names that scope.read leaves out)"]


async def test_imports_lead_a_question_on_code_to_nothing_outside_of_the_scope() -> None:
    place = {"path": "a.py", "line": 1, "name": "opened"}
    calls: list[Wanted] = [
        ("symbols", place),
        ("references", place),
        ("complete", {"path": "a.py", "line": 3, "text": "import hidden.vault; hidden.vault.op"}),
    ]
    for failed, text in await told([Scope(read=("/a.py", "src/**"))], calls):
        assert not failed
        assert "vault.py" not in text
        assert "marrow" not in text
    definition, references, complete = await told([PYTHON], calls)
    assert "hidden/vault.py:1" in definition[1], "the same, where it may be seen"
    assert "hidden/vault.py:1" in references[1]
    assert "opened" in complete[1]


def test_which_tools_narrow_themselves() -> None:
    narrow = {name for name, tool in TOOLS.items() if tool.traits.narrows}
    assert narrow == {"grep", "glob", "list", "symbols", "git_diff"}
    assert all(TOOLS[name].traits.cost == "read" for name in narrow)
    assert not Traits().narrows
    assert shutil.which("git"), "without it nothing here would have been asked"


SEGMENT = st.sampled_from(["a", "b", "*", "**", "a*", "?", "[ab]"])
PATTERN = st.tuples(
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "/", "/**"]),
).map("".join)
PATH = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4)


@given(st.lists(PATTERN, min_size=1, max_size=4), PATH)
def test_every_folder_around_a_file_that_is_meant_may_hold_it(patterns: list[str], path: list[str]) -> None:
    read = Patterns.of(patterns)
    if read.means("/".join(path)):
        assert all(read.may_mean_in("/".join(path[:end])) for end in range(len(path)))
