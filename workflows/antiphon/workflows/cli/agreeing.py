"""Says how much a run that changes code may ask for, and asks a person where that costs money and nothing holds it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from antiphon.subagents.model.registry import Models
    from antiphon.workflows.crafting.asked import CraftAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a person is to agree to.

    Attributes:
        command: what was typed, such as "build". roles: those that a model answers.
        most: subagents that it takes at most. note: what more to say of that.
    """

    command: str
    roles: Sequence[str]
    most: int
    note: str = ""


def agree(asked: CraftAsked, to: Agreement, *, yes: bool) -> None:
    """Say how much it may ask for, and ask where that costs money and no budget holds it.

    Args:
        asked: by the person.
        to: what it takes.
        yes: whether the person agreed already.

    Raises:
        UsageError: no model answers a role; or the person says no, or is not there to be asked.
    """
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.model_options import check_roles
    from antiphon.workflows.cli.terminal import Piece, is_terminal, talk
    from antiphon.workflows.model_roles import ModelRoles, models_of

    answering = asked.models_asked()
    check_roles(asked.models, to.roles, ModelRoles(answering).library)
    models = models_of(answering)
    costly = sorted({name for role in to.roles if (name := _costs(models, role, to.command))})
    paper = talk()
    paper.columns = None
    most = min(filter(None, (to.most, asked.max_agents)))
    held = f", for {asked.budget} at most" if asked.budget else ""
    paper.line(Piece("projection  ", "dim"), f"at most {most:,} subagents{held}{to.note}")
    if yes or asked.budget or not costly:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(
            f"{', '.join(costly)} may cost money, nothing holds the {to.command} to an amount, and nobody is here to "
            "be asked",
            advice="--budget 2usd holds it; --yes begins without",
        )
    if not click.confirm("Begin without a budget?", err=True):
        raise UsageError("nothing was begun", advice=f"--budget AMOUNT holds a {to.command} to it")


def _costs(models: Models, role: str, command: str) -> str:
    """The model of a role, if it may cost money; "" if it is free, a person, or a server of the person's own."""
    from antiphon.engine import UsageError
    from antiphon.subagents.model.naming import is_loopback, taken_apart

    if not models.has(role):
        raise UsageError(
            f"no model answers the role {role!r}",
            advice=f"antiphon {command} … --model MODEL (ollama/NAME and file:DIR need no key)",
        )
    model = models.model_for(role, None)
    price, url = model.can.price, taken_apart(model.name).url
    if price is None:
        free = model.provider == "file" or (url is not None and is_loopback(url))
    else:
        free = not (Decimal(price.input) or Decimal(price.output))
    return "" if free else model.name
