"""The workflows that ship with antiphon, by the name that a run remembers them by: how one is bound again on resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.engine import Run, RunResult, Settings, UsageError
from antiphon.tracing import Json
from antiphon.workflows.loading import Loaded
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.places import RunPlace

if TYPE_CHECKING:
    from antiphon.subagents.model.contract import ModelClient


class Bound(Protocol):
    """A workflow of antiphon's own, bound to what a person asked of it."""

    @property
    def loaded(self) -> Loaded:
        """The workflow, with its roles and steps."""
        ...

    def begins(self, run: str) -> object:
        """Told which run it is."""
        ...

    def conclude(self, place: RunPlace, run: Run, result: RunResult) -> Mapping[str, str]:
        """Write its reports into the run's directory: their names, and sha256."""
        ...

    def value(self) -> Json:
        """What it came to where its script gave no value, as one that failed does; None where that is nothing."""
        ...

    async def close(self) -> None:
        """Let go of what it holds open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """With what a run of such a workflow is resumed.

    Attributes:
        arguments: what it was asked, as its run says; a run may come from anybody.
        home: where runs live. settings: how it is performed. models: who answers from now on.
    """

    arguments: Mapping[str, Any]
    home: Path
    settings: Settings
    models: ModelsAsked

    @property
    def clients(self) -> Mapping[str, ModelClient]:
        """Ready clients of models, for doubles."""
        return self.models.clients


async def _audit(again: Again) -> Bound:
    from antiphon.workflows.audit.binding import bind
    from antiphon.workflows.audit.launch import Asked

    asked = Asked.of(again.arguments).answered_by(again.models)
    return await bind(asked, home=again.home, settings=again.settings, clients=again.clients)


async def _fix(again: Again) -> Bound:
    from antiphon.workflows.fix.launch import Asked, prepare

    return await prepare(Asked.of(again.arguments))


async def _build(again: Again) -> Bound:
    from antiphon.workflows.build.launch import Asked, prepare

    return prepare(Asked.of(again.arguments))


async def _plan(again: Again) -> Bound:
    from antiphon.workflows.author.launch import Asked, prepare

    return prepare(Asked.of(again.arguments))


_BINDING: Mapping[str, Callable[[Again], Awaitable[Bound]]] = {
    "audit": _audit,
    "fix": _fix,
    "build": _build,
    "plan": _plan,
}


async def bind_again(name: str, again: Again) -> Bound:
    """Bind the workflow of that name.

    Raises:
        UsageError: there is none, or what it was asked cannot be asked any more.
    """
    binding = _BINDING.get(name)
    if binding is None:
        raise UsageError(f"this antiphon has no workflow {name[:64]!r}", advice="resume it with the one that began it")
    return await binding(again)
