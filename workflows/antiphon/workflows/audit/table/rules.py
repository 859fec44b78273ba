"""What we know of the tools' rules: which are the same, where they come from, and how bad we take them to be."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from antiphon.subagents.records import Severity

_LETTERS = re.compile(r"[A-Z]+")


class Rule(NamedTuple):
    """What we know of one rule.

    Attributes:
        canonical: the name that it shares with its equals in other tools.
        lineage: where it comes from; tools of one lineage agreeing is one opinion.
        severity: how bad we take it to be, where the tool does not say. Whoever shows it says that it is ours.
        cwe: number of the weakness, or None.
    """

    canonical: str
    lineage: str
    severity: Severity
    cwe: int | None


def known_rules() -> Mapping[str, Any]:
    """The data: by tool, and by canonical name under "cwe"."""
    return _data()[0]


def rules_digest() -> str:
    """The sha256, in hex, of the data."""
    return _data()[1]


@cache
def _data() -> tuple[dict[str, Any], str]:
    content = files("antiphon.workflows.audit.table").joinpath("rules.toml").read_bytes()
    return tomllib.loads(content.decode()), hashlib.sha256(content).hexdigest()


@cache
def rule_of(tool: str, code: str) -> Rule:
    """What we know of a rule, by the name that its tool has for it. An unknown one is its tool's own, and low."""
    known: dict[str, dict[str, Any]] = known_rules().get(tool, {})
    lineages = known.get("lineage", {})
    letters = _LETTERS.match(code)
    lineage = lineages.get(letters.group() if letters else "") or lineages.get("") or tool
    canonical = _canonical(known.get("canonical", {}), code) or f"{lineage}:{code}"
    return Rule(canonical, lineage, _longest(known.get("severity", {}), code) or "low", _cwe(canonical))


def _canonical(names: Mapping[str, str], code: str) -> str | None:
    if code in names:
        return names[code]
    for pattern, name in names.items():
        if pattern.endswith("*") and re.fullmatch(re.escape(pattern[:-1]) + r"\d+", code):
            return name[:-1] + code[len(pattern) - 1 :]
    return None


def _longest(values: Mapping[str, Any], code: str) -> Any:
    """The value of the longest prefix of `code`."""
    return next((values[code[:length]] for length in range(len(code), -1, -1) if code[:length] in values), None)


def _cwe(canonical: str) -> int | None:
    numbers: dict[str, int] = known_rules()["cwe"]
    return numbers.get(canonical) or numbers.get(f"{canonical.partition(':')[0]}:*")
