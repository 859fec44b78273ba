"""`antiphon fix` as it is typed: what is asked back, what is printed, and what is said of bad input."""

from __future__ import annotations

import io
import json
from pathlib import Path

import anyio
import pytest
from tests.corpus.box import CASE, CODE, REPORT, USUAL, changed, plan, project, write
from tests.corpus.driving import Team
from tests.corpus.fixing import fixing, gone_on
from tests.corpus.playing import Typed, play, typing

from antiphon.engine import Settings
from antiphon.subagents.testing import LoopbackServer
from antiphon.workflows.cli.fix_end import next_commands
from antiphon.workflows.fix.launch import most_agents
from antiphon.workflows.fix.results import FixResult, ReproductionResult, TryResult
from antiphon.workflows.fix.words import CODE_MARK, DIAGNOSE_MARK, REFINE_MARK


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """The command line, in a folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return typing(capfd)


def test_a_fix_prints_what_was_wrong_the_patch_and_what_to_type_next(tmp_path: Path, typed: Typed) -> None:
    played = play(typed, project(tmp_path), REPORT, Team(USUAL), "--quality", "tests")
    assert played.code == 0, played.said
    assert "was wrong  The index is one too many." in played.out
    assert f"test       {CASE} failed before and passes now" in played.out
    assert "tests      2 passed, 0 failed" in played.out
    assert "try-1      passed, taken after 1 round" in played.out
    assert "+    return items[len(items) - 1]" in played.out
    assert played.place is not None
    assert f"antiphon apply {played.place.run_id} fixed" in played.err
    assert "projection  at most " in played.err


def test_json_says_everything_also_of_a_fix_that_failed(tmp_path: Path, typed: Typed) -> None:
    team = Team({**USUAL, DIAGNOSE_MARK: (plan(infeasible="It is meant to be so."),)})
    played = play(typed, project(tmp_path), REPORT, team, "--json")
    assert played.code == 1
    said = json.loads(played.out)
    assert (said["kind"], said["exit_code"], said["value"]["status"]) == ("failed", 1, "failed")
    assert "It is meant to be so." in said["value"]["reason"]
    resumed = typed("resume", "last", "--json")  # with nothing left to do, it says the same
    assert (resumed[0], json.loads(resumed[1])["value"]) == (played.code, said["value"])


@pytest.mark.long
def test_what_agents_say_cannot_act_on_the_terminal(tmp_path: Path, typed: Typed) -> None:
    rude = "\x1b[31mred\x1b[0m \u202eback"
    again = write("box.py", CODE.replace("items[len(items)]", f"items[-1]  # {rude}"))
    moves = {**USUAL, CODE_MARK: (again, changed(cause=rude)), REFINE_MARK: (changed(),)}
    played = play(typed, project(tmp_path), f"{REPORT} {rude}", Team(moves), "--quality", "tests", "--plain")
    assert played.code == 0, played.said
    assert "\x1b" not in played.said
    assert "\u202e" not in played.said
    assert played.place is not None
    assert "\x1b" not in (played.place.directory / "report.md").read_text()


@pytest.mark.long
def test_a_fix_out_of_budget_pauses_and_resumes_and_ends_as_it_would_have(tmp_path: Path, typed: Typed) -> None:
    root, team = project(tmp_path), Team(USUAL)
    with LoopbackServer(lambda asked: team.complete(asked.request)) as server:
        model = f"compatible/scripted@{server.url}#tools,schema"
        words = ("fix", "--path", str(root), "--model", model, "--max-agents", "2", "--quality", "tests", "--", REPORT)
        code, _, err = typed(*words)
        assert code == 4
        assert "--budget +100agent_calls" in err
        asked = len(team.requests)
        code, out, err = typed("resume", "last", "--budget", "+100agent_calls", "--json")
    assert code == 0, err
    assert json.loads(out)["value"]["status"] == "fixed"
    assert len(team.requests) == asked + 3, "the coder's two, and the critic's"


def test_the_report_comes_from_a_file_or_from_standard_input(
    tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bug.md").write_text("It is broken by nobody.")
    team = Team({**USUAL, DIAGNOSE_MARK: (plan(infeasible="No."),)})
    assert play(typed, project(tmp_path), "@bug.md", team).code == 1
    assert "It is broken by nobody." in team.requests[0].messages[-1].text + team.requests[0].messages[1].text
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"  \n")))
    code, _, err = typed("fix", "-", "--model", "ollama/x")
    assert (code, "the report is empty" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "problem", "advice"),
    [
        ((REPORT,), "no model answers the role 'planner'", "--model MODEL"),
        (("  ", "--model", "ollama/x"), "the report is empty", ""),
        (("@nowhere.md", "--model", "ollama/x"), "cannot be read", ""),
        ((REPORT, "--model", "ollama/x", "--path", "/nowhere"), "there is no folder /nowhere", "--path"),
        ((REPORT, "--model", "codr=ollama/x"), "did you mean 'coder'?", "antiphon roles"),
        ((REPORT, "--model", "ollama/x", "--test", " "), "--test is empty", ""),
        ((REPORT, "--model", "ollama/x", "--tries", "0"), "--tries", ""),
        ((REPORT, "--model", "openai/gpt-4o-mini"), "may cost money", "--budget 2usd"),
        ((REPORT, "--model", "ollama/x", "--budget", "much"), "much", ""),
        ((REPORT, "--model", "ollama/x", "--sandbox", "nope"), "the sandbox 'nope' cannot be used", "bubblewrap"),
        ((REPORT, "--model", "openai/gpt-4o-mini", "--mcp", "nope"), "there is no MCP server 'nope'", "describe it"),
        ((REPORT, "--model", "openai/gpt-4o-mini", "--deny", ":x"), "names no tool", "--deny run"),
    ],
)
def test_bad_input_is_refused_before_anything_begins(
    typed: Typed, words: tuple[str, ...], problem: str, advice: str
) -> None:
    code, out, err = typed("fix", *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert advice in err
    assert not Path(".antiphon").exists()


def test_most_agents_counts_every_call_that_a_fix_can_make() -> None:
    assert most_agents(1, 1) == 9
    assert most_agents(3, 4) == 2 + 3 + 3 * (8 + 1 + 1)


def test_what_to_type_next_names_the_patch_that_there_is() -> None:
    none = ReproductionResult(accepted=False, tree="a" * 40)
    tried = TryResult(name="try-1", approach="it", files=("box.py",))
    fixed = FixResult(status="fixed", winner="try-1", reproduction=none, tries=(tried,))
    assert next_commands(fixed, "R") == ["antiphon show R --transcript main"]
    failed = FixResult(status="failed", reproduction=none, tries=(tried,))
    assert next_commands(failed, "R") == next_commands(fixed, "R"), "what does not pass is not offered"
    assert next_commands(FixResult(status="failed", reproduction=none), "R") == []


@pytest.mark.usefixtures("typed")
def test_what_goes_on_runs_commands_where_it_began_to(tmp_path: Path) -> None:
    team, again = Team(USUAL), Settings(retry_failed=frozenset({"*"}))

    async def go() -> list[str | None]:
        began = await fixing(project(tmp_path), REPORT, client=team, run=tmp_path / "run", sandbox="nope")
        went_on = await gone_on(began.ended.place, team, settings=again)
        told = await gone_on(began.ended.place, team, settings=again, sandbox="none2")
        return [one.ended.result.reason for one in (began, went_on, told)]

    began, went_on, told = anyio.run(go)
    assert "the sandbox 'nope' cannot be used" in str(began)
    assert went_on == began
    assert "the sandbox 'none2' cannot be used" in str(told)
