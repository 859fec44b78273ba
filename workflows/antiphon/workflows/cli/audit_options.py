"""The options of `antiphon audit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FORMATS: Final = ("text", "json", "sarif", "github")
SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
"""Said here again, as the records that define them are imported only once an audit begins."""


def audit_options(function: F) -> F:
    """What to look for, what to leave out, what to compare with, and when to fail."""
    for option in reversed(
        (
            click.option(
                "--fail-on",
                type=click.Choice(SEVERITIES, case_sensitive=False),
                metavar="SEVERITY",
                help="Exit 1 for a finding this bad or worse: info, low, medium, high, critical. What was refuted or "
                "set aside does not count; compared with an earlier audit, only what is new or updated does.",
            ),
            click.option("--lens", multiple=True, metavar="NAME", help="Look only for this. Can be repeated."),
            click.option(
                "--exclude",
                multiple=True,
                metavar="PATTERN",
                help="Leave this out, as .gitignore would. Can be repeated.",
            ),
            click.option("--baseline", metavar="FILE|RUN", help="Compare with a SARIF file, or with an earlier run."),
            click.option("--since", metavar="REF", help="Compare with the audit of a git revision."),
            click.option(
                "--reuse/--no-reuse", default=None, help="Take results of earlier runs for what did not change."
            ),
            click.option("--sarif", multiple=True, metavar="FILE", help="Take in another tool's log. Can be repeated."),
            click.option("--sandbox", metavar="NAME", help="The sandbox to run analysers in."),
            click.option("--execute", is_flag=True, help="Also run tools that execute code of the tree."),
        )
    ):
        function = option(function)
    return function


def spending_options(function: F) -> F:
    """What models may use."""
    for option in reversed(
        (
            click.option("--budget", metavar="AMOUNT", help="With --model: use no more than this: 5usd."),
            click.option(
                "--max-agents",
                type=click.IntRange(min=1),
                metavar="N",
                help="With --model: no more subagents than this, those of the analysers counted.",
            ),
            click.option("--deadline", metavar="TIME", help="With --model: pause after this: 30m."),
            click.option(
                "--sweeps",
                type=click.IntRange(min=1, max=100),
                metavar="N",
                help="With --model: sweep at most so often for something new; 3 unless said.",
            ),
            click.option(
                "--project-roles",
                is_flag=True,
                help="With --model: let role files of the audited project itself say how models audit it.",
            ),
            click.option("--yes", is_flag=True, help="With --model: begin, whatever it is likely to cost."),
        )
    ):
        function = option(function)
    return function


def format_options(function: F) -> F:
    """What goes to stdout."""
    for option in (
        click.option("--json", is_flag=True, help="The same as --format json."),
        click.option(
            "--format",
            type=click.Choice(FORMATS),
            help="What goes to stdout: the findings as text, the facts of the run as JSON, the SARIF report, or "
            "annotations for GitHub Actions.",
        ),
    ):
        function = option(function)
    return function
