"""What commands in a workspace find of the project: programs, packages, variables, and the way to run its tests."""

from __future__ import annotations

import os
import shutil
import sys
import venv
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from antiphon.engine import CallContext
from antiphon.subagents.process import Completed
from antiphon.subagents.sandbox import choose
from antiphon.subagents.testing.calls import inside_a_call
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.workspace.commands import command
from antiphon.subagents.workspace.detecting import framework_of
from antiphon.subagents.workspace.environment import environment_of

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


def tree(folder: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


# --- how tests are run ----------------------------------------------------------------------------------------------

PYTEST = "def test_a():\n    assert True\n"
UNITTEST = "import unittest\n\nclass A(unittest.TestCase):\n    def test_a(self): ...\n"


@pytest.mark.parametrize(
    ("files", "framework", "words", "reason"),
    [
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest", "-m pytest", "pyproject.toml configures pytest"),
        ({"pytest.ini": "[pytest]\n"}, "pytest", "-m pytest", "pytest.ini"),
        ({"tox.ini": "[pytest]\n"}, "pytest", "-m pytest", "tox.ini"),
        ({"setup.cfg": "[tool:pytest]\n"}, "pytest", "-m pytest", "setup.cfg"),
        ({"tests/conftest.py": ""}, "pytest", "-m pytest", "tests/conftest.py"),
        ({"tests/test_a.py": PYTEST}, "pytest", "-m pytest", "tests/test_a.py is written for pytest"),
        ({"src/p/deep/a_test.py": PYTEST}, "pytest", "-m pytest", "a_test.py"),
        ({"test_a.py": UNITTEST}, "unittest", "unittest discover -v", "written for unittest"),
        ({"tests/test_a.py": UNITTEST}, "unittest", "-s tests", "written for unittest"),
        ({"tests/test_a.py": UNITTEST, "tests/__init__.py": ""}, "unittest", "-t .", "written for unittest"),
        ({"package.json": '{"scripts": {"test": "node --test"}}'}, "tap", "npm test", "node --test"),
        ({"Cargo.toml": "[package]\n"}, "cargo", "cargo test --offline", "Cargo.toml"),
        ({"go.mod": "module a\n"}, "go", "go test -json ./...", "go.mod"),
        ({"Makefile": "all:\n\ntest: all\n\ttrue\n"}, "", "make test", "Makefile"),
    ],
)
def test_the_way_to_run_tests_is_told_from_files(
    tmp_path: Path, files: Mapping[str, str], framework: str, words: str, reason: str
) -> None:
    suite = environment_of(tree(tmp_path, files)).suite
    assert suite is not None
    assert suite.framework == framework
    assert words in " ".join(suite.argv)
    assert reason in suite.reason


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.py": "x = 1\n"},
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        {"package.json": "[" * 100_000},
        {"package.json": '{"scripts": 3}'},
        {"pyproject.toml": "this is = no toml ["},
        {"Makefile": "test := no target\n"},
        {"node_modules/a/test_a.py": PYTEST, ".git/test_a.py": PYTEST, ".venv/test_a.py": PYTEST},
    ],
)
def test_where_nothing_says_how_there_is_none(tmp_path: Path, files: Mapping[str, str]) -> None:
    assert environment_of(tree(tmp_path, files)).suite is None


def test_files_of_a_tree_are_read_only_where_they_are_plain(tmp_path: Path) -> None:
    secret = tree(tmp_path / "elsewhere", {"pytest.toml": "[tool.pytest]\n", "tests/test_a.py": PYTEST})
    project = tree(tmp_path / "project", {"README": ""})
    (project / "pyproject.toml").symlink_to(secret / "pytest.toml")
    (project / "tests").symlink_to(secret / "tests")
    os.mkfifo(project / "tox.ini")
    os.mkfifo(project / "Makefile")
    assert environment_of(project).suites == ()


def test_several_ways_are_kept_best_first(tmp_path: Path) -> None:
    files = {"Makefile": "test:\n\ttrue\n", "tests/test_a.py": PYTEST, "Cargo.toml": "[package]\n"}
    assert [suite.framework for suite in environment_of(tree(tmp_path, files)).suites] == ["pytest", "cargo", ""]


@pytest.mark.parametrize(
    ("line", "framework"),
    [
        ("pytest -q", "pytest"),
        ("PYTHONPATH=. .venv/bin/pytest tests", "pytest"),
        ("cd x && python -m unittest -v", "unittest"),
        ("cargo test", "cargo"),
        ("node --test", "tap"),
        ("go test ./...", "go"),
        ("make check", ""),
        ("./run-pytests.sh", ""),
    ],
)
def test_a_command_line_says_whose_output_it_gives(line: str, framework: str) -> None:
    assert framework_of(line) == framework


# --- virtual environments -------------------------------------------------------------------------------------------


def test_a_virtual_environment_goes_first_and_is_granted_with_its_python(tmp_path: Path) -> None:
    project = tree(tmp_path, {"README": ""})
    venv.create(project / ".venv", with_pip=False, symlinks=True)
    found = environment_of(project)
    assert found.search[0] == str(project / ".venv" / "bin")
    assert found.read == (str(project / ".venv"),)
    assert found.python == "python"
    [packages] = found.site_packages
    assert packages.startswith(str(project / ".venv" / "lib"))
    assert any(os.path.basename(program).startswith("python") for program in found.programs)
    assert not any(program.startswith(str(project)) for program in found.programs)


def forged(project: Path, target: Path | str) -> Path:
    tree(project, {".venv/pyvenv.cfg": "home = /usr\n", ".venv/lib/python3.11/site-packages/pytest/__init__.py": ""})
    (project / ".venv" / "bin").mkdir()
    (project / ".venv" / "bin" / "python").symlink_to(target)
    return project


def test_what_a_hostile_environment_leads_to_is_not_granted(tmp_path: Path) -> None:
    """Its `bin/python` decides which files a command is shown besides: never a key, never what the project made."""
    secret = tmp_path / "secrets"
    tree(secret, {"bin/id_rsa": "key", "bin/python3": "key", "lib/token": "t"})
    (secret / "bin" / "id_rsa").chmod(0o755)
    targets: list[Path | str] = [secret / "bin" / "id_rsa", secret / "bin" / "python3", "nowhere", "/etc/shadow"]
    for number, target in enumerate(targets):
        found = environment_of(forged(tmp_path / str(number), target))
        assert found.read == ()
        assert not any(program.startswith(str(secret)) for program in found.programs)
        assert any("not used" in note for note in found.notes)
    inside = tree(tmp_path / "own", {"evil/bin/python3": "#!/bin/sh\n"})
    (inside / "evil" / "bin" / "python3").chmod(0o755)
    (inside / "evil" / "lib").symlink_to(secret)
    assert environment_of(forged(inside, "../../evil/bin/python3")).read == ()


def test_folders_that_are_links_are_not_granted(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", {"pyvenv.cfg": "home = /usr\n", "a/index.js": ""})
    project = tree(tmp_path / "project", {"package.json": "{}"})
    for name in (".venv", "venv", "node_modules"):
        (project / name).symlink_to(outside)
    found = environment_of(project)
    assert (found.read, found.modules) == ((), "")
    assert not any(str(outside) in path for path in (*found.search, *found.programs))


def test_what_is_installed_in_place_is_taken_from_the_workspace(tmp_path: Path) -> None:
    project = tree(tmp_path / "p", {"lib/pack/__init__.py": "", "tools/other/__init__.py": ""})
    venv.create(project / ".venv", with_pip=False, symlinks=True)
    [packages] = environment_of(project).site_packages
    finder = f"MAPPING: dict[str, str] = {{'other': {str(project / 'tools' / 'other')!r}}}\n"
    tree(
        Path(packages),
        {
            "pack.pth": f"{project / 'lib'}\nimport os\n/etc\n{project / '..'}\n",
            "__editable___other_finder.py": finder,
            "__editable___bad_finder.py": "MAPPING = {[]: __import__('os')}\n",
        },
    )
    variables = environment_of(project).variables_in("/w")
    assert variables["PYTHONPATH"].split(":") == ["/w", "/w/src", "/w/lib", "/w/tools"]


def test_files_that_are_made_to_be_slow_to_look_through_are_not(tmp_path: Path) -> None:
    project = tree(tmp_path / "p", {"test_a.py": "\n" * 1_000_000, "a_test.py": PYTEST})
    venv.create(project / ".venv", with_pip=False, symlinks=True)
    [packages] = environment_of(project).site_packages
    tree(Path(packages), {"__editable___slow_finder.py": "MAPPING\n" * 100_000})
    assert environment_of(project).suites  # what grows with the square of their size does not come to an end


def test_nothing_of_the_users_environment_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PATH", f"{tmp_path}/mine:{os.environ['PATH']}")
    variables = environment_of(tree(tmp_path, {"README": ""})).variables_in("/w")
    assert "s3cret" not in variables.values()
    assert "/somewhere" not in variables["PYTHONPATH"]
    assert f"{tmp_path}/mine" not in variables["PATH"]


# --- in the sandbox -------------------------------------------------------------------------------------------------


async def test_a_workspace_goes_before_what_the_environment_has_installed_in_place() -> None:
    """An editable install leads to the user's own tree, which no command may read, and which is not what is tested."""
    async with temporary_workspace(
        {"src/pack/__init__.py": "WHERE = 'user'\n"}, sandbox=partial(choose, None)
    ) as space:
        project = space.base.root
        venv.create(project / ".venv", with_pip=False, symlinks=True)
        environment = environment_of(project)
        tree(Path(environment.site_packages[0]), {"pack.pth": f"{project / 'src'}\n", "dep.py": "NAME = 'dep'\n"})
        tree(space.root, {"src/pack/__init__.py": "WHERE = 'workspace'\n"})
        script = "import pack, dep, sys; print(pack.WHERE, dep.NAME, sys.prefix)"

        async def work(ctx: CallContext) -> object:
            return await command(space, environment, ["python", "-c", script], ctx=ctx, seconds=60, name="python")

        ended = await inside_a_call(work, space)
    assert isinstance(ended, Completed)
    assert ended.stdout.decode().split() == ["workspace", "dep", f"{project}/.venv"], ended.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_installed_packages_are_found_both_ways_and_leave_no_trace() -> None:
    files = {
        "package.json": '{"type": "module"}',
        "a.mjs": "import one from 'one'; console.log(one)\n",
        "b.cjs": "console.log(require('one'))\n",
        ".gitignore": "node_modules/\n",
    }
    async with temporary_workspace(files, sandbox=partial(choose, None)) as space:
        project = space.base.root
        tree(project, {"node_modules/one/index.js": "module.exports = require('two') + 1\n"})
        tree(project, {"node_modules/two/index.js": "module.exports = 41\n"})
        environment = environment_of(project)
        before = await space.tree()

        async def work(ctx: CallContext) -> object:
            argv = ["/bin/sh", "-c", "node a.mjs && node b.cjs; echo x > node_modules/one/index.js"]
            return await command(space, environment, argv, ctx=ctx, seconds=60, name="node")

        ended = await inside_a_call(work, space)
        assert isinstance(ended, Completed)
        assert ended.stdout.decode().split() == ["42", "42"], ended.stderr
        assert "node_modules" not in os.listdir(space.root)
        assert await space.tree() == before
        assert "two" in (project / "node_modules" / "one" / "index.js").read_text()


async def test_without_an_environment_there_is_the_python_that_runs_antiphon() -> None:
    async with temporary_workspace({"a.py": ""}, sandbox=partial(choose, None)) as space:
        environment = environment_of(space.base.root)

        async def work(ctx: CallContext) -> object:
            argv = [environment.python, "-c", "import sys; print(sys.version_info[:2])"]
            return await command(space, environment, argv, ctx=ctx, seconds=60, name="python")

        ended = await inside_a_call(work, space)
    assert isinstance(ended, Completed)
    assert ended.stdout.decode().strip() == str(sys.version_info[:2]), ended.stderr
