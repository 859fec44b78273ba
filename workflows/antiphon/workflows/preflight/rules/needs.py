"""What a reviewer who has not seen the script says that the task needs, and nothing in the script takes up."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.model import Finding, Need
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.texts import words_of

RULE: Final = "need-not-covered"
_SEEN: Final = ("task", "question", "role", "context", "label", "name", "args", "options", "output", "until")
_SHORTEST_STEMMED: Final = 5
_MOST: Final = 2_000_000


def uncovered_needs(reading: Reading) -> Iterator[Finding]:
    """Every dimension and kind of evidence of the blind review that no task, role, lens or step speaks of."""
    needs = reading.examined.needs
    if not needs:
        return
    said = _said(reading)
    for need in needs:
        if not any(_speaks_of(said, term) for term in (need.terms or (need.text,))):
            yield _found(reading, need)


def _said(reading: Reading) -> str:
    """All words that get to a subagent or a step, in small letters."""
    constants = {
        node for node in reading.script.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found: list[str] = []
    for site in reading.sites:
        for name in _SEEN:
            given = site.argument(name)
            if given is None:
                continue
            found += [one.text for one in words_of(reading, given).constants]
            found += [str(one.value) for one in reading.came_from(given) & constants if isinstance(one, ast.Constant)]
        definition = reading.definition(site)
        if definition is not None:
            found.append(definition.description)
    found += [str(value) for value in reading.examined.arguments.values()]
    return _plain(" ".join(found)[:_MOST])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _speaks_of(said: str, term: str) -> bool:
    """Whether a term stands there as words, in any of its endings."""
    wanted = _plain(term)
    if not wanted:
        return False
    stem = wanted if len(wanted) < _SHORTEST_STEMMED else re.sub(r"(?:ing|ies|es|ed|s|y)$", "", wanted)
    return re.search(rf"\b{re.escape(stem)}", said) is not None


def _found(reading: Reading, need: Need) -> Finding:
    at: ast.AST = reading.examined.main or reading.script.tree
    terms = ", ".join(need.terms[:5]) or need.text
    what = "looks at" if need.kind == "dimension" else "asks for"
    return reading.finding(
        RULE,
        at,
        "warning",
        f"whoever reviewed the task without seeing this script asks for {need.text[:120]!r}, and no task, role or step"
        f" here {what} it ({terms[:120]})",
        "add a branch, a lens or a step for it, or say in the description why the task does without",
    )
