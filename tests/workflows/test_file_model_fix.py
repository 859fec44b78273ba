"""The answers that docs/fix-by-hand.md prints, given once more: the page shows what really comes of them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.cases import contents, read

from antiphon.engine import UsageError
from antiphon.subagents.model.file_format import VERSION
from antiphon.subagents.model.file_inbox import inbox, leave
from antiphon.workflows.cli import main
from antiphon.workflows.places import RunPlace

PAGE = Path(__file__).parents[2] / "docs" / "fix-by-hand.md"
ANSWER = re.compile(r"^```json (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.checkout


def answers() -> list[tuple[str, dict[str, Any]]]:
    """Every answer of the page in order, with the role that gave it."""
    return [(role, json.loads(text)) for role, text in ANSWER.findall(PAGE.read_text())]


@contextmanager
def answering(box: Path, given: Sequence[tuple[str, dict[str, Any]]]) -> Generator[list[str]]:
    """Somebody who gives these answers to the requests as they come; who asked for each."""
    stop, asked = threading.Event(), list[str]()

    def serve() -> None:
        while not stop.wait(0.01) and len(asked) < len(given):
            for request in inbox(box).open if box.is_dir() else ():
                with suppress(UsageError):
                    leave(request, given[len(asked)][1])
                    asked.append(request.asker.partition(" ")[0])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        stop.set()
        thread.join()


def test_the_page_has_a_whole_fix() -> None:
    roles = [role for role, _ in answers()]
    assert list(dict.fromkeys(roles)) == ["planner", "tester", "coder", "critic", "refiner"]
    assert roles[-1] == "critic"
    assert all(answer["version"] == VERSION for _, answer in answers())


@pytest.mark.long
def test_the_answers_of_the_page_come_to_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case, page = read("cached-greeting"), PAGE.read_text()
    project, box = case.write(tmp_path / "greet"), tmp_path / "box"
    box.mkdir()
    (box / "model.json").write_text(json.dumps({"version": VERSION, "poll_seconds": 0.01}))
    (tmp_path / "report.md").write_text(case.report)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(project)
    with answering(box, answers()) as asked:
        code = main(["fix", "@../report.md", "--model", "file:../box"])
    said = capfd.readouterr()
    assert code == 0, said.err
    assert asked == [role for role, _ in answers()]
    assert said.out.rstrip("\n").split("\n")[0] == "fixed"
    patch = said.out[said.out.index("diff --git") :].rstrip("\n")
    assert patch in page
    told, *_ = said.out.partition("\nnote ")  # which commit it was
    lines = [line for line in told.splitlines() if not line.startswith("checks ")]  # by the tools that are here
    assert len(lines) > 5
    assert [line for line in lines if line not in page] == []
    (place,) = map(RunPlace, Path(".antiphon/runs").iterdir())
    before = contents(project)
    assert main(["apply", place.run_id, "--yes"]) == 0
    assert "wrote 2 files in" in capfd.readouterr().err
    changed = {path for path, content in contents(project).items() if before.get(path) != content}
    assert {path for path in changed if not path.startswith(".antiphon/")} == {"greet/render.py", "tests/test_page.py"}
