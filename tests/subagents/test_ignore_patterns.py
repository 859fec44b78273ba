"""Patterns of ignore files mean what git says they mean."""

import pytest

from antiphon.subagents.ignore_patterns import Patterns


@pytest.mark.parametrize(
    ("lines", "meant", "other"),
    [
        (["docs/"], ["docs/a.md", "x/docs/b/c"], ["docs", "a/docs"]),
        (["/docs/**"], ["docs/a", "docs/b/c"], ["x/docs/a", "docs"]),
        (["docs/*.md"], ["docs/a.md"], ["docs/b/c.md", "x/docs/a.md"]),
        (["*.py", "!test_*.py"], ["a.py", "b/c.py"], ["test_a.py", "b/test_c.py", "a.pyc"]),
        (["**/gen/*"], ["gen/a", "x/y/gen/a"], ["gen", "generic/a"]),
        (["a/**/b"], ["a/b", "a/x/y/b", "a/b/inside"], ["a", "x/a/b"]),
        (["[!a-c]?[[:digit:]]"], ["dx1", "x/dd0"], ["ax1", "dxx"]),
        (["\\#a", "\\!b", "c\\ ", "d "], ["#a", "!b", "c ", "d"], ["d ", "c"]),
        (["**"], ["a", "b/c"], []),
        (["a]b", "[]]x"], ["a]b", "]x"], ["ab"]),
    ],
)
def test_a_pattern_means_what_it_says(lines: list[str], meant: list[str], other: list[str]) -> None:
    patterns = Patterns.of(lines)
    assert [path for path in meant if not patterns.means(path)] == []
    assert [path for path in other if patterns.means(path)] == []


def test_the_last_line_that_fits_decides_and_what_is_no_pattern_is_passed_over() -> None:
    patterns = Patterns.of(["# a", "", "!", "/", "a//b", "[", "x\\", "[[:none:]]", "b", "!b", "y" * 2_000])
    assert len(patterns.lines) == 2
    assert patterns.decides("b", folder=False) is False
    assert patterns.decides("c", folder=False) is None
    assert not patterns.means("b")
