"""The table `audit` of a configuration: what an audit looks for, what it leaves out, and when it fails."""

from pathlib import Path

import pytest

from antiphon.workflows.cli.configuration import AuditConfiguration, ConfigurationError, configuration


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    inner = tmp_path / "src"
    inner.mkdir()
    (tmp_path / "old.sarif").touch()
    (tmp_path / "pyproject.toml").write_text(
        "[tool.antiphon.audit]\n"
        'fail_on = "high"\nlens = ["security"]\nexclude = ["build/", "*.gen.py"]\nbaseline = "old.sarif"\n'
        'reuse = true\nsandbox = "none"\nsarif = ["out/clippy.sarif"]\n'
    )
    found = configuration(inner)
    assert found.file == tmp_path / "pyproject.toml"
    assert found.audit == AuditConfiguration(
        fail_on="high",
        lens=("security",),
        exclude=("build/", "*.gen.py"),
        baseline=str(tmp_path / "old.sarif"),
        reuse=True,
        sandbox="none",
        sarif=(tmp_path / "out" / "clippy.sarif",),
    )


def test_the_name_of_a_run_stays_one(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text('[audit]\nbaseline = "last"\nlens = "security"')
    found = configuration(tmp_path).audit
    assert (found.baseline, found.lens) == ("last", ("security",))


def test_the_command_line_keeps_what_it_says_nothing_of(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text("[audit]\nreuse = true")
    held = configuration(tmp_path).with_options(runs_dir=None, concurrency=2, processes=None, backend=None)
    assert held.audit.reuse
    assert held.file == tmp_path / "antiphon.toml"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("audit = 3", "audit must be a table, not 3"),
        ("[audit]\nfailon = 'high'", "there is no setting 'failon'; did you mean 'fail_on'?"),
        ("[audit]\nfail_on = 'terrible'", "audit.fail_on must be one of info, low, medium, high, critical"),
        ("[audit]\nfail_on = []", "audit.fail_on must be one of info"),
        ("[audit]\nlens = 3", "audit.lens must be a list of texts, not 3"),
        ("[audit]\nexclude = ['']", "audit.exclude must be a list of texts"),
        ('[audit]\nexclude = ["a\\u0000b"]', "audit.exclude must be a list of texts"),
        ("[audit]\nreuse = 'yes'", "audit.reuse must be true or false, not 'yes'"),
        ("[audit]\nbaseline = true", "audit.baseline must be text, not True"),
        ("[audit]\nsandbox = ''", "audit.sandbox must be text"),
        ("[audit]\nsarif = [1]", "audit.sarif must be a list of texts"),
    ],
)
def test_what_is_wrong_is_said_with_the_settings_there_are(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        configuration(tmp_path)
    assert caught.value.message.startswith(f"{file}: {problem}")
    assert "fail_on" in str(caught.value.advice)
