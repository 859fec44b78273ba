"""Which sandbox is taken, and what is said where one cannot be."""

import os
from pathlib import Path

import pytest

from antiphon.engine.errors import UsageError
from antiphon.subagents.sandbox import BACKENDS, SandboxUnusable, Unconfined, choose, probe


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What was tried under another PATH is no answer."""
    probe.cache_clear()


def test_the_best_that_works_is_taken() -> None:
    usable = [name for name in BACKENDS if probe(name).usable]
    assert choose().name == (usable[0] if usable else "none")
    assert choose("auto") == choose()


@pytest.mark.parametrize("name", BACKENDS)
def test_one_is_tried_by_using_it(name: str) -> None:
    tried = probe(name)
    if tried.sandbox is None:
        with pytest.raises(SandboxUnusable) as caught:
            choose(name)
        assert caught.value.reason == tried.reason
        assert caught.value.advice
        return
    assert choose(name) is tried.sandbox
    assert tried.seconds > 0
    assert probe(name) is tried, "once is enough"


def test_none_is_taken_only_when_it_is_said() -> None:
    assert choose("none") == Unconfined(consented=True)


def test_without_any_the_rest_is_not_trusted_with_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no bwrap, and no `cat` to try Landlock with
    found = choose()
    assert found == Unconfined(consented=False)
    assert not found.confines


@pytest.mark.parametrize("name", ["nonsense", "docker:", "podman", "lxc:image", "docker"])
def test_an_unknown_one_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"the sandbox '{name}' cannot be used: there is none of that name") as caught:
        choose(name)
    assert "bubblewrap, landlock, docker:IMAGE, podman:IMAGE or none" in str(caught.value.advice)


def test_a_missing_program_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnusable, match="bwrap is not on PATH") as caught:
        choose("bubblewrap")
    assert "apt install bubblewrap" in str(caught.value.advice)
    with pytest.raises(SandboxUnusable, match="docker is not on PATH"):
        choose("docker:some/image")


def test_a_bwrap_that_confines_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that ignores its options and runs the command, as a wrapper on some machines does."""
    if os.name != "posix" or not os.path.exists("/proc/self/status"):
        pytest.skip("there are sandboxes on Linux only")
    pretender = tmp_path / "bwrap"
    pretender.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    pretender.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tried = probe("bwrap")
    assert not tried.usable
    assert tried.reason.startswith("it let a command read a file that it was not given")


def test_a_bwrap_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if probe("bwrap").reason.startswith("the filter"):
        pytest.skip("not a machine that the filter knows")
    with pytest.raises(SandboxUnusable, match="No permissions to create new namespace") as caught:
        choose("bwrap")
    assert "sysctl" in str(caught.value.advice)
