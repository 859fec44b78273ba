"""`antiphon fix` as a person types it, with a double of a model behind a real server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.driving import Team

from antiphon.subagents.testing import LoopbackServer
from antiphon.workflows.cli import main
from antiphon.workflows.places import RunPlace

OWN = ("workspaces.git",)


@dataclass(frozen=True, slots=True)
class Played:
    """What a person got: exit status, what was printed, and the run."""

    code: int
    out: str
    err: str
    place: RunPlace | None
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def said(self) -> str:
        """All that the person sees."""
        return f"{self.out}\n{self.err}"

    @property
    def run(self) -> str:
        """The run's name, as commands take it."""
        assert self.place is not None, self.said
        return str(self.place.directory)

    @property
    def patch(self) -> str:
        """The patch that `antiphon apply` takes; "" where there is none."""
        assert self.place is not None, self.said
        return next((file.read_text() for file in (self.place.directory / "patches").glob("fixed.patch")), "")

    def everything(self) -> bytes:
        """All that the run keeps for people to read: its log, its reports, its patches, and what was printed."""
        assert self.place is not None, self.said
        files = (file for file in sorted(self.place.directory.rglob("*")) if file.is_file())
        kept = [file for file in files if not set(OWN) & set(file.relative_to(self.place.directory).parts)]
        return b"\n".join(file.read_bytes() for file in kept) + self.said.encode()


Typed = Callable[..., tuple[int, str, str]]


def typing(capfd: pytest.CaptureFixture[str]) -> Typed:
    """The command line: exit status, stdout, stderr."""

    def typed(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def play(typed: Typed, project: Path, report: str, team: Team, *words: str) -> Played:
    """Type `antiphon fix REPORT --path PROJECT`, with a team that answers."""
    with LoopbackServer(lambda asked: team.complete(asked.request)) as server:
        model = f"compatible/scripted@{server.url}#tools,schema"
        code, out, err = typed("fix", "--path", str(project), "--model", model, "--yes", *words, "--", report)
    runs = sorted((project / ".antiphon" / "runs").glob("*")) or sorted(Path(".antiphon/runs").glob("*"))
    place = RunPlace(runs[-1]) if runs else None
    found = {} if place is None else _report(place.directory / "report.json")
    return Played(code, out, err, place, found)


def _report(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())["result"] if file.is_file() else {}
