"""What a confined command sees: the system, the program it runs, what it was given, and no more."""

import os
import sys
from pathlib import Path

import pytest

from antiphon.subagents.sandbox import Confinement
from antiphon.subagents.sandbox.bubblewrap import EXACT_AT_MOST, shown
from antiphon.subagents.sandbox.exposure import exposure, installation, is_below, outermost


def script(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a//b", "/a/", "", "/a\0b"])
def test_only_absolute_normal_paths_can_be_granted(path: str) -> None:
    with pytest.raises(ValueError, match="not an absolute, normal path"):
        Confinement(read=(path,))


def test_a_tool_in_a_home_brings_its_libraries_and_not_the_home(tmp_path: Path) -> None:
    program = script(tmp_path / ".local" / "bin" / "tool")
    (tmp_path / ".local" / "lib").mkdir()
    (tmp_path / ".local" / "share").mkdir()
    (tmp_path / ".ssh").mkdir()
    seen = exposure(str(program), Confinement())
    own = [path for path in seen.system if is_below(path, str(tmp_path))]
    assert own == [str(tmp_path / ".local" / name) for name in ("bin", "lib")]


def test_a_tool_that_lies_alone_is_seen_alone(tmp_path: Path) -> None:
    program = script(tmp_path / "tool")
    assert str(tmp_path / "tool") in exposure(str(program), Confinement()).system
    assert str(tmp_path) not in exposure(str(program), Confinement()).system


def test_a_link_to_a_tool_brings_both_sides(tmp_path: Path) -> None:
    script(tmp_path / "pipx" / "venv" / "bin" / "tool", f"#!{tmp_path}/base/bin/python\n")
    script(tmp_path / "base" / "bin" / "python")
    (tmp_path / "base" / "lib").mkdir()
    link = tmp_path / "bin-of-user" / "tool"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "pipx" / "venv" / "bin" / "tool")
    seen = exposure(str(link), Confinement())
    own = {path for path in seen.system if is_below(path, str(tmp_path))}
    assert own == {str(tmp_path / "pipx/venv/bin"), str(tmp_path / "base/bin"), str(tmp_path / "base/lib")}
    assert (str(tmp_path / "pipx/venv/bin/tool"), str(link)) in seen.links


def test_an_interpreter_named_by_env_is_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = script(tmp_path / "bin" / "strange", "binary")
    program = script(tmp_path / "tool", "#!/usr/bin/env -S strange --flag\n")
    monkeypatch.setenv("PATH", f"{interpreter.parent}:/usr/bin")
    assert str(interpreter) in installation(str(program))


def test_the_interpreter_that_runs_antiphon_is_seen(tmp_path: Path) -> None:
    seen = exposure("/bin/true", Confinement())
    for path in (os.path.realpath(sys.executable), os.path.realpath(os.__file__)):
        assert any(is_below(path, folder) for folder in seen.system), path


def test_no_home_and_no_state_is_seen() -> None:
    seen = exposure("/bin/true", Confinement(network=True)).system
    assert not {"/", "/etc", "/home", "/root", "/var", "/run", "/tmp", os.path.expanduser("~")} & set(seen)
    assert not any(is_below("/etc/shadow", folder) or is_below("/etc/ssl/private", folder) for folder in seen)


def test_what_leads_through_a_link_or_is_not_there_is_not_granted(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    asked = ("real", "real/file", "link", "link/file", "missing")
    seen = exposure("/bin/true", Confinement(read=tuple(str(tmp_path / name) for name in asked)))
    assert seen.read == (str(tmp_path / "real"), str(tmp_path / "real" / "file"))


def test_a_link_that_leads_to_itself_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    seen = exposure(str(tmp_path / "loop" / "tool"), Confinement())
    assert not [path for path in seen.system if is_below(path, str(tmp_path))]


def test_outermost() -> None:
    assert outermost(["/a/b", "/a", "/a-b", "/a/b/c", "/c/d"]) == ("/a", "/a-b", "/c/d")
    assert outermost(["/", "/a"]) == ("/",)


def test_few_files_are_shown_alone_and_many_with_their_folders() -> None:
    few = tuple(f"/tree/{n}" for n in range(EXACT_AT_MOST))
    assert shown(few) == (tuple(sorted(few)), False)
    many = tuple(f"/tree/{n % 3}/{n}" for n in range(EXACT_AT_MOST + 1))
    assert shown(many) == (("/tree/0", "/tree/1", "/tree/2"), True)
    scattered = tuple(f"/tree/{n}/sub/file" for n in range(EXACT_AT_MOST + 1))
    assert shown(scattered) == (("/tree",), True)
