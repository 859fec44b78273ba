"""`--fail-on`: what counts, what does not, and what is said about it."""

import json
import re
from pathlib import Path

import click
import pytest

from antiphon.subagents.records import SEVERITIES as RECORDED
from antiphon.subagents.records import Actor, Finding, FindingKey, Severity, Verdict, author_verdict
from antiphon.workflows.audit.failing import failing
from antiphon.workflows.baseline import Comparison, compare, read_sarif
from antiphon.workflows.cli import main
from antiphon.workflows.cli.audit import command
from antiphon.workflows.cli.audit_options import SEVERITIES
from antiphon.workflows.report import About, sarif
from antiphon.workflows.synthesis import Synthesis, synthesize

SECOND = Actor(tool="second", lineage="second")
THIRD = Actor(tool="third", lineage="third")


def finding(rule: str, severity: Severity, line: int = 1) -> Finding:
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path="a.py", rule=f"t:{rule}", symbol=f"at{line}"),
        rule=rule,
        title=rule,
        text=f"{rule} is bad",
        severity=severity,
        severity_by="t",
        actor=Actor(tool="t", lineage="t"),
        line=line,
    )


def refuting(claim: Finding, actor: Actor = SECOND) -> Verdict:
    return Verdict(record="verdict", of=claim.id, stance="refute", actor=actor, method="look", reason="it is not so")


def rules(found: Synthesis, threshold: Severity, comparison: Comparison | None = None) -> list[str]:
    return [cluster.rules[0] for cluster in failing(found, threshold, comparison).clusters]


HIGH, LOW = finding("HIGH", "high", 1), finding("LOW", "low", 5)


@pytest.mark.parametrize(
    ("threshold", "counted"),
    [("critical", []), ("high", ["HIGH"]), ("medium", ["HIGH"]), ("low", ["HIGH", "LOW"]), ("info", ["HIGH", "LOW"])],
)
def test_what_is_at_least_as_bad_counts(threshold: Severity, counted: list[str]) -> None:
    assert rules(synthesize([LOW, HIGH], {}), threshold) == counted


def test_what_is_refuted_or_set_aside_does_not_count() -> None:
    assert rules(synthesize([HIGH, refuting(HIGH)], {}), "info") == []
    assert rules(synthesize([HIGH, author_verdict(HIGH, "noqa")], {}), "info") == []


def test_what_is_disputed_counts() -> None:
    confirming = refuting(HIGH, THIRD).model_copy(update={"stance": "confirm"})
    found = synthesize([HIGH, refuting(HIGH), confirming], {})
    assert [cluster.status for cluster in found.clusters] == ["disputed"]
    assert rules(found, "info") == ["HIGH"]


def against(before: Synthesis, after: Synthesis) -> Comparison:
    about = About(target="x")
    return compare(read_sarif(sarif(before, about), "run 7"), read_sarif(sarif(after, about), "now"))


def test_beside_an_earlier_audit_only_what_is_new_or_updated_counts() -> None:
    now = synthesize([HIGH, LOW], {})
    assert rules(now, "info", against(now, now)) == []
    assert rules(now, "info", against(synthesize([LOW], {}), now)) == ["HIGH"]
    worse = synthesize([HIGH, LOW.model_copy(update={"severity": "medium"})], {})
    assert rules(worse, "info", against(now, worse)) == ["LOW"]


def test_it_says_which_finding_it_was() -> None:
    now = synthesize([HIGH, LOW, *(finding(f"M{n}", "medium", 10 + n) for n in range(4))], {})
    assert failing(now, "low").sentence() == (
        "--fail-on low: 1 high, 4 medium, 1 low (findings): HIGH at a.py:1; M0 at a.py:10; M1 at a.py:11; and 3 more"
    )
    assert failing(now, "critical").sentence() == "--fail-on critical: no findings of that severity or above"
    said = failing(now, "high", against(synthesize([LOW], {}), now)).sentence()
    assert said == "--fail-on high: 1 high (new or updated findings since run 7): HIGH at a.py:1"


def test_names_cannot_act_on_a_terminal() -> None:
    evil = HIGH.model_copy(update={"key": FindingKey(path="\x1b]0;x\x07.py", rule="t:R"), "rule": "R\n\x1b[2J"})
    assert failing(synthesize([evil], {}), "high").sentence().isprintable()


def test_the_severities_of_the_command_line_are_those_of_the_records() -> None:
    assert SEVERITIES == RECORDED


@pytest.mark.checkout
def test_the_pre_commit_hook_is_a_command_that_there_is() -> None:
    hook = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text()
    entry = re.findall(r"^  entry: antiphon audit (.*)$", hook, re.MULTILINE)
    arguments = re.findall(r"^  args: \[(.*)\]$", hook, re.MULTILINE)
    assert len(entry) == len(arguments) == 1
    words = [*entry[0].split(), *arguments[0].split(", ")]
    with command.make_context("audit", words) as context:
        assert isinstance(context, click.Context)
        assert (context.params["path"], context.params["fail_on"], context.params["reuse"]) == (".", "high", True)


def test_the_json_says_the_exit_code_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("import subprocess\n\n\ndef f(x):\n    subprocess.call(x, shell=True)\n")
    asked = ["--runs-dir", str(tmp_path / "runs"), "--lens", "security", "--plain", "--json"]
    for severity, code in (("high", 1), ("critical", 0)):
        assert main(["audit", str(tmp_path / "a.py"), *asked, "--fail-on", severity]) == code
        said = capsys.readouterr()
        assert json.loads(said.out)["exit_code"] == code
        assert f"--fail-on {severity}: " in said.err.splitlines()[-1]
