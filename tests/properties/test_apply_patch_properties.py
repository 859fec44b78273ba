"""A patch of one text to another makes the one of the other; a patch that does not fit changes nothing at all."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import UsageError
from antiphon.subagents.tools.files.patches import read_patch
from antiphon.subagents.tools.files.patching import patch_files
from antiphon.subagents.tools.files.placing import HunkMisfit, Placing
from antiphon.subagents.workspace.files import Files, NotText, Put, Remove, Text, Walk

# Few lines, so that texts share many; and those that look like parts of a patch.
LINES = (
    "a",
    "b",
    "",
    " ",
    "\tc",
    "--- x",
    "+++ y",
    "@@ -1 +1 @@",
    "diff --git a/x b/x",
    "-",
    "+",
    "\\ No",
    "é\x0c\u2028",
)
ENDS = ("\n", "\n", "\n", "\r\n", " \n")


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines = draw(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(ENDS)), max_size=12))
    text = "".join(line + end for line, end in lines)
    return text if draw(st.booleans()) else text.removesuffix("\n").removesuffix("\r")


def kept(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    return [line + "\n" for line in text.split("\n")[:-1]] + [rest for rest in text.split("\n")[-1:] if rest]


def unified(before: str, after: str, context: int, name: str = "f") -> str:
    diff = difflib.unified_diff(kept(before), kept(after), f"a/{name}", f"b/{name}", n=context)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in diff)


def envelope(before: str, after: str, context: int) -> str:
    """The same in the form that has no numbers."""
    lines = unified(before, after, context).split("\n")[2:]
    hunks = ["@@" if line.startswith("@@") and " @@" in line else line for line in lines]
    return "\n".join(["*** Begin Patch", "*** Update File: f", *hunks[:-1], "*** End Patch"])


@given(before=texts(), after=texts(), context=st.integers(0, 4))
@settings(deadline=None)
def test_a_patch_of_two_texts_turns_one_into_the_other(before: str, after: str, context: int) -> None:
    if before == after:
        return
    (file,) = read_patch(unified(before, after, context))
    placing = Placing(Text(before))
    for hunk in file.hunks:
        placing.add(hunk)
    assert placing.made().text == after


@given(before=texts(), after=texts(), context=st.integers(1, 4), above=st.integers(0, 3))
@settings(deadline=None)
def test_lines_before_it_move_a_patch_and_nothing_else(before: str, after: str, context: int, above: int) -> None:
    """Either every hunk is where it was meant to be, or the patch is refused."""
    if before == after or not before:
        return
    new = "".join(f"new {number}\n" for number in range(above))
    (file,) = read_patch(unified(before, after, context))
    placing = Placing(Text(new + before))
    try:
        for hunk in file.hunks:
            placing.add(hunk)
    except HunkMisfit:
        return
    assert placing.made().text.removeprefix(new).count("new") == 0
    if not above:
        assert placing.made().text == after


PLAIN = st.lists(st.sampled_from(("a", "b", "c", "d", "", "e f")), max_size=10).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)


@given(before=PLAIN, after=PLAIN, context=st.integers(0, 3))
@settings(deadline=None)
def test_without_numbers_a_patch_finds_its_only_place_or_none(before: str, after: str, context: int) -> None:
    if before == after:
        return
    (file,) = read_patch(envelope(before, after, context))
    placing = Placing(Text(before))
    try:
        for hunk in file.hunks:
            placing.add(hunk)
    except HunkMisfit as misfit:
        refusal = str(misfit)
    else:
        assert placing.made().text == after
        return
    assert "several times" in refusal or "nobody knows where" in refusal


@given(before=texts(), after=texts(), other=texts(), context=st.integers(0, 3), second=texts())
@settings(deadline=None, max_examples=60)
def test_a_patch_is_applied_whole_or_not_at_all(before: str, after: str, other: str, context: int, second: str) -> None:
    """The first of its files fits, the second is a stranger's."""
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        first = "one line\n"
        files.write("first", first.encode())
        files.write("second", other.encode())
        patch = unified(first, f"{first}{second}\n", 1, "first") + unified(before, after, context, "second")
        try:
            patch_files(files, patch)
        except UsageError:
            assert files.read("first").data == first.encode()
            assert files.read("second").data == other.encode()
        else:
            assert files.read("first").data == f"{first}{second}\n".encode()
        assert sorted(entry.name for entry in files.list()) == ["first", "second"]


PIECES = (
    b"a",
    b"\n",
    b"\r\n",
    b"\r",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"# coding: latin-1\n",
    b"# coding: utf-7\n",
    b"\xef\xbb\xbf",
)
MARKS = (b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")


@given(mark=st.sampled_from(MARKS), pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=8))
@settings(deadline=None)
def test_a_text_that_is_written_as_it_was_read_is_the_same_bytes(mark: bytes, pieces: list[bytes]) -> None:
    data = mark + b"".join(pieces)
    try:
        text = Text.of(data, "f")
    except NotText:
        assert b"\0" in data or mark[:1] in (b"\xff", b"\xfe") or data[:2] in (b"\xff\xfe", b"\xfe\xff")
        return
    assert text.data("f") == data
    assert "\n".join(text.lines) + ("\n" if text.text.endswith("\n") else "") == text.text


NAMES = ("a", "b", "d", "d/a", "d/b", "d/e/a", "B")
CHANGES = st.lists(
    st.builds(Put, st.sampled_from(NAMES), st.binary(max_size=3), before=st.sampled_from((None, "absent")))
    | st.builds(Remove, st.sampled_from(NAMES)),
    min_size=1,
    max_size=4,
)


@given(sets=st.lists(CHANGES, max_size=6))
@settings(deadline=None, max_examples=60)
def test_sets_of_changes_are_made_whole_or_not_at_all(sets: list[list[Put | Remove]]) -> None:
    """Against a plain dictionary of what there should be."""
    model: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        for changes in sets:
            try:
                files.change(changes)
            except UsageError:
                pass
            else:
                for change in changes:
                    if isinstance(change, Put):
                        model[change.path] = change.content
                    else:
                        del model[change.path]
            assert {found.path: files.read(found.path).data for found in Walk(files).below()} == model
            left = {entry.name for entry in files.list()}
            assert left == {path.split("/")[0] for path in model}, "no empty folder, and nothing half written"
