"""A tree that wants to be left out, to be run, or to act on whoever reads the report. Real ruff, real bandit."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from antiphon.engine.errors import AgentFailure
from antiphon.subagents.records import Coverage, Finding, Record
from antiphon.subagents.testing import CollectingContext
from antiphon.workflows.audit import TABLE, Chosen, Plan, Sources, Survey, analysers, plan, survey
from antiphon.workflows.report import About, json_report, markdown, sarif
from antiphon.workflows.synthesis import Synthesis, synthesize

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SURROGATE = "\\ud800"
BAD = "import subprocess\nsubprocess.run(input(), shell=True)\n"


@pytest.fixture
def anyio_backend() -> str:
    """One backend: what differs between them, running a program, has its own tests on both."""
    return "asyncio"


async def chosen_for(found: Survey) -> Chosen:
    """The analysers that come with antiphon; what else there is on a machine has tests of its own."""
    others = [entry.tool for entry in TABLE if not entry.bundled]
    return await analysers(Sources.of(found), exclude=others)


async def audit(root: Path) -> tuple[Survey, Plan, list[Record]]:
    """Everything but the engine: survey, plan, every call, one after another."""
    found = survey(root)
    chosen = {analyser.check.name: analyser for analyser in (await chosen_for(found)).analysers}
    planned = plan(found, [analyser.check for analyser in chosen.values()])
    records: list[Record] = [*found.records()]
    for index, shard in enumerate(planned.shards):
        context = CollectingContext(shard.units)
        with suppress(AgentFailure):  # what it did find is in the records, and so is what it did not look at
            await chosen[shard.check].agent("look", context)
        records += [record.recorded_by(f"0/{index}") for record in context.records]
    return found, planned, records


async def synthesis_of(root: Path) -> Synthesis:
    _, planned, records = await audit(root)
    return synthesize(records, planned.planned)


def reported(records: list[Record], rule: str = "bandit:B602") -> dict[str, set[str]]:
    """Which tools report a rule, by file."""
    found: dict[str, set[str]] = {}
    for record in records:
        if isinstance(record, Finding) and record.key.rule == rule:
            found.setdefault(record.key.path, set()).add(record.actor.tool)
    return found


def times(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}


async def test_names_that_look_like_options_or_argument_files_are_files(tmp_path: Path) -> None:
    names = [
        "-rf.py",
        "--config=evil.py",
        "@args.py",
        "--.py",
        "-c.py",
        "a b.py",
        "$(touch x).py",
        "*.py",
        "%s{0}.py",
        "C:\\d.py",
    ]
    for name in names:
        (tmp_path / name).write_text(BAD)
    (tmp_path / "evil.toml").write_text("")
    _, _, records = await audit(tmp_path)
    assert reported(records) == {name: {"ruff", "bandit"} for name in names}


async def test_names_with_lines_and_escapes_are_audited_and_harmless(tmp_path: Path) -> None:
    names = ["a\nb.py", "c\x1b[2J\x1b]0;x\x07.py", "d\u202eyp.py", "e`|`.py", "é😀.py"]
    for name in names:
        (tmp_path / name).write_text(BAD)
    _, planned, records = await audit(tmp_path)
    assert reported(records) == {name: {"ruff", "bandit"} for name in names}
    synthesis = synthesize(records, planned.planned)
    for text in (write(synthesis, About(target=str(tmp_path))) for write in (markdown, json_report, sarif)):
        assert not [line for line in text.split("\n") if not line.isprintable()]


async def test_a_name_that_is_no_text_is_a_named_gap(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.py")).write_text(BAD)
    (tmp_path / "good.py").write_text(BAD)
    found, planned, records = await audit(tmp_path)
    assert [gap.unit for gap in found.gaps] == ["bad\\xff.py"]
    synthesis = synthesize(records, planned.planned)
    assert [gap.unit for gap in synthesis.coverage.gaps] == ["bad\\xff.py"]
    json.loads(json_report(synthesis, About(target="x")))


async def test_configuration_in_the_tree_disables_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BAD)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.ruff]\nexclude=["*"]\ncache-dir="/tmp/antiphon-evil"\n[tool.ruff.lint]\nselect=[]\n'
        '[tool.bandit]\nskips=["B602"]\nexclude_dirs=["/"]\n'
    )
    for name in ("ruff.toml", ".ruff.toml"):
        (tmp_path / name).write_text('exclude=["*"]\nextend="/etc/passwd"\n')
    for name in (".bandit", "setup.cfg", "tox.ini"):
        (tmp_path / name).write_text("[bandit]\nexclude=/\nskips=B602\ntargets=/etc\nnumber=1\n")
    _, _, records = await audit(tmp_path)
    assert reported(records) == {"a.py": {"ruff", "bandit"}}


async def test_configuration_for_dead_code_and_secrets_disables_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\nimport sys\npassword = 'k3yb0ard-w1zard'\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.vulture]\nignore_names=["*"]\nexclude=["*"]\nmin_confidence=100\npaths=["/etc"]\n'
        '[tool.detect-secrets]\nexclude-files=".*"\n'
    )
    (tmp_path / "whitelist.txt").write_text("os\n")
    (tmp_path / ".secrets.baseline").write_text(
        '{"version": "1.5.0", "plugins_used": [], "filters_used": [{"path": "file://evil.py::all"}], "results": {}}'
    )
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("[core]\n\tfsmonitor = touch executed\n")
    _, _, records = await audit(tmp_path)
    assert "vulture" in reported(records, "pyflakes:F401")["a.py"]
    assert reported(records, "bandit:B105")["a.py"] == {"ruff", "bandit", "detect-secrets"}
    assert not (tmp_path / "executed").exists()


async def test_nothing_in_the_tree_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that shadow what the analysers import, start-up hooks, plugins, programs: also with the tree as cwd."""
    marker = tmp_path / "executed"
    hook = f"open({str(marker)!r}, 'a').write(__name__)\n"
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in (
        "yaml",
        "json",
        "bandit",
        "stevedore",
        "ast",
        "sitecustomize",
        "usercustomize",
        "conftest",
        "setup",
        "ruff",
        "vulture",
        "detect_secrets",
        "logging",
    ):
        (tree / f"{name}.py").write_text(hook + BAD)
    (tree / "evil.pth").write_text(f"import os; {hook}")
    info = tree / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bandit.plugins]\nevil = yaml:x\n")
    for program in ("ruff", "bandit", "python3", "mypy", "zizmor", "shellcheck", "eslint", "semgrep"):
        (tree / program).write_text(f"#!{sys.executable}\n{hook}")
        (tree / program).chmod(0o755)
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PYTHONPATH", str(tree))
    monkeypatch.setenv("PYTHONSTARTUP", str(tree / "setup.py"))
    monkeypatch.setenv("RUFF_CONFIG", str(tree / "ruff.toml"))
    _, _, records = await audit(Path("."))
    assert len(reported(records)) == 13
    assert not marker.exists(), marker.read_text()


async def test_the_tree_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BAD)
    before = times(tmp_path)
    await audit(tmp_path)
    assert times(tmp_path) == before


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "a.py").write_text(BAD)
    (tmp_path / "a.py").chmod(0o444)
    tmp_path.chmod(0o555)
    yield tmp_path
    tmp_path.chmod(0o755)


async def test_a_read_only_tree_is_audited(read_only: Path) -> None:
    _, _, records = await audit(read_only)
    assert reported(records) == {"a.py": {"ruff", "bandit"}}


async def test_links_out_of_the_tree_are_neither_read_nor_quoted(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("password = 'hunter2'\n" + BAD)
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, target in {"s.py": "../secret.py", "loop": "loop", "up": "..", "passwd.py": "/etc/passwd"}.items():
        (tree / name).symlink_to(target)
    (tree / ".gitignore").symlink_to("../secret.py")
    (tree / "a.py").write_text("x = 1\n")
    synthesis = await synthesis_of(tree)
    assert not synthesis.claims
    assert {gap.unit for gap in synthesis.coverage.gaps} == {"s.py", "loop", "up", "passwd.py", ".gitignore"}


async def test_code_that_brings_parsers_down_is_a_failed_file_and_not_a_failed_audit(tmp_path: Path) -> None:
    bombs = {
        "deep.py": "x = " + "(" * 90 + "1" + ")" * 90,
        "minus.py": "x = " + "-" * 20_000 + "1",
        "sum.py": "x = " + "1 + " * 20_000 + "1",
        "attributes.py": "x = a" + ".b" * 20_000,
        "nul.py": "x = 1\0\n",
        "empty.py": "",
        "ends.py": "x = '''",
        "lines.py": "eval(x)\x0c\neval(z)\r\neval(w)\reval(v)",
    }
    for name, text in bombs.items():
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "good.py").write_text(BAD)
    found, planned, records = await audit(tmp_path)
    states = {(r.unit, r.check): r.state for r in records if isinstance(r, Coverage)}
    assert set(states) == {(unit, check) for unit, checks in planned.planned.items() for check in checks}
    assert {state for (unit, _), state in states.items() if unit == "good.py"} == {"done"}
    assert reported(records) == {"good.py": {"ruff", "bandit"}}
    assert reported(records, "bandit:B307")["lines.py"] == {"ruff", "bandit"}
    assert "minus.py" in {unit for (unit, _), state in states.items() if state == "failed"}
    assert len(found.files) == 9


async def test_a_tree_that_ignores_itself_says_so(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / "a.py").write_text(BAD)
    found, planned, _ = await audit(tmp_path)
    assert not planned.shards
    assert "2 entries were left out" in (found.emptiness() or "")


async def test_messages_that_quote_code_cannot_break_the_report(tmp_path: Path) -> None:
    evil = "`](javascript:alert(1)) <script>\\x1b[31m | " + SURROGATE
    (tmp_path / "a.py").write_text(f"password = '{evil}'\nprint(f'{{undefined}}')\n")
    (tmp_path / "b.py").write_text(f"password = '{evil.removesuffix(SURROGATE)}'\n")
    synthesis = await synthesis_of(tmp_path)
    assert {"S105", "B105"} == {
        rule for cluster in synthesis.clusters for rule in cluster.rules if rule.endswith("105")
    }
    # bandit cannot write such a string, and dies of it; that costs this file its check, and no other file.
    assert [(gap.unit, gap.check) for gap in synthesis.coverage.gaps] == [("a.py", "bandit/security")]
    text = markdown(synthesis, About(target="x"))
    assert all(line.isprintable() for line in text.split("\n"))
    json.loads(sarif(synthesis, About(target="x")))


def test_patterns_made_to_take_for_ever_do_not(tmp_path: Path) -> None:
    """Each of these alone took an audit from minutes to longer than the sun shines, on the one long name."""
    hostile = ["*a" * 100 + "b", "**/a/" * 30 + "b", "a*" * 100 + "/**/c", "[a]*" * 90 + "b", "*a*a*a*a*a*ab"]
    (tmp_path / ".gitignore").write_text("\n".join([*hostile, "left.py"]))
    folder = tmp_path
    for _ in range(30):
        folder = folder / "a"
        folder.mkdir()
    (folder / ("a" * 250)).touch()
    (folder / "left.py").touch()
    found = survey(tmp_path, exclude=hostile)
    assert [Path(file.unit).name for file in found.files] == [".gitignore", "a" * 250]
    assert [Path(entry.unit).name for entry in found.left_out] == ["left.py"]


@pytest.mark.parametrize("more", [[f"*x{number}y" for number in range(10_000)], ["**/a/" * 100 + "b"]])
def test_more_patterns_than_anybody_means_hide_nothing(tmp_path: Path, more: list[str]) -> None:
    (tmp_path / ".gitignore").write_text("\n".join(["a.py", *more]))
    (tmp_path / "a.py").touch()
    assert [file.unit for file in survey(tmp_path).files] == [".gitignore", "a.py"]
