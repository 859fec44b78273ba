"""All tools."""

from __future__ import annotations

from antiphon.workflows.audit.table import (
    bandit,
    clippy,
    detect_secrets,
    eslint,
    gitleaks,
    mypy,
    ruff,
    semgrep,
    shellcheck,
    vulture,
    zizmor,
)
from antiphon.workflows.audit.table.entry import Entry

TABLE: tuple[Entry, ...] = (
    ruff.ENTRY,
    bandit.ENTRY,
    vulture.ENTRY,
    detect_secrets.ENTRY,
    mypy.ENTRY,
    zizmor.ENTRY,
    shellcheck.ENTRY,
    eslint.ENTRY,
    semgrep.ENTRY,
    gitleaks.ENTRY,
    clippy.ENTRY,
)
"""In the order in which they are asked, those that come with antiphon first."""

LENSES = ("security", "correctness", "async", "performance", "complexity", "dead-code", "secrets", "types")
"""Every view that an audit can take."""


def entry_of(tool: str) -> Entry | None:
    """A tool's entry."""
    return next((entry for entry in TABLE if entry.tool == tool), None)


def role_names() -> tuple[str, ...]:
    """The roles of all tools and their lenses, as a workflow's manifest declares them."""
    return tuple(f"{entry.tool}-{lens}" for entry in TABLE for lens in entry.lenses)
