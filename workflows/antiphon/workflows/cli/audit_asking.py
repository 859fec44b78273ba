"""Says what an audit with models is likely to cost before it begins, and asks where that is much."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import anyio
import click

from antiphon.engine import UsageError
from antiphon.workflows.audit.launch import Asked, prepare
from antiphon.workflows.audit.models.projection import Projection
from antiphon.workflows.cli.terminal import Paper, Piece, is_terminal, talk
from antiphon.workflows.places import runs_home

if TYPE_CHECKING:
    from antiphon.workflows.audit.models.team import Team
    from antiphon.workflows.cli.configuration import Configuration

ASKS_ABOVE_USD: Final = Decimal(1)
"""An audit that may cost more than this is not begun without a word."""


def agree(asked: Asked, held: Configuration, *, yes: bool) -> None:
    """Say what the audit is likely to cost, and ask where it may be more than `ASKS_ABOVE_USD`.

    Args:
        asked: what is to be audited.
        held: the configuration.
        yes: whether the person agreed already.

    Raises:
        UsageError: the person said no, nobody is there to be asked, or what was asked for does not exist here.
    """
    team = anyio.run(_bound, asked, held, backend=held.backend)
    paper = talk()
    paper.columns = None
    tell(paper, team.projection, team.limits.usd)
    most = most_usd(team.projection, team.limits.usd)
    if yes or (most is not None and most <= ASKS_ABOVE_USD):
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        cost = "nobody knows how much" if most is None else f"up to {most:,.2f} usd"
        raise UsageError(
            f"this audit may cost {cost}, and nobody is here to be asked (--budget 1usd would hold it to less)",
            advice=_command(sys.argv[1:], asked),
        )
    if not click.confirm("Begin?", err=True):
        raise UsageError(
            "nothing was begun", advice="--budget AMOUNT holds an audit to less, --sweeps 1 makes it shorter"
        )


def tell(paper: Paper, projection: Projection, budget: Decimal | None) -> None:
    """Write the projection."""
    for place, line in enumerate(projection.lines()):
        paper.line(Piece("projection  " if place == 0 else " " * 12, "dim"), line)
    if budget is not None:
        paper.line(Piece(" " * 12, "dim"), f"the budget holds it to {budget:,f} usd, whatever is projected")


def most_usd(projection: Projection, budget: Decimal | None) -> Decimal | None:
    """The most that it may cost, in usd: by projection, and by the budget where there is one; None if nobody knows."""
    known = [usd for usd in (projection.high.usd, budget) if usd is not None]
    return min(known, default=None)


def _command(typed: Sequence[str], asked: Asked) -> str:
    """What to type instead: the same, and that it may begin."""
    words = list(typed) if typed[:1] == ["audit"] else ["audit", asked.path, *(f"--model={m}" for m in asked.models)]
    return f"antiphon {shlex.join([*words, '--yes'])}"


async def _bound(asked: Asked, held: Configuration) -> Team:
    """Bind the audit to its models, and let go of them again: it is begun only once it is agreed to."""
    audit = await prepare(asked, runs=runs_home(held.runs_dir))
    await audit.close()
    assert audit.team is not None
    return audit.team
