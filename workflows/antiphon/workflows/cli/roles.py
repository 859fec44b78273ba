"""`antiphon roles`: which roles there are for model agents, where each comes from, and which model would answer it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from antiphon.workflows.cli.model_options import model_option
from antiphon.workflows.cli.options import json_option

if TYPE_CHECKING:
    from antiphon.subagents.model.registry import Models
    from antiphon.subagents.roles.library import Entry
    from antiphon.workflows.cli.terminal import Paper


@click.command(name="roles", short_help="List the roles that model agents can take.")
@model_option
@json_option
def command(models: tuple[str, ...], json: bool) -> int:
    """List the built-in roles, and those of this project: `.antiphon/roles/*.md` and `.claude/agents/*.md`.

    A file that cannot be used is listed with what is wrong with it, and goes before the role that it stands for: a
    workflow that uses the role gets the same error.
    """
    from antiphon.subagents.roles import Roles
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.model_options import asked, check_roles
    from antiphon.workflows.cli.terminal import data, talk
    from antiphon.workflows.model_roles import models_of

    library = Roles.here()
    check_roles(models, (), library)
    answering = models_of(asked(configuration(), models))
    entries = library.listed()
    if json:
        import json as encoder

        data().raw(encoder.dumps([_said(entry, answering) for entry in entries]) + "\n")
    else:
        _print(data(), entries, answering)
    for entry in entries:
        for warning in _warnings(entry):
            talk().line(f"warning: {warning}")
    return 0


def _said(entry: Entry, models: Models) -> dict[str, Any]:
    role = entry.definition
    return {
        "name": entry.name,
        "description": role.description if role else "",
        "source": entry.source,
        "model": _model(entry, models),
        "tools": list(role.tools) if role else [],
        "hides": list(entry.hides),
        "notes": list(role.notes) if role else [],
        "problem": entry.problem.message if entry.problem else None,
    }


def _model(entry: Entry, models: Models) -> str | None:
    """Who would answer: what the person says goes before what the role says."""
    own = entry.definition.model if entry.definition else None
    return models.roles.get(entry.name) or models.default or own


def _print(paper: Paper, entries: list[Entry], models: Models) -> None:
    from antiphon.workflows.cli.terminal import Piece

    models_of_all = [_model(entry, models) or "-" for entry in entries]
    widest, broadest = max(len(entry.name) for entry in entries), max(map(len, models_of_all))
    for entry, model in zip(entries, models_of_all, strict=True):
        description = entry.definition.description if entry.definition else "cannot be used"
        paper.line(
            Piece(f"{entry.name:<{widest}}", "" if entry.definition else "bad"),
            f"  {model:<{broadest}}  {_short(entry.source)}",
            Piece(f"  {description}", "dim"),
        )


def _warnings(entry: Entry) -> list[str]:
    found = [entry.problem.message] if entry.problem else []
    if entry.definition:
        found += [f"{entry.source}: {note}" for note in entry.definition.notes]
    return found


def _short(source: str) -> str:
    """A file as it is named from here."""
    path = Path(source)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else source
