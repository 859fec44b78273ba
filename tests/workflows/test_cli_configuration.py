"""Configuration: the nearest file says, the command line overrules, unknown keys are errors with the closest name."""

from pathlib import Path

import pytest

from antiphon.workflows.cli.configuration import Configuration, ConfigurationError, configuration


def test_nothing_anywhere(tmp_path: Path) -> None:
    assert configuration(tmp_path) == Configuration()


def test_the_nearest_file_says(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "antiphon.toml").write_text("concurrency = 3")
    (tmp_path / "a" / "pyproject.toml").write_text('[tool.antiphon]\nbackend = "trio"\nruns_dir = "elsewhere"')
    (inner / "pyproject.toml").write_text("[tool.other]\nx = 1")
    assert configuration(inner) == Configuration(backend="trio", runs_dir=tmp_path / "a" / "elsewhere")


def test_antiphon_toml_comes_before_pyproject(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text("processes = 7")
    (tmp_path / "pyproject.toml").write_text("[tool.antiphon]\nprocesses = 1")
    assert configuration(tmp_path).processes == 7


def test_the_command_line_overrules(tmp_path: Path) -> None:
    held = Configuration(concurrency=3, backend="trio", runs_dir=tmp_path)
    other = held.with_options(runs_dir=None, concurrency=9, processes=None, backend=None)
    assert other == Configuration(concurrency=9, backend="trio", runs_dir=tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("run_dir = 'x'", "there is no setting 'run_dir'; did you mean 'runs_dir'?"),
        ("zzz = 1", "there is no setting 'zzz'"),
        ("concurrency = 0", "concurrency must be a whole number of at least 1, not 0"),
        ("concurrency = true", "concurrency must be a whole number of at least 1, not True"),
        ("processes = '2'", "processes must be a whole number of at least 1, not '2'"),
        ("backend = 'curio'", "backend must be one of asyncio, trio, not 'curio'"),
        ("runs_dir = 3", "runs_dir must be a path, not 3"),
        ("= 3", "it is not TOML"),
        ("runs_dir = '~nosuch/x'", "runs_dir '~nosuch/x': there is no such home folder"),
        ("audit.sarif = '~nosuch/x'", "audit.sarif '~nosuch/x': there is no such home folder"),
        ("audit.baseline = '~nosuch/x'", "audit.baseline '~nosuch/x': there is no such home folder"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        configuration(tmp_path)
    assert caught.value.message.startswith(f"{file}: {problem}")
    assert caught.value.exit_code == 2


def test_a_section_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nantiphon = 3")
    with pytest.raises(ConfigurationError, match=r"tool\.antiphon is not a table"):
        configuration(tmp_path)


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_bytes(b"backend = '\xff'")
    with pytest.raises(ConfigurationError, match="it is not TOML"):
        configuration(tmp_path)


@pytest.mark.parametrize("opening", ["x = " + "[" * 3000, "audit.fail_on" + ".a" * 3000 + " = 1"], ids=["list", "keys"])
def test_what_is_nested_too_deeply(tmp_path: Path, opening: str) -> None:
    """How deep Python may recurse is not ours to say: either it cannot be read, or what it says is refused."""
    (tmp_path / "antiphon.toml").write_text(opening + "]" * opening.count("["))
    with pytest.raises(
        ConfigurationError, match=r"it is nested too deeply|there is no setting 'x'|audit\.fail_on must be"
    ):
        configuration(tmp_path)
