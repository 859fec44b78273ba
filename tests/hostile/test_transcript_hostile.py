"""Whatever a log or a patch says: what a person reads of it commands no terminal, poses as nothing, and ends."""

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.workflows.cli.asking import print_question
from antiphon.workflows.cli.diffs import diff_lines, print_diff, read_diff
from antiphon.workflows.cli.seen import Beside, SeenCall, SeenRun, context_of
from antiphon.workflows.cli.terminal import Paper
from antiphon.workflows.cli.transcript import transcript_of
from antiphon.workflows.cli.transcript_text import print_transcript

STRANGE = ("\x1b[2J", "\x9b1m", "\r", "\u202e", "\ud800", "\n--- a", "")
texts = st.one_of(st.text(max_size=12), st.sampled_from(STRANGE))
KEYS = (
    "turn results tree checks text calls id name arguments finish rationale model usage input failed problem"
    " raw anomaly from to why value spent usd error category decision tool answer kind reason path command"
    " content patch old new"
)
keys = st.sampled_from(KEYS.split())
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 10**30), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(keys, texts), inner, max_size=5)),
    max_leaves=15,
)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.one_of(keys, texts), values, max_size=6)
arguments = st.one_of(texts, objects.map(json.dumps))
calls: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries({"id": texts, "name": texts, "arguments": arguments}), max_size=3
)
answers: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"turn": st.just("model"), "text": values, "calls": st.one_of(calls, values)},
    optional={"rationale": values, "model": values, "usage": values, "finish": values},
)
results: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries({"text": values}, optional={"failed": values, "name": values}), max_size=3
)
tools: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"turn": st.just("tools"), "results": st.one_of(results, values)}, optional={"tree": values}
)
others: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"turn": st.sampled_from(["repair", "missing", "notice", "escalated", "prompt", "x", 3])},
    optional={"text": values, "problem": values, "anomaly": values, "why": values, "from": values, "to": values},
)
beside: st.SearchStrategy[Beside] = st.builds(
    Beside, st.integers(0, 5), st.sampled_from(["attempt.ended", "decision", "note"]), objects
)


def harmless(text: str) -> bool:
    """Whether a terminal only shows it."""
    strange = {one for one in text if not one.isprintable() and one != "\n"}
    return {one for one in strange if unicodedata.category(one) != "Zs"} == set()


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.one_of(answers, tools, others, values), max_size=6),
    st.lists(beside, max_size=4),
    st.tuples(objects, objects),
    st.one_of(st.none(), st.integers(1, 3)),
)
def test_any_log_is_read_safely(
    turns: list[Any], besides: list[Beside], about: tuple[dict[str, Any], dict[str, Any]], turn: int | None
) -> None:
    one = SeenCall("main/0", started={"call": "agent", "task": "t", **about[0]}, ended=about[1], beside=besides)
    one.turns.extend({"value": turn} for turn in turns)
    below = SeenCall("main/0/0", ended={"kind": "succeeded", **about[0]})
    run = SeenRun(Path("nowhere"), calls={"main/0": one, "main/0/0": below}, places={"main/0"})
    out = io.StringIO()
    told = transcript_of(run, context_of(run, one))
    print_transcript(Paper(out), run, told, turn)
    json.dumps(told.to_json(run))
    assert harmless(out.getvalue())
    ours = ("│", "┆")
    for line in out.getvalue().split("\n"):
        assert not line.startswith(("  --- a", "--- a")), f"a line of a model's that is not behind a bar ({ours})"


patches = st.lists(
    st.one_of(
        texts,
        st.sampled_from(
            [
                *("diff --git a/x b/x", "--- a/x", "+++ b/y", "@@ -1,2 +1,3 @@", "@@ -1 +1 @@ def f():", "@@"),
                *(" stays", "-goes", "+comes", "\\ No newline at end of file", "GIT binary patch", "literal 3", "zcm"),
                *("Binary files a/x and b/x differ", "new file mode 100644", "rename from a", "*** Begin Patch"),
                *(
                    "*** Update File: a\x1b[2J",
                    "*** Move to: b",
                    "--- /dev/null",
                    "+\x1b]0;title\x07",
                    "@@ -1,999999999 +1 @@",
                ),
            ]
        ),
    ),
    max_size=12,
).map("\n".join)


@settings(deadline=None, max_examples=150)
@given(patches, st.booleans(), st.sampled_from([None, 20, 80]))
def test_any_patch_is_printed_safely(patch: str, letters: bool, columns: int | None) -> None:
    out = io.StringIO()
    print_diff(patch, Paper(out, columns=columns, letters=letters))
    print_question(Paper(out, letters=letters), f"may it?\n{patch}", "main/0\x1b[2J")
    assert harmless(out.getvalue())
    assert sum(file.added for file in read_diff(patch)) <= patch.count("+")


def test_lines_of_a_file_do_not_pose_as_the_head_of_another() -> None:
    patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- a/passwd\n+++ b/passwd\n same\n@@ -9 +9 @@\n-a\n+b\n"
    [file] = read_diff(patch)
    assert (file.path, file.added, file.removed) == ("x", 2, 2)


@pytest.mark.parametrize(
    "patch",
    ["--- x\n" * 40_000, "@@ -1 +1 @@\n" * 40_000, "+" * 2_000_000, "*** Update File: a\n" * 40_000],
    ids=str.split,
)
def test_a_giant_patch_is_cut_and_said_so(patch: str) -> None:
    out = io.StringIO()
    rows = diff_lines(patch, Paper(out, columns=80), most=10, stat=False)
    assert len(rows) <= 11
    for row in rows:
        Paper(out, columns=80).line(*row)
    assert len(out.getvalue()) < 11 * 90


def test_a_binary_patch_is_one_line() -> None:
    patch = (
        "diff --git a/b.bin b/b.bin\nindex 1..2 100644\nGIT binary patch\nliteral 10\nzcmZ?wbhEHb\n\n"
        "literal 0\nHcmV?d00001\n\n"
        "diff --git a/t b/t\n--- a/t\n+++ b/t\n@@ -1 +1 @@\n-a\n+b\n"
    )
    out = io.StringIO()
    print_diff(patch, Paper(out))
    assert out.getvalue().split("\n") == [
        " b.bin | binary",
        " t     |    2 +-",
        " 2 files changed, 1 line added, 1 removed",
        "diff --git a/b.bin b/b.bin",
        "binary: b.bin is no text; its content is not shown",
        *["diff --git a/t b/t", "--- a/t", "+++ b/t", "@@ -1 +1 @@", "-a", "+b", ""],
    ]


def test_a_patch_in_colour_is_coloured_and_nothing_else() -> None:
    out = io.StringIO()
    print_diff("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old \x1b[32m\n+new\n", Paper(out, colour=True), stat=False)
    assert out.getvalue().split("\n")[3:] == ["\x1b[31m-old \\x1b[32m\x1b[0m", "\x1b[32m+new\x1b[0m", ""]
