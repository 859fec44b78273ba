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
        'reuse = true\nsandbox = "landlock"\nsarif = ["out/clippy.sarif"]\n'
    )
    found = configuration(inner)
    assert found.file == tmp_path / "pyproject.toml"
    assert found.audit == AuditConfiguration(
        fail_on="high",
        lens=("security",),
        exclude=("build/", "*.gen.py"),
        baseline=str(tmp_path / "old.sarif"),
        reuse=True,
        sandbox="landlock",
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
        (
            "[audit]\nsandbox = 'none'",
            "audit.sandbox: only the command line can switch the sandbox off: --sandbox none",
        ),
        ("[audit]\nbaseline = ''", "audit.baseline must be text"),
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


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is audited, with links that lead to a secret beside it; and the home folder of whoever audits."""
    (tmp_path / "secret.sarif").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.db").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "tree"
    (folder / "src").mkdir(parents=True)
    for link in (folder / "link.sarif", folder / "src" / "last"):
        link.symlink_to(tmp_path / "secret.sarif")
    (folder / "run").symlink_to(tmp_path / "run")
    (folder / "out").symlink_to(tmp_path)
    return folder


@pytest.mark.parametrize("setting", ["sarif", "baseline"])
@pytest.mark.parametrize(
    "name", ["{outside}/secret.sarif", "../secret.sarif", "~/secret.sarif", "link.sarif", "out/secret.sarif", "run"]
)
def test_a_tree_cannot_have_files_elsewhere_read(tree: Path, setting: str, name: str) -> None:
    (tree / "antiphon.toml").write_text(f'[audit]\n{setting} = "{name.format(outside=tree.parent)}"')
    with pytest.raises(ConfigurationError, match=rf"audit\.{setting} .* leads out of .*: --{setting} FILE"):
        configuration(tree)


def test_nor_by_the_name_of_a_run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked for in the current folder too, which may be below the configuration's."""
    (tree / "antiphon.toml").write_text('[audit]\nbaseline = "last"')
    assert configuration(tree).audit.baseline == "last"
    monkeypatch.chdir(tree / "src")
    with pytest.raises(ConfigurationError, match="--baseline FILE"):
        configuration()


def test_links_within_the_tree_are_followed(tree: Path) -> None:
    (tree / "src" / "a.sarif").touch()
    (tree / "b.sarif").symlink_to("src/a.sarif")
    (tree / "antiphon.toml").write_text('[audit]\nsarif = "b.sarif"\nbaseline = "src/../b.sarif"')
    found = configuration(tree).audit
    assert (found.sarif, found.baseline) == ((tree / "b.sarif",), str(tree / "src" / ".." / "b.sarif"))
