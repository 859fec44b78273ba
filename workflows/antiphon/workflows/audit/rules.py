"""What we know of the analysers' rules: which are the same, where they come from, and how bad we take them to be.

Names in two tools' lists can coincide and mean different things (ruff's B018 is flake8-bugbear's, bandit's B108 its
own), so a canonical name carries its lineage: ``bandit:B602``, ``flake8-bugbear:B018``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from antiphon.subagents.records import Severity


class Family(NamedTuple):
    """Rules of one origin inside ruff. lineage: that origin. severity: ours, as ruff states none."""

    lineage: str
    severity: Severity


# By ruff's prefix. ruff reimplements these projects' rules, so agreement with the original is no second opinion.
FAMILIES: dict[str, Family] = {
    "S": Family("bandit", "medium"),
    "F": Family("pyflakes", "low"),
    "E": Family("pycodestyle", "medium"),
    "B": Family("flake8-bugbear", "medium"),
    "PLE": Family("pylint", "high"),
    "PLR": Family("pylint", "info"),
    "ASYNC": Family("flake8-async", "medium"),
    "RUF": Family("ruff", "medium"),
    "PERF": Family("perflint", "info"),
    "C": Family("mccabe", "info"),
}
_UNKNOWN = Family("ruff", "low")

# Ours too, where a rule is far from its family. The longest prefix decides.
SEVERITIES: dict[str, Severity] = {
    "S101": "low",  # assert
    "S105": "low",  # names that sound like passwords: most are none
    "S106": "low",
    "S107": "low",
    "S110": "low",  # try, except, pass
    "S112": "low",
    "S2": "high",  # flask debug, tarfile members
    "S311": "low",  # random, which is rarely used for cryptography
    "S4": "info",  # that something is imported
    "S5": "high",  # no verification of certificates or host keys
    "S504": "medium",
    "S505": "medium",
    "S506": "medium",
    "S508": "medium",
    "S509": "medium",
    "S602": "high",  # shell=True
    "S603": "low",  # any subprocess at all
    "S605": "high",
    "S606": "low",
    "S607": "low",
    "S609": "high",
    "S701": "high",
    "F5": "medium",  # formats that do not fit their arguments
    "F6": "medium",
    "F7": "high",  # would not compile
    "F82": "high",  # names that do not exist
    "F541": "info",
    "B9": "low",
    "B007": "info",
    "B028": "info",
    "B009": "info",
    "B010": "info",
    "B905": "info",
    "ASYNC109": "info",
    "PLE2": "medium",  # invisible characters
    "PLE2502": "high",  # text that reads other than it runs
}

# ruff numbers its ports of bandit's rules as bandit does (Snnn is Bnnn) with these exceptions.
#   B613 trojansource is ruff's PLE2502, which came by way of pylint.
#   B614, B615, B703 have no counterpart in ruff; S401-S415 are preview rules there, so here bandit alone reports them.
#   S320 and S410 were removed from ruff, and B320 and B410 from bandit.
_ALIASES = {"PLE2502": "bandit:B613"}
_PREFIX = re.compile(r"[A-Z]+")


def family_of(code: str) -> Family:
    """The family of one of ruff's rules."""
    found = _PREFIX.match(code)
    return FAMILIES.get(found.group() if found else "", _UNKNOWN)


def canonical_rule(code: str) -> str:
    """The name that one of ruff's rules shares with its equal in other tools."""
    if code in _ALIASES:
        return _ALIASES[code]
    lineage = family_of(code).lineage
    return f"bandit:B{code[1:]}" if lineage == "bandit" else f"{lineage}:{code}"


def severity_of(code: str) -> Severity:
    """How bad we take one of ruff's rules to be. Whoever shows it says that it is ours."""
    for length in range(len(code), 0, -1):
        if code[:length] in SEVERITIES:
            return SEVERITIES[code[:length]]
    return family_of(code).severity
