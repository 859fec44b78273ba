"""What the table says of rules, held against the tools' own lists."""

import ast
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from antiphon.subagents.records import SEVERITIES
from antiphon.workflows.audit import TABLE
from antiphon.workflows.audit.presence import find
from antiphon.workflows.audit.table import known_rules, rule_of
from antiphon.workflows.audit.table.ruff import LENSES

BANDIT = (sys.executable, "-I", "-m", "bandit")


def ruff_rules() -> dict[str, dict[str, Any]]:
    program = find("ruff", Path("/nowhere"))
    assert program is not None
    said = subprocess.run([program, "rule", "--all", "--output-format", "json"], capture_output=True, check=True)
    return {rule["code"]: rule for rule in json.loads(said.stdout) if rule["code"]}


def test_aliases_agree_with_the_tools_own_lists() -> None:
    """Every ported rule that ruff has, removed ones aside, is one that bandit has under the same number."""
    listing = subprocess.run([*BANDIT, "--help"], capture_output=True, check=True, text=True).stdout
    known = set(re.findall(r"^\s+(B\d{3})\t", listing, re.MULTILINE))
    ported = {
        code
        for code, rule in ruff_rules().items()
        if rule["linter"] == "flake8-bandit" and "Removed" not in str(rule["status"])
    }
    assert {rule_of("ruff", code).canonical.removeprefix("bandit:") for code in ported} <= known
    assert known - {f"B{code[1:]}" for code in ported} == {"B613", "B614", "B615", "B703"}
    assert rule_of("ruff", "PLE2502").canonical == "bandit:B613"


def test_names_that_coincide_in_two_tools_stay_apart() -> None:
    assert rule_of("ruff", "B104").canonical == "flake8-bugbear:B104"
    assert rule_of("ruff", "S104").canonical == rule_of("bandit", "B104").canonical == "bandit:B104"
    assert rule_of("ruff", "SIM108").canonical != "bandit:BIM108"


def test_every_rule_of_every_lens_has_a_lineage_and_every_severity_a_rule() -> None:
    rules = ruff_rules()
    chosen = [selector for selectors in LENSES.values() for selector in selectors]
    in_lenses = [code for code in rules for one in chosen if code.startswith(one) and _letters(code) == _letters(one)]
    known = known_rules()["ruff"]
    assert {"bandit", "pyflakes", "mccabe"} <= {rule_of("ruff", code).lineage for code in in_lenses}
    assert {_letters(code) for code in in_lenses} == set(known["lineage"]) - {"E"}
    assert all(any(code.startswith(prefix) for code in rules) for prefix in [*known["severity"], *known["lineage"]])
    severities = [rule_of("ruff", code).severity for code in ("S101", "S602", "XYZ1", "PLE2502", "PLE2510")]
    assert severities == ["low", "high", "low", "high", "medium"]


def _letters(code: str) -> str:
    return re.sub(r"\d+$", "", code)


def test_the_data_is_of_one_form() -> None:
    data = known_rules()
    tools = {entry.tool for entry in TABLE}
    assert set(data) - {"cwe"} <= tools | {"clippy", "gitleaks"}
    for tool, known in data.items():
        if tool != "cwe":
            assert set(known) <= {"lineage", "canonical", "severity"}, tool
            assert set(known.get("severity", {}).values()) <= set(SEVERITIES)
            assert all(":" in name for name in known.get("canonical", {}).values())
    assert all(isinstance(number, int) and number > 0 for number in data["cwe"].values())


@pytest.mark.parametrize("code", ["B201", "B301", "B307", "B501", "B506", "B602", "B608", "B701"])
def test_weaknesses_are_those_that_bandit_names(code: str) -> None:
    """By its source: the plugins and blacklists name them as `issue.Cwe.NAME`."""
    cwe = _bandit_cwe()[code]
    assert rule_of("bandit", code).cwe in cwe
    assert rule_of("ruff", f"S{code[1:]}").cwe == rule_of("bandit", code).cwe


def _bandit_cwe() -> dict[str, set[int]]:
    """Read, and not imported: bandit's modules warn when they are."""
    spec = find_spec("bandit")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    numbers = dict(re.findall(r"^    ([A-Z_]+) = (\d+)$", (package / "core" / "issue.py").read_text(), re.MULTILINE))
    found: dict[str, set[int]] = {}
    for file in [*(package / "plugins").glob("*.py"), *(package / "blacklists").glob("*.py")]:
        for item in ast.parse(file.read_text()).body:
            for rule, weakness in re.findall(r"'(B\d{3})'(?:.|\n)*?Cwe\.(\w+)", ast.unparse(item)):
                found.setdefault(rule, set()).add(int(numbers[weakness]))
    return found
