"""The lines of code that findings are about: only where the evidence still is what it was, and no secrets."""

from __future__ import annotations

from pathlib import Path

from antiphon.subagents.records import FileSpan, Finding
from antiphon.workflows.report.material import Excerpts
from antiphon.workflows.report.secrets import is_about_secret, secret_lines
from antiphon.workflows.report.tree import Tree, code_of
from antiphon.workflows.synthesis import Synthesis

_LONGEST_CHARACTERS = 200
_MOST = 50_000


def excerpts(synthesis: Synthesis, root: Path) -> Excerpts:
    """By id of a finding: the first line of code that it rests on.

    Left out is code whose evidence does not resolve any more, and every line that somebody says holds a secret. Reads
    the tree: call it in a worker thread.

    Args:
        synthesis: what was found.
        root: the audited folder or file.
    """
    tree = Tree(root)
    secret = secret_lines(synthesis.claims.values())
    found: dict[str, str] = {}
    for id, finding in _by_file(synthesis)[:_MOST]:
        span = next((evidence for evidence in finding.evidence if isinstance(evidence, FileSpan)), None)
        if span is None or is_about_secret(finding) or tree.look_up(span)[0] != "true":
            continue
        line = max(span.start_line, min(finding.line or span.start_line, span.end_line))
        lines = tree.lines(span.path)
        if lines is not None and (span.path, line) not in secret:
            found[id] = code_of(lines[line - 1][: _LONGEST_CHARACTERS * 8])[:_LONGEST_CHARACTERS]
    return {id: code for id, code in found.items() if code}


def _by_file(synthesis: Synthesis) -> list[tuple[str, Finding]]:
    findings = [(id, claim) for id, claim in synthesis.claims.items() if isinstance(claim, Finding)]
    return sorted(findings, key=lambda item: (item[1].key.path, item[0]))
