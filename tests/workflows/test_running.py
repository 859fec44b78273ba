"""A workflow file started and resumed on disk: what its directory holds and proves, what runs again after an edit."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from antiphon.engine import Settings, UsageError
from antiphon.tracing import Event, Json, read_log, verify_log
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, find_run, is_ours, list_runs, make_run, new_run
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

Write = Callable[[str, str], Path]
HEAD = "from antiphon.workflows.script import *\n"
ECHO = """
@function_agent("echo", floor=Amount(model_calls=1))
async def echo(task: str, ctx: CallContext) -> str:
    async with ctx.attempt(Amount(usd="0.01"), name="fake") as attempt:
        attempt.settle(Amount(usd="0.01", model_calls=1))
    return task.upper()
"""
FAN = """
manifest = {"name": "fan", "phases": ["say"], "roles": ["echo"]}

async def main(words: list[str] = ["a", "b", "c"]):
    phase("say")
    return (await parallel(agent(word, role="echo") for word in words)).succeeded()
"""


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a workflow file, with the script API imported."""

    def to(name: str, text: str) -> Path:
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEAD + textwrap.dedent(text))
        return file

    return to


async def run(file: Path, arguments: dict[str, Json] | None = None, options: Options | None = None) -> Ended:
    loaded = load(file)
    place = make_run(file.parent / "runs" / f"run-{len(list((file.parent / 'runs').glob('*')))}")
    return await start(place, loaded, loaded.parameters.validate(arguments or {}), options or Options())


def events(place: RunPlace, *kinds: str) -> list[Event]:
    return [event for event in read_log(place.directory) if event.kind in kinds]


def performed(place: RunPlace) -> list[str]:
    """The calls that were begun in the newest attempt, by path."""
    begun: list[str] = []
    for event in read_log(place.directory):
        if event.kind == "run.epoch":
            begun.clear()
        if event.kind == "call.started":
            begun.append(event.path)
    return sorted(begun)


# --- a run on disk --------------------------------------------------------------------------------------------------


async def test_the_directory_of_a_run(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    ended = await run(file)
    directory = ended.place.directory
    assert sorted(entry.name for entry in directory.iterdir()) == [
        "control", "lock", "manifest.json", "origin", "run.db", "script.py",
    ]  # fmt: skip
    assert (directory / "script.py").read_text() == file.read_text()
    manifest = json.loads((directory / "manifest.json").read_text())
    assert (manifest["name"], manifest["roles"]) == ("fan", ["echo"])
    assert not list((directory / "control").iterdir())
    assert is_ours(ended.place)


async def test_what_the_log_says_of_the_beginning(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    ended = await run(file, {"words": ["x"]})
    (opened,) = events(ended.place, "run.opened")
    digest = sha256(file.read_bytes()).hexdigest()
    said = opened.data
    assert (said["run"], said["workflow"]) == (ended.place.run_id, "fan")
    assert (said["arguments"], said["builtin"]) == ({"words": ["x"]}, "")
    assert (said["script"], said["script_sha256"]) == (str(file), digest)
    assert len(str(said["trace"])) == 32
    (kept,) = events(ended.place, "input")
    assert kept.data == {"name": "script.py", "sha256": digest, "file": str(file)}
    assert kept.seq < opened.seq


async def test_a_run_in_its_home_ignores_itself_and_is_found(tmp_path: Path, write: Write) -> None:
    home = tmp_path / ".antiphon" / "runs"
    place = new_run(home)
    loaded = load(write("fan.py", ECHO + FAN))
    await start(place, loaded, loaded.parameters.validate({}), Options())
    assert (tmp_path / ".antiphon" / ".gitignore").read_text() == "*\n!/roles/\n!/roles/**\n"
    assert list_runs(home) == [place]
    for wanted in ("last", place.run_id, place.run_id[-4:], str(place.directory)):
        assert find_run(home, wanted) == place
    for wanted in ("nothing", "../runs/nothing"):
        with pytest.raises(UsageError, match="there is no run"):
            find_run(home, wanted)


async def test_the_head_proves_value_script_and_reports(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)

    def conclude(place: RunPlace, *_: object) -> dict[str, str]:
        (place.directory / "report.md").write_text("# found\n")
        return {"report.md": sha256(b"# found\n").hexdigest()}

    ended = await run(file, options=Options(conclude=conclude))
    directory = ended.place.directory
    assert ended.reports == (directory / "report.md",)
    assert verify_log(directory, ended.head).ok
    for name in ("report.md", "script.py"):
        before = (directory / name).read_bytes()
        (directory / name).write_bytes(before + b" ")
        found = verify_log(directory, ended.head)
        assert [name in problem and "was changed" in problem for _, problem in found.problems] == [True]
        (directory / name).write_bytes(before)
    assert verify_log(directory, ended.head).ok


async def test_large_values_are_blobs_and_come_back(write: Write) -> None:
    file = write("large.py", """
        manifest = {"name": "large", "steps": ["large"]}

        @step_function("large")
        def large() -> str:
            return "x" * 100_000

        async def main():
            return await step("large") + await step("large")
        """)  # fmt: skip
    ended = await run(file)
    assert ended.value == "x" * 200_000
    (closing,) = events(ended.place, "run.ended")
    assert "value" not in closing.data
    assert len(list((ended.place.directory / "blobs").iterdir())) == 2
    again = await resume(ended.place, Options())
    assert again.value == ended.value
    assert again.result.reuse.performed == 0
    blob = ended.place.directory / "blobs" / str(closing.data["blob"])
    blob.write_bytes(blob.read_bytes()[:-1])
    assert not verify_log(ended.place.directory, again.head).ok


async def test_a_default_belongs_to_the_script(write: Write) -> None:
    text = ECHO + FAN.replace('["a", "b", "c"]', "None").replace("for word in words", 'for word in words or ["x"]')
    file = write("fan.py", text)  # None does not fit the parameter's own type, and nobody gave it
    first = await run(file)
    assert events(first.place, "run.opened")[0].data["arguments"] == {}
    assert (first.value, (await resume(first.place, Options())).value) == (["X"], ["X"])


@pytest.mark.parametrize("value", [r"'\ud800'", "b'\\xff'", "(lambda a: (a.append(a), a)[1])([])"])
async def test_a_value_that_json_cannot_hold_fails_the_run_and_says_so(value: str, write: Write) -> None:
    ended = await run(write("odd.py", f"manifest = {{'name': 'odd'}}\n\nasync def main():\n    return {value}\n"))
    assert (ended.result.kind, ended.value) == ("failed", None)
    assert "a value that cannot be kept" in ended.result.reason
    assert events(ended.place, "run.ended")[0].data["kind"] == "failed"


async def test_a_script_that_exits_while_it_is_imported_is_a_usage_error(write: Write) -> None:
    file = write("exits.py", 'manifest = {"name": "exits"}\nraise SystemExit(0)\n\nasync def main(): ...\n')
    with pytest.raises(UsageError, match="cannot be imported: SystemExit"):
        load(file)


async def test_nothing_is_left_beside_the_script_and_no_cache_is_believed(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    await run(file)
    assert sorted(entry.name for entry in file.parent.iterdir()) == ["fan.py", "runs"]
    # An edit of the same length within the same second: what a cached compilation would not notice.
    changed = file.read_text().replace("task.upper()", "task.title()")
    stamps = file.stat()
    file.write_text(changed)
    os.utime(file, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert (await run(file, {"words": ["word"]})).value == ["Word"]


# --- edits between attempts -----------------------------------------------------------------------------------------


async def test_an_item_in_the_middle_performs_only_that_item(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    first = await run(file)
    file.write_text(file.read_text().replace('["a", "b", "c"]', '["a", "new", "b", "c"]'))
    again = await resume(first.place, Options())
    assert again.value == ["A", "NEW", "B", "C"]
    reuse = again.result.reuse
    assert (reuse.reused, reuse.rebound, reuse.performed) == (3, 2, 1)
    assert [again.result.spent.count(what) for what in ("usd", "model_calls")] == [40_000_000, 4]
    closing = events(again.place, "run.ended")[-1].data
    assert (closing["reused"], closing["rebound"], closing["performed"]) == (3, 2, 1)


async def test_a_run_says_what_reuse_saved(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    first = await run(file)
    file.write_text(file.read_text().replace('["a", "b", "c"]', '["a", "b", "c", "new"]'))
    again = await resume(first.place, Options())
    saved = events(again.place, "run.ended")[-1].data["saved"]
    assert isinstance(saved, dict)
    assert (saved["usd"], saved["model_calls"], saved["agent_calls"]) == (30_000_000, 3, 3)


async def test_what_reuse_saved_does_not_depend_on_where_it_stands_now(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    first = await run(file)
    file.write_text(file.read_text().replace('["a", "b", "c"]', '["a", "new", "b", "c"]'))
    again = await resume(first.place, Options())
    assert again.result.reuse.saved.count("usd") == 30_000_000


async def test_an_edited_branch_performs_only_that_branch(write: Write) -> None:
    file = write("two.py", ECHO + """
manifest = {"name": "two", "roles": ["echo"]}

async def main():
    left = await branch("left", agent("left", role="echo"))
    right = await branch("right", agent("right", role="echo"))
    return [left.value, right.value]
""")  # fmt: skip
    first = await run(file)
    file.write_text(file.read_text().replace('agent("left"', 'agent("links"'))
    again = await resume(first.place, Options())
    assert again.value == ["LINKS", "RIGHT"]
    assert performed(again.place) == ["main/left/0"]


async def test_an_edited_agent_performs_its_calls_again_and_no_others(write: Write) -> None:
    file = write("agents.py", ECHO + """
@function_agent("other")
async def other(task: str, ctx: CallContext) -> str:
    return task[::-1]

manifest = {"name": "agents", "roles": ["echo", "other"]}

async def main():
    return [await agent("ab", role="echo"), await agent("cd", role="other")]
""")  # fmt: skip
    first = await run(file)
    file.write_text(file.read_text().replace("task[::-1]", "task[::-1] * 2"))
    again = await resume(first.place, Options())
    assert (first.value, again.value) == (["AB", "dc"], ["AB", "dcdc"])
    assert performed(again.place) == ["main/1"]


async def test_every_version_of_the_script_is_kept_and_proved(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    first = await run(file)
    file.write_text(file.read_text().replace("task.upper()", "task.lower()"))
    again = await resume(first.place, Options())
    same = await resume(first.place, Options())
    kept = events(again.place, "input")
    digest = sha256(file.read_bytes()).hexdigest()
    assert [event.data["name"] for event in kept] == ["script.py", f"workflows/{digest}.py"]
    file.unlink()
    third = await resume(first.place, Options())
    assert (same.value, third.value, third.result.reuse.performed) == (["a", "b", "c"], ["a", "b", "c"], 0)
    newest = again.place.directory / str(kept[-1].data["name"])
    newest.write_text(newest.read_text() + "\n")
    assert not verify_log(again.place.directory, third.head).ok
    with pytest.raises(UsageError, match="is not what the run executed"):
        await resume(first.place, Options())


async def test_a_script_that_moved_away_is_run_from_its_copy(write: Write) -> None:
    file = write("fan.py", ECHO + FAN)
    first = await run(file)
    file.unlink()
    again = await resume(first.place, Options())
    assert (again.value, again.result.reuse.reused, again.result.reuse.performed) == (["A", "B", "C"], 3, 0)


async def test_a_renamed_run_stays_the_run_it_was(write: Write) -> None:
    file = write("lots.py", ECHO + """
manifest = {"name": "lots", "roles": ["echo"]}

async def main():
    return await agent(f"number {random()}", role="echo")
""")  # fmt: skip
    first = await run(file)
    moved = first.place.directory.rename(first.place.directory.with_name("renamed"))
    with pytest.raises(UsageError, match="was not made here"):
        await resume(RunPlace(moved), Options())
    again = await resume(RunPlace(moved), Options(), trust=True)
    assert (again.value, again.result.reuse.performed) == (first.value, 0)


async def test_failures_replay_and_are_retried_when_asked(write: Write, tmp_path: Path) -> None:
    file = write("flaky.py", f"""
        from pathlib import Path

        manifest = {{"name": "flaky", "roles": ["flaky"]}}

        @function_agent("flaky", version="1")
        async def flaky(task: str, ctx: CallContext) -> str:
            if not Path({str(tmp_path / "mended")!r}).exists():
                raise AgentFailure("not yet")
            return "done"

        async def main():
            return (await branch("try", agent("try", role="flaky"))).kind
        """)  # fmt: skip
    first = await run(file)
    (tmp_path / "mended").touch()
    replayed = await resume(first.place, Options())
    retried = await resume(first.place, Options(settings=Settings(retry_failed=frozenset({"*"}))))
    assert [ended.value for ended in (first, replayed, retried)] == ["failed", "failed", "succeeded"]
    assert [ended.result.kind for ended in (first, replayed, retried)] == ["degraded", "degraded", "completed"]


# --- nested workflows -----------------------------------------------------------------------------------------------

INNER = (
    ECHO
    + """
manifest = {"name": "inner", "roles": ["echo"], "limits": {"agent_calls": 5}}

async def main(words: list[str]):
    return (await parallel(agent(word, role="echo") for word in words)).succeeded()
"""
)
OUTER = """
manifest = {"name": "outer", "limits": {"depth": 1}}

async def main(words: list[str] = ["a", "b"]):
    inside = await branch("inside", workflow("./parts/inner.py", {"words": words}))
    return {"kind": inside.kind, "value": inside.value if inside.kind in ("succeeded", "degraded") else inside.reason}
"""


async def nest(write: Write, *, inner: str = INNER, outer: str = OUTER, words: Json = None) -> Ended:
    write("parts/inner.py", inner)
    file = write("outer.py", outer)
    return await run(file, {} if words is None else {"words": words})


async def test_a_workflow_in_a_workflow(write: Write) -> None:
    ended = await nest(write)
    assert (ended.result.kind, ended.value) == ("completed", {"kind": "succeeded", "value": ["A", "B"]})
    (nested,) = [event for event in events(ended.place, "branch.started") if event.data["construct"] == "workflow"]
    assert nested.path == "main/inside/0"
    again = await resume(ended.place, Options())
    assert (again.value, again.result.reuse.performed) == (ended.value, 0)


async def test_nested_arguments_are_checked_by_type(write: Write) -> None:
    ended = await nest(write, outer=OUTER.replace('{"words": words}', '{"words": "not a list"}'))
    value = ended.value
    assert isinstance(value, dict)
    assert value["kind"] == "failed"
    assert "words must be a valid" in str(value["value"])
    assert not events(ended.place, "call.started")


async def test_nesting_ends_at_the_declared_depth(write: Write) -> None:
    deeper = INNER + '\n    await workflow("./deepest.py")\n'
    deeper = deeper.replace("    return (", "    await workflow('./deepest.py')\n    return (")
    write("parts/deepest.py", 'manifest = {"name": "deepest"}\n\nasync def main():\n    return 1\n')
    refused = await nest(write, inner=deeper)
    assert "nested deeper than the declared 1" in str(refused.value)
    allowed = await nest(write, inner=deeper, outer=OUTER.replace('"depth": 1', '"depth": 2'))
    assert allowed.value == {"kind": "succeeded", "value": ["A", "B"]}
    narrowed = await nest(
        write,
        inner=deeper.replace('"agent_calls": 5', '"agent_calls": 5, "depth": 0'),
        outer=OUTER.replace('"depth": 1', '"depth": 9'),
    )
    assert "nested deeper than the declared 1" in str(narrowed.value)


async def test_roles_stay_where_they_are_defined(write: Write) -> None:
    outer = (
        OUTER.replace('"limits"', '"roles": ["mine"], "limits"')
        + """
@function_agent("mine")
async def mine(task: str, ctx: CallContext) -> str:
    return "mine"
"""
    )
    leaking = outer.replace('    return {"kind"', '    await agent("leak", role="echo")\n    return {"kind"')
    ended = await nest(write, outer=leaking)
    assert ended.result.kind == "failed"
    assert "role 'echo' is not in the manifest's roles" in ended.result.reason
    downwards = await nest(write, outer=outer, inner=INNER.replace('role="echo") for', 'role="mine") for'))
    assert "role 'mine' is not in the manifest's roles" in downwards.result.reason


async def test_a_degraded_child_degrades_its_parent(write: Write) -> None:
    failing = INNER.replace("    async with", '    if task == "b":\n        raise AgentFailure("no b")\n    async with')
    ended = await nest(write, inner=failing)
    assert ended.value == {"kind": "degraded", "value": ["A"]}
    assert ended.result.kind == "degraded"
    assert "no b" in ended.result.reason


async def test_nested_limits_only_narrow(write: Write) -> None:
    words: list[Json] = [str(number) for number in range(8)]
    own = await nest(write, words=words)
    assert own.result.spent.count("agent_calls") == 5, "the child's own manifest allows five"
    wider = await nest(write, outer=OUTER.replace("words})", 'words}, limits={"agent_calls": 7})'), words=words)
    narrower = await nest(write, outer=OUTER.replace("words})", 'words}, limits={"agent_calls": 2})'), words=words)
    assert [wider.result.spent.count("agent_calls"), narrower.result.spent.count("agent_calls")] == [5, 2]
    around = OUTER.replace('"limits": {', '"limits": {"agent_calls": 3, ')
    paused = await nest(write, outer=around, words=words)
    assert (paused.result.kind, paused.result.pause) == ("paused", "budget")


async def test_a_missing_nested_file_is_named(write: Write) -> None:
    ended = await nest(write, outer=OUTER.replace("inner.py", "nowhere.py"))
    assert "nowhere.py cannot be loaded: it is not there" in str(ended.value)


async def test_nested_files_are_kept_and_used_where_the_originals_are_gone(write: Write, tmp_path: Path) -> None:
    ended = await nest(write)
    names = [str(event.data["name"]) for event in events(ended.place, "input")]
    assert names == [
        "script.py",
        f"workflows/{sha256((tmp_path / 'project/parts/inner.py').read_bytes()).hexdigest()}.py",
    ]
    elsewhere = tmp_path / "elsewhere" / ended.place.run_id
    shutil.copytree(ended.place.directory, elsewhere)
    shutil.rmtree(tmp_path / "project")
    assert verify_log(elsewhere, ended.head).ok
    again = await resume(RunPlace(elsewhere), Options(), trust=True)
    assert (again.value, again.result.reuse.performed) == (ended.value, 0)
    (elsewhere / names[1]).write_text("raise SystemExit")
    assert not verify_log(elsewhere, again.head).ok


async def test_an_edited_nested_file_performs_only_what_changed(write: Write) -> None:
    ended = await nest(write)
    write("parts/inner.py", INNER.replace("for word in words", 'for word in [*words, "more"]'))
    again = await resume(ended.place, Options())
    assert again.value == {"kind": "succeeded", "value": ["A", "B", "MORE"]}
    assert performed(again.place) == ["main/inside/0/0/2/0"]
    assert len(events(again.place, "input")) == 3


async def test_a_nested_file_is_loaded_once_however_often_it_runs(write: Write) -> None:
    outer = """
manifest = {"name": "outer"}

async def main():
    return (await parallel(workflow("./parts/inner.py", {"words": [str(n)]}) for n in range(20))).succeeded()
"""
    ended = await nest(write, outer=outer)
    assert ended.value == [[str(n)] for n in range(20)]
    assert len(events(ended.place, "input")) == 2
