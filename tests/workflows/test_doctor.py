"""`antiphon doctor`: what works here, what does not and why, and never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.engine.script.monty import monty_problem
from antiphon.subagents.jail import end_zygotes, probe_jail
from antiphon.subagents.sandbox import BACKENDS, choose, probe
from antiphon.workflows.cli import main

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    probe.cache_clear()
    probe_jail.cache_clear()

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def test_it_says_what_is_used_and_why(antiphon: Typed) -> None:
    code, out, err = antiphon("doctor")
    assert err == ""
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        *("sandboxes", "runtimes", "kernel", "python", "analysers", "runs", "verdict")
    ]
    for name in BACKENDS:
        assert name in out
        assert probe(name).usable or probe(name).advice in out
    chosen = choose()
    assert code == (0 if chosen.confines else 1)
    assert f"commands run in {chosen.name if chosen.confines else 'no sandbox'}: " in out


def test_for_programs_it_is_json(antiphon: Typed) -> None:
    code, out, _ = antiphon("doctor", "--json")
    told = json.loads(out)
    assert told["healthy"] is (code == 0)
    assert told["sandbox"]["name"] == choose().name
    assert {item["name"] for item in told["sections"]["sandboxes"]} >= set(BACKENDS)
    ruff = next(item for item in told["sections"]["analysers"] if item["name"] == "ruff")
    assert ruff["state"] == "yes"


def runtimes(told: str) -> dict[str, dict[str, str]]:
    return {item["name"]: item for item in json.loads(told)["sections"]["runtimes"]}


def test_which_runtime_confines_scripts_is_told_with_what_it_rests_on(antiphon: Typed) -> None:
    _, out, _ = antiphon("doctor", "--json")
    seen, tried = runtimes(out), probe_jail()
    assert list(seen) == ["jail", "monty"]
    assert seen["jail"]["state"] == (("weaker" if tried.reason else "yes") if tried.usable else "no")
    assert all(fact in seen["jail"]["told"] for fact in tried.facts)
    assert seen["monty"]["state"] == ("absent" if monty_problem() else "yes")


def test_a_machine_without_a_jail_is_told_with_what_there_is_instead(
    antiphon: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    _, out, _ = antiphon("doctor", "--json")
    jail = runtimes(out)["jail"]
    assert (jail["state"], "not riscv64" in jail["told"]) == ("no", True)
    assert jail["advice"] == "antiphon run FILE --runtime monty"
    probe.cache_clear()
    probe_jail.cache_clear()


def test_a_jail_whose_guests_do_not_run_is_found_out(antiphon: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    if not probe_jail().usable:
        pytest.skip("there is no jail here")

    monkeypatch.setattr("antiphon.subagents.jail.keeping._OPTIONS", ("-c", "raise SystemExit('no such thing')"))
    end_zygotes()
    _, out, _ = antiphon("doctor", "--json")
    assert runtimes(out)["jail"]["state"] == "no"
    assert "no such thing" in runtimes(out)["jail"]["told"]
    end_zygotes()


@pytest.mark.parametrize("name", ["nonsense", "docker:localhost/antiphon-has-no-such-image", "podman:"])
def test_one_that_was_asked_for_and_does_not_work_is_told_with_its_reason(antiphon: Typed, name: str) -> None:
    code, out, err = antiphon("doctor", "--sandbox", name)
    assert (code, err) == (1, "")
    assert probe(name).reason in out
    assert probe(name).advice in out
    assert "commands run in no sandbox" in out


def test_none_is_told_as_what_it_is(antiphon: Typed) -> None:
    code, out, _ = antiphon("doctor", "--sandbox", "none")
    assert code == 1
    assert "commands run in no sandbox: that was asked for" in out


def test_nothing_on_path_is_no_traceback(antiphon: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = antiphon("doctor")
    assert (code, err) == (1, "")
    assert "bwrap is not on PATH" in out
    assert "apt install bubblewrap" in out


def test_a_place_that_cannot_be_written_is_told(antiphon: Typed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, out, _ = antiphon("doctor", "--runs-dir", "/proc/antiphon")
    assert code == 1
    assert "runs cannot be written" in out
    assert "--runs-dir DIR" in out


def test_a_configuration_that_cannot_be_read_is_told(antiphon: Typed, tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text("runs_dir = [")
    code, out, err = antiphon("doctor")
    assert (code, err) == (1, "")
    assert "antiphon.toml" in out
