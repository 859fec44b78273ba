"""How a test starts a fix: the real workflow, tools, workspaces and sandbox; only the model is a double."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from antiphon.engine import Settings
from antiphon.subagents.model.contract import ModelClient
from antiphon.workflows.fix.launch import Asked, Fix, prepare
from antiphon.workflows.fix.results import FINAL, FixResult
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, resume, start

MODEL = "openai/gpt-4o-mini"
"""What the doubles are asked as: a name that is known to call tools, and a client that asks nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixing:
    """A fix that is over, or paused.

    Attributes:
        fix: as it was bound. ended: how the run did.
    """

    fix: Fix
    ended: Ended

    @property
    def result(self) -> FixResult:
        """What it came to. Fails where it did not get that far."""
        found = self.fix.told.result
        assert found is not None, (self.ended.result.kind, self.ended.result.reason)
        return found

    @property
    def directory(self) -> Path:
        """The run's."""
        return self.ended.place.directory

    @property
    def exit_code(self) -> int:
        """As `antiphon fix` would have."""
        return self.ended.result.exit_code

    def patch(self, name: str = FINAL) -> str:
        """A patch that the run left; "" for none."""
        file = self.directory / "patches" / f"{name}.patch"
        return file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""


def asked_for(project: Path, report: str, **more: Any) -> Asked:
    """What is asked, by the fields of `Asked`: test, tries, rounds, quality, budget, sandbox."""
    return Asked(path=str(project), report=report, models=(MODEL,), **{k: v for k, v in more.items() if v is not None})


async def fixing(
    project: Path,
    report: str,
    *,
    client: ModelClient,
    run: Path,
    settings: Settings | None = None,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> Fixing:
    """Fix a project, as `antiphon fix` does.

    Args:
        project: its folder.
        report: the bug report.
        client: answers every role.
        run: the run's directory, which must not be there; outside of the project.
        settings: of the engine.
        options: further fields of `Options`.
        more: further fields of `Asked`.
    """
    asked = asked_for(project, report, **more)
    fix = await prepare(asked)
    usual = partial(Options, settings=settings or Settings(), conclude=fix.conclude, closing=fix.close)
    models = asked.models_asked({"openai/": client})
    usual = partial(usual, models=models, project=project, tests=asked.test, sandbox=asked.sandbox or None)
    given = usual(**(options or {}))
    return Fixing(fix=fix, ended=await start(make_run(run), fix.loaded, asked.arguments(), given))


async def gone_on(place: RunPlace, client: ModelClient, **more: Any) -> Fixing:
    """Go on with a fix that was cut off or paused, as `antiphon resume` does."""
    bound: list[Any] = []
    models = ModelsAsked(clients={"openai/": client})
    ended = await resume(place, Options(models=models, **more), bound=lambda _name, fix: bound.append(fix))
    return Fixing(fix=bound[0], ended=ended)
