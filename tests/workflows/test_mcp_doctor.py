"""`antiphon doctor --mcp`: what a server is given, what tools it has, or why it cannot be used."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from antiphon.engine import UsageError
from antiphon.workflows.cli import main
from antiphon.workflows.cli.configuration import configuration
from antiphon.workflows.cli.mcp_options import tried

FAULTY = Path(__file__).resolve().parents[1] / "faults" / "mcp_servers" / "faulty.py"


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers, one of which does not start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTIPHON_TEST_KEY", "value-of-the-key")
    program = json.dumps([sys.executable, "-I", str(FAULTY)])
    (tmp_path / "antiphon.toml").write_text(
        f'[mcp.good]\ncommand = {program}\nread = [{json.dumps(str(FAULTY))}]\ntools = ["echo"]\n'
        f'env = {{KEY = "$ANTIPHON_TEST_KEY"}}\n[mcp.bad]\ncommand = ["antiphon-has-no-such-program"]\n'
    )


@pytest.mark.usefixtures("described")
def test_one_that_works_is_told_with_its_tools_and_what_it_is_given() -> None:
    (item,) = tried(configuration(), ["good"], "none")
    assert (item.name, item.state) == ("good", "yes")
    assert "is given $ANTIPHON_TEST_KEY; 1 tools: good__echo" in item.told
    assert "value-of-the-key" not in item.told


@pytest.mark.usefixtures("described")
def test_one_that_cannot_be_used_is_told_with_its_reason(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(("doctor", "--sandbox", "none", "--mcp", "bad", "--json")) == 1
    items = json.loads(capfd.readouterr().out)["sections"]["mcp servers"]
    assert [(item["name"], item["state"]) for item in items] == [("bad", "no")]
    assert "antiphon-has-no-such-program was not found" in items[0]["told"]


@pytest.mark.usefixtures("described")
def test_one_that_is_not_described_is_said() -> None:
    with pytest.raises(UsageError, match="did you mean 'good'"):
        tried(configuration(), ["goood"], "none")
