"""Options that several commands take, said once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where runs live, instead of .antiphon/runs here.",
)
sandbox_option = click.option(
    "--sandbox", metavar="NAME", help="What the commands of completion criteria run in; antiphon doctor lists them."
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(["jail", "monty", "trusted"]),
    help="What the script runs in; by default this process, but for what a model wrote: the best that confines here.",
)
json_option = click.option("--json", is_flag=True, help="Print JSON on stdout.")
run_argument = click.argument("run", metavar="RUN")
"""A run's id, a unique beginning or ending of it, `last`, or its directory."""


def performing_options(function: F) -> F:
    """How a run is performed and shown."""
    for option in (
        click.option("--plain", is_flag=True, help="Plain lines on stderr, even on a terminal."),
        click.option("--processes", type=click.IntRange(min=1), metavar="N", help="Child processes at once."),
        click.option(
            "--concurrency", type=click.IntRange(min=1), metavar="N", help="Provider attempts in flight at once."
        ),
        click.option("--backend", type=click.Choice(["asyncio", "trio"]), help="The event loop."),
    ):
        function = option(function)
    return function


class OptionalValues(click.Command):
    """A command some of whose options may be given with ``=VALUE`` or bare, and never take the next word.

    ``--approve RUN`` must not take RUN for a path.
    """

    bare: ClassVar[Mapping[str, str]] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give bare options the value they stand for."""
        end = args.index("--") if "--" in args else len(args)
        filled = [f"{word}={self.bare[word]}" if word in self.bare else word for word in args[:end]]
        return super().parse_args(ctx, filled + args[end:])
