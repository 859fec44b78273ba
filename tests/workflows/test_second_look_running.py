"""The role and its reproductions: real processes, real files, and sources that want to do harm."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from antiphon.engine import AgentFailure, Amount, Call, Limits
from antiphon.engine.script.api import agent
from antiphon.engine.testing import memory_run
from antiphon.subagents.records import (
    Actor,
    CommandRun,
    Coverage,
    Finding,
    FindingKey,
    Resolution,
    Verdict,
    file_span,
    read_records,
)
from antiphon.subagents.sandbox import BACKENDS, Sandbox, probe
from antiphon.subagents.testing import CollectingContext, performers_of
from antiphon.tracing import Json
from antiphon.workflows.audit import Sources
from antiphon.workflows.audit.second_look import FRAME, Laboratory, Looked, SecondLooker, Words
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.experiments import experiments
from antiphon.workflows.audit.second_look.reproduction import MOST_RUN

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

RUFF = Actor(tool="ruff", version="1", lineage="pyflakes")


def finding(unit: str, text: bytes, rule: str, line: int, *, ordinal: int = 0) -> Finding:
    """A finding about one whole line."""
    span = file_span(unit, text.splitlines(keepends=True)[line - 1 : line], line)
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path=unit, rule=rule),
        rule=rule.partition(":")[2],
        title=rule,
        text="said of `x`",
        severity="low",
        severity_by="antiphon",
        actor=RUFF,
        evidence=(span,),
        line=line,
        end_line=line,
        ordinal=ordinal,
        branch="main/1/0",
    )


def tree(root: Path, files: dict[str, bytes]) -> Sources:
    for name, data in files.items():
        (root / name).write_bytes(data)
    return Sources(root.resolve(), dict.fromkeys(files, "0" * 64))


def frame(findings: Sequence[Finding]) -> dict[str, Json]:
    return {FRAME: [one.to_json() for one in findings]}


async def looked(sources: Sources, findings: Sequence[Finding]) -> tuple[Looked, CollectingContext]:
    context = CollectingContext(sorted({one.key.path for one in findings}))
    return await SecondLooker(sources).answer([frame(findings)], context), context


def verdicts(context: CollectingContext) -> list[Verdict]:
    return [record for record in context.records if isinstance(record, Verdict)]


async def reproduced(root: Path, text: str, rule: str, line: int = 1) -> Verdict:
    sources = tree(root, {"a.py": text.encode()})
    _, context = await looked(sources, [finding("a.py", text.encode(), rule, line)])
    (verdict,) = [one for one in verdicts(context) if one.method == "reproduction"]
    return verdict


# --- the role ---


async def test_the_role_looks_at_what_the_frame_says(tmp_path: Path) -> None:
    shell, name = b"import os\nos.system('ls')\n", b"x = y\n"
    sources = tree(tmp_path, {"a.py": shell, "b.py": name})
    findings = [
        finding("a.py", shell, "bandit:B605", 2),
        finding("b.py", name, "mccabe:C901", 1),
        finding("b.py", b"z = y\n", "mccabe:C901", 1),
    ]
    value, context = await looked(sources, findings)
    assert value == Looked(units=2, findings=3, confirm=0, refute=1, cannot_tell=0, unjudged=2, gone=1)
    assert {record.of for record in context.records if isinstance(record, Resolution)} == {f.id for f in findings}
    assert [verdict.of for verdict in verdicts(context)] == [findings[0].id]
    assert not [record for record in context.records if isinstance(record, Coverage)]


async def test_what_is_no_finding_of_its_files_fails_the_call(tmp_path: Path) -> None:
    sources = tree(tmp_path, {"a.py": b"x\n"})
    other = finding("b.py", b"x\n", "bandit:B101", 1)
    wrong: list[dict[str, Json]] = [frame([other]), {FRAME: ["x"]}, {FRAME: [{"record": "coverage"}]}, {FRAME: [{}]}]
    for given in wrong:
        with pytest.raises(AgentFailure):
            await SecondLooker(sources).answer([given], CollectingContext(["a.py"]))


async def test_in_a_run_its_records_name_the_findings_by_their_full_ids(tmp_path: Path) -> None:
    text = b"import os\nos.system('ls')\n"
    sources = tree(tmp_path, {"a.py": text})
    given = finding("a.py", text, "bandit:B605", 2)

    async def main() -> object:
        return await agent("look again", role="second-look", covers=["a.py"], context=[frame([given])], output=Looked)

    performers = performers_of(SecondLooker(sources))
    ran = await memory_run(main, performers=performers, limits=Limits(tool_calls=MOST_RUN))
    recorded = [read_records([one.record], one.path)[0] for one in ran.run.records]
    assert (ran.value.refute, ran.value.findings) == (1, 1)
    assert {getattr(record, "of", "") for record in recorded} == {given.id}


def test_a_call_sees_its_files_and_the_tree_where_a_check_asks_it(tmp_path: Path) -> None:
    sources = tree(tmp_path, {"a.py": b"import os\n"})
    looker = SecondLooker(sources, Words.in_texts([("a.py", b"import os\n")]))
    changed = SecondLooker(sources, Words.in_texts([("a.py", b"import os\n"), ("b.py", b"import a\n")]))
    for rule, same in (("bandit:B101", True), ("pyflakes:F401", False)):
        given = frame([finding("a.py", b"import os\n", rule, 1)])
        call = Call(sort="agent", name="second-look", task="", covers=("a.py",), context=(given,))
        assert (looker.sees(call) == changed.sees(call)) is same
        assert looker.sees(call)["files"] == {"a.py": "0" * 64}


# --- reproductions ---


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("'%s of %s' % (x,)\n", "pyflakes:F507", "not enough arguments"),
        ("'%(a)s' % {'b': x}\n", "pyflakes:F505", "KeyError"),
        ("'%y' % 1\n", "pyflakes:F509", "unsupported format character"),
        ("'{} {1}'.format(x, y)\n", "pyflakes:F525", "cannot switch"),
        ("'{} {}'.format(x)\n", "pyflakes:F524", "IndexError"),
        ("'%d' % 'x'\n", "pylint:PLE1307", "TypeError"),
        ("x is 'abc'\n", "pyflakes:F632", "another object"),
        ("x is 1000\n", "pyflakes:F632", "another object"),
        ("x is (1, 2)\n", "pyflakes:F632", "another object"),
        ("assert (x, 'y')\n", "pyflakes:F631", "is true"),
        ("d = {'a': x, 'a': y}\n", "pyflakes:F601", "1 are kept"),
        ("raise NotImplemented\n", "pyflakes:F901", "TypeError"),
        ("raise 'x'\n", "flake8-bugbear:B016", "TypeError"),
        ("assert False\n", "flake8-bugbear:B011", "goes on"),
        ("x.strip('http://')\n", "flake8-bugbear:B005", "a character at a time"),
    ],
)
async def test_what_can_be_shown_is_shown(tmp_path: Path, text: str, rule: str, said: str) -> None:
    verdict = await reproduced(tmp_path, text, rule)
    assert verdict.stance == "confirm"
    assert said in verdict.reason
    (run,) = [piece for piece in verdict.evidence if isinstance(piece, CommandRun)]
    assert run.argv[:4] == (sys.executable, "-I", "-S", "-B")
    assert run.exit == 0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x is 1\n", "pyflakes:F632"),
        ("x is ''\n", "pyflakes:F632"),
        ("'%s' % (x,)\n", "pyflakes:F507"),
        ("'%d' % (x,)\n", "pylint:PLE1307"),
        ("'%s %s' % x\n", "pyflakes:F507"),
        ("'%s %s' % (*x,)\n", "pyflakes:F507"),
        ("'{} {}'.format(*x)\n", "pyflakes:F524"),
        ("'{a}'.format(**x)\n", "pyflakes:F524"),
        ("'{0.a}'.format(x)\n", "pyflakes:F524"),
        ("assert (*x,)\n", "pyflakes:F631"),
        ("x.strip('.,;')\n", "flake8-bugbear:B005"),
    ],
)
async def test_what_cannot_be_shown_is_left_open(tmp_path: Path, text: str, rule: str) -> None:
    assert (await reproduced(tmp_path, text, rule)).stance == "cannot_tell"


async def test_what_works_is_refuted(tmp_path: Path) -> None:
    assert (await reproduced(tmp_path, "'%s' % ('x',)\n", "pyflakes:F507")).stance == "refute"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("'%1000000000d' % (1,)\n", "pyflakes:F507"),
        ("'%.1000000000f' % (1.0,)\n", "pyflakes:F507"),
        ("'%*d' % (1000000000, 1)\n", "pyflakes:F507"),
        ("'{:1000000000}'.format(1)\n", "pyflakes:F524"),
        ("'{:{}}'.format(1, 1000000000)\n", "pyflakes:F524"),
        ("'%s' % ([[[[[[[[[[1]]]]]]]]]],)\n", "pyflakes:F507"),
        (f"'{'x' * 100_000}' % (1,)\n", "pyflakes:F507"),
        (f"x is {'9' * 4000}\n", "pyflakes:F632"),
    ],
)
async def test_a_literal_that_would_do_harm_is_not_tried(tmp_path: Path, text: str, rule: str) -> None:
    verdict = await reproduced(tmp_path, text, rule)
    assert verdict.stance == "cannot_tell"
    assert not [piece for piece in verdict.evidence if isinstance(piece, CommandRun)]


@pytest.mark.parametrize("harm", ["10**10**10", "'x' * 10**9", "__import__('os').system('exit 1')", "(lambda: 1)()"])
async def test_what_is_no_literal_is_replaced(tmp_path: Path, harm: str) -> None:
    """That there are too many values is so whatever they are; that there are enough proves nothing."""
    verdict = await reproduced(tmp_path, f"'%s' % ({harm}, 1)\n", "pyflakes:F507")
    (run,) = [piece for piece in verdict.evidence if isinstance(piece, CommandRun)]
    assert harm not in run.argv[-1]
    assert (verdict.stance, "not all arguments" in verdict.reason) == ("confirm", True)
    assert (await reproduced(tmp_path, f"'%s' % ({harm},)\n", "pyflakes:F507")).stance == "cannot_tell"


async def test_a_program_holds_nothing_of_the_file_but_values(tmp_path: Path) -> None:
    text = '\'%s%s\' % (secret_name.attribute, call_of("\'\\"\\n{}"), \'"""\')  # comment\n'
    verdict = await reproduced(tmp_path, text, "pyflakes:F507")
    (run,) = [piece for piece in verdict.evidence if isinstance(piece, CommandRun)]
    assert "secret_name" not in run.argv[-1]
    assert "call_of" not in run.argv[-1]
    assert "comment" not in run.argv[-1]
    assert verdict.stance == "confirm"


async def test_equal_programs_run_once_and_too_many_are_said(tmp_path: Path) -> None:
    lines = [f"x is {1000 + n}\n" for n in range(MOST_RUN + 2)]
    text = "".join(["x is 'abc'\n", "y is 'abc'\n", *lines]).encode()
    sources = tree(tmp_path, {"a.py": text})
    found = [finding("a.py", text, "pyflakes:F632", line) for line in range(1, len(lines) + 3)]
    value, context = await looked(sources, found)
    assert len(context.attempts) == MOST_RUN
    assert all(attempt.spent is not None for attempt in context.attempts)
    assert value.confirm + value.cannot_tell == len(found)
    assert 3 <= value.cannot_tell <= 4
    assert {v.reason for v in verdicts(context) if v.stance == "cannot_tell"} == {
        f"one call runs no more than {MOST_RUN} reproductions"
    }


async def test_without_a_laboratory_nothing_runs(tmp_path: Path) -> None:
    text = b"x is 'abc'\n"
    sources = tree(tmp_path, {"a.py": text})
    context = CollectingContext(["a.py"])
    looker = SecondLooker(sources, laboratory=None)
    value = await looker.answer([frame([finding("a.py", text, "pyflakes:F632", 1)])], context)
    assert (value.unjudged, context.attempts, looker.floor) == (1, [], Amount())
    assert SecondLooker(sources, laboratory=Laboratory()).floor == Amount(tool_calls=MOST_RUN)


@pytest.fixture(params=["none", *BACKENDS])
def sandbox(request: pytest.FixtureRequest) -> Sandbox | None:
    """Each sandbox that works here, and none."""
    if request.param == "none":
        return None
    tried = probe(request.param)
    if tried.sandbox is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.sandbox


async def ran(root: Path, sandbox: Sandbox | None, program: str) -> Verdict:
    """What is said when this program is the reproduction."""
    text = b"x is 'abc'\n"
    source = tree(root, {"a.py": text}).source("a.py")
    code = Code.of(source) if source is not None else None
    assert code is not None
    (experiment,) = experiments([finding("a.py", text, "pyflakes:F632", 1)], code)
    (verdict,) = await Laboratory(sandbox).run([replace(experiment, program=program)], CollectingContext(["a.py"]))
    return verdict


async def test_the_processes_of_a_sandbox_are_not_those_of_a_reproduction(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    """It is looked at every 0.1 s, so that one which takes longer is seen."""
    verdict = await ran(tmp_path, sandbox, "import time\ntime.sleep(0.2)\nprint('shown late')")
    assert (verdict.stance, verdict.reason) == ("confirm", "reproduced from the literals here: late")


async def test_a_reproduction_over_its_limits_shows_nothing(tmp_path: Path, sandbox: Sandbox | None) -> None:
    program = "import os, time\nfor _ in range(3): os.fork()\ntime.sleep(5)\nprint('shown x')"
    verdict = await ran(tmp_path, sandbox, program)
    assert (verdict.stance, verdict.reason) == ("cannot_tell", "the reproduction did not end within its limits")


# --- hostile sources ---

DEEP = 3_000
HOSTILE: dict[str, bytes] = {
    "null bytes": b"assert x\0\n",
    "no encoding": b"# coding: nonsense\nassert x\n",
    "not text": b"\xff\xfe\x00assert x\n",
    "parentheses": b"assert " + b"(" * 5_000 + b"1" + b")" * 5_000 + b"\n",
    "attributes": b"assert x" + b".a" * DEEP + b"\n",
    "a sum": b"assert " + b"1+" * DEEP + b"1\n",
    "calls": b"assert " + b"f(" * 80 + b")" * 80 + b"\n",
    "comparisons": b"assert x" + b" < y" * 20_000 + b"\n",
    "one long list": b"assert [" + b"'a'," * 100_000 + b"]\n",
    "a long line": b"assert '" + b"a" * 1_000_000 + b"'\n",
    "a huge number": b"assert 0x" + b"f" * 200_000 + b"\n",
    "brackets in a text": b"password = '" + b"[" * 400_000 + b"'\n",
    "an address without end": b"x = '" + b"a://b:c" * 100_000 + b"'\n",
    "an import without end": b"from a import (" * 30_000 + b"\n",
    "type comments": b"import os  " + b"# type:" * 100_000 + b"\n",
    "nothing but lines": b"import os\n" + b"\n" * 1_000_000,
    "nothing": b"\n",
}
RULES = [
    "bandit:B101",
    "bandit:B105",
    "bandit:B602",
    "bandit:B608",
    "bandit:B310",
    "pyflakes:F401",
    "pyflakes:F841",
    "pyflakes:F507",
    "pyflakes:F632",
    "flake8-bugbear:B006",
    "flake8-bugbear:B023",
    "detect-secrets:Basic Auth Credentials",
    "detect-secrets:Hex High Entropy String",
    "bandit:B704",
    "vulture:unused-function",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_source_ends_in_no_refutation_and_soon(tmp_path: Path, name: str) -> None:
    text = HOSTILE[name]
    sources = tree(tmp_path, {"a.py": text})
    found = [finding("a.py", text, rule, 1) for rule in RULES]
    with anyio.fail_after(60):
        value, context = await looked(sources, found)
    assert value.findings == len(RULES)
    assert {verdict.stance for verdict in verdicts(context)} <= {"cannot_tell"}
    await anyio.to_thread.run_sync(Words.in_texts, [("a.py", text)])


async def test_a_great_many_findings_in_one_function_take_a_while_and_not_for_ever(tmp_path: Path) -> None:
    many = 6_000
    text = ("import os\n\n\ndef f(x):\n" + "    y = 'a' + x\n    os.system(y)\n" * (many // 2)).encode()
    sources = tree(tmp_path, {"a.py": text})
    found = [finding("a.py", text, "bandit:B605", line) for line in range(6, 6 + many, 2)]
    with anyio.fail_after(60):
        value, _ = await looked(sources, found)
    assert value.cannot_tell == len(found)


async def test_what_a_call_says_reads_back_as_it_was(tmp_path: Path) -> None:
    text = b"import os\nos.system('ls')\n"
    sources = tree(tmp_path, {"a.py": text})
    _, context = await looked(sources, [finding("a.py", text, "bandit:B605", 2)])
    again = read_records([record.to_json() for record in context.records], "main/2/0")
    assert [record.recorded_by("") for record in again] == list(context.records)
