"""Scripts for the tests of preflight's rules: read from `data/preflight/`, with marks where a finding must be.

A file holds several scripts, each after a line ``--- found: what it shows`` or ``--- left alone: what it is near to``.
``# !! rule`` at the end of a line says that this rule has a finding there. A script without imports or manifest gets
both on one line before its first.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from antiphon.workflows.preflight import Finding, Need, preflight
from antiphon.workflows.preflight.rules import IDS

DATA = Path(__file__).parent / "data" / "preflight"
IMPORTS = "from antiphon.workflows.script import *; "
MANIFEST = 'manifest = {"name": "script", "limits": {"agent_calls": 100, "usd": "5"}}'
_HEAD = re.compile(r"^--- (found|left alone|sound): (.+)$", re.MULTILINE)
_ROLE = re.compile(r'role="([\w-]+)"')
_STEP = re.compile(r'step\("([\w-]+)"')
_MARK = re.compile(r"# !! ([\w-]+(?:, [\w-]+)*)\s*$")


@dataclass(frozen=True)
class Case:
    """One script of the data. marks: the lines where a rule must say something."""

    sort: str
    name: str
    source: str
    marks: frozenset[tuple[int, str]]


def cases(file: str) -> list[Case]:
    """The scripts of one file, in order."""
    _, *parts = _HEAD.split((DATA / file).read_text())
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return [_case(sort, name, body.strip("\n")) for sort, name, body in triples]


def _case(sort: str, name: str, body: str) -> Case:
    head = "" if "antiphon.workflows.script" in body else IMPORTS
    source = declared(f"{head}{'' if 'manifest =' in body else MANIFEST}\n{body}\n")
    lines = enumerate(source.splitlines(), 1)
    marks = {(line, rule) for line, text in lines if (found := _MARK.search(text)) for rule in found[1].split(", ")}
    return Case(sort, name, source, frozenset(marks))


def declared(source: str) -> str:
    """The script with all roles and steps that it asks in its manifest, on the same line."""
    names = {"roles": _ROLE.findall(source), "steps": _STEP.findall(source)}
    names["roles"] += [role for call, role in (("choose(", "judge"), ("agent(", "worker")) if call in source]
    more = "".join(
        f', "{key}": {json.dumps(sorted(set(found)))}' for key, found in names.items() if f'"{key}":' not in source
    )
    return re.sub(r'manifest = \{"name": "[\w-]+"', lambda match: match[0] + more, source, count=1)


def findings_of(source: str, file: str = "script.py", needs: tuple[Need, ...] = ()) -> list[Finding]:
    """What the structural rules say of a script, as `preflight` shows it."""
    found = preflight(source, file, needed=needs).findings
    broken = [one for one in found if one.rule in ("syntax", "manifest") or "(structure)" in one.reason]
    assert not broken, broken
    return [one for one in found if one.rule in IDS]
