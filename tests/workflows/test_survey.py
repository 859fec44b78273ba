"""The survey: every entry of a tree is a file, a gap or left out on purpose; and it is cut so that cuts stay put."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.workflows.audit import Check, File, PathMissing, Survey, plan, survey
from antiphon.workflows.audit.shards import MOST_SHARDS, MOST_WHOLE, WHOLE, cut
from antiphon.workflows.audit.survey import LARGEST_BYTES

Tree = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Makes a tree of files from their names and contents, and gives its root."""

    def make(files: dict[str, str | bytes]) -> Path:
        root = tmp_path / "project"
        root.mkdir()
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


def units(found: Survey) -> list[str]:
    return [file.unit for file in found.files]


def gaps(found: Survey) -> dict[str, str]:
    return {gap.unit: gap.reason for gap in found.gaps}


def left_out(found: Survey) -> dict[str, str]:
    return {entry.unit: entry.reason for entry in found.left_out}


def test_files_have_names_sizes_languages_and_hashes(tree: Tree) -> None:
    found = survey(
        tree(
            {
                "a/b.py": "x = 1\n",
                "a/b.pyi": "x: int\n",
                "icon.png": b"\x89PNG\0",
                "notes.md": "# n\n",
                "run": "#!/usr/bin/python3\n",
            }
        )
    )
    assert [(file.unit, file.language, file.size) for file in found.files] == [
        ("a/b.py", "python", 6),
        ("a/b.pyi", "stub", 7),
        ("icon.png", "other", 5),
        ("notes.md", "text", 4),
        ("run", "python", 19),
    ]
    assert found.files[0].sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
    assert found.files[2].sha256 is None, "what nothing reads is not read"
    assert not found.gaps
    assert not found.left_out


def test_ignore_files_are_honoured_and_what_they_hide_is_named(tree: Tree) -> None:
    root = tree(
        {
            ".gitignore": "*.gen.py\nbuild/\n!keep.gen.py\n/only_here.py\n",
            "a.gen.py": "",
            "keep.gen.py": "",
            "only_here.py": "",
            "build/x.py": "",
            "sub/.gitignore": "!a.gen.py\nlocal.py\n",
            "sub/a.gen.py": "",
            "sub/b.gen.py": "",
            "sub/local.py": "",
            "sub/only_here.py": "",
        }
    )
    found = survey(root)
    assert [u for u in units(found) if u.endswith(".py")] == ["keep.gen.py", "sub/a.gen.py", "sub/only_here.py"]
    assert set(left_out(found)) == {"a.gen.py", "build/", "only_here.py", "sub/b.gen.py", "sub/local.py"}


def test_ignore_files_above_count_up_to_the_repository(tree: Tree) -> None:
    root = tree(
        {
            ".git/info/exclude": "private.py\n",
            ".gitignore": "a.py\n",
            "src/a.py": "",
            "src/b.py": "",
            "src/private.py": "",
        }
    )
    assert units(survey(root / "src")) == ["b.py"]


def test_who_names_an_ignored_place_wants_it_looked_at(tree: Tree) -> None:
    root = tree({".git/HEAD": "", ".gitignore": "vendor/\n*.py\n", "vendor/x/a.py": ""})
    assert units(survey(root / "vendor" / "x")) == ["a.py"]
    assert units(survey(root / "vendor" / "x" / "a.py")) == ["a.py"]


@pytest.mark.parametrize("folder", [".git", ".antiphon", "__pycache__", "node_modules", ".tox"])
def test_folders_nobody_wrote_are_left_out_and_named(tree: Tree, folder: str) -> None:
    found = survey(tree({f"{folder}/x.py": "", "a.py": ""}))
    assert units(found) == ["a.py"]
    assert list(left_out(found)) == [f"{folder}/"]


def test_a_virtual_environment_is_known_by_its_marker(tree: Tree) -> None:
    found = survey(tree({"env/pyvenv.cfg": "", "env/lib/x.py": "", "a.py": ""}))
    assert units(found) == ["a.py"]
    assert left_out(found) == {"env/": "a virtual environment"}


def test_what_cannot_be_looked_at_is_a_gap(tree: Tree) -> None:
    root = tree(
        {
            "latin.py": b"# caf\xe9\n",
            "declared.py": b"# coding: latin-1\n# caf\xe9\n",
            "huge.py": "#" * (LARGEST_BYTES + 1),
        }
    )
    os.mkfifo(root / "pipe.py")
    found = survey(root)
    assert units(found) == ["declared.py"]
    assert gaps(found) == {
        "latin.py": "it cannot be decoded: invalid or missing encoding declaration",
        "huge.py": "it is too large: 2,000,001 bytes, and the limit is 2,000,000",
        "pipe.py": "it is no regular file",
    }
    assert {record.unit for record in found.records()} == set(gaps(found))
    assert {(record.check, record.state) for record in found.records()} == {("survey", "failed")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_gaps(tree: Tree) -> None:
    root = tree({"a.py": "", "sub/b.py": "", "c.py": ""})
    (root / "a.py").chmod(0)
    (root / "sub").chmod(0)
    try:
        found = survey(root)
    finally:
        (root / "sub").chmod(0o700)
    assert units(found) == ["c.py"]
    assert set(gaps(found)) == {"a.py", "sub/"}


def test_symbolic_links_are_not_followed(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a.py": "", "sub/b.py": ""})
    (tmp_path / "outside.py").write_text("secret = 1")
    for name, target in {
        "out.py": "../outside.py",
        "up": "..",
        "in.py": "a.py",
        "sub/loop": "..",
        "self.py": "self.py",
        "broken.py": "nowhere",
    }.items():
        (root / name).symlink_to(target)
    found = survey(root)
    assert units(found) == ["a.py", "sub/b.py"]
    assert gaps(found) == {
        "out.py": "a symbolic link out of the tree, not followed",
        "up": "a symbolic link out of the tree, not followed",
        "self.py": "a symbolic link that leads nowhere",
        "broken.py": "a symbolic link that leads nowhere",
    }
    assert left_out(found) == {"in.py": "a symbolic link to a.py", "sub/loop": "a symbolic link to ."}


def test_one_file_is_a_tree_of_one(tree: Tree) -> None:
    root = tree({"a.py": "x", "b.py": ""})
    found = survey(root / "a.py")
    assert (found.root, units(found)) == (root, ["a.py"])


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "There is nothing to look at: it holds no files."),
        ({"a.bin": "\0"}, "There is nothing to look at: no check reads any of its files (1)."),
        (
            {".gitignore": "*\n", "a.py": ""},
            "it holds no files; 2 entries were left out (ignored, vendored, generated, caches).",
        ),
    ],
)
def test_nothing_to_look_at_is_said_and_why(tree: Tree, files: dict[str, str | bytes], sentence: str) -> None:
    said = survey(tree(files)).emptiness()
    assert said is not None
    assert sentence in said


def test_something_to_look_at_is_not_empty(tree: Tree) -> None:
    found = survey(tree({"a.md": ""}))
    assert found.emptiness() is None
    assert found.emptiness({"python"}) is not None


@pytest.mark.parametrize(
    ("name", "content", "language"),
    [
        ("a.mjs", "", "javascript"),
        ("a.jsx", "", "javascript"),
        ("a.TSX", "", "typescript"),
        ("a.rs", "", "rust"),
        ("a.bash", "", "shell"),
        ("run", "#!/bin/sh\n", "shell"),
        ("run", "#!/usr/bin/env bash\n", "shell"),
        ("run", "#!/usr/bin/env node\n", "javascript"),
        ("run", "#!/usr/bin/perl\n", "text"),
        ("run.txt", "#!/bin/sh\n", "text"),
        (".github/workflows/ci.yml", "", "workflow"),
        ("sub/action.yaml", "", "workflow"),
        ("ci.yml", "", "text"),
        ("LICENSE", "", "text"),
        ("data.bin", b"a\0b", "other"),
        ("data.txt", b"caf\xe9", "other"),
    ],
)
def test_languages(tree: Tree, name: str, content: str | bytes, language: str) -> None:
    (file,) = survey(tree({name: content})).files
    assert file.language == language
    assert (file.sha256 is None) == (language == "other")


def test_vendored_and_generated_files_are_left_out_and_named(tree: Tree) -> None:
    files: dict[str, str | bytes] = {
        "vendor/x.py": "",
        "pkg/_vendor/y.py": "",
        "third_party/z.js": "",
        "api_pb2.py": "",
        "app.min.js": "",
        "wide.js": "x" * 5_000,
        "made.py": "#!/usr/bin/python\n# Code generated by tool. DO NOT EDIT.\n",
        "marked.rs": "// @generated by x\n",
        "worded.sh": "# This file is automatically generated, do not modify.\n",
        "says.py": 'x = "@generated"\n',
        "late.py": "\n" * 30 + "# @generated\n",
        "generated.py": "# generated by hand, do as you like\n",
    }
    found = survey(tree(files))
    assert left_out(found) == {
        "vendor/": "vendored code",
        "pkg/_vendor/": "vendored code",
        "third_party/": "vendored code",
        "api_pb2.py": "generated, by its name",
        "app.min.js": "generated, by its name",
        "wide.js": "minified",
        "made.py": "generated, as its first lines say",
        "marked.rs": "generated, as its first lines say",
        "worded.sh": "generated, as its first lines say",
    }
    assert units(found) == ["generated.py", "late.py", "says.py"]


def test_vendored_and_generated_files_can_be_asked_for(tree: Tree) -> None:
    root = tree({"vendor/x.py": "", "a_pb2.py": "", "node_modules/y.js": ""})
    assert units(survey(root, include_vendored=True)) == ["a_pb2.py", "vendor/x.py"]
    assert units(survey(root / "vendor")) == ["x.py"]
    assert units(survey(root / "a_pb2.py")) == ["a_pb2.py"]


def test_large_data_is_no_gap_and_large_code_is_one(tree: Tree) -> None:
    large = "x" * (LARGEST_BYTES + 1)
    found = survey(tree({"data.csv": large, "code.ts": large}))
    assert [(file.unit, file.language) for file in found.files] == [("data.csv", "other")]
    assert list(gaps(found)) == ["code.ts"]


def test_a_missing_path_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="no such file or directory") as caught:
        survey(tmp_path / "missing")
    assert caught.value.exit_code == 2
    assert caught.value.advice


def test_a_deep_tree_does_not_overflow(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(os.open("a.py", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    assert [len(unit) for unit in units(survey(tmp_path))] == [604]


def files(number: int) -> list[File]:
    return [File(f"package/module_{index:05}.py", 1, "python", "0" * 64) for index in range(number)]


@given(st.integers(0, 3000), st.integers(1, 16))
def test_every_file_is_in_exactly_one_shard(number: int, size: int) -> None:
    groups = cut(files(number), size)
    assert [file for group in groups for file in group] == files(number)
    assert len(groups) <= MOST_SHARDS * 2


def test_one_more_file_changes_one_shard_at_most_two() -> None:
    before = {tuple(group) for group in cut(files(400), 4)}
    added = sorted(
        [*files(400), File("package/module_00200_new.py", 1, "python", "1" * 64)], key=lambda file: file.unit
    )
    after = {tuple(group) for group in cut(added, 4)}
    assert len(before - after) <= 1
    assert len(after - before) <= 2


def test_a_check_of_the_whole_is_one_call() -> None:
    checks = [Check("whole", frozenset({"python"}), WHOLE)]
    made = plan(Survey(Path("/x"), tuple(files(1_000))), checks)
    assert [len(shard.units) for shard in made.shards] == [1_000]
    assert [len(group) for group in cut(files(MOST_WHOLE + 1), WHOLE)] == [MOST_WHOLE, 1]
    assert plan(Survey(Path("/x"), (File("a.md", 1, "text"),)), checks).shards == ()


def test_two_hundred_files_give_hundreds_of_calls() -> None:
    both = frozenset({"python", "stub"})
    checks = [*(Check(f"ruff/{n}", both, 4) for n in range(5)), Check("bandit/security", frozenset({"python"}), 16)]
    made = plan(Survey(Path("/x"), tuple(files(200))), checks)
    assert 200 <= len(made.shards) <= 400
    assert all(made.planned[file.unit] == tuple(check.name for check in checks) for file in files(200))


def test_a_shard_knows_what_it_can_see() -> None:
    check = [Check("ruff/x", frozenset({"python"}), 4)]
    one, other = (
        plan(Survey(Path("/x"), (File("a.py", 1, "python", digest * 64),)), check).shards[0] for digest in "01"
    )
    assert (one.units, one.check) == (other.units, other.check)
    assert one.digest != other.digest


def test_what_no_check_reads_is_planned_for_nobody() -> None:
    made = plan(Survey(Path("/x"), (File("a.md", 1, "other"),)), [Check("ruff/x", frozenset({"python"}), 4)])
    assert made.planned == {"a.md": ()}
    assert not made.shards
