"""The corpus of small repositories with a bug each: it says the truth about itself, and `antiphon fix` mends them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.corpus.cases import Case, apply, contents, names, place, read
from tests.corpus.driving import ALONE, States, Team, mending, touched
from tests.corpus.playing import Typed, play, typing
from tests.corpus.recording import COMMANDS, fixed, unpacked

from antiphon.subagents.testing import Cassette
from antiphon.workflows.fix.words import CODE_MARK, REFINE_MARK

NAMES = names()
CHECKING = Path(__file__).parents[1] / "corpus" / "checking.py"
Results = dict[str, list[int]]
STATES = ("as it came", "wrong", "right")


# --- the corpus itself ----------------------------------------------------------------------------------------------


def test_the_corpus_is_large_and_of_many_kinds() -> None:
    cases = [read(name) for name in NAMES]
    assert len(cases) >= 22
    assert len({case.kind for case in cases}) >= 18
    assert {case.framework for case in cases} == {"pytest", "unittest", "tap"}
    assert not all(case.git for case in cases)
    assert all(3 <= len(case.files) <= 10 for case in cases)
    assert all(case.cause not in case.report for case in cases), "a report tells what was seen, not why"


def state(case: Case, which: str, folder: Path) -> str:
    """The repository in one state, with every test there is; returns the folder."""
    for path, content in case.files.items():
        place(folder, path, content)
    if which != "as it came":
        apply(folder, case.right if which == "right" else case.wrong)
    for path, text in (case.reproducing, case.hidden):
        place(folder, path, text)
    return str(folder)


def by_pytest(folders: Iterable[str]) -> dict[str, Results]:
    """What pytest says of each folder, by file."""
    environment = {"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(CHECKING), *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, Results] = json.loads(done.stdout)
    return found


def by_tap(case: Case, folder: str) -> Results:
    """What the tests of a project without Python say, by file."""
    if case.test == "make test":
        done = subprocess.run(["make", "test"], cwd=folder, capture_output=True, text=True, check=False)
        said = re.findall(r"^(not ok|ok) \d+ - (\S+)$", done.stdout, re.MULTILINE)
        return {f"tests/{name}.sh": [word == "ok", word != "ok"] for word, name in said}
    files = sorted(str(file.relative_to(folder)) for file in Path(folder).rglob("*.test.js"))
    found: Results = {}
    for file in files:
        done = subprocess.run(["node", "--test", file], cwd=folder, capture_output=True, text=True, check=False)
        found[file] = [done.returncode == 0, done.returncode != 0]
    return found


def check_the_case(case: Case, came: Results, wrong: Results, right: Results) -> None:
    reproducing, hidden = case.reproducing[0], case.hidden[0]
    own = {file: counts for file, counts in came.items() if case.existing(file)}
    assert own, "it has tests of its own"
    assert all(passed and not failed for passed, failed in own.values()), ("they miss the bug", own)
    assert came[reproducing][1], "the reproducing test fails on the repository"
    assert came[hidden][1], "the hidden tests fail on the repository"
    assert wrong[hidden][1], "the hidden tests fail with the wrong patch"
    caught = [counts for file, counts in wrong.items() if case.existing(file)]
    caught = caught if case.caught_by == "existing" else [wrong[reproducing]]
    assert any(failed for _, failed in caught), ("the wrong patch is seen to be wrong", wrong)
    assert set(right) == set(came)
    assert all(passed and not failed for passed, failed in right.values()), ("everything passes with the right", right)


PYTHON = [name for name in NAMES if read(name).framework != "tap"]
PARTS = [PYTHON[start : start + 7] for start in range(0, len(PYTHON), 7)]


@pytest.mark.parametrize(
    "part", [part if part == 3 else pytest.param(part, marks=pytest.mark.long) for part in range(len(PARTS))]
)
def test_python_cases_are_what_they_say(part: int, tmp_path: Path) -> None:
    cases = [read(name) for name in PARTS[part]]
    folders = {(case.name, which): tmp_path / case.name / which.replace(" ", "-") for case in cases for which in STATES}
    results = by_pytest([state(read(name), which, folder) for (name, which), folder in folders.items()])
    for case in cases:
        came, wrong, right = (results[str(folders[case.name, which])] for which in STATES)
        try:
            check_the_case(case, came, wrong, right)
        except AssertionError as error:
            raise AssertionError(case.name) from error


@pytest.mark.parametrize("name", ["backup-names", pytest.param("query-values", marks=pytest.mark.long)])
def test_other_cases_are_what_they_say(name: str, tmp_path: Path) -> None:
    case = read(name)
    program = case.test.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    came, wrong, right = (by_tap(case, state(case, which, tmp_path / str(n))) for n, which in enumerate(STATES))
    check_the_case(case, came, wrong, right)


@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_written_as_it_says(name: str, tmp_path: Path) -> None:
    case = read(name)
    root = case.write(tmp_path / "project")
    assert (root / ".git").is_dir() == case.git
    assert all((root / path).read_bytes() == content for path, content in case.files.items())


# --- antiphon fix on it -----------------------------------------------------------------------------------------------

FAST = ("backup-names", "quoted-names", "summer-time")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return typing(capfd)


def passes_hidden(case: Case, folder: Path) -> bool:
    """Whether the hidden tests pass on what a project is now, together with all that it has."""
    place(folder, *case.hidden)
    results = by_tap(case, str(folder)) if case.framework == "tap" else by_pytest([str(folder)])[str(folder)]
    return case.hidden[0] in results and all(passed and not failed for passed, failed in results.values())


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
def test_a_case_is_mended_and_nothing_is_touched_before_it_is_applied(name: str, typed: Typed, tmp_path: Path) -> None:
    case = read(name)
    project = case.write(tmp_path / "project")
    before = contents(project)
    handed = NAMES.index(name) % 2 == 0
    team = Team(mending(case, handed=handed))
    played = play(typed, project, case.report, team, *named_by(case))
    assert played.code == 0, played.said
    assert of_user(project) == before, "byte for byte as it was"
    assert case.reproducing[0] in played.patch
    check_the_wrong_way_was_seen(case, team, handed=handed)
    code, out, err = typed("apply", played.run, "--yes")
    assert code == 0, (out, err)
    after = of_user(project)
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == {
        *touched(case.right),
        case.reproducing[0],
    }
    assert all(after[path] == content for path, content in States.of(case).right.items())
    assert passes_hidden(case, project)


def named_by(case: Case) -> tuple[str, ...]:
    """How its tests are run: as a person names it, or for some found by antiphon itself."""
    if case.test:
        return () if case.framework == "unittest" else ("--test", case.test)
    return () if case.name == "open-files" else ("--test", ALONE)


def of_user(project: Path) -> dict[str, bytes]:
    """All files of a project but what antiphon keeps there."""
    return {path: content for path, content in contents(project).items() if not path.startswith(".antiphon/")}


def check_the_wrong_way_was_seen(case: Case, team: Team, *, handed: bool) -> None:
    """Whoever went the wrong way was told which tests fail, by the tool or in the frames of who refines."""
    assert bool(team.asked(REFINE_MARK)) == handed
    if handed:
        said = "\n".join(message.text for message in team.asked(REFINE_MARK)[0].messages)
        assert "should pass now and fails" in said or "passed before and fails" in said
    else:
        assert "not passed: " in team.heard(CODE_MARK)
        assert "\npassed: " in team.heard(CODE_MARK)


# --- from cassettes ---------------------------------------------------------------------------------------------------


OTHERS = [name for name in COMMANDS if name != "backup-names"]


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("name", ["backup-names", *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
async def test_what_was_recorded_is_played_back_word_for_word(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    case = read(name)
    cassette = Cassette(unpacked(name, tmp_path))
    done = await fixed(case, cassette, tmp_path)
    hint = f"{done.ended.result.reason}; changed on purpose? then: python -m tests.corpus.recording"
    assert not cassette.misses, hint
    assert not cassette.unplayed, hint
    assert done.exit_code == 0
    assert all(f"+++ b/{path}" in done.patch() for path in (*touched(case.right), case.reproducing[0]))
