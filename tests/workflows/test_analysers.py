"""The analysers that come with antiphon, for real, on small trees: claims, verdicts, evidence and coverage."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest

from antiphon.engine.errors import UsageError
from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import AUTHOR, Coverage, FileSpan, Finding, Record, Verdict
from antiphon.subagents.testing import CollectingContext
from antiphon.workflows.audit import LENSES, TABLE, Analyser, Chosen, Sources, Survey, analysers, plan, survey
from antiphon.workflows.audit.surveyor import Reader
from antiphon.workflows.audit.table import Entry, entry_of
from antiphon.workflows.audit.table.ruff import LENSES as RUFF_LENSES
from antiphon.workflows.audit.tool import Tool

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.fixture
def anyio_backend() -> str:
    """One backend: what differs between them, running a program, has its own tests on both."""
    return "asyncio"


SHELL = """\
import subprocess


class Runner:
    def run(self, command):
        subprocess.run(command, shell=True)
"""


async def bundled(sources: Sources) -> tuple[Analyser, ...]:
    """The analysers that come with antiphon; what else a machine has must not change these tests."""
    return (await bundled_choice(sources)).analysers


async def bundled_choice(sources: Sources) -> Chosen:
    others = [entry.tool for entry in TABLE if not entry.bundled]
    return await analysers(sources, exclude=others)


async def look(root: Path, check: str | None = None) -> list[Record]:
    """All records of an audit of `root`, one call after another, without an engine."""
    found = await anyio.to_thread.run_sync(survey, root)
    chosen = [analyser for analyser in await bundled(Sources.of(found)) if check in (None, analyser.check.name)]
    return [*found.records(), *[record for analyser in chosen for record in await _look(analyser, found)]]


async def _look(analyser: Analyser, found: Survey) -> Sequence[Record]:
    context = CollectingContext()
    for shard in plan(found, [analyser.check]).shards:
        context.covers = shard.units
        await analyser.agent("look", context)
    return context.records


def claims(records: Sequence[Record]) -> list[Finding]:
    return [record for record in records if isinstance(record, Finding)]


def aside(records: Sequence[Record]) -> dict[str, str]:
    """By the id of the finding, the sort of comment by which the author set it aside."""
    verdicts = [record for record in records if isinstance(record, Verdict)]
    assert all((verdict.actor, verdict.stance) == (AUTHOR, "refute") for verdict in verdicts)
    return {verdict.of: verdict.method for verdict in verdicts}


def named(tool: str) -> Entry:
    entry = entry_of(tool)
    assert entry is not None
    return entry


def coverage(records: Sequence[Record]) -> dict[tuple[str, str], tuple[str, str]]:
    found = [record for record in records if isinstance(record, Coverage)]
    return {(record.unit, record.check): (record.state, record.reason) for record in found}


async def test_the_same_thing_has_the_same_key_and_two_witnesses(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SHELL)
    found = [claim for claim in claims(await look(tmp_path)) if claim.key.rule == "bandit:B602"]
    assert {(claim.actor.tool, claim.rule) for claim in found} == {("ruff", "S602"), ("bandit", "B602")}
    assert len({claim.key for claim in found}) == 1
    assert found[0].key.symbol == "Runner.run"
    assert {claim.actor.lineage for claim in found} == {"bandit"}
    assert {(claim.severity, claim.severity_by) for claim in found} == {("high", "antiphon"), ("high", "bandit")}
    assert {claim.line for claim in found} == {6}


async def test_evidence_is_the_hash_of_exactly_those_lines(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(SHELL.replace("\n", "\r\n").encode())
    (claim,) = [claim for claim in claims(await look(tmp_path, "bandit/security")) if claim.rule == "B602"]
    (evidence,) = claim.evidence
    assert isinstance(evidence, FileSpan)
    assert (evidence.path, evidence.start_line, evidence.end_line) == ("a.py", 6, 6)
    assert evidence.sha256 == hashlib.sha256(b"        subprocess.run(command, shell=True)\r\n").hexdigest()


async def test_columns_count_characters_in_both_tools(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('def f(x):\n    y = "hé😀"; eval(x); return y\n', encoding="utf-8")
    found = [claim for claim in claims(await look(tmp_path)) if claim.key.rule == "bandit:B307"]
    assert [(claim.line, claim.column, claim.end_line, claim.end_column) for claim in found] == [(2, 16, 2, 23)] * 2


async def test_every_lens_finds_what_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import time\n\n\ndef f(x, y=[]):\n    return undefined\n\n\n"
        "async def g(a):\n    time.sleep(1)\n    eval(a)\n\n\n"
        "def h(a):\n    r = []\n    for x in a:\n        r.append(x + 1)\n    return r\n\n\n"
        "def i(a, b, c, d, e, f, g):\n" + "".join(f"    if a == {n}:\n        return {n}\n" for n in range(12))
    )
    found = {(claim.actor.lens, claim.rule) for claim in claims(await look(tmp_path))}
    wanted = {"security": "S307", "correctness": "F821", "async": "ASYNC251", "performance": "PERF401"}
    assert set(wanted.items()) | {("correctness", "B006"), ("complexity", "C901"), ("complexity", "PLR0913")} <= found
    assert ("dead-code", "unused-argument") in found
    assert {lens for lens, _ in found} == set(RUFF_LENSES)
    assert {lens for entry in TABLE for lens in entry.lenses} == set(LENSES)


async def test_what_the_author_silenced_is_a_verdict_and_no_omission(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import os  # noqa: F401\nimport re  # noqa: E501\nimport pickle  # nosec B403\nimport marshal\n"
        "x = eval(input())  # nosec\ny = eval(input())  # noqa\n"
    )
    (tmp_path / "whole.py").write_text("# ruff: noqa\nimport os\n")
    records = await look(tmp_path)
    found, said = claims(records), aside(records)
    unused = {(claim.key.path, claim.line): said.get(claim.id) for claim in found if claim.rule == "F401"}
    assert unused == {
        ("a.py", 1): "noqa",
        ("a.py", 2): None,
        ("a.py", 3): None,
        ("a.py", 4): None,
        ("whole.py", 2): "noqa",
    }
    evals = {(claim.actor.tool, claim.line): said.get(claim.id) for claim in found if claim.key.rule == "bandit:B307"}
    assert evals == {("ruff", 5): None, ("ruff", 6): "noqa", ("bandit", 5): "nosec", ("bandit", 6): None}
    assert [said.get(claim.id) for claim in found if claim.rule == "B403"] == ["nosec"]
    imports = {(claim.key.path, claim.line): said.get(claim.id) for claim in found if claim.rule == "unused-import"}
    assert imports == {
        ("a.py", 1): "noqa",
        ("a.py", 2): None,
        ("a.py", 3): None,
        ("a.py", 4): None,
        ("whole.py", 2): None,
    }, "by vulture's own reading, which knows no ruff: noqa"


async def test_the_projects_own_configuration_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SHELL)
    before = [claim.id for claim in claims(await look(tmp_path))]
    (tmp_path / "ruff.toml").write_text('exclude = ["*"]\n[lint]\nselect = []\nignore = ["ALL"]\n')
    (tmp_path / ".ruff.toml").write_text("this is not even TOML")
    (tmp_path / "pyproject.toml").write_text('[tool.ruff]\nexclude = ["*"]\n[tool.bandit]\nexclude_dirs = ["."]\n')
    (tmp_path / ".bandit").write_text("[bandit]\nexclude = /\nskips = B602\n")
    (tmp_path / "setup.cfg").write_text("[bandit]\nskips = B602\n")
    assert [claim.id for claim in claims(await look(tmp_path))] == before


async def test_a_project_below_an_excluded_name_is_looked_at(tmp_path: Path) -> None:
    """What bandit excludes by default (.tox, CVS, …) matches anywhere in a path."""
    root = tmp_path / ".tox" / "CVS" / "py.egg"
    root.mkdir(parents=True)
    (root / "a.py").write_text(SHELL)
    records = await look(root)
    assert {claim.rule for claim in claims(records)} >= {"B602", "S602"}
    assert {state for state, _ in coverage(records).values()} == {"done"}


async def test_a_file_that_does_not_parse_fails_in_coverage_and_takes_no_other_along(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(:\n    x = \n")
    (tmp_path / "good.py").write_text(SHELL)
    records = await look(tmp_path)
    states = coverage(records)
    assert {state for (unit, _), (state, _) in states.items() if unit == "good.py"} == {"done"}
    failed = {check for (unit, check), (state, _) in states.items() if (unit, state) == ("bad.py", "failed")}
    assert failed == {check for _, check in states} - {"detect-secrets/secrets"}, "secrets are looked for in any text"
    assert "does not parse, line 1" in states["bad.py", "ruff/security"][1]
    assert "syntax error" in states["bad.py", "bandit/security"][1]
    assert "invalid syntax" in states["bad.py", "vulture/dead-code"][1]
    assert len(states) == 2 * (len(RUFF_LENSES) + 3)


async def test_what_one_tool_cannot_decode_is_failed_for_that_tool(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"# coding: latin-1\nx = '\xe9'; eval(x)\n")
    records = await look(tmp_path)
    states = coverage(records)
    assert states["a.py", "ruff/security"][0] == "failed"
    assert "valid UTF-8" in states["a.py", "ruff/security"][1]
    assert states["a.py", "bandit/security"] == ("done", "")
    (claim,) = claims(records)
    assert (claim.rule, claim.line, claim.column) == ("B307", 2, 10)
    assert states["a.py", "vulture/dead-code"] == ("done", "")
    assert states["a.py", "detect-secrets/secrets"][0] == "failed"


async def test_a_file_that_changes_meanwhile_is_partial(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SHELL)
    found = survey(tmp_path)
    for analyser in await bundled(Sources.of(found)):
        (tmp_path / "a.py").write_text(SHELL + "\n")
        states = coverage(await _look(analyser, found))
        assert states["a.py", analyser.check.name] == ("partial", "it changed while it was looked at")


async def test_a_file_that_vanishes_meanwhile_is_failed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SHELL)
    found = survey(tmp_path)
    chosen = await bundled(Sources.of(found))
    (tmp_path / "a.py").unlink()
    for analyser in chosen:
        states = coverage(await _look(analyser, found))
        assert states["a.py", analyser.check.name][0] == "failed"


async def test_stubs_are_for_ruff_and_for_secrets_alone(tmp_path: Path) -> None:
    (tmp_path / "a.pyi").write_text("def f(x: int) -> None: ...\n")
    wanted = {("a.pyi", f"ruff/{lens}") for lens in RUFF_LENSES} | {("a.pyi", "detect-secrets/secrets")}
    assert set(coverage(await look(tmp_path))) == wanted


async def test_the_versions_are_the_tools_own(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    chosen = await bundled(Sources.of(survey(tmp_path)))
    said = {analyser.agent.program.actor.tool: analyser.agent.version for analyser in chosen}
    assert set(said) == {"ruff", "bandit", "vulture", "detect-secrets"}
    assert all(version[0].isdigit() for version in said.values())


@pytest.mark.parametrize("output", [b"", b"[", b"{}", b'[{"code": 1}]', b"null", b"[" * 100_000, b'"\xff"'])
@pytest.mark.parametrize("tool", [entry.tool for entry in TABLE if entry.tool not in ("mypy", "clippy")])
def test_what_is_not_its_output_is_refused(tmp_path: Path, tool: str, output: bytes) -> None:
    entry = named(tool)
    program = Tool(entry, next(iter(entry.lenses)), Sources(tmp_path), ("x",), "1")
    with pytest.raises(UnreadableOutput) as caught:
        program.read(["a.py"], [Completed(0, output, b"")])
    assert caught.value.raw == output


def test_a_finding_in_a_file_nobody_asked_about_is_refused(tmp_path: Path) -> None:
    at = {"row": 1, "column": 1}
    item = {"filename": "/etc/passwd", "code": "S1", "name": "n", "message": "m", "location": at, "end_location": at}
    program = Tool(named("ruff"), "security", Sources(tmp_path), ("ruff",), "1")
    output = Completed(1, json.dumps([item]).encode(), b"")
    with pytest.raises(UnreadableOutput, match="/etc/passwd"):
        program.read(["a.py"], [output])


DEAD = """\
import os
from json import dumps


class Public:
    def method(self, taken, unused):
        left = 1
        return taken
        print("never")

    def _private(self):
        return dumps

    def __exit__(self, kind, value, trace):
        return True


def public():
    return 1


@register
def _decorated():
    return 1
"""


async def test_dead_code_is_what_nothing_in_the_whole_tree_uses(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(DEAD)
    found = {(claim.rule, claim.line) for claim in claims(await look(tmp_path, "vulture/dead-code"))}
    assert found == {
        ("unused-import", 1),
        ("unused-argument", 6),
        ("unused-local-variable", 7),
        ("unreachable-code", 9),
        ("unused-method", 11),
    }
    for number in range(40):
        (tmp_path / f"more{number}.py").write_text("x = 1\n")
    (tmp_path / "z.py").write_text("from a import Public\nprint(Public()._private())\n")
    found = {(claim.rule, claim.line) for claim in claims(await look(tmp_path, "vulture/dead-code"))}
    assert ("unused-method", 11) not in found, "used in another file"
    assert ("unused-import", 1) in found


async def test_two_tools_that_mean_the_same_share_a_key_and_not_their_lineage(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import os\n\n\ndef f():\n    left = 1\n    password = 'Xk2kd92lsXq1'\n    g(password)\n"
    )
    found = claims(await look(tmp_path))
    for rule, lineages in {
        "pyflakes:F401": {"pyflakes", "vulture"},
        "pyflakes:F841": {"pyflakes", "vulture"},
        "bandit:B105": {"bandit", "detect-secrets"},
    }.items():
        same = [claim for claim in found if claim.key.rule == rule]
        assert {claim.actor.lineage for claim in same} == lineages, rule
        assert len({claim.key for claim in same}) == 1


SECRETS = {
    "AWS Access Key": "key = 'AKIA" + "2J4KQ7ZLXM3NWPRT'\n",
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----\n",
    "Secret Keyword": "password = 'hunter2-horse'\n",
    "Basic Auth Credentials": "url = 'https://someone:s3cr3tpassw0rd@example.com/'\n",
}
VALUES = ("2J4KQ7ZLXM3NWPRT", "hunter2-horse", "s3cr3tpassw0rd")


async def test_secrets_are_found_in_any_text_and_never_written_down(tmp_path: Path) -> None:
    for number, (rule, text) in enumerate(SECRETS.items()):
        (tmp_path / f"{number}.txt").write_text(f"# {rule}\n{text}")
        (tmp_path / f"{number}.py").write_text(text if "=" in text else "")
    records = await look(tmp_path)
    found = [claim for claim in claims(records) if claim.actor.tool == "detect-secrets"]
    assert {(claim.key.path, claim.rule) for claim in found} >= {
        (f"{number}.txt", rule) for number, rule in enumerate(SECRETS)
    }
    assert {claim.line for claim in found if claim.key.path.endswith(".txt")} == {2}
    assert all(len(claim.fingerprint) == 40 for claim in found)
    said = json.dumps([record.to_json() for record in records])
    assert {claim.actor.tool for claim in claims(records) if claim.key.rule == "bandit:B105"} > {"bandit"}
    assert not [value for value in VALUES if value in said]


async def test_an_allowed_secret_is_the_authors_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("password = 'hunter2-horse'  # pragma: allowlist secret\n")
    records = await look(tmp_path)
    (claim,) = claims(records)
    assert aside(records) == {claim.id: "pragma: allowlist secret"}


async def test_what_is_asked_for_decides_who_looks(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    sources = Sources.of(survey(tmp_path))
    chosen = await analysers(sources, lenses=["secrets", "dead-code"], exclude=["vulture"])
    assert {analyser.check.name for analyser in chosen.analysers} == {"ruff/dead-code", "detect-secrets/secrets"}
    assert ("vulture", "it was excluded") in [(one.tool, one.reason) for one in chosen.not_run]
    with pytest.raises(UsageError, match="no lens 'secret'"):
        await analysers(sources, lenses=["secret"])
    with pytest.raises(UsageError, match="no tool 'flake8'"):
        await analysers(sources, exclude=["flake8"])


async def test_a_lens_nobody_serves_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("")
    chosen = await bundled_choice(Sources.of(survey(tmp_path)))
    assert {analyser.check.name for analyser in chosen.analysers} == {"detect-secrets/secrets"}
    assert chosen.unserved == tuple(lens for lens in LENSES if lens != "secrets")
    assert not [one for one in chosen.not_run if one.tool == "bandit"], "there is nothing here for it"


async def test_another_table_or_version_is_another_call(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    chosen = await bundled(Sources.of(survey(tmp_path)))
    readers = [Reader(one.agent, {}, one.table) for one in chosen]
    assert all(
        reader.version == f"{reader.agent.version}+{one.table}" for reader, one in zip(readers, chosen, strict=True)
    )
    entry = named("bandit")
    tables = {
        Tool(one, "security", Sources(tmp_path), ("x",), "1").table for one in (entry, replace(entry, options=("-x",)))
    }
    assert len(tables) == 2
