"""The options that `antiphon fix` and `antiphon build` share, and how their one argument is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

QUALITIES: Final = ("clean", "tests", "strict")
"""Said here again, as what defines them is imported only once a run begins."""
MOST_BYTES: Final = 200_000
"""Of a report or a task."""


class CraftingGiven(TypedDict):
    """What the command line says to both, besides the report or the task."""

    path: str | None
    test: str | None
    rounds: int
    quality: str | None
    budget: str | None
    max_agents: int | None
    deadline: str | None
    sandbox: str | None
    yes: bool
    json: bool
    models: tuple[str, ...]
    prices: tuple[str, ...]
    rates: tuple[str, ...]
    allow: tuple[str, ...]
    ask: tuple[str, ...]
    deny: tuple[str, ...]
    mcp: tuple[str, ...]
    runs_dir: Path | None
    backend: str | None
    concurrency: int | None
    processes: int | None
    plain: bool


def crafting_options(function: F) -> F:
    """Where, by which tests, to which quality, and what it may use."""
    for option in reversed(
        (
            click.option(
                "--path",
                type=click.Path(),
                help="The project's folder; unless said, the repository around the current folder, or that folder.",
            ),
            click.option("--test", metavar="CMD", help="The command that runs the project's tests."),
            click.option(
                "--quality",
                type=click.Choice(QUALITIES),
                help="The bar: clean (no new problem of severity medium or above; the default), tests, or strict.",
            ),
            click.option("--budget", metavar="AMOUNT", help="Use no more than this: 5usd."),
            click.option("--max-agents", type=click.IntRange(min=1), metavar="N", help="No more subagents than this."),
            click.option("--deadline", metavar="TIME", help="Pause after this: 30m."),
            click.option("--sandbox", metavar="NAME", help="What commands run in; antiphon doctor lists them."),
            click.option("--yes", is_flag=True, help="Begin without asking, whatever it may cost."),
            click.option("--json", is_flag=True, help="Print JSON on stdout."),
        )
    ):
        function = option(function)
    return function


def project_folder(path: str | None) -> str:
    """The project's folder, absolute: what was typed after `--path`, else the project around the current folder."""
    from antiphon.workflows.patches import project_of

    return str(project_of(Path.cwd()) if path is None else Path(path).absolute())


def check_sandbox(name: str | None) -> None:
    """Try what was typed after `--sandbox`, before anything begins: everything that follows runs commands in it.

    Raises:
        SandboxUnusable: it does not work here, or there is none of that name.
    """
    from antiphon.subagents.sandbox import choose

    if name:
        choose(name)


def text_of(argument: str, what: str) -> str:
    """What a person says: the argument itself, ``@FILE``, or ``-`` for standard input.

    Args:
        argument: as typed.
        what: what it is called in messages, such as "task".

    Raises:
        UsageError: it is empty, too long, or its file cannot be read.
    """
    from antiphon.engine import UsageError

    text = _read(argument, what)
    if not text.strip():
        raise UsageError(f"the {what} is empty", advice=f'say it in words, or name a file: "@{what.upper()}.md"')
    if "\0" in text:
        raise UsageError(f"the {what} is no text: it has a NUL character")
    return text.strip()


def _read(argument: str, what: str) -> str:
    from antiphon.engine import UsageError

    if argument != "-" and not argument.startswith("@"):
        content = argument.encode("utf-8", "replace")
    elif argument == "-":
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        try:
            with Path(argument[1:]).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"the {what} in {argument[1:]!r} cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        raise UsageError(f"the {what} is too long: at most {MOST_BYTES:,} bytes")
    return content.decode("utf-8-sig", "replace")
