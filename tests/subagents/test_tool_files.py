"""The tools that look at files and change them, as a model calls them: in a workspace, in the sandbox."""

from __future__ import annotations

import os
import re
import shutil
import stat
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread
import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.sandbox import choose
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, changes
from antiphon.subagents.tools.files import file_tools
from antiphon.subagents.tools.files.finding import PathPattern
from antiphon.subagents.tools.files.searching import grep_tool
from antiphon.subagents.tools.files.working import between_files, in_thread
from antiphon.subagents.tools.paging import MOST_CHARACTERS, one_line, page, visible
from antiphon.subagents.workspace.contract import Workspace

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

Calls = Sequence[tuple[str, dict[str, Any]]]
TOOLS = {tool.spec.name: tool for tool in file_tools()}


async def use(workspace: Workspace, *calls: tuple[str, dict[str, Any]], tools: Mapping[str, Tool] = TOOLS) -> list[str]:
    """What tools answer, one call after the other; with ``refused:`` or ``failed:`` before it where that is so."""
    said: list[str] = []

    async def answer(_: object, ctx: CallContext) -> None:
        ctx.workspace = workspace
        for name, arguments in calls:
            try:
                result = await tools[name](arguments, ctx)
            except Misfit as misfit:
                result = ToolResult(f"refused: {misfit}")
            said.append(f"failed: {result.text}" if result.failed else result.text)

    async def main() -> None:
        await agent("a")

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    assert ran.result.kind == "completed", ran.result.reason
    return said


async def ask(files: Mapping[str, str | bytes], *calls: tuple[str, dict[str, Any]], writable: bool = True) -> list[str]:
    async with temporary_workspace(files, sandbox=choose, writable=writable) as workspace:
        return await use(workspace, *calls)


SMALL: dict[str, str | bytes] = {
    "src/a.py": "def f(x):\n    return x\n\n\ndef g():\n    return f(1)\n",
    "README.md": "# Title\n",
    "b.txt": b"b\0c",
}


def test_names_and_costs_are_what_roles_and_policies_rely_on() -> None:
    assert list(TOOLS) == ["read", "list", "glob", "grep", "edit", "write", "apply_patch"]
    assert [name for name, tool in TOOLS.items() if changes(tool)] == ["edit", "write", "apply_patch"]
    assert all(tool.traits.works for tool in TOOLS.values())
    assert all(len(tool.spec.description) < 600 for tool in TOOLS.values()), "short, for a model"


async def test_read_shows_lines_with_numbers_and_how_to_go_on() -> None:
    long = "".join(f"line {number}\n" for number in range(1, 1_001))
    first, second, last, beyond = await ask(
        {"long": long},
        ("read", {"path": "long", "limit": 2}),
        ("read", {"path": "long", "offset": 3, "limit": 1}),
        ("read", {"path": "long", "offset": 1_000}),
        ("read", {"path": "long", "offset": 1_001}),
    )
    head = "long: 1,000 lines, 8,893 bytes\n"
    assert first == f"{head}     1\tline 1\n     2\tline 2\n… 998 more lines; call again with offset=3"
    assert second == f"{head}     3\tline 3\n… 997 more lines; call again with offset=4"
    assert last == f"{head}  1000\tline 1000"
    assert beyond == f"{head}(the file has only 1,000 lines)"


KINDS = [
    (b"", "0 lines, 0 bytes\n(empty)"),
    (b"one", "1 line, 3 bytes, no newline at the end\n     1\tone"),
    (b"a\r\nb\r\n", "2 lines, 6 bytes, CRLF line ends\n     1\ta\n     2\tb"),
    (b"\xef\xbb\xbfa\n", "1 line, 5 bytes, utf-8 with a byte order mark\n     1\ta"),
    ("héllo\n".encode("utf-16"), "utf-16-le with a byte order mark\n     1\théllo"),
    ("# coding: latin-1\né\n".encode("latin-1"), "iso8859-1\n     1\t# coding: latin-1\n     2\té"),
    (
        b"a\nb\xffc\n",
        "not valid utf-8 (first in line 2; such bytes are shown as \\udcXX)\n     1\ta\n     2\tb\\udcffc",
    ),
    (b"\x1b[2J\xe2\x80\xae\n", "\\x1b[2J\\u202e"),
    (b"\x89PNG\r\n\x1a\n\0\0", "it is a PNG image, not text (10 bytes); its content is not shown"),
    (b"a\0b", "it is binary, not text"),
    (b"x" * 3_000, "… (2,000 more characters in this line)"),
]


async def test_read_says_what_a_file_is() -> None:
    files: dict[str, str | bytes] = {str(number): content for number, (content, _) in enumerate(KINDS)}
    answers = await ask(files, *(("read", {"path": path}) for path in files))
    for answer, (_, said) in zip(answers, KINDS, strict=True):
        assert said in answer
        assert "\x1b" not in answer


async def test_read_of_what_is_not_there_names_what_is() -> None:
    answers = await ask(
        SMALL,
        ("read", {"path": "a.py"}),
        ("read", {"path": "src"}),
        ("read", {"path": "../x"}),
        ("read", {"path": "q"}),
    )
    assert answers[0] == "failed: a.py: there is no such file; there is: src/a.py"
    assert answers[1] == "failed: src is a folder; use list or glob"
    assert answers[2].startswith("failed: ../x: `..` is not followed")
    assert answers[3] == "failed: q: there is no such file"


async def test_list_tells_kinds_and_sizes() -> None:
    async with temporary_workspace(SMALL, sandbox=choose) as workspace:
        os.symlink("src", workspace.root / "link")
        (workspace.root / "run.sh").write_text("x")
        (workspace.root / "run.sh").chmod(0o755)
        (top, inner, wrong) = await use(
            workspace, ("list", {}), ("list", {"path": "src"}), ("list", {"path": "README.md"})
        )
    assert top.split("\n") == ["README.md  8", "b.txt  3", "link -> src", "run.sh  1  executable", "src/"]
    assert inner == "a.py  50"
    assert wrong == "failed: README.md: it is no folder"


async def test_glob_leaves_out_what_is_ignored_unless_asked() -> None:
    files = {".gitignore": "*.log\n/out/\n", "a.log": "", "src/b.log": "", "src/c.py": "", "x/out/d.py": "", "e.py": ""}
    async with temporary_workspace(files, sandbox=choose) as workspace:
        (workspace.root / "out").mkdir()
        for name in ("a.log", "out/f.py"):
            (workspace.root / name).write_text("")
        answers = await use(
            workspace,
            ("glob", {"pattern": "**/*.py"}),
            ("glob", {"pattern": "*.log"}),
            ("glob", {"pattern": "*.log", "ignored": True}),
            ("glob", {"pattern": "out/**", "ignored": True}),
            ("glob", {"pattern": "*.{py,log}", "path": "src"}),
            ("glob", {"pattern": "**/config", "ignored": True}),
            ("glob", {"pattern": "*", "path": "nowhere"}),
        )
    assert answers[0] == "e.py\nsrc/c.py\nx/out/d.py"
    assert answers[1] == "no file fits '*.log'; ignored files were left out (ignored=true shows them)"
    assert answers[2] == "a.log"
    assert answers[3] == "out/f.py"
    assert answers[4] == "src/c.py"
    assert answers[5] == "no file fits '**/config'", "the repository's own are never listed"
    assert answers[6] == "failed: nowhere: there is no such file or folder"


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("*.py", ["a.py", "x/y/a.py"], ["a.pyc"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "x/src/a.py"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["a.py"]),
        ("**/test_*", ["test_a", "x/test_b"], ["a/tests"]),
        ("src/", ["src/a", "src/b/c"], ["a/src"]),
        ("{a,b}/*.{c,d}", ["a/x.c", "b/y.d"], ["c/x.c"]),
        ("!x", ["!x"], ["y"]),
        ("#x", ["#x"], ["y"]),
        ("[ab]?.txt", ["ax.txt"], ["cx.txt"]),
    ],
)
def test_patterns_of_paths(pattern: str, fits: list[str], not_: list[str]) -> None:
    found = PathPattern(pattern)
    assert [path for path in fits if not found(path)] == []
    assert [path for path in not_ if found(path)] == []


def test_a_pattern_that_stands_for_too_many_is_refused() -> None:
    with pytest.raises(Misfit, match="more than 64 patterns"):
        PathPattern("{a,b}" * 20)


async def test_grep_shows_matches_by_file_with_their_surroundings() -> None:
    answers = await ask(
        SMALL,
        ("grep", {"pattern": r"return\b"}),
        ("grep", {"pattern": "f(", "literal": True, "glob": "*.py"}),
        ("grep", {"pattern": "TITLE", "ignore_case": True, "path": "README.md"}),
        ("grep", {"pattern": r"^def g", "context": 1}),
        ("grep", {"pattern": "return", "files_only": True}),
        ("grep", {"pattern": "nothing like it"}),
        ("grep", {"pattern": "(a"}),
        ("grep", {"pattern": "a", "path": "../.."}),
    )
    assert answers[0] == "src/a.py\n     2:     return x\n     6:     return f(1)\n(not searched: 1 not text)"
    assert answers[1] == "src/a.py\n     1: def f(x):\n     6:     return f(1)"
    assert answers[2] == "README.md\n     1: # Title"
    assert answers[3].startswith("src/a.py\n     4- \n     5: def g():\n     6-     return f(1)")
    assert answers[4].startswith("src/a.py: 2")
    assert answers[5].startswith("no line matches in 3 files")
    assert answers[6].startswith("refused: pattern is no regular expression: missing )")
    assert answers[7].startswith("failed: ../..: `..` is not followed")


async def test_grep_pages_through_many_matches_and_counts_them_all() -> None:
    files = {f"f{number}": "hit\nmiss\n" * 60 for number in range(4)}
    first, second, third, beyond = await ask(
        files, *[("grep", {"pattern": "hit", "offset": offset}) for offset in (0, 100, 200, 240)]
    )
    assert first.endswith("… 140 more matching lines; call again with offset=100")
    assert second.endswith("… 40 more matching lines; call again with offset=200")
    found = [len(re.findall(": hit", answer)) for answer in (first, second, third)]
    assert found == [100, 100, 40]
    assert beyond == "(there are only 240 matching lines)"


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_pattern_that_never_ends_is_ended() -> None:
    """Twenty seconds in use; three here."""
    files = {"a": "found aaa!\n", "b": "a" * 40 + "!\n"}
    async with temporary_workspace(files, sandbox=choose) as workspace:
        (answer,) = await use(workspace, ("grep", {"pattern": r"^(found|(a+)+$)"}), tools={"grep": grep_tool(3.0)})
    assert "     1: found aaa!" in answer, "what was found before is told"
    assert "(the search did not come to its end: it took longer than 3 s and was ended)" in answer


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_pattern_that_takes_long_to_read_is_read_apart() -> None:
    """A class of all characters in either case, again and again: minutes, wherever it is compiled."""
    pattern = "(?i)" + "[\u0001-\U0010ffff]" * 300
    async with temporary_workspace(SMALL, sandbox=choose) as workspace:
        (answer,) = await use(workspace, ("grep", {"pattern": pattern}), tools={"grep": grep_tool(1.0)})
    assert answer == "failed: the search did not come to its end: it took longer than 1 s and was ended"


async def test_edit_replaces_exactly_what_is_there_once() -> None:
    async with temporary_workspace(SMALL, sandbox=choose) as workspace:
        answers = await use(
            workspace,
            ("edit", {"path": "src/a.py", "old": "return x\n", "new": "return x + 1\n"}),
            ("edit", {"path": "src/a.py", "old": "return", "new": "yield"}),
            ("edit", {"path": "src/a.py", "old": "return", "new": "yield", "all": True}),
            ("edit", {"path": "src/a.py", "old": "def f(x):\n  yield x + 1", "new": ""}),
            ("edit", {"path": "src/a.py", "old": "def h():\n    yield f(1)", "new": ""}),
            ("edit", {"path": "src/a.py", "old": "zzzzzz", "new": ""}),
            ("edit", {"path": "src/a.py", "old": "def", "new": "def"}),
            ("edit", {"path": "b.txt", "old": "b", "new": "c"}),
            ("edit", {"path": "none", "old": "b", "new": "c"}),
        )
        now = (workspace.root / "src/a.py").read_text()
    assert answers[0].startswith(
        "src/a.py: replaced; it is now, around line 2:\n     1\tdef f(x):\n     2\t    return x + 1"
    )
    assert "that text is in it 2 times, so nothing was changed" in answers[1]
    assert "     2\t    return x + 1\n     6\t    return f(1)" in answers[1]
    assert answers[2].startswith("src/a.py: replaced in 2 places;")
    assert "Only the white space differs" in answers[3]
    assert "     2\t    yield x + 1" in answers[3]
    assert "What comes nearest to it:\n" in answers[4]
    assert "     6\t    yield f(1)" in answers[4]
    assert "Nothing in it looks like that" in answers[5]
    assert "are the same" in answers[6]
    assert answers[7] == "failed: b.txt: it is binary, not text"
    assert answers[8] == "failed: none: there is no such file or folder"
    assert now == "def f(x):\n    yield x + 1\n\n\ndef g():\n    yield f(1)\n"


EDITS = [
    (b"a\r\nb\r\nc", "a\nb", "x\ny", b"x\r\ny\r\nc"),
    (b"a\r\nb\r\n", "b", "1\n2", b"a\r\n1\r\n2\r\n"),
    (b"\xef\xbb\xbfa\n", "a", "b", b"\xef\xbb\xbfb\n"),
    ("# coding: latin-1\né\n".encode("latin-1"), "é", "ü", "# coding: latin-1\nü\n".encode("latin-1")),
    ("aé".encode("utf-16"), "é", "ü", "aü".encode("utf-16")),
    (b"a\xffb\n", "b", "c", b"a\xffc\n"),
]


async def test_edit_keeps_line_ends_encoding_and_every_other_byte() -> None:
    files: dict[str, str | bytes] = {str(number): before for number, (before, _, _, _) in enumerate(EDITS)}
    async with temporary_workspace(files, sandbox=choose) as workspace:
        for path, (_, old, new, after) in zip(files, EDITS, strict=True):
            (answer,) = await use(workspace, ("edit", {"path": path, "old": old, "new": new}))
            assert (workspace.root / path).read_bytes() == after, answer


async def test_write_makes_new_files_and_says_what_it_replaced() -> None:
    async with temporary_workspace({**SMALL, "crlf": b"a\r\nb\r\n"}, sandbox=choose) as workspace:
        (workspace.root / "README.md").chmod(0o755)
        answers = await use(
            workspace,
            ("write", {"path": "new/folder/f", "content": "é\n"}),
            ("write", {"path": "README.md", "content": "# Other\n"}),
            ("write", {"path": "README.md", "content": "# Other\n"}),
            ("write", {"path": "crlf", "content": "c\nd\n"}),
            ("write", {"path": "b.txt", "content": "text"}),
            ("write", {"path": ".git/hooks/pre-commit", "content": "x"}),
        )
        assert (workspace.root / "new/folder/f").read_bytes() == "é\n".encode()
        assert (workspace.root / "crlf").read_bytes() == b"c\r\nd\r\n"
        assert stat.S_IMODE((workspace.root / "README.md").stat().st_mode) == 0o755
    assert answers[0] == "new/folder/f: new, 3 bytes, 1 line"
    assert answers[1] == "README.md: replaced 1 line (8 bytes) by 1 line (8 bytes); it begins now:\n     1\t# Other"
    assert answers[2] == "README.md: it holds exactly that already"
    assert "with the CRLF line ends that it had" in answers[3]
    assert answers[4].startswith("b.txt: replaced 3 bytes by 1 line (4 bytes)")
    assert answers[5].startswith("failed: .git/hooks/pre-commit: the repository's own folder (.git) is not opened")


async def test_in_a_workspace_that_may_only_be_read_nothing_is_changed() -> None:
    answers = await ask(
        SMALL,
        ("edit", {"path": "README.md", "old": "Title", "new": "x"}),
        ("write", {"path": "n", "content": ""}),
        ("apply_patch", {"patch": "*** Begin Patch\n*** Delete File: README.md\n*** End Patch"}),
        ("read", {"path": "README.md"}),
        writable=False,
    )
    assert answers[:3] == ["refused: this workspace may only be read"] * 3
    assert answers[3].endswith("# Title")


@pytest.mark.skipif(shutil.which("rg") is None, reason="ripgrep is not installed here")
async def test_with_ripgrep_the_answers_are_the_same() -> None:
    names = {f"d{number % 7}/f{number}.py": f"value = {number}\n" for number in range(600)}
    files: dict[str, str | bytes] = {**names, ".gitignore": "*.log\n"}
    async with temporary_workspace(files, sandbox=choose) as workspace:
        (workspace.root / "d1" / "x.log").write_text("value = 77\n")
        answers = await use(
            workspace,
            ("grep", {"pattern": r"value = (77|599)$"}),
            ("grep", {"pattern": "VALUE = 5", "ignore_case": True, "glob": "f5.py"}),
            ("grep", {"pattern": r"(?<=value = )599"}),
            ("grep", {"pattern": "value = 77", "literal": True, "ignored": True, "path": "d1"}),
        )
    assert answers[0] == "d0/f77.py\n     1: value = 77\nd4/f599.py\n     1: value = 599"
    assert answers[1] == "d5/f5.py\n     1: value = 5"
    assert answers[2] == "d4/f599.py\n     1: value = 599", "what only Python's expressions can say"
    assert answers[3] == "d1/x.log\n     1: value = 77"


async def test_a_cancelled_search_ends_with_its_call() -> None:
    """The whole suite would hang here otherwise: the pattern has no end."""
    async with temporary_workspace({"b": "a" * 60 + "!\n"}, sandbox=choose) as workspace:
        with anyio.move_on_after(0.5) as scope:
            await use(workspace, ("grep", {"pattern": r"^(a+)+$"}))
        assert scope.cancelled_caught


async def test_work_in_a_thread_ends_between_two_files_when_its_call_is_cancelled() -> None:
    """It never ends by itself."""
    began = threading.Event()

    def work() -> str:
        while True:
            began.set()
            between_files()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(in_thread, work)
            await anyio.to_thread.run_sync(began.wait)
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_folder_behind_a_link_is_searched_where_it_really_is() -> None:
    async with temporary_workspace(SMALL, sandbox=choose) as workspace:
        os.symlink("src", workspace.root / "link")
        found, listed = await use(
            workspace, ("grep", {"pattern": "def f", "path": "link"}), ("glob", {"pattern": "*.py", "path": "link"})
        )
    assert found == "src/a.py\n     1: def f(x):"
    assert listed == "src/a.py"


def test_pages_have_one_form_and_never_more_than_they_may() -> None:
    rows = [f"row {number}" for number in range(5)]
    assert page(rows, limit=2, what="rows") == "row 0\nrow 1\n… 3 more rows; call again with offset=2"
    assert page(rows, offset=3, limit=2, what="rows") == "row 3\nrow 4"
    assert page(rows, offset=5, what="rows") == "(there are only 5 rows)"
    assert page([], what="rows") == ""
    wide = page(["x" * 2_000] * 100, limit=100)
    assert len(wide) < MOST_CHARACTERS + 100
    assert wide.endswith("more lines; call again with offset=23")
    assert one_line("a\nb\r\x07") == "a\\nb\\r\\x07"
    assert visible("\u202ea\u2066\U000e0041") == "\\u202ea\\u2066\\U000e0041"
