"""Lines of code in reports: only where the evidence is what it was, never a secret, never out of the tree."""

import os
from pathlib import Path

import pytest

from antiphon.subagents.records import Actor, Finding, FindingKey, file_span
from antiphon.workflows.report import excerpts
from antiphon.workflows.report.secrets import is_about_secret, secret_lines, shown_text
from antiphon.workflows.report.tree import LARGEST_BYTES, Tree
from antiphon.workflows.synthesis import synthesize

CODE = b"import os\n\n    run(x, shell=True)  # \xff\npassword = 'hunter2'\n"


def finding(
    line: int = 3, path: str = "a.py", code: bytes = CODE, lens: str = "security", **changes: object
) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=path, rule="bandit:B602"),
        "rule": "S602",
        "title": "shell",
        "text": "so: 'hunter2'",
        "severity": "high",
        "severity_by": "ruff",
        "actor": Actor(tool="ruff", lens=lens, lineage="bandit"),
        "evidence": (file_span(path, [code.splitlines(keepends=True)[line - 1]], line),),
        "line": line,
        "end_line": line,
    }
    return Finding.model_validate(content | changes)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of one file."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.py").write_bytes(CODE)
    return root


def shown(root: Path, *found: Finding) -> list[str]:
    return list(excerpts(synthesize(found, {}), root).values())


def test_the_line_is_shown_without_what_surrounds_it(tree: Path) -> None:
    assert shown(tree, finding()) == ["run(x, shell=True)  # \\xff"]


def test_a_line_that_is_not_what_it_was_is_not_shown(tree: Path) -> None:
    (tree / "a.py").write_bytes(CODE.replace(b"x,", b"y,"))
    assert shown(tree, finding()) == []
    (tree / "a.py").write_bytes(b"")
    assert shown(tree, finding()) == []


@pytest.mark.parametrize(
    "about_it",
    [
        finding(4, lens="secrets"),
        finding(4, cwe=798),
        finding(4, cwe=259),
        finding(4, key=FindingKey(path="a.py", rule="bandit:B105")),
        finding(4, actor=Actor(tool="Gitleaks")),
        finding(4, rule="generic-api-key"),
        finding(4, title="AWS secret"),
    ],
    ids=["lens", "CWE-798", "CWE-259", "B105", "tool", "rule", "title"],
)
def test_a_line_with_a_secret_is_shown_by_no_finding(tree: Path, about_it: Finding) -> None:
    beside = finding(4)
    assert is_about_secret(about_it)
    assert shown(tree, beside) == ["password = 'hunter2'"], "alone it is shown, so that this test can fail"
    assert shown(tree, about_it, beside) == []
    assert secret_lines([about_it, beside]) == {("a.py", 4)}
    assert "hunter2" not in shown_text(about_it)


def test_no_link_is_followed_and_nothing_outside_is_read(tree: Path) -> None:
    outside = tree.parent / "outside.py"
    outside.write_bytes(CODE)
    (tree / "link.py").symlink_to(outside)
    (tree / "folder").symlink_to(tree.parent)
    for path in ("link.py", "folder/outside.py", "../outside.py", str(outside), "", ".", "a.py/", "a.py\0"):
        assert Tree(tree).lines(path) is None, path
        assert shown(tree, finding(path=path or "x")) == []
    assert shown(tree.parent, finding(path="outside.py")), "inside the tree it is read, so that this test can fail"


def test_pipes_and_what_is_too_large_are_not_read(tree: Path) -> None:
    os.mkfifo(tree / "pipe.py")
    with (tree / "large.py").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    assert Tree(tree).lines("pipe.py") is None
    assert Tree(tree).lines("large.py") is None


def test_a_file_that_was_audited_alone_is_found(tree: Path) -> None:
    assert shown(tree / "a.py", finding())


def test_a_very_long_line_is_cut(tree: Path) -> None:
    code = b"x" * 1_000_000 + b"\n"
    (tree / "a.py").write_bytes(code)
    (line,) = shown(tree, finding(1, code=code))
    assert len(line) == 200
