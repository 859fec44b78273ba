"""Findings beside the lines of a pull request: in GitHub's words, few enough to be shown, and never two commands."""

import re
from pathlib import Path

import pytest

from antiphon.subagents.records import Actor, Finding, FindingKey, Severity, author_verdict
from antiphon.workflows.baseline import compare, read_sarif
from antiphon.workflows.cli.annotations import SHOWN_OF_EACH, github_annotations
from antiphon.workflows.report import About, sarif
from antiphon.workflows.synthesis import Synthesis, synthesize

COMMAND = re.compile(r"::(error|warning|notice) ([^\n]*?)::([^\n]*)")


def finding(
    path: str = "a.py", *, line: int = 1, severity: Severity = "high", text: str = "bad", **more: int
) -> Finding:
    plain = Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path=path, rule="t:R", symbol=f"at{line}"),
        rule="R1",
        title="a rule",
        text=text,
        severity=severity,
        severity_by="t",
        actor=Actor(tool="tool", lineage="t"),
        line=line,
    )
    return plain.model_copy(update=more)


def found(*findings: Finding) -> Synthesis:
    return synthesize(findings, {})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    return tmp_path


def test_a_command_in_githubs_words(root: Path) -> None:
    [line] = github_annotations(found(finding(column=3, end_line=1, end_column=9)), root)
    assert line == "::error file=a.py,line=1,endLine=1,col=3,endColumn=8,title=R1 (high)::bad [tool]"


def test_columns_only_where_it_is_on_one_line(root: Path) -> None:
    [line] = github_annotations(found(finding(line=4, column=3, end_line=6, end_column=9)), root)
    assert "line=4,endLine=6,title" in line


def test_names_are_relative_to_the_checkout(root: Path) -> None:
    (root / "sub").mkdir()
    [line] = github_annotations(found(finding()), root / "sub")
    assert "file=sub/a.py," in line
    [line] = github_annotations(found(finding()), root.parent)
    assert "file=a.py," in line


@pytest.mark.parametrize(
    ("severity", "command"),
    [("critical", "error"), ("high", "error"), ("medium", "warning"), ("low", "notice"), ("info", "notice")],
)
def test_how_bad_it_is_decides_the_command(root: Path, severity: Severity, command: str) -> None:
    [line] = github_annotations(found(finding(severity=severity)), root)
    assert line.startswith(f"::{command} ")


EVIL = [
    "x\n::error file=b.py::pwned",
    "x\r::add-mask::secret",
    "a,line=99,title=b",
    "::stop-commands::t",
    "100%0A::warning::x",
    "\x1b[31m\u202e",
    "x\u2028::error::y",
    "##[error]z",
]


@pytest.mark.parametrize("text", EVIL)
def test_hostile_text_stays_one_command(root: Path, text: str) -> None:
    lines = list(github_annotations(found(finding(path=text, text=text)), root))
    assert len(lines) == 1
    [line] = lines
    assert len(line.splitlines()) == 1
    match = COMMAND.fullmatch(line)
    assert match is not None
    names = [part.partition("=")[0] for part in match.group(2).split(",")]
    assert names == ["file", "line", "endLine", "title"]
    assert line.isprintable()
    assert "%0A::" not in line.replace("%250A", "")


def test_no_more_than_github_shows_and_the_rest_is_counted(root: Path) -> None:
    many = [finding(line=n) for n in range(1, 16)] + [finding(line=n, severity="low") for n in range(20, 25)]
    lines = list(github_annotations(found(*many), root))
    assert sum(line.startswith("::error") for line in lines) == SHOWN_OF_EACH
    assert sum(line.startswith("::notice") for line in lines) == 5
    assert lines[-1].startswith("5 more are not shown here")


def test_what_is_set_aside_is_not_shown(root: Path) -> None:
    claim = finding()
    assert list(github_annotations(synthesize([claim, author_verdict(claim, "noqa")], {}), root)) == []


def test_what_is_new_comes_first(root: Path) -> None:
    about = About(target="x")
    old, new = finding(line=1, text="old"), finding(line=9, text="new", severity="high")
    before = read_sarif(sarif(found(old), about), "before")
    now = found(old, new)
    comparison = compare(before, read_sarif(sarif(now, about), "after"))
    lines = list(github_annotations(now, root, comparison))
    assert [re.findall(r"title=R1 \((.*?)\)", line) for line in lines] == [["high%2C new"], ["high%2C unchanged"]]
