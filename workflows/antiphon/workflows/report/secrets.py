"""What a report must not repeat: findings about secrets are shown without the code, and without words that quote it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from antiphon.subagents.records import Claim, Finding

_LENS = "secrets"
# Of the Common Weakness Enumeration: hard-coded passwords, keys and credentials, and what is stored in the clear.
_WEAKNESSES = frozenset({259, 312, 321, 522, 798})
_RULES = frozenset({"bandit:B105", "bandit:B106", "bandit:B107"})
# Names of rules that say it, and of tools that look for nothing else; other tools' logs come with neither lens nor CWE.
_WORDS = re.compile(
    r"secret|passw|credential|(api|access|private|encryption).?(key|token)|hardcoded.?token", re.IGNORECASE
)
_TOOLS = frozenset({"gitleaks", "trufflehog", "detect-secrets", "ggshield", "secretlint", "whispers", "noseyparker"})
_MOST_LINES = 1_000
_MOST_CHARACTERS = 300


def is_about_secret(claim: Claim) -> bool:
    """Whether a claim says that something secret is written where it is."""
    if claim.actor.lens == _LENS or claim.actor.tool.lower() in _TOOLS:
        return True
    if not isinstance(claim, Finding):
        return False
    named = f"{claim.key.rule[:_MOST_CHARACTERS]} {claim.rule[:_MOST_CHARACTERS]} {claim.title[:_MOST_CHARACTERS]}"
    return claim.cwe in _WEAKNESSES or claim.key.rule in _RULES or _WORDS.search(named) is not None


def shown_text(claim: Claim) -> str:
    """What a claim says, as a report may repeat it: of a secret only the rule, as tools quote what they found."""
    if isinstance(claim, Finding) and is_about_secret(claim):
        return claim.title or claim.rule
    return claim.text


def secret_lines(claims: Iterable[Claim]) -> frozenset[tuple[str, int]]:
    """The lines (file, number) that hold something secret, according to anybody."""
    lines: set[tuple[str, int]] = set()
    for claim in claims:
        if isinstance(claim, Finding) and claim.line is not None and is_about_secret(claim):
            last = min(max(claim.line, claim.end_line or claim.line), claim.line + _MOST_LINES)
            lines.update((claim.key.path, line) for line in range(claim.line, last + 1))
    return frozenset(lines)
