"""The tools that know code, as a model calls them: by jedi in a process of its own; and documentation of packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.sandbox import choose
from antiphon.subagents.testing.workspaces import temporary_workspace, write_files
from antiphon.subagents.tools.code import code_tools
from antiphon.subagents.tools.contract import Misfit, ToolResult, changes
from antiphon.subagents.workspace.contract import Workspace
from antiphon.subagents.workspace.environment import Environment

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
# Each question starts an interpreter; one test below asks one on both backends.
ONE_BACKEND = pytest.mark.parametrize("anyio_backend", ["asyncio"])

A = '''import os
import pack

LIMIT = 3


class Shape:
    """A shape."""

    def area(self, side: int = 1) -> int:
        return side * LIMIT


def f(x):
    return Shape().area(x)
'''
B = "from a import Shape, f\r\n\r\n# f and area\r\ns = Shape()\r\nprint(f(1), s.area(2))\r\n"
OTHER = 'class Circle:\n    def area(self):\n        return "area"\n'
FILES = {"src/a.py": A, "src/b.py": B, "other.py": OTHER, "app.js": "function area() {}\n"}
PACKAGE = {
    "pack-1.2.dist-info/METADATA": "Name: Pack\nVersion: 1.2\nSummary: Packs things.\n\n# Pack\nUse bundling.",
    "pack-1.2.dist-info/RECORD": "pack/__init__.py,,100\npack/_core.py,,100\npack/tests/t.py,,1\n../../out.py,,1\n",
    "pack/__init__.py": '"""Packs."""\nfrom ._core import wrap as wrap, Box\nraise SystemExit("never imported")\n',
    "pack/_core.py": (
        'def wrap(thing: str, *, tight: bool = False) -> bytes:\n    """Wrap a thing in brown paper."""\n'
        'def hidden():\n    """Brown paper too."""\n'
        'class Box:\n    """A container."""\n    def open(self):\n        """Unfasten the lid."""\n'
    ),
    "pack/tests/t.py": 'def test():\n    """Brown paper."""\n',
}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    site = tmp_path.resolve() / "site-packages"
    write_files(site, PACKAGE)
    return Environment(project=tmp_path.resolve(), site_packages=(str(site),))


async def use(workspace: Workspace, environment: Environment, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """What tools answer, one call after the other; with ``refused:`` or ``failed:`` before it where that is so."""
    tools = {tool.spec.name: tool for tool in code_tools(environment)}
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


async def ask(
    environment: Environment, *calls: tuple[str, dict[str, Any]], files: Mapping[str, str | bytes] = FILES
) -> list[str]:
    async with temporary_workspace(files, sandbox=choose) as workspace:
        return await use(workspace, environment, *calls)


def test_names_and_costs_are_what_roles_and_policies_rely_on(environment: Environment) -> None:
    tools = {tool.spec.name: tool for tool in code_tools(environment)}
    assert list(tools) == ["symbols", "references", "rename_symbol", "complete", "docs"]
    assert [name for name, tool in tools.items() if changes(tool)] == ["rename_symbol"]
    assert all(tool.traits.works for tool in tools.values())


async def test_what_a_file_defines_and_where_a_name_is_defined(environment: Environment) -> None:
    outline, method, both, none, javascript = await ask(
        environment,
        ("symbols", {"path": "src/a.py"}),
        ("symbols", {"name": "Shape.area"}),
        ("symbols", {"name": "area"}),
        ("symbols", {"name": "nowhere"}),
        ("symbols", {"path": "app.js"}),
    )
    assert outline.split("\n") == [
        "     4  variable LIMIT",
        "     7  class Shape",
        "    10  method Shape.area(self, side: int=1) -> int",
        "    14  function f(x)",
    ]
    assert method == "src/a.py:10: method Shape.area(self, side: int=1) -> int"
    assert both.split("\n")[0] == "other.py:2: method Circle.area(self)"
    assert both.endswith(method)
    assert none.startswith(
        "'nowhere' is defined in none of 3 Python files; only Python is understood here; for other files"
    )
    assert javascript.startswith("refused: only Python is understood here; for app.js use grep with pattern")


@ONE_BACKEND
async def test_a_definition_is_found_where_it_is_used(environment: Environment) -> None:
    installed, missing = await ask(
        environment,
        ("symbols", {"path": "src/a.py", "line": 2, "name": "pack"}),
        ("symbols", {"path": "src/a.py", "line": 1, "name": "area"}),
    )
    assert installed.startswith("pack/__init__.py:1 (not of the workspace): module pack\nPacks.")
    assert missing == "failed: line 1 of src/a.py has no 'area' in it"


@ONE_BACKEND
async def test_uses_are_told_from_what_is_spelled_alike(environment: Environment) -> None:
    function, method = await ask(
        environment,
        ("references", {"path": "src/a.py", "line": 14, "name": "f"}),
        ("references", {"path": "src/a.py", "line": 10, "name": "area"}),
    )
    assert function.split("\n")[:3] == [
        "src/a.py:14: (definition) def f(x):",
        "src/b.py:1: from a import Shape, f",
        "src/b.py:5: print(f(1), s.area(2))",
    ]
    assert (
        "(other lines with the word, such as comments, strings and what could not be followed: src/b.py (1))"
        in function
    )
    assert "other.py:" not in method.split("\n(")[0]
    assert "other.py (2), src/b.py (1)" in method


@ONE_BACKEND
async def test_a_rename_changes_every_use_and_nothing_else(environment: Environment) -> None:
    async with temporary_workspace(FILES, sandbox=choose) as workspace:
        (said,) = await use(
            workspace,
            environment,
            ("rename_symbol", {"path": "src/b.py", "line": 5, "name": "area", "new_name": "size"}),
        )
        now = {path: (workspace.root / path).read_bytes().decode() for path in FILES}
    assert said.startswith("renamed area to size in 3 places of 2 files; lines:\nsrc/a.py: 10, 15\nsrc/b.py: 5\n")
    assert now["src/a.py"] == A.replace("area", "size")
    assert now["src/b.py"] == B.replace("s.area", "s.size"), "CR LF and the comment are kept"
    assert now["other.py"] == OTHER


@ONE_BACKEND
async def test_a_rename_that_cannot_be_whole_changes_nothing(environment: Environment) -> None:
    rename = "rename_symbol"
    files = {**FILES, "src/c.py": "import os\nimport pack\nprint(pack.wrap)\n"}
    async with temporary_workspace(files, sandbox=choose) as workspace:
        answers = await use(
            workspace,
            environment,
            (rename, {"path": "src/c.py", "line": 2, "name": "pack", "new_name": "other"}),
            (rename, {"path": "src/c.py", "line": 3, "name": "wrap", "new_name": "other"}),
            (rename, {"path": "src/a.py", "line": 14, "name": "f", "new_name": "class"}),
            (rename, {"path": "src/a.py", "line": 14, "name": "f", "new_name": "a b"}),
            (rename, {"path": "../x.py", "line": 1, "name": "f", "new_name": "g"}),
        )
        assert {path: (workspace.root / path).read_bytes().decode() for path in files} == files
    assert answers[0].startswith("failed: 'pack' is a module")
    assert answers[1].startswith("failed: 'wrap' is defined outside of the workspace (pack/__init__.py)")
    assert answers[2] == "refused: new_name: 'class' is a keyword"
    assert answers[3] == "refused: new_name has to be one identifier, not 'a b'"
    assert answers[4].startswith("failed: ../x.py: `..` is not followed")


@ONE_BACKEND
async def test_what_could_follow_is_known_without_changing_the_file(environment: Environment) -> None:
    (attributes,) = await ask(environment, ("complete", {"path": "src/b.py", "line": 4, "text": "s."}))
    assert attributes.split("\n")[0] == "area  function"


@ONE_BACKEND
async def test_code_that_is_looked_at_is_never_run(environment: Environment, tmp_path: Path) -> None:
    """Nothing confines this process, so a file would be written if any of these were imported."""
    mark = tmp_path / "mark"
    bad = f"open({str(mark)!r}, 'w').close()\n"
    names = (
        "gi",
        "evil",
        "sitecustomize",
        "usercustomize",
        "conftest",
        "jedi",
        "parso",
        "ast",
        "json",
        "re",
        "pack",
        "typing",
    )
    files: dict[str, str | bytes] = {
        **{f"{name}.py": bad for name in names},
        "compiled.cpython-311-x86_64-linux-gnu.so": b"\x7fELF not really",
        "x.pth": f"import os; {bad}",
        "use.py": "import gi, evil, compiled, conftest, pack\nvalue = gi.thing\nprint(evil.x, compiled.y, value)\n",
    }
    write_files(Path(environment.site_packages[0]), {"z.pth": f"import os; {bad}", "gi/__init__.py": bad})
    async with temporary_workspace(files) as workspace:
        answers = await use(
            workspace,
            environment,
            *(("symbols", {"path": "use.py", "line": 1, "name": name}) for name in ("gi", "evil", "compiled")),
            ("references", {"path": "use.py", "line": 2, "name": "value"}),
            ("docs", {"query": "anything at all"}),
        )
    assert not mark.exists()
    assert "use.py:2: (definition) value = gi.thing" in answers[3]


@ONE_BACKEND
async def test_hostile_code_is_answered_for_or_refused_in_bounded_time(environment: Environment) -> None:
    files: dict[str, str | bytes] = {
        "deep.py": "(" * 50_000 + "\nclass Found:\n    def inner(self): ...\n",
        "nested.py": "x = " + "[" * 90 + "]" * 90 + "\n",
        "long.py": "a = 1\n" * 20_000,
        "nul.py": b"a = 1\0\n",
        "broken.py": "def fine():\n    return (\n",
        "huge.py": b"#" * (3 << 20),
        "name\x1b[2J.py": "Found = 1\n",
    }
    answers = await ask(
        environment,
        ("symbols", {"path": "deep.py"}),
        ("symbols", {"name": "Found"}),
        ("symbols", {"path": "nul.py"}),
        ("references", {"path": "broken.py", "line": 1, "name": "fine"}),
        ("symbols", {"path": "huge.py"}),
        files=files,
    )
    assert "class Found" in answers[0]
    assert "it cannot be parsed" in answers[0]
    assert "name\\x1b[2J.py:1: variable Found" in answers[1]
    assert "it cannot be parsed" in answers[2]
    assert "broken.py:1: (definition) def fine():" in answers[3]
    assert answers[4] == "failed: it is too large to be read"


@ONE_BACKEND
async def test_documentation_is_that_of_the_installed_version(environment: Environment) -> None:
    paper, lid, readme, nothing, missing, by_import = await ask(
        environment,
        ("docs", {"query": "brown paper"}),
        ("docs", {"query": "unfasten the lid", "package": "PACK"}),
        ("docs", {"query": "bundling"}),
        ("docs", {"query": "xylophone"}),
        ("docs", {"query": "paper", "package": "nope"}),
        ("docs", {"query": "Box", "package": "pack"}),
    )
    signature = "def wrap(thing: str, *, tight: bool=False) -> bytes"
    assert paper == f"## Pack 1.2: pack.wrap\n{signature}\nWrap a thing in brown paper.", (
        "hidden names and tests are not"
    )
    assert lid.startswith("## Pack 1.2: pack.Box.open\ndef open(self)\nUnfasten the lid.")
    assert readme.startswith("## Pack 1.2: Pack\nPacks things.\n\n# Pack\nUse bundling.")
    assert nothing == "nothing in the documentation of 1 packages has these words"
    assert missing == "failed: there is no package 'nope' among those installed"
    assert by_import.startswith("## Pack 1.2: pack.Box\nclass Box()\nA container.")


@ONE_BACKEND
async def test_without_packages_there_is_no_documentation(tmp_path: Path) -> None:
    (answer,) = await ask(Environment(project=tmp_path), ("docs", {"query": "x"}))
    assert answer == "failed: no Python packages of this project are installed (it has no .venv)"
