"""What of ours decides results: every file of it is part of the keys by which results are reused."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.workflows.audit.cache import code_digest, code_folders
from antiphon.workflows.audit.files import digest_of, own_files
from antiphon.workflows.audit.presence import DATA, RUNNERS
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import survey
from antiphon.workflows.audit.table import TABLE
from antiphon.workflows.audit.tool import Tool, ours_digest


def covered() -> set[str]:
    """What is part of a key of `--reuse`: names relative to the audit's own folder."""
    return {
        file.relative_to(DATA.parent).as_posix()
        for folder in code_folders()
        for file in own_files(folder)
        if file.is_relative_to(DATA.parent)
    }


def test_every_file_of_our_code_and_rules_is_covered() -> None:
    names = covered()
    assert {"data/semgrep.yml", "data/eslint.security.mjs", "data/at_root.cjs", "data/clippy/clippy.toml"} <= names
    assert {"tool.py", "table/rules.toml", "runners/vulture_runner.py"} <= names
    there = {file.relative_to(DATA.parent).as_posix() for file in DATA.parent.rglob("*") if file.is_file()}
    assert names == {name for name in there if "__pycache__" not in name}
    assert code_digest() == digest_of(code_folders())


def test_the_rules_that_tools_are_given_are_covered() -> None:
    files = {file.name for folder in (DATA, RUNNERS) for file in own_files(folder)}
    assert {"semgrep.yml", "eslint.security.mjs", "at_root.cjs", "gitleaks.toml", "vulture_runner.py"} <= files
    assert ours_digest() == digest_of((DATA, RUNNERS))


def test_any_edit_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "rules.yml").write_text("rules: []\n")
    seen = [digest_of([tmp_path])]
    (tmp_path / "inner" / "rules.yml").write_text("rules: [one]\n")
    seen.append(digest_of([tmp_path]))
    (tmp_path / "inner" / "rules.yml").rename(tmp_path / "rules.yml")
    seen.append(digest_of([tmp_path]))
    (tmp_path / "empty").write_text("")
    seen.append(digest_of([tmp_path]))
    assert len(set(seen)) == 4
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "rules.pyc").write_bytes(b"compiled")
    assert digest_of([tmp_path]) == seen[-1]


@pytest.fixture
def forgetful() -> Iterator[None]:
    """The digest is kept for the whole process; not what it is here."""
    ours_digest.cache_clear()
    yield
    ours_digest.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_other_rules_of_ours_are_other_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is keyed by the version of its role, and so by `table`: a resumed run performs it again."""
    entry = next(entry for entry in TABLE if entry.tool == "semgrep")
    tool = Tool(entry, next(iter(entry.lenses)), Sources.of(survey(tmp_path)), ("semgrep",), "1.0")
    before = tool.table
    edited = shutil.copytree(DATA, tmp_path / "data")
    monkeypatch.setattr("antiphon.workflows.audit.tool.DATA", edited)
    ours_digest.cache_clear()
    assert tool.table == before
    with (edited / "semgrep.yml").open("a") as rules:
        rules.write("# edited\n")
    assert tool.table == before, "it is read once"
    ours_digest.cache_clear()
    assert tool.table != before
