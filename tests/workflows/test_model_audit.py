"""The audit with models, through the real loop: what they report, how it is attacked, when it ends, and going on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema.validators import validator_for

from antiphon.engine import InfrastructureError, Settings, UsageError, parse_top_up
from antiphon.subagents.model.contract import Request
from antiphon.subagents.testing import Faults, FunctionModel, LoopbackServer
from antiphon.tracing import read_log, verify_log
from antiphon.workflows.audit import workflow as offline
from antiphon.workflows.audit.binding import bind
from antiphon.workflows.audit.launch import Asked, prepare
from antiphon.workflows.audit.models import workflow
from antiphon.workflows.audit.models.words import FRAMINGS, STANCES
from antiphon.workflows.audit.table import role_names
from antiphon.workflows.cli import main
from antiphon.workflows.manifest import read_manifest
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.report.schema import schema
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

# No analyser that is always here reads TypeScript, so that only models look.
SHELL = "import { exec } from 'child_process';\n\nexport function run(command: string) {\n  exec(command);\n}\n"
SUM = "export function sum(values: number[]) {\n  return values[0] + values[1];\n}\n"
Says = Callable[[str], Any]


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def tree(tmp_path: Path, files: Mapping[str, str]) -> Path:
    root = tmp_path / "tree"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def prompt_of(request: Request) -> str:
    return "\n".join(message.text for message in request.messages if message.role == "user")


def is_attack(prompt: str) -> bool:
    return "Try to refute the claim" in prompt


def stance_of(prompt: str) -> str:
    return next((name for name, words in STANCES.items() if words in prompt), "weigh")


def framing_of(prompt: str) -> str:
    return next(name for name, words in FRAMINGS.items() if words in prompt)


def finding(file: str = "shell.ts", line: int = 4, quote: str = "exec(command);", **more: object) -> dict[str, object]:
    said = {"rule": "command-injection", "cwe": 78, "severity": "high", "message": "It runs anything.", "why": "So."}
    return {"file": file, "line": line, "quote": quote, **said, **more}


def speaks(audits: Says, judges: Says = lambda prompt: "confirm") -> Callable[[Request], str]:
    """A model whose auditors and verifiers say this of their prompts."""

    def answer(request: Request) -> str:
        prompt = prompt_of(request)
        if is_attack(prompt):
            return json.dumps({"position": judges(prompt), "reason": "Because.", "quotes": []})
        return json.dumps({"findings": audits(prompt)})

    return answer


def shell_once(prompt: str) -> list[object]:
    """The one finding there is to be made; the first sweep makes it, and later ones are told that it is known."""
    return [finding()] if 'path="shell.ts"' in prompt and framing_of(prompt) == "maintainer" else []


def asked(root: Path, **more: Any) -> Asked:
    usual: dict[str, Any] = {
        "lenses": ("security",),
        "models": ("test/m",),
        "sandbox": "none",
        "roles": str(Path.cwd()),
    }
    return Asked(path=str(root), **(usual | more))


async def audited(wanted: Asked, directory: Path, client: FunctionModel) -> Ended:
    prepared = await prepare(wanted, clients={"test/": client})
    options = Options(conclude=prepared.conclude, closing=prepared.close)
    return await start(make_run(directory), prepared.loaded, wanted.arguments(), options)


async def gone_on(place: RunPlace, client: FunctionModel, **more: Any) -> Ended:
    return await resume(place, Options(models=ModelsAsked(clients={"test/": client}), **more))


def report(ended: Ended) -> Any:
    return json.loads((ended.place.directory / "report.json").read_text())


def attacks(client: FunctionModel) -> list[str]:
    return [prompt for prompt in map(prompt_of, client.requests) if is_attack(prompt)]


def audits(client: FunctionModel) -> list[str]:
    return [prompt for prompt in map(prompt_of, client.requests) if not is_attack(prompt)]


# --- what comes of it -------------------------------------------------------------------------------------------------


async def test_findings_are_attacked_and_reported_beside_the_analysers(tmp_path: Path) -> None:
    code = "import os\n\n\ndef run(command):\n    return os.system(command)\n"
    root = tree(tmp_path, {"app.py": code, "shell.ts": SHELL})
    client = FunctionModel(speaks(lambda prompt: [finding("app.py", 2, "return os.system(command)")]))
    ended = await audited(asked(root), tmp_path / "run", client)
    assert (ended.result.kind, ended.result.exit_code) == ("completed", 0), ended.result
    found = report(ended)
    by_tool = Counter(claim["actor"]["tool"] for claim in found["claims"].values())
    assert by_tool["auditor"] >= 1
    assert {"ruff", "bandit"} <= set(by_tool)
    (id, claim) = next(item for item in found["claims"].items() if item[1]["actor"]["tool"] == "auditor")
    assert (claim["line"], claim["key"]["symbol"], claim["key"]["rule"]) == (5, "run", "CWE-78")
    assert (claim["actor"]["version"], claim["actor"]["lens"]) == ("test/m", "security")
    on_it = [one for one in found["verdicts"].values() if one["of"] == id and one["actor"]["tool"] == "verifier"]
    assert {one["actor"]["framing"] for one in on_it} == {f"refutation/{stance}" for stance in STANCES}
    assert found["status"][id] == "confirmed"
    agreed = [one for one in found["verdicts"].values() if one["of"] == id and one["method"] == "agreement"]
    assert {one["actor"]["tool"] for one in agreed} <= {"bandit", "ruff"}, "analysers, and never another auditor"
    assert agreed
    check_the_report_is_whole(ended)


def check_the_report_is_whole(ended: Ended) -> None:
    found, shape = report(ended), schema()
    validator_for(shape)(shape).validate(found)
    assert not found["failed"]
    assert found["about"]["analysers"]["auditor/security"]["version"] == "test/m"
    assert any(note.startswith("Models reported") for note in found["about"]["notes"])
    text = (ended.place.directory / "report.md").read_text()
    assert "the last sweep brought nothing new" in text
    assert "command-injection" in text or "command injection" in text
    sarif = json.loads((ended.place.directory / "report.sarif").read_text())
    names = {run["tool"]["driver"]["name"]: run["tool"]["driver"].get("version") for run in sarif["runs"]}
    assert names["auditor"] == "test/m"
    assert verify_log(ended.place.directory, ended.head).ok


async def test_two_lenses_of_one_model_do_not_confirm_each_other(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once, lambda prompt: "cannot_tell"))
    wanted = asked(tree(tmp_path, {"shell.ts": SHELL}), lenses=("security", "correctness"))
    found = report(await audited(wanted, tmp_path / "run", client))
    assert {claim["actor"]["lens"] for claim in found["claims"].values()} == {"security", "correctness"}
    assert {found["status"][id] for id in found["claims"]} == {"unverified"}
    (cluster,) = found["clusters"]
    assert cluster["groups"] == ["m/audit"]


async def test_a_verifier_sees_the_claim_and_its_code_and_nothing_of_the_conversation(tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        said = speaks(shell_once)(request)
        return said if is_attack(prompt_of(request)) else f"My secret reasoning.\n```answer\n{said}\n```"

    client = FunctionModel(answer)
    root = tree(tmp_path, {"shell.ts": SHELL, "sum.ts": SUM})
    await audited(asked(root), tmp_path / "run", client)
    prompts = attacks(client)
    assert sorted(map(stance_of, prompts)) == sorted(STANCES)
    for prompt in prompts:
        assert "   4|   exec(command);" in prompt
        assert "It runs anything. So." in prompt
        assert "secret reasoning" not in prompt
        assert "values[0]" not in prompt, "other files are not shown"
        assert not any(words in prompt for words in FRAMINGS.values())


async def test_what_is_quoted_wrongly_or_elsewhere_is_kept_and_counted(tmp_path: Path) -> None:
    wrong = [finding(quote="eval(command)"), finding(file="../outside.ts"), finding()]
    client = FunctionModel(speaks(lambda prompt: wrong if framing_of(prompt) == "maintainer" else []))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL})), tmp_path / "run", client)
    found = report(ended)
    assert len(found["claims"]) == 2
    assert [record["reason"] for record in found["malformed"]] == ["it is about a file that this call was not given"]
    assert "evidence_unresolved" in {conflict["kind"] for conflict in found["conflicts"]}
    assert len(attacks(client)) == 2 * len(STANCES), "also the one whose words are not there"


async def test_a_file_that_no_prompt_holds_is_a_named_gap(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once))
    root = tree(tmp_path, {"shell.ts": SHELL, "huge.ts": "export const x = 1;\n" * 20_000})
    ended = await audited(asked(root), tmp_path / "run", client)
    (gap,) = [gap for gap in report(ended)["coverage"]["gaps"] if gap["check"] == "auditor/security"]
    assert gap["unit"] == "huge.ts"
    assert "too large for one prompt" in gap["reason"]
    assert not any("huge.ts" in prompt for prompt in map(prompt_of, client.requests))
    assert ended.result.kind == "completed"


async def test_nothing_for_models_to_look_at_asks_none(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once))
    ended = await audited(asked(tree(tmp_path, {"notes.txt": "hello\n"})), tmp_path / "run", client)
    assert ended.result.kind == "completed"
    assert client.requests == []


# --- attack, and escalation -------------------------------------------------------------------------------------------


async def test_a_vote_refutes_and_deletes_nothing(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once, lambda prompt: "refute"))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL})), tmp_path / "run", client)
    found = report(ended)
    (id,) = found["claims"]
    assert found["status"][id] == "refuted"
    assert "existence" in {conflict["kind"] for conflict in found["conflicts"]}
    assert not any("nothing to look at" in note for note in found["about"]["notes"])
    assert any("1 refuted by at least 2" in note for note in found["about"]["notes"])


async def test_who_cannot_tell_abstains(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once, lambda prompt: "cannot_tell"))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL})), tmp_path / "run", client)
    found = report(ended)
    assert {found["status"][id] for id in found["claims"]} == {"unverified"}
    assert any("1 left open" in note for note in found["about"]["notes"])
    assert len(found["verdicts"]) == len(STANCES)


async def test_a_verifier_that_fails_for_its_infrastructure_abstains(tmp_path: Path) -> None:
    def judges(prompt: str) -> str:
        if stance_of(prompt) == "misread":
            raise InfrastructureError("environment", "it is down")
        return "confirm"

    client = FunctionModel(speaks(shell_once, judges))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL})), tmp_path / "run", client)
    assert ended.result.kind == "completed", "two votes decided it"
    assert len(report(ended)["verdicts"]) == 2


async def test_verifiers_of_another_family_are_a_second_voice(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once, lambda prompt: "refute" if stance_of(prompt) == "misread" else "confirm"))
    wanted = asked(tree(tmp_path, {"shell.ts": SHELL}), models=("test/gpt-a", "verifier=test/claude-b"))
    found = report(await audited(wanted, tmp_path / "run", client))
    assert {request.model for request in client.requests if is_attack(prompt_of(request))} == {"test/claude-b"}
    assert not any("model family that made the claim" in note for note in found["about"]["notes"])
    (conflict,) = [conflict for conflict in found["conflicts"] if conflict["kind"] == "existence"]
    groups = {group for side in conflict["positions"] for group in side["groups"]}
    assert groups == {"claude/refutation", "gpt/audit"}
    assert {found["status"][id] for id in found["claims"]} == {"disputed"}


def roles(project: Path, **stronger: str) -> None:
    """Roles of a project that name a stronger model."""
    folder = project / ".antiphon" / "roles"
    folder.mkdir(parents=True)
    for name, model in stronger.items():
        head = f"---\nname: {name}\ndescription: mine\nframing: {name}\nescalate: {model}\n---\n"
        (folder / f"{name}.md").write_text(f"{head}Look closely.\n")


async def test_only_what_verifiers_disagree_on_goes_to_the_stronger_model(tmp_path: Path) -> None:
    roles(tmp_path / "here", verifier="test/strong")

    def judges(prompt: str) -> str:
        disputed = "sum.ts" in prompt and stance_of(prompt) == "misread"
        return "refute" if disputed else "confirm"

    both = [finding(), finding("sum.ts", 2, "values[0] + values[1]", rule="missing-values", cwe=None)]
    client = FunctionModel(speaks(lambda prompt: both if framing_of(prompt) == "maintainer" else [], judges))
    root = tree(tmp_path, {"shell.ts": SHELL, "sum.ts": SUM})
    ended = await audited(asked(root), tmp_path / "run", client)
    stronger = [request for request in client.requests if request.model == "test/strong"]
    assert len(stronger) == 1
    assert "sum.ts" in prompt_of(stronger[0])
    found = report(ended)
    escalated = [one for one in found["verdicts"].values() if one["method"] == "verifier: weigh"]
    assert [one["actor"]["version"] for one in escalated] == ["test/strong"]
    assert "Escalated to test/strong: 1 finding." in found["about"]["notes"]


async def test_what_a_cheap_auditor_found_goes_to_the_model_that_its_role_names(tmp_path: Path) -> None:
    roles(tmp_path / "here", auditor="test/strong")
    client = FunctionModel(speaks(shell_once))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL, "sum.ts": SUM})), tmp_path / "run", client)
    stronger = [prompt_of(request) for request in client.requests if request.model == "test/strong"]
    assert [stance_of(prompt) for prompt in stronger] == ["weigh"]
    assert ended.result.kind == "completed"


async def test_where_the_first_model_gives_up_the_stronger_one_answers_and_the_report_says_so(tmp_path: Path) -> None:
    roles(tmp_path / "here", auditor="test/strong")

    def answer(request: Request) -> str:
        prompt = prompt_of(request)
        knows = request.model == "test/strong" or is_attack(prompt)
        return speaks(shell_once)(request) if knows else "I would rather not say."

    client = FunctionModel(answer)
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL})), tmp_path / "run", client)
    found = report(ended)
    assert {claim["actor"]["version"] for claim in found["claims"].values()} == {"test/strong"}
    assert "By test/strong, because the first model gave up: 1 answer of the role auditor." in found["about"]["notes"]


# --- sweeps -----------------------------------------------------------------------------------------------------------


async def test_it_sweeps_from_another_framing_until_nothing_is_new(tmp_path: Path) -> None:
    new = {
        "maintainer": [finding()],
        "outsider": [finding(), finding("sum.ts", 2, "values[0]", rule="other", cwe=None)],
        "breaker": [finding(line=1)],
    }
    client = FunctionModel(speaks(lambda prompt: new[framing_of(prompt)]))
    root = tree(tmp_path, {"shell.ts": SHELL, "sum.ts": SUM})
    ended = await audited(asked(root, sweeps=5), tmp_path / "run", client)
    framings = list(dict.fromkeys(map(framing_of, audits(client))))
    assert framings == list(FRAMINGS), "the third brings no new key, and is the last"
    second = next(prompt for prompt in audits(client) if framing_of(prompt) == "outsider" and "shell.ts" in prompt)
    assert "shell.ts:4 command-injection" in second, "what is known is said"
    assert any("the last sweep brought nothing new" in note for note in report(ended)["about"]["notes"])


async def test_it_says_so_where_it_ends_by_the_number_of_sweeps(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL}), sweeps=1), tmp_path / "run", client)
    (note,) = [note for note in report(ended)["about"]["notes"] if note.startswith("Models audited")]
    assert "ended after 1 sweep, as many as were asked for, and not because nothing new was found" in note


async def test_a_sweep_whose_agents_failed_is_not_dry(tmp_path: Path) -> None:
    def answers(prompt: str) -> list[object]:
        if framing_of(prompt) == "maintainer":
            raise InfrastructureError("environment", "it is down")
        return []

    client = FunctionModel(speaks(answers))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL})), tmp_path / "run", client)
    (note,) = [note for note in report(ended)["about"]["notes"] if note.startswith("Models audited")]
    assert "sweep 1 (maintainer): 1 call, 0 findings, 0 new; not dry, as calls failed: 1 environment" in note
    assert "sweep 2 (outsider)" in note
    assert "the last sweep brought nothing new" in note
    assert (ended.result.kind, ended.result.exit_code) == ("degraded", 3)


# --- limits, and going on ---------------------------------------------------------------------------------------------


async def test_the_budget_pauses_it_and_more_of_it_goes_on_where_it_was(tmp_path: Path) -> None:
    root = tree(tmp_path, {f"m{number}.ts": SHELL for number in range(4)})
    client = FunctionModel(
        speaks(lambda prompt: [finding(name, 4) for name in re.findall(r'path="(m\d\.ts)"', prompt)])
    )
    wanted = asked(root, budget="4model_calls", sweeps=1)
    ended = await audited(wanted, tmp_path / "run", client)
    assert (ended.result.kind, ended.result.exit_code, ended.result.pause) == ("paused", 4, "budget")
    assert "model_calls" in ended.result.reason
    before = Counter(map(prompt_of, client.requests))
    assert sum(before.values()) <= 4
    on = await gone_on(ended.place, client, top_up=parse_top_up("+100model_calls"))
    assert on.result.kind == "completed", on.result
    assert len(report(on)["claims"]) == 4
    assert len(attacks(client)) == 4 * len(STANCES)
    assert set(Counter(map(prompt_of, client.requests)).values()) == {1}, "what was answered is not asked again"


async def test_a_sweep_that_would_leave_findings_unjudged_is_not_begun(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once))
    # Two to survey, one auditor, three verifiers, one second look.
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL}), max_agents=7), tmp_path / "run", client)
    assert ended.result.kind == "completed", ended.result
    assert len(audits(client)) == 1
    assert len(attacks(client)) == len(STANCES)
    (note,) = [note for note in report(ended)["about"]["notes"] if note.startswith("Models audited")]
    assert "the budget would not have seen another sweep and its verification through" in note


async def test_too_few_agents_for_what_was_found_pause_it(tmp_path: Path) -> None:
    client = FunctionModel(speaks(shell_once))
    ended = await audited(asked(tree(tmp_path, {"shell.ts": SHELL}), max_agents=5), tmp_path / "run", client)
    assert (ended.result.kind, ended.result.exit_code, ended.result.pause) == ("paused", 4, "budget")
    assert "agent_calls" in ended.result.reason
    on = await gone_on(ended.place, client, top_up=parse_top_up("+10agent_calls"))
    assert on.result.kind == "completed"
    assert len(attacks(client)) == len(STANCES)
    assert len(report(on)["claims"]) == 1


async def test_the_fewest_agents_that_are_let_begin_see_one_sweep_through(tmp_path: Path) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})
    with pytest.raises(UsageError, match="one sweep takes 3"):
        await prepare(asked(root, max_agents=2), clients={"test/": FunctionModel(speaks(shell_once))})
    client = FunctionModel(speaks(lambda prompt: []))
    ended = await audited(asked(root, max_agents=3), tmp_path / "run", client)
    assert (ended.result.kind, len(audits(client))) == ("completed", 1)


async def test_a_deadline_pauses_it(tmp_path: Path) -> None:
    async def never(request: Request) -> str:
        await anyio.sleep_forever()
        return ""

    wanted = asked(tree(tmp_path, {"shell.ts": SHELL}), deadline_seconds=0.5)
    client = FunctionModel(never)
    prepared = await prepare(wanted, clients={"test/": client})
    options = Options(conclude=prepared.conclude, closing=prepared.close, settings=Settings(settle_seconds=0.1))
    ended = await start(make_run(tmp_path / "run"), prepared.loaded, wanted.arguments(), options)
    assert (ended.result.kind, ended.result.exit_code, ended.result.pause) == ("paused", 4, "wall_seconds")


@pytest.mark.parametrize(("rates", "most"), [((), 3), (("test=2",), 2), (("test/m=1", "test=9"), 1)])
async def test_no_more_is_asked_at_once_than_the_provider_allows(
    tmp_path: Path, rates: tuple[str, ...], most: int
) -> None:
    """The verifiers wait until as many are asked as may be; the first ones give way only then."""
    asking, highest, full = 0, 0, anyio.Event()

    async def answer(request: Request) -> str:
        nonlocal asking, highest
        asking += 1
        highest = max(highest, asking)
        if highest == most:
            full.set()
        if is_attack(prompt_of(request)):
            with anyio.fail_after(10):
                await full.wait()
        asking -= 1
        return speaks(shell_once)(request)

    wanted = asked(tree(tmp_path, {"shell.ts": SHELL}), rates=rates, sweeps=1)
    ended = await audited(wanted, tmp_path / "run", FunctionModel(answer))
    assert ended.result.kind == "completed"
    assert highest == most


async def test_rates_are_kept_when_it_goes_on_and_can_be_named_then(tmp_path: Path) -> None:
    first = asked(tree(tmp_path, {"shell.ts": SHELL}), rates=("test=9rpm",))
    again = Asked.of(json.loads(json.dumps(first.arguments()))).answered_by(ModelsAsked(rates=("test=1",)))
    assert again.rates == ("test=9rpm", "test=1")
    with pytest.raises(UsageError, match="asks no model"):
        asked(tmp_path, models=()).answered_by(ModelsAsked(rates=("test=1",)))


@pytest.mark.parametrize("option", ["--budget", "--deadline"])
def test_a_limit_that_is_empty_is_refused_and_not_taken_as_none(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})
    assert main(["audit", str(root), "--model", "test/m", "--yes", option, " "]) == 2
    assert f"{option} is empty" in capsys.readouterr().err
    assert main(["audit", str(root), "--model", "test/m", "--yes", option, ""]) == 2
    assert f"{option} is empty" in capsys.readouterr().err


def test_rates_are_typed_and_what_cannot_be_read_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})
    assert main(["audit", str(root), "--rate", "openai=1"]) == 2
    assert "--rate is about models, and no model is asked" in capsys.readouterr().err
    assert main(["audit", str(root), "--model", "openai/m", "--rate", "openai=fast"]) == 2
    assert "the rates 'openai=fast' cannot be read" in capsys.readouterr().err
    answer = speaks(shell_once)
    with LoopbackServer(lambda asked: answer(asked.request)) as server:
        typed = ["audit", str(root), "--runs-dir", str(tmp_path / "runs"), "--lens", "security", "--yes", "--plain"]
        typed += ["--model", f"compatible/m@{server.url}#schema", "--rate", "compatible=1,60000rpm", "--json"]
        assert main(typed) == 0
    opened = next(one for one in read_log(next((tmp_path / "runs").iterdir())) if one.kind == "run.opened")
    arguments: Any = opened.data["arguments"]
    assert Asked.of(arguments).rates == ("compatible=1,60000rpm",)


async def test_an_empty_purse_of_the_provider_pauses_it_and_it_goes_on(tmp_path: Path) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})

    def broke(request: Request) -> str:
        if is_attack(prompt_of(request)):
            raise InfrastructureError("quota", "nothing is left")
        return speaks(shell_once)(request)

    ended = await audited(asked(root), tmp_path / "run", FunctionModel(broke))
    assert (ended.result.kind, ended.result.exit_code, ended.result.pause) == ("paused", 4, "quota")
    client = FunctionModel(speaks(shell_once))
    on = await gone_on(ended.place, client)
    assert on.result.kind == "completed"
    assert audits(client) == [], "the auditors answered already"
    assert len(attacks(client)) == len(STANCES)


async def test_what_is_done_is_never_asked_again(tmp_path: Path) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL, "sum.ts": SUM})
    first = await audited(asked(root), tmp_path / "run", FunctionModel(speaks(shell_once)))
    client = FunctionModel(speaks(shell_once))
    again = await gone_on(first.place, client)
    assert client.requests == []
    assert report(again)["claims"] == report(first)["claims"]
    (root / "sum.ts").write_text(SUM + "\n")
    edited = await gone_on(first.place, client)
    assert edited.result.kind == "completed"
    assert client.requests, "the prompts that hold the edited file"


async def test_another_model_can_be_named_when_it_goes_on_but_none_where_there_was_none(tmp_path: Path) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})
    client = FunctionModel(speaks(shell_once))
    first = await audited(asked(root), tmp_path / "run", client)
    named = ModelsAsked(specs=("verifier=test/other",), clients={"test/": client})
    await resume(first.place, Options(models=named))
    assert Counter(request.model for request in client.requests)["test/other"] == len(STANCES)
    plain = await prepare(asked(root, models=()))
    without = await start(make_run(tmp_path / "plain"), plain.loaded, plain.asked.arguments(), Options())
    with pytest.raises(UsageError, match="asks no model"):
        await resume(without.place, Options(models=named))


async def test_what_models_are_silent_about_is_not_called_gone(tmp_path: Path) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})
    first = await audited(asked(root), tmp_path / "run", FunctionModel(speaks(shell_once)))
    before = str(first.place.directory / "report.sarif")
    wanted = asked(root, baseline=before)
    bound = await bind(wanted, home=tmp_path / "runs", clients={"test/": FunctionModel(speaks(lambda prompt: []))})
    options = Options(conclude=bound.conclude, closing=bound.close)
    second = await start(make_run(tmp_path / "second"), bound.loaded, bound.asked.arguments(), options)
    comparison = report(second)["comparison"]
    assert comparison["counts"]["absent"] == 0
    (unseen,) = comparison["not_looked_at_again"]
    assert "silent" in unseen["reason"]
    assert [result["rule"] for result in unseen["results"]] == ["command-injection"]


# --- as it is typed, over HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_as_it_is_typed_it_says_what_it_may_cost_and_pays_what_the_server_counts(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL, "sum.ts": SUM})
    answer = speaks(shell_once)
    with LoopbackServer(lambda asked: answer(asked.request)) as server:
        name = f"compatible/m@{server.url}#schema"
        typed = ["audit", str(root), "--plain", "--runs-dir", str(tmp_path / "runs"), "--lens", "security", "--yes"]
        typed += ["--model", name, "--price", "compatible/m=1/10", "--budget", "1usd", "--backend", backend, "--json"]
        assert main(typed) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    billed = server.tally.usage()
    assert found["spent"]["model_calls"] == len(server.tally.billed) == 2 + len(STANCES)
    assert found["spent"]["usd"] == 1_000 * billed.input + 10_000 * billed.output > 0
    assert "likely" in said.err
    assert "the budget holds it to 1 usd" in said.err
    report_of = json.loads(next((tmp_path / "runs").glob("*/report.json")).read_text())
    assert [claim["rule"] for claim in report_of["claims"].values()] == ["command-injection"]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_fifth_of_all_requests_meeting_a_fault_loses_nothing_and_costs_what_the_server_counts(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path, {f"m{number:02}.ts": SHELL + f"// {number}\n" for number in range(40)})
    answer = speaks(lambda prompt: [finding(name, 4) for name in re.findall(r'path="(m\d\d\.ts)"', prompt)])
    with LoopbackServer(Faults(lambda asked: answer(asked.request), share=0.2, seed=7)) as server:
        typed = ["audit", str(root), "--plain", "--runs-dir", str(tmp_path / "runs"), "--lens", "security", "--yes"]
        typed += ["--model", f"compatible/m@{server.url}#schema", "--price", "compatible/m=1/10", "--budget", "50usd"]
        code = main([*typed, "--sweeps", "1", "--backend", backend, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["kind"]) in ((0, "completed"), (3, "degraded"))
    said = json.loads(next((tmp_path / "runs").glob("*/report.json")).read_text())
    assert {claim["key"]["path"] for claim in said["claims"].values()} == {f"m{number:02}.ts" for number in range(40)}
    # Who met too many faults in a row abstained, and is counted. A port is in the name, so it is not always the same.
    assert len(said["verdicts"]) + found["calls"]["refute"].get("failed", 0) == 40 * len(STANCES)
    assert any("0 refuted by at least 2" in note for note in said["about"]["notes"])
    known, all_of_it = server.tally.usage(known=True), server.tally.usage()
    assert len(server.tally.kinds) > 3, "several sorts of faults were met"
    # What the server billed and never told is charged as estimated, so never below what it was.
    assert found["spent"]["usd"] >= 1_000 * all_of_it.input + 10_000 * all_of_it.output
    assert found["spent"]["input_tokens"] >= known.input


def test_a_budget_that_is_used_up_says_how_to_go_on_and_going_on_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path, {"shell.ts": SHELL})
    answer, runs = speaks(shell_once), ["--plain", "--runs-dir", str(tmp_path / "runs")]
    with LoopbackServer(lambda asked: answer(asked.request)) as server:
        model = ["--model", f"compatible/m@{server.url}#schema", "--price", "compatible/m=0/0"]
        assert main(["audit", str(root), *runs, *model, "--lens", "security", "--budget", "2model_calls"]) == 4
        told = capsys.readouterr().err
        assert re.search(r"next +antiphon resume \S+ --budget \+100model_calls", told)
        assert main(["resume", "last", *runs, "--budget", "+100model_calls"]) == 0
    assert "command-injection" in capsys.readouterr().out
    assert len(server.tally.billed) == 2 + len(STANCES)


# --- what stays as it is ----------------------------------------------------------------------------------------------


async def test_without_a_model_the_workflow_is_the_one_that_asks_none(tmp_path: Path) -> None:
    prepared = await prepare(asked(tree(tmp_path, {"shell.ts": SHELL}), models=()))
    assert prepared.loaded.path == Path(str(offline.__file__))
    assert prepared.team is None
    assert not {"models", "budget", "sweeps"} & set(prepared.asked.arguments())


def test_the_manifest_declares_every_role_and_no_other() -> None:
    manifest = read_manifest(Path(str(workflow.__file__)).read_bytes(), "workflow.py")
    before = read_manifest(Path(str(offline.__file__)).read_bytes(), "workflow.py")
    assert set(manifest.roles) == {*before.roles, "divider", "auditor", "verifier"}
    assert {*role_names(), "surveyor", "second-look", "sarif"} == set(before.roles)
    assert manifest.limits == before.limits
    assert manifest.scope == before.scope
