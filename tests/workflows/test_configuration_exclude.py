"""What is left out of an audit on purpose: by git's ignore files, by ours, and by the person, who comes first."""

from pathlib import Path

import pytest

from antiphon.workflows.audit.ignored import EXCLUDED, PatternError
from antiphon.workflows.audit.survey import survey

FILES = ("a.py", "build/b.py", "docs/deep/c.py", "docs/d.py", "e_old.py", "kept/e_old.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    return tmp_path / "tree"


def left_out(tree: Path, *exclude: str) -> dict[str, str]:
    return {omission.unit: omission.reason for omission in survey(tree, exclude=exclude).left_out}


def units(tree: Path, *exclude: str) -> list[str]:
    return [file.unit for file in survey(tree, exclude=exclude).files]


def test_patterns_are_those_of_ignore_files(tree: Path) -> None:
    assert units(tree) == sorted(FILES)
    assert left_out(tree, "build/", "*_old.py", "!kept/e_old.py", "/docs/**/c.py") == {
        "build/": EXCLUDED,
        "e_old.py": EXCLUDED,
        "docs/deep/c.py": EXCLUDED,
    }


def test_ours_comes_after_gits_and_the_person_before_both(tree: Path) -> None:
    (tree / ".gitignore").write_text("a.py\nbuild/\n")
    (tree / ".antiphonignore").write_text("!build/\ndocs/\n")
    assert left_out(tree) == {"a.py": "ignored by .gitignore", "docs/": "ignored by .antiphonignore"}
    assert left_out(tree, "!docs/", "kept") == {"a.py": "ignored by .gitignore", "kept/": EXCLUDED}


def test_an_ignore_file_of_ours_further_in(tree: Path) -> None:
    (tree / "docs" / ".antiphonignore").write_text("/d.py\n")
    assert left_out(tree) == {"docs/d.py": "ignored by .antiphonignore"}


@pytest.mark.parametrize("pattern", ["", "# note", "!", "\\", "["])
def test_a_pattern_that_leaves_nothing_out_is_refused(tree: Path, pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        survey(tree, exclude=["build/", pattern])
    assert "--exclude" in str(caught.value.advice)
