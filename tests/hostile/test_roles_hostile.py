"""Role files come with trees that anybody wrote: no bomb goes off, nothing leads out, nothing is executed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.subagents.roles import RoleDefinition, RoleError, Roles, read_role, role_of
from antiphon.subagents.roles.library import MAX_FILES


def role(folder: Path, front: str | bytes, body: str = "x") -> Path:
    """A role file with this front matter."""
    path = folder / ".antiphon" / "roles" / "bad.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    given = front if isinstance(front, bytes) else front.encode("utf-8", "surrogatepass")
    path.write_bytes(b"---\n" + given + b"\n---\n" + body.encode())
    return path


@pytest.mark.parametrize(
    ("front", "line", "problem"),
    [
        ("a: &a [x, x]\nname: *a", 2, "anchors and aliases"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", 2, "anchors and aliases"),
        ("name: *unknown", 2, "anchors and aliases"),
        ("name: !!python/object/apply:os.system ['true']", 2, "tags"),
        ("name: !local x", 2, "tags"),
        ("name: " + "[" * 20_000, 2, "nested too deeply"),
        ("name: " + "{a: " * 5_000, 2, "nested too deeply"),
        ("\n".join(f"k{number}: 1" for number in range(3_000)), None, "too many entries"),
        ("tools: [" + "a," * 12_000 + "]", 2, "too many entries"),
        ("name: " + "x" * 40_000, 1, "longer than 32,768 characters"),
        ("name: a\n...\nname: b", None, "it is not YAML"),
        ("? [a, b]\n: c", 2, "the name of an entry must be plain text"),
        ("limits: {turns: " + "9" * 5_000 + "}", None, ""),
        ("limits: {turns: 1e999}", None, ""),
        ("limits: {turns: .nan}", None, ""),
        ("name: '\x1b[31mred'", 2, "a character that YAML does not allow"),
        ("name: '\u202egnp'", 2, "a name is 1 to 64 letters"),
        ("name: ../../etc/passwd", 2, "a name is 1 to 64 letters"),
        ("<<: {name: a}", 2, "a role has no '<<'"),
        (b"name: \xff", 2, "it is not UTF-8"),
        (b"name: a\0b", 2, "a character that YAML does not allow"),
    ],
)
def test_hostile_front_matter_is_refused_with_its_line(
    tmp_path: Path, front: str | bytes, line: int | None, problem: str
) -> None:
    path = role(tmp_path, front)
    with pytest.raises(RoleError) as caught:
        read_role(path)
    assert problem in caught.value.message
    assert caught.value.line is not None
    assert line is None or caught.value.line == line
    assert len(caught.value.message) < len(str(path)) + 400


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    path = role(tmp_path, "name: bad", "x" * 300_000)
    with pytest.raises(RoleError, match="larger than 262,144 bytes"):
        read_role(path)


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("---\nname: bad\n---\nthe secret")
    project = tmp_path / "project"
    (project / ".antiphon" / "roles").mkdir(parents=True)
    (project / ".antiphon" / "roles" / "bad.md").symlink_to(secret)
    with pytest.raises(RoleError, match="a link that leads out"):
        Roles.here(project).role("bad")
    (project / "shared.md").write_text("---\nname: good\n---\nshared")
    (project / ".antiphon" / "roles" / "good.md").symlink_to("../../shared.md")
    assert Roles.here(project).role("good").instructions == "shared"


def test_a_pipe_and_a_folder_are_no_role(tmp_path: Path) -> None:
    folder = tmp_path / ".antiphon" / "roles"
    (folder / "folder.md").mkdir(parents=True)
    os.mkfifo(folder / "pipe.md")
    (folder / "loop.md").symlink_to("loop.md")
    roles = Roles.here(tmp_path)
    for name in ("folder", "pipe", "loop"):
        with pytest.raises(RoleError, match="cannot be read"):
            roles.role(name)


def test_a_flood_of_files_is_cut_and_said_to_be(tmp_path: Path) -> None:
    folder = tmp_path / ".antiphon" / "roles"
    folder.mkdir(parents=True)
    for number in range(MAX_FILES + 3):
        (folder / f"r{number:04}.md").write_text("---\n---\nx")
    roles = Roles.here(tmp_path)
    assert roles.role(f"r{MAX_FILES - 1:04}").instructions == "x"
    for number in range(3):  # none of them is skipped: another role would answer in its place
        with pytest.raises(RoleError, match="more than 500 files"):
            roles.role(f"r{MAX_FILES + number:04}")
    assert len([entry for entry in roles.listed() if entry.problem]) == 3


LINES = st.sampled_from(
    [
        "name: a",
        "tools: [a",
        "tools: [a, b]",
        "limits:",
        "  turns: 3",
        "\tturns: 3",
        "- x",
        "? y",
        "model: a/b",
        "? {a: b}",
        "description: a: b",
        "'",
        '"',
        "|",
        "name: |",
        "  text",
        "#",
        "...",
        "%YAML 1.2",
        "{",
        "}",
        "a: &b",
        "*b",
        "!!set",
        "\x00",
    ]
)


@given(front=st.lists(LINES | st.text(max_size=40), max_size=8), foreign=st.booleans())
@example(front=["%TAG ! x"], foreign=False)
@example(front=["a: 1", "  b: 2"], foreign=True)
def test_whatever_is_written_is_a_role_or_said_to_be_wrong(front: list[str], foreign: bool) -> None:
    text = "\n".join(["---", *front, "---", "Do it."])
    found: RoleDefinition | RoleError
    try:
        found = role_of(text, "some.md", stem="some", foreign=foreign)
    except RoleError as error:
        found = error
    if isinstance(found, RoleError):
        assert found.message.startswith("some.md")
        assert found.line is None or 1 <= found.line <= text.count("\n") + 2
    else:
        assert found.instructions
