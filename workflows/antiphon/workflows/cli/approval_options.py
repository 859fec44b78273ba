"""`--approve`, `--pilot` and `--gate`: what a person agrees to before and while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

import click

from antiphon.workflows.cli.options import OptionalValues

F = TypeVar("F", bound=Callable[..., Any])
_TYPED: Final = "antiphon.typed"


class Typed(OptionalValues):
    """A command that knows what was typed, so that it can say what to type next."""

    bare: ClassVar[Mapping[str, str]] = {"--gate": "phase"}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words before click takes them apart."""
        ctx.meta[_TYPED] = tuple(args)
        return super().parse_args(ctx, args)


def typed_again(*more: str, last: str = "last") -> str:
    """What was typed, with more words behind it, as a command to copy.

    Args:
        more: the words.
        last: the run that ``last`` means; it may mean another one later.
    """
    import shlex

    ctx = click.get_current_context(silent=True)
    typed: Sequence[str] = () if ctx is None else ctx.meta.get(_TYPED, ())
    words = [last if word == "last" else word for word in typed]
    path = "antiphon run" if ctx is None else ctx.command_path
    options_end = words.index("--") if "--" in words else len(words)
    return " ".join((path, *map(shlex.quote, (*words[:options_end], *more, *words[options_end:]))))


def approval_options(function: F) -> F:
    """Add the three."""
    for option in (
        click.option("--gate", metavar="[=phase]", type=click.Choice(["phase"]), help="Ask before each next phase."),
        click.option(
            "--pilot",
            type=click.IntRange(min=1),
            metavar="N",
            help="Run the first N items of a larger fan-out, then ask before the rest.",
        ),
        click.option("--approve", metavar="HASH", help="Agree to this version of a planned script; check shows it."),
    ):
        function = option(function)
    return function
