"""Patches in both forms that models write, and what is said of those that do not fit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.tools.files.patches import PatchUnreadable, read_patch
from antiphon.subagents.tools.files.patching import PatchMisfit, patch_files, paths_in
from antiphon.subagents.workspace.files import Files, PathRefused, Walk

CODE = (
    "import os\n\n\nclass A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 1\n\n\nEND = 0\n"
)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.write("src/a.py", CODE.encode())
    made.write("old.txt", b"one\ntwo\nthree\n")
    return made


def content(files: Files, path: str) -> str:
    return files.read(path).data.decode()


def begun(text: str) -> str:
    return f"*** Begin Patch\n{text}*** End Patch\n"


def state(files: Files) -> dict[str, bytes]:
    return {found.path: files.read(found.path).data for found in Walk(files).below()}


# --- the unified form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "--- a/old.txt\n+++ b/old.txt\n",
        "--- old.txt\n+++ old.txt\n",
        "diff --git a/old.txt b/old.txt\nindex 1..2 100644\n--- a/old.txt\n+++ b/old.txt\n",
        "--- a/old.txt\t2026-01-01 00:00:00\n+++ b/old.txt\t2026-01-01 00:00:00\n",
        '--- "a/old.txt"\n+++ "b/old.txt"\n',
        "```diff\n--- a/old.txt\n+++ b/old.txt\n",
    ],
    ids=["prefixed", "plain", "git", "times", "quoted", "fenced"],
)  # fmt: skip
@pytest.mark.parametrize(
    "at", ["@@ -1,3 +1,3 @@", "@@ -1,3 +1,3 @@ def f():", "@@ -1,9 +1,9 @@", "@@ -40,3 +41,3 @@", "@@ ... @@", "@@"]
)
def test_heads_and_counts_are_taken_as_models_write_them(files: Files, head: str, at: str) -> None:
    patch_files(files, f"{head}{at}\n one\n-two\n+2\n three\n" + ("```\n" if head.startswith("`") else ""))
    assert content(files, "old.txt") == "one\n2\nthree\n"


def test_several_files_are_added_deleted_renamed_and_changed_by_one_patch(files: Files) -> None:
    patch = (
        "diff --git a/new/x.sh b/new/x.sh\nnew file mode 100755\n--- /dev/null\n+++ b/new/x.sh\n"
        "@@ -0,0 +1,2 @@\n+#!/bin/sh\n+:\n"
        "diff --git a/old.txt b/moved.txt\nsimilarity index 60%\nrename from old.txt\nrename to moved.txt\n"
        "--- a/old.txt\n+++ b/moved.txt\n@@ -2 +2 @@\n-two\n+2\n"
        "diff --git a/empty b/empty\nnew file mode 100644\nindex 000..e69\n"
        "diff --git a/src/a.py b/src/a.py\ndeleted file mode 100644\n--- a/src/a.py\n+++ /dev/null\n@@ -1,12 +0,0 @@\n"
        + "".join(f"-{line}\n" for line in CODE.splitlines())
    )
    said = patch_files(files, patch)
    assert state(files) == {"empty": b"", "moved.txt": b"one\n2\nthree\n", "new/x.sh": b"#!/bin/sh\n:\n"}
    assert files.read("new/x.sh").mode == 0o755
    assert not (files.root / "src").exists(), "folders that a deletion leaves empty go"
    assert said.split("\n") == [
        "new/x.sh: added (+2 -0)",
        "old.txt: changed, moved to moved.txt (+1 -1)",
        "empty: added",
        "src/a.py: deleted",
    ]


@pytest.mark.parametrize(
    "patch",
    [
        "From 1 Mon\nSubject: x\n---\n old.txt | 2 +-\n\ndiff --git a/old.txt b/old.txt\n--- a/old.txt\n+++ b/old.txt\n"
        "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n-- \n2.39.2\n\n",
        "--- a/old.txt\n+++ b/old.txt\n@@ -1,8 +1,8 @@\n one\n-two\n+2\n three\n-- \n2.39.2\n",
        "--- a/old.txt\n+++ b/old.txt\n@@ -2,1 +2,1 @@\n-two\n+2\n\nThat is all.\n",
        "apply_patch <<'EOF'\n" + begun("*** Update File: old.txt\n@@ -1,3 +1,3 @@\n-two\n+2\n") + "EOF\n",
        "--- a/old.txt\r\n+++ b/old.txt\r\n@@ -2 +2 @@\r\n-two\r\n+2\r\n",
    ],
    ids=["mail", "mail with wrong counts", "words behind it", "here document", "carriage returns"],
)
def test_what_is_around_a_patch_does_not_matter(files: Files, patch: str) -> None:
    patch_files(files, patch)
    assert content(files, "old.txt") == "one\n2\nthree\n"


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (b"a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n", b"a\nc\n"),
        (b"a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n", b"a\nc"),
        (b"a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n", b"a\nc"),
        (b"a\nb", "@@ -1,2 +1,1 @@\n a\n-b\n", b"a\n"),
        (b"a\nb", "@@ -1,2 +1,3 @@\n a\n b\n+c\n", b"a\nb\nc"),
        (b"a\r\nb\r\n", "@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n", b"a\r\nc\r\nd\r\n"),
        (b"a\r\nb\r\n", "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n", b"a\r\nc\r\n"),
        (b"a\r\nb\r\n", "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\n", b"a\r\nc\n"),
        (b"\xef\xbb\xbfa\nb\n", "@@ -1,2 +1,2 @@\n-\xef\xbb\xbfa\n+\xef\xbb\xbfc\n b\n", b"\xef\xbb\xbfc\nb\n"),
        (b"\xef\xbb\xbfa\nb\n", "@@ -1,2 +1,2 @@\n-a\n+c\n b\n", b"\xef\xbb\xbfc\nb\n"),
        (b"", "@@ -0,0 +1 @@\n+a\n", b"a\n"),
        (b"a\n\nb\n", "@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", b"a\n\nc\n"),
        (b"a\xff\nb\n", "@@ -2 +2 @@\n-b\n+c\n", b"a\xff\nc\n"),
    ],
    ids=["closes", "opens", "stays open", "last line goes", "line comes", "lf patch", "crlf patch", "crlf to lf",
         "mark", "mark left out", "empty", "bare empty line", "invalid"],
)  # fmt: skip
def test_line_ends_marks_and_the_last_newline_are_kept(files: Files, before: bytes, patch: str, after: bytes) -> None:
    files.write("f", before)
    text = patch.encode("latin-1").decode("utf-8") if "\xef\xbb\xbf" in patch else patch
    patch_files(files, f"--- a/f\n+++ b/f\n{text}")
    assert files.read("f").data == after


def test_lines_that_look_like_a_patch_are_lines(files: Files) -> None:
    files.write("f", b"-- x\n++ y\n@@ -1 +1 @@\n")
    patch_files(files, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n--- x\n+++ z\n ++ y\n @@ -1 +1 @@\n")
    assert content(files, "f") == "++ z\n++ y\n@@ -1 +1 @@\n"


def test_a_patch_of_git_makes_the_tree_that_git_made_it_from(tmp_path: Path) -> None:
    before, after = Files(tmp_path / "a"), Files(tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    many = "".join(f"line {number}\n" for number in range(60))
    for name, text in {"keep": many, 'odd näme \t"x"': many, "move": many, "gone": "x\n", "run": "r\n"}.items():
        Path(before.root, name).write_text(text)
    changed = many.replace("line 3\n", "").replace("line 40\n", "forty\nmore\n")
    for name, text in {
        "keep": changed,
        'odd näme \t"x"': many + "end",
        "d/moved": many,
        "new": "",
        "run": "r\n",
    }.items():
        after.root.joinpath(name).parent.mkdir(exist_ok=True)
        after.root.joinpath(name).write_text(text)
    (after.root / "run").chmod(0o755)
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    made = subprocess.run(
        ["git", "diff", "--no-index", "--find-renames", "a", "b"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        check=False,
    )
    patch = made.stdout.decode().replace("a/a/", "a/").replace("b/b/", "b/").replace(" a/b/", " a/")
    patch = patch.replace("rename from a/", "rename from ").replace("rename to b/", "rename to ")
    patch_files(before, patch)
    assert state(before) == state(after)
    assert before.read("run").mode & 0o111


# --- the form of coding models --------------------------------------------------------------------------------------


def test_the_form_of_models_changes_adds_deletes_and_moves(files: Files) -> None:
    files.write("gone", b"x")
    patch_files(
        files,
        begun(
            "*** Update File: src/a.py\n@@ class A:\n@@     def g(self):\n-        return 1\n+        return 2\n"
            "*** Add File: n/b.py\n+first\n+\n+third\n*** Delete File: gone\n"
            "*** Update File: old.txt\n*** Move to: new.txt\n@@\n one\n-two\n+2\n"
        ),
    )
    assert content(files, "src/a.py") == CODE.replace(
        "def g(self):\n        return 1", "def g(self):\n        return 2"
    )
    assert content(files, "n/b.py") == "first\n\nthird\n"
    assert content(files, "new.txt") == "one\n2\nthree\n"
    assert sorted(state(files)) == ["n/b.py", "new.txt", "src/a.py"]


@pytest.mark.parametrize(
    ("hunks", "after"),
    [
        ("@@ one\n+1.5\n", "one\n1.5\ntwo\nthree\n"),
        ("@@\n three\n+four\n*** End of File\n", "one\ntwo\nthree\nfour\n"),
        ("-one\n+1\n@@\n-three\n+3\n", "1\ntwo\n3\n"),
        ("@@\n+last\n*** End of File\n", "one\ntwo\nthree\nlast\n"),
        ("@@ one\n one\n-two\n+2\n", "one\n2\nthree\n"),
    ],
    ids=["behind a line", "at the end", "several", "only added at the end", "anchor is context too"],
)
def test_hunks_without_numbers_find_their_place(files: Files, hunks: str, after: str) -> None:
    patch_files(files, begun(f"*** Update File: old.txt\n{hunks}"))
    assert content(files, "old.txt") == after


def test_one_file_may_be_in_a_patch_several_times(files: Files) -> None:
    one = "*** Update File: old.txt\n@@\n-two\n+2\n"
    patch_files(files, begun(f"{one}*** Update File: old.txt\n@@\n-2\n+zwei\n"))
    assert content(files, "old.txt") == "one\nzwei\nthree\n"


# --- what does not fit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (begun("*** Update File: src/a.py\n@@\n-        return 1\n+        return 2\n"), "several times (lines 6, 9)"),
        (begun("*** Update File: old.txt\n@@\n-zwei\n+2\n"), "hunk 1 of 1: these lines are not in the file:\nzwei"),
        (begun("*** Update File: old.txt\n@@\n-  two\n+2\n"), "Only the white space differs"),
        (begun("*** Update File: old.txt\n@@ nowhere\n-two\n+2\n"), "no line is 'nowhere'"),
        (begun("*** Update File: old.txt\n@@\n+2\n"), "so nobody knows where"),
        (begun("*** Update File: old.txt\n@@\n-two\n+2\n@@\n-one\n+1\n"), "hunk 2 of 2: these"),
        (begun("*** Update File: no.txt\n@@\n-two\n+2\n"), "no.txt: the patch changes it, and there is no such file"),
        (begun("*** Add File: old.txt\n+x\n"), "there is such a file already; change it instead"),
        (begun("*** Delete File: no.txt\n"), "no.txt: the patch deletes it, and there is no such file"),
        (begun("*** Update File: src/a.py\n*** Move to: old.txt\n"), "there is such a file already"),
        ("--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n", "there are lines that it does not know"),
        ("--- a/old.txt\n+++ b/old.txt\n@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+2\n", "it has one"),
        ("--- a/old.txt\n+++ b/old.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end\n", "there are more"),
        ("--- a/bin\n+++ b/bin\n@@ -1 +1 @@\n-a\n+b\n", "bin: it is binary, not text"),
    ],
)  # fmt: skip
def test_a_patch_that_does_not_fit_says_why_and_changes_nothing(files: Files, patch: str, said: str) -> None:
    files.write("bin", b"a\0\n")
    good = (
        "*** Update File: old.txt\n*** Move to: other.txt\n" if "old.txt" not in patch else "*** Add File: fine\n+x\n"
    )
    before = state(files)
    for one in (patch, patch.replace("*** Begin Patch\n", f"*** Begin Patch\n{good}")):
        with pytest.raises(UsageError) as refused:
            patch_files(files, one)
        assert said in str(refused.value)
        assert isinstance(refused.value, PatchMisfit | PathRefused | UsageError)
        assert state(files) == before


def test_a_misfit_shows_what_the_file_has_there(files: Files) -> None:
    with pytest.raises(PatchMisfit) as misfit:
        patch_files(
            files,
            "--- a/src/a.py\n+++ b/src/a.py\n@@ -5,2 +5,2 @@\n     def f(self):\n-        return 7\n+        return 8",
        )
    assert str(misfit.value) == (
        "nothing was changed.\nsrc/a.py, hunk 1 of 1: these lines are not in the file:\n"
        "    def f(self):\n        return 7\nWhat comes nearest to it:\n"
        "     2\t\n     3\t\n     4\tclass A:\n     5\t    def f(self):\n     6\t        return 1\n"
        "     7\t\n     8\t    def g(self):\n     9\t        return 1"
    )


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("hello", "no file is named in it"),
        ("", "no file is named in it"),
        ("@@ -1 +1 @@\n-a\n+b\n", "line 1: before this hunk"),
        ("*** Begin Patch\nsome words\n*** End Patch", "line 2: before this"),
        ("*** Begin Patch\n*** Add File: x\nno plus\n*** End Patch", "line 3: "),
        ("*** Begin Patch\n*** Delete File: x\n-a\n*** End Patch", "line 3: after `*** Delete File` no lines"),
        ("diff --git a/x b/x\nnew file mode 120000\n", "mode 120000: only"),
        ("diff --git a/x b/x\nnew file mode 160000\n", "mode 160000: only plain"),
        ("diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 1\n", "binary content is not patched"),
        ("diff --git a/x b/y\ncopy from x\ncopy to y\n", "copies are not made"),
        ("--- a/x\n+++ b/x\n" + "@@ -1 +1 @@\n-a\n+b\n" * 1_001, "more than 1,000 hunks"),
        ("--- a/old.txt\n+++ b/old.txt\n", "it says nothing of old.txt"),
        ("*** Begin Patch\n*** Update File: old.txt\n*** End Patch", "line 2: it says nothing of old.txt"),
        ("--- a/old.txt\n+++ b/new.txt\n@@ -1 +1 @@\n-one\n+1\n", "two names, old.txt and new.txt"),
        ("--- a/old.txt\n+++ b/old.txt\n@@ -1,2 +1,2 @@\none\n-two\n+2\n", "line 4: a line of a hunk begins with"),
        ("--- a/old.txt\n+++ b/old.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\nthree\n", "line 7: a line of a hunk"),
        ("--- a/old.txt\n+++ b/old.txt\n@@ -1 +1 @@\n-one\n+1\n\nwords\n+2\n", "line 8: this line is in no hunk"),
        ("--- a/old.txt\n+++ b/old.txt\n@@ -1 +1 @@\n", "line 3: there is no line in this hunk"),
        ("x" * 4_000_001, "more than 4,000,000 characters"),
    ],
)  # fmt: skip
def test_what_is_no_patch_is_said_with_its_line(files: Files, patch: str, said: str) -> None:
    before = state(files)
    with pytest.raises(PatchUnreadable) as refused:
        patch_files(files, patch)
    assert said in str(refused.value)
    assert state(files) == before


def test_paths_are_known_before_anything_is_read() -> None:
    patch = begun("*** Update File: a\n*** Move to: ../b\n@@\n-x\n*** Delete File: c\n")
    assert paths_in(patch) == ["a", "../b", "c"]
    assert [(one.path, one.act, one.to) for one in read_patch(patch)] == [("a", "change", "../b"), ("c", "delete", "")]


def test_many_equal_lines_are_looked_through_quickly(files: Files) -> None:
    """A quadratic search of this would take minutes, and the suite would show it."""
    files.write("big", b"x\n" * 200_000 + b"y\n")
    hunk = " x\n" * 50_000
    with pytest.raises(PatchMisfit):
        patch_files(files, f"--- a/big\n+++ b/big\n@@ -1,50001 +1,50000 @@\n{hunk}-z\n")


def test_a_patch_of_many_hunks_that_do_not_fit_is_soon_refused(files: Files) -> None:
    files.write("big", b"".join(b"line %d\n" % number for number in range(20_000)))
    hunks = "".join(f"@@ line {number}\n-nothing like it {number}\n+x\n" for number in range(999))
    with pytest.raises(PatchMisfit, match="and 17 more hunks do not fit, at least"):
        patch_files(files, begun(f"*** Update File: big\n{hunks}"))
