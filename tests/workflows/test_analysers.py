"""The analysers: real ruff and real bandit on small trees, read into claims, evidence and coverage."""

import hashlib
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread
import pytest

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Claim, Coverage, Record
from antiphon.subagents.testing import CollectingContext
from antiphon.workflows.audit import Analyser, Sources, Survey, analysers, plan, survey
from antiphon.workflows.audit.bandit import COMMAND, Bandit
from antiphon.workflows.audit.ruff import LENSES, Ruff, command
from antiphon.workflows.audit.rules import FAMILIES, SEVERITIES, canonical_rule, family_of, severity_of

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


async def look(root: Path, check: str | None = None) -> list[Record]:
    """All records of an audit of `root`, one call after another, without an engine."""
    found = await anyio.to_thread.run_sync(survey, root)
    chosen = [analyser for analyser in await analysers(Sources.of(found)) if check in (None, analyser.check.name)]
    return [*found.records(), *[record for analyser in chosen for record in await _look(analyser, found)]]


async def _look(analyser: Analyser, found: Survey) -> Sequence[Record]:
    context = CollectingContext()
    for shard in plan(found, [analyser.check]).shards:
        context.covers = shard.units
        await analyser.agent("look", context)
    return context.records


def claims(records: Sequence[Record]) -> list[Claim]:
    return [record for record in records if isinstance(record, Claim)]


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
    assert {lens for lens, _ in found} == set(LENSES)


async def test_what_the_author_silenced_is_marked_and_not_omitted(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import os  # noqa: F401\nimport re  # noqa: E501\nimport pickle  # nosec B403\nimport marshal\n"
        "x = eval(input())  # nosec\ny = eval(input())  # noqa\n"
    )
    (tmp_path / "whole.py").write_text("# ruff: noqa\nimport os\n")
    found = claims(await look(tmp_path))
    unused = {(claim.key.path, claim.line): claim.suppressed for claim in found if claim.rule == "F401"}
    assert unused == {
        ("a.py", 1): "noqa",
        ("a.py", 2): None,
        ("a.py", 3): None,
        ("a.py", 4): None,
        ("whole.py", 2): "noqa",
    }
    evals = {(claim.actor.tool, claim.line): claim.suppressed for claim in found if claim.key.rule == "bandit:B307"}
    assert evals == {("ruff", 5): None, ("ruff", 6): "noqa", ("bandit", 5): "nosec", ("bandit", 6): None}
    assert [claim.suppressed for claim in found if claim.rule == "B403"] == ["nosec"]


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
    assert {state for (unit, _), (state, _) in states.items() if unit == "bad.py"} == {"failed"}
    assert "does not parse, line 1" in states["bad.py", "ruff/security"][1]
    assert "syntax error" in states["bad.py", "bandit/security"][1]
    assert len(states) == 2 * (len(LENSES) + 1)


async def test_what_one_tool_cannot_decode_is_failed_for_that_tool(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"# coding: latin-1\nx = '\xe9'; eval(x)\n")
    records = await look(tmp_path)
    states = coverage(records)
    assert states["a.py", "ruff/security"][0] == "failed"
    assert "valid UTF-8" in states["a.py", "ruff/security"][1]
    assert states["a.py", "bandit/security"] == ("done", "")
    (claim,) = claims(records)
    assert (claim.rule, claim.line, claim.column) == ("B307", 2, 10)


async def test_a_file_that_changes_meanwhile_is_partial(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SHELL)
    found = survey(tmp_path)
    for analyser in await analysers(Sources.of(found)):
        (tmp_path / "a.py").write_text(SHELL + "\n")
        states = coverage(await _look(analyser, found))
        assert states["a.py", analyser.check.name] == ("partial", "it changed while it was looked at")


async def test_a_file_that_vanishes_meanwhile_is_failed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SHELL)
    found = survey(tmp_path)
    chosen = await analysers(Sources.of(found))
    (tmp_path / "a.py").unlink()
    for analyser in chosen:
        states = coverage(await _look(analyser, found))
        assert states["a.py", analyser.check.name][0] == "failed"


async def test_stubs_are_for_ruff_alone(tmp_path: Path) -> None:
    (tmp_path / "a.pyi").write_text("def f(x: int) -> None: ...\n")
    assert set(coverage(await look(tmp_path))) == {("a.pyi", f"ruff/{lens}") for lens in LENSES}


async def test_the_versions_are_the_tools_own(tmp_path: Path) -> None:
    said = {
        analyser.agent.program.actor.tool: analyser.agent.version for analyser in await analysers(Sources(tmp_path))
    }
    assert set(said) == {"ruff", "bandit"}
    assert all(version[0].isdigit() for version in said.values())


@pytest.mark.parametrize("output", [b"", b"[", b"{}", b'[{"code": 1}]', b"null", b"[" * 100_000, b'"\xff"'])
@pytest.mark.parametrize("tool", ["ruff", "bandit"])
def test_what_is_not_its_output_is_refused(tmp_path: Path, tool: str, output: bytes) -> None:
    sources = Sources(tmp_path)
    program = Ruff("security", sources, "1") if tool == "ruff" else Bandit(sources, "1")
    with pytest.raises(UnreadableOutput) as caught:
        program.read(["a.py"], [Completed(0, output, b"")])
    assert caught.value.raw == output


def test_a_finding_in_a_file_nobody_asked_about_is_refused(tmp_path: Path) -> None:
    at = {"row": 1, "column": 1}
    item = {"filename": "/etc/passwd", "code": "S1", "name": "n", "message": "m", "location": at, "end_location": at}
    with pytest.raises(UnreadableOutput, match="/etc/passwd"):
        Ruff("security", Sources(tmp_path), "1").read(["a.py"], [Completed(1, json.dumps([item]).encode(), b"")])


def ruff_rules() -> dict[str, dict[str, object]]:
    said = subprocess.run([command(), "rule", "--all", "--output-format", "json"], capture_output=True, check=True)
    return {rule["code"]: rule for rule in json.loads(said.stdout) if rule["code"]}


def test_aliases_agree_with_the_tools_own_lists() -> None:
    """Every ported rule that ruff has, removed ones aside, is one that bandit has under the same number."""
    listing = subprocess.run([*COMMAND, "--help"], capture_output=True, check=True, text=True).stdout
    known = set(re.findall(r"^\s+(B\d{3})\t", listing, re.MULTILINE))
    ported = {
        code
        for code, rule in ruff_rules().items()
        if rule["linter"] == "flake8-bandit" and "Removed" not in str(rule["status"])
    }
    assert {canonical_rule(code).removeprefix("bandit:") for code in ported} <= known
    assert known - {f"B{code[1:]}" for code in ported} == {"B613", "B614", "B615", "B703"}
    assert canonical_rule("PLE2502") == "bandit:B613"


def test_names_that_coincide_in_two_tools_stay_apart() -> None:
    assert canonical_rule("B104") == "flake8-bugbear:B104"
    assert canonical_rule("S104") == "bandit:B104"


def test_every_rule_of_every_lens_has_a_family_and_every_severity_a_rule() -> None:
    rules = ruff_rules()
    in_lenses = [code for code in rules for chosen in LENSES.values() if code.startswith(chosen)]
    assert {"bandit", "pyflakes", "mccabe"} <= {family_of(code).lineage for code in in_lenses}
    assert all(any(code.startswith(prefix) for code in rules) for prefix in [*SEVERITIES, *FAMILIES])
    assert (severity_of("S101"), severity_of("S602"), severity_of("XYZ1")) == ("low", "high", "low")
