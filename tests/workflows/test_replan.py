"""`replan()` and `antiphon replan`: a run ends, another version is written, and a fork of the run goes on with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.planning import GOOD, MODEL, TESTS, Author, inputs, planning, wanted, written

from antiphon.engine import CallFailed, UsageError
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.model.contract import Request
from antiphon.subagents.testing import Answer, FunctionModel
from antiphon.tracing import Json, read_log, verify_log
from antiphon.workflows.author.finished import finished
from antiphon.workflows.author.forking import fork
from antiphon.workflows.author.launch import Asked, Planning, prepare
from antiphon.workflows.author.plans import plans_home
from antiphon.workflows.author.words import MEND, OUTLINE, SHAPE, WRITE
from antiphon.workflows.cli.replan import check_versions
from antiphon.workflows.loading import load
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.opened import FORKED
from antiphon.workflows.places import RunPlace, is_ours, make_run
from antiphon.workflows.running import Ended, Options, resume, start
from antiphon.workflows.script import agent, parallel, replan

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
on_trio = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
"""What other tests here hold asyncio to as well: each of these makes whole plans, and runs them."""

FORK = "20260101-000000-abcd"
FIRST = GOOD.replace("agent, parallel, phase, step", "agent, parallel, phase, replan, step").replace(
    "    return {\n",
    '    if any(outcome.ok and outcome.value["word"] == "alien" for outcome in found):\n'
    '        replan("one of the files is in no language that this was made for", {"seen": len(paths)})\n'
    "    return {\n",
)
SECOND = GOOD.replace(
    "    return {\n",
    '    more = await agent("Which language is b.txt in?", role="worker", output=WORD, workspace="read")\n'
    "    return {\n"
    '        "language": more["word"],\n',
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (inputs(tmp_path) / "b.txt").write_text("xyzzy", "utf-8")
    monkeypatch.chdir(tmp_path)


class Worker(FunctionModel):
    """Says a word about each file."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        super().__init__(self._answer)

    def _answer(self, request: Request) -> Answer:
        task = request.messages[-1].text
        self.tasks.append(task)
        return Answer({"word": "alien" if "file b.txt" in task else "alpha"})


def performing(tmp_path: Path, worker: Worker) -> Options:
    models = ModelsAsked(specs=(MODEL,), clients={MODEL: worker})
    return Options(models=models, project=tmp_path / "project")


async def ended_in_replan(tmp_path: Path, worker: Worker) -> Ended:
    """A planned script, run until it asks for another version of itself."""
    made = await planning(wanted(tmp_path), Author({WRITE: [written(FIRST)]}), tmp_path / "runs" / "plan")
    assert made.plan.state == "planned", made.state["attempts"]
    place = make_run(tmp_path / "runs" / "first")
    return await start(place, load(made.plan.script), {}, performing(tmp_path, worker))


def again(tmp_path: Path, because: str = "") -> Asked:
    before = finished(RunPlace(tmp_path / "runs" / "first"), because=because, plans=plans_home(tmp_path))
    return wanted(tmp_path, before.task, name="words-v2", before=before.to_json(), fork=FORK)


async def test_replan_keeps_what_finished_and_pauses_the_run() -> None:
    calls = AnsweringCalls()

    async def main() -> None:
        found = await parallel(agent(name) for name in ("a", "b"))
        replan("it is another  format\n", {"seen": len(found.succeeded())})

    ran = await memory_run(main, performers={"agent": calls})
    assert (ran.result.kind, ran.result.pause, ran.result.exit_code) == ("paused", "replan", 4)
    [event] = ran.events("replan")
    assert event.data == {"reason": "it is another format", "results": {"seen": 2}}
    again = AnsweringCalls()
    resumed = await memory_run(main, performers={"agent": again}, history=ran.events())
    assert (again.performed, resumed.result.pause) == ([], "replan")


async def test_no_except_of_a_script_keeps_it_running() -> None:
    went_on: list[str] = []

    async def main() -> None:
        try:
            replan("enough")
        except Exception:
            went_on.append("here")

    ran = await memory_run(main, performers={})
    assert (ran.result.pause, went_on) == ("replan", [])


async def test_results_that_json_cannot_hold_are_the_scripts_fault() -> None:
    async def main() -> None:
        replan("why", {"a": object()})

    ran = await memory_run(main, performers={})
    assert ran.result.kind == "failed"
    with pytest.raises(CallFailed):
        _ = ran.value


async def test_a_fork_goes_on_with_the_new_version_and_does_nothing_twice(tmp_path: Path) -> None:
    worker = Worker()
    first = await ended_in_replan(tmp_path, worker)
    assert (first.result.pause, len(worker.tasks)) == ("replan", 2)
    author = Author({WRITE: [written(SECOND, SECOND_TESTS)]})
    made = await planning(again(tmp_path), author, tmp_path / "runs" / "plan-2")
    assert (made.plan.state, author.asked(SHAPE)) == ("planned", [])
    for asked in (*author.asked(OUTLINE), *author.asked(WRITE)):
        assert "in no language that this was made for" in asked
        assert '{"seen": 2}' in asked.replace("\\", "")
    await fork(made.planning)
    later = Worker()
    place = RunPlace(tmp_path / "runs" / FORK)
    done = await resume(place, performing(tmp_path, later))
    assert (done.result.kind, done.result.reuse.performed) == ("completed", 1), done.result.reason
    assert len(later.tasks) == 1
    assert "Which language is b.txt in?" in later.tasks[0]
    assert isinstance(done.value, dict)
    assert done.value["language"] == "alpha"
    assert verify_log(place.directory).ok


@on_trio
async def test_the_log_of_a_fork_says_of_which_run_at_which_head(tmp_path: Path) -> None:
    first = await ended_in_replan(tmp_path, Worker())
    made = await planning(
        again(tmp_path), Author({WRITE: [written(SECOND, SECOND_TESTS)]}), tmp_path / "runs" / "plan-2"
    )
    await fork(made.planning)
    events = list(read_log(tmp_path / "runs" / FORK))
    [forked] = [event for event in events if event.kind == FORKED]
    assert (forked.data["run"], forked.data["head"], forked.data["plan"], forked.data["version"]) == (
        "first", first.head, "words-v2", 2,
    )  # fmt: skip
    assert first.head in [event.hash for event in events], "the chain of the run it was made of is in it"
    assert made.plan.task["parent"] == "words"
    before = [event.hash for event in read_log(tmp_path / "runs" / "first")]
    await fork(made.planning)
    assert [event.hash for event in read_log(tmp_path / "runs" / "first")] == before
    assert len(list(read_log(tmp_path / "runs" / FORK))) == len(events), "made once"


@on_trio
async def test_a_run_that_went_on_is_not_forked(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    made = await planning(
        again(tmp_path), Author({WRITE: [written(SECOND, SECOND_TESTS)]}), tmp_path / "runs" / "plan-2"
    )
    await resume(RunPlace(tmp_path / "runs" / "first"), performing(tmp_path, Worker()))
    with pytest.raises(UsageError, match="went on since"):
        await fork(made.planning)
    assert not (tmp_path / "runs" / FORK).exists()


async def planned_again(tmp_path: Path, *, run: str = "plan-2") -> Planning:
    """A further version of a script that asked for one."""
    author = Author({WRITE: [written(SECOND, SECOND_TESTS)]})
    return (await planning(again(tmp_path), author, tmp_path / "runs" / run)).planning


@on_trio
async def test_the_same_script_is_no_further_version(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    same = f"\n{FIRST.replace('MOST = 20', 'MOST = 20  ')}\n\n"
    author = Author({WRITE: [written(same)], MEND: [written(SECOND, SECOND_TESTS)]})
    made = await planning(again(tmp_path), author, tmp_path / "runs" / "plan-2")
    assert [one["rule"] for one in made.attempt(1)["problems"]] == ["unchanged"]
    assert made.plan.state == "planned"


@on_trio
@pytest.mark.parametrize("change", ["changed", "gone"])
async def test_only_the_version_that_passed_goes_on_and_a_fork_is_whole_or_not_there(
    tmp_path: Path, change: str
) -> None:
    await ended_in_replan(tmp_path, Worker())
    made = await planned_again(tmp_path)
    script = made.asked.folder / "script.py"
    if change == "gone":
        script.unlink()
    else:
        script.write_text(script.read_text("utf-8") + "# another\n", "utf-8")
    with pytest.raises(UsageError):
        await fork(made)
    assert sorted(entry.name for entry in (tmp_path / "runs").iterdir()) == ["first", "plan", "plan-2"]


@on_trio
async def test_a_fork_is_written_over_no_other_run(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    made = await planned_again(tmp_path)
    other = make_run(tmp_path / "runs" / FORK)
    (other.directory / "run.db").write_text("precious", "utf-8")
    with pytest.raises(UsageError, match="there is a run"):
        await fork(made)
    assert (other.directory / "run.db").read_text("utf-8") == "precious"


@on_trio
async def test_what_a_killed_process_left_of_a_fork_is_made_anew(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    made = await planned_again(tmp_path)
    half = make_run(tmp_path / "runs" / f".making-{FORK}" / FORK)
    (half.directory / "run.db").write_text("half", "utf-8")
    await fork(made)
    assert verify_log(tmp_path / "runs" / FORK).ok
    assert is_ours(RunPlace(tmp_path / "runs" / FORK))
    assert not half.directory.parent.exists()


@on_trio
async def test_the_count_of_versions_goes_along_with_a_fork(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    await fork(await planned_again(tmp_path))
    place, nowhere = RunPlace(tmp_path / "runs" / FORK), plans_home(tmp_path / "elsewhere")
    done = await resume(place, performing(tmp_path, Worker()))
    assert done.result.kind == "completed"
    there, elsewhere = (finished(place, because="x", plans=plans) for plans in (plans_home(tmp_path), nowhere))
    assert [(said.root, said.version) for said in (there, elsewhere)] == [("words", 2)] * 2
    with pytest.raises(UsageError, match="2 versions below this task"):
        check_versions(elsewhere, nowhere, 2)


@on_trio
@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/x", "20260101-000000-abcd/..", ""])
async def test_a_fork_has_the_id_of_a_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no run's id"):
        await fork(prepare(wanted(tmp_path, before={"directory": str(tmp_path)}, fork=name)))


@on_trio
async def test_a_test_of_a_script_may_say_that_it_asks_for_another_version(tmp_path: Path) -> None:
    answers: list[Json] = [{"name": "files", "value": ["b.txt"]}, {"name": "worker", "value": {"word": "alien"}}]
    asks: Json = {"name": "an alien word", "answers": answers, "outcome": "replan"}
    made = await planning(
        wanted(tmp_path), Author({WRITE: [written(FIRST, [*TESTS, asks])]}), tmp_path / "runs" / "plan"
    )
    assert [test["passed"] for test in made.attempt(1)["tests"]] == [True, True, True]
    assert made.plan.state == "planned"


ASKS = """from antiphon.workflows.script import agent

manifest = {
    "name": "asks",
    "limits": {"usd": "1", "agent_calls": 4},
    "scope": {"read": [], "write": [], "tools": [], "network": []},
    "roles": ["worker"],
}
WORD = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 40}}, "required": ["word"]}


async def main() -> dict:
    return await agent("give one word for %s", role="worker", output=WORD)
"""
ASKS_TESTS: Any = [{"name": "a word", "answers": [{"name": "worker", "value": {"word": "x"}}], "contains": ["x"]}]


class Silent(Worker):
    """Says nothing that fits, about the sea."""

    def _answer(self, request: Request) -> Answer:
        if "for the sea" in request.messages[-1].text or len(request.messages) > 2:
            return Answer({"nothing": True})
        return super()._answer(request)


@on_trio
@pytest.mark.parametrize(("task", "kind"), [("the sea  ", "failed"), ("a lake", "completed")])
async def test_a_call_that_failed_fails_again_only_where_it_is_asked_to_the_letter(
    tmp_path: Path, task: str, kind: str
) -> None:
    """What the author of a further version is told of calls that failed."""
    first = written(ASKS % "the sea  ", ASKS_TESTS)
    made = await planning(wanted(tmp_path), Author({WRITE: [first]}), tmp_path / "runs" / "plan")
    place = make_run(tmp_path / "runs" / "first")
    failed = await start(place, load(made.plan.script), {}, performing(tmp_path, Silent()))
    assert failed.result.kind == "failed"
    further = written("# otherwise\n" + ASKS % task, ASKS_TESTS)
    author = Author({WRITE: [further]})
    made = await planning(again(tmp_path), author, tmp_path / "runs" / "plan-2")
    assert "made again to the letter it fails again" in author.asked(WRITE)[0]
    await fork(made.planning)
    later = Worker()
    done = await resume(RunPlace(tmp_path / "runs" / FORK), performing(tmp_path, later))
    assert (done.result.kind, len(later.tasks)) == (kind, int(kind == "completed"))


@on_trio
async def test_why_a_run_is_planned_again_must_be_known(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text('manifest = {"name": "plain"}\nasync def main() -> int:\n    return 1\n', "utf-8")
    place = make_run(tmp_path / "runs" / "first")
    await start(place, load(script), {}, Options(project=tmp_path / "project"))
    with pytest.raises(UsageError, match="nothing asked for another version"):
        finished(place, plans=plans_home(tmp_path))
    said = finished(place, because="it counts  wrong", plans=plans_home(tmp_path))
    assert (said.reason, said.plan, said.ended, said.version) == ("it counts wrong", "", "completed: ", 1)
    assert "return 1" in said.script


@on_trio
async def test_a_run_that_failed_is_planned_again_for_what_it_failed_of(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        'from antiphon.workflows.script import fail\nmanifest = {"name": "plain"}\n'
        'async def main() -> int:\n    fail("no table of contents")\n',
        "utf-8",
    )
    place = make_run(tmp_path / "runs" / "first")
    await start(place, load(script), {}, Options(project=tmp_path / "project"))
    said = finished(place, plans=plans_home(tmp_path))
    assert said.reason == "the run failed: no table of contents"
    assert said.ended == "failed: no table of contents"


@on_trio
async def test_versions_below_one_task_are_bounded(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    before = finished(RunPlace(tmp_path / "runs" / "first"), plans=plans_home(tmp_path))
    check_versions(before, plans_home(tmp_path), 2)
    await planning(again(tmp_path), Author({WRITE: [written(SECOND, SECOND_TESTS)]}), tmp_path / "runs" / "plan-2")
    with pytest.raises(UsageError, match="2 versions below this task"):
        check_versions(before, plans_home(tmp_path), 2)


@on_trio
async def test_a_script_that_was_changed_behind_the_log_is_not_shown(tmp_path: Path) -> None:
    await ended_in_replan(tmp_path, Worker())
    (tmp_path / "runs" / "first" / "script.py").write_text("# other\n", "utf-8")
    with pytest.raises(UsageError, match="is not what first executed"):
        finished(RunPlace(tmp_path / "runs" / "first"), plans=plans_home(tmp_path))


SECOND_TESTS: list[Any] = json.loads(json.dumps(TESTS))
for _case in SECOND_TESTS:
    _case["answers"] = [*_case["answers"], {"name": "worker", "contains": "Which language", "value": {"word": "none"}}]
SECOND_TESTS[0]["calls"] = {"worker": 3}
SECOND_TESTS[1]["calls"] = {"worker": 1}
