"""The whole page."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

from antiphon.workflows.baseline.comparison import Comparison
from antiphon.workflows.report.about import About
from antiphon.workflows.report.document import Section
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.page.findings import findings
from antiphon.workflows.report.page.writing import blocks, code, safe, section
from antiphon.workflows.report.sections import changes, rest_of, summary
from antiphon.workflows.synthesis import Synthesis

MOST_BYTES = 9_500_000
"""How large a page may become. What does not fit is counted on it, and is in report.json."""

_FOR_FINDINGS = 8_500_000


def html(
    synthesis: Synthesis,
    about: About,
    comparison: Comparison | None = None,
    excerpts: Mapping[str, str] | None = None,
) -> str:
    """The report as one HTML file.

    Args:
        synthesis: what was found.
        about: how.
        comparison: with an earlier audit, if there is one.
        excerpts: lines of code by id of a claim (`excerpts`).
    """
    material = Material(synthesis=synthesis, about=about, comparison=comparison, excerpts=excerpts or {})
    return "\n".join(_page(material)) + "\n"


def _page(material: Material) -> Iterator[str]:
    parts = list(rest_of(material))
    changed = changes(material)
    yield from _head(material)
    yield "<header>"
    yield f"<h1>Audit of {code(material.about.target)}</h1>"
    yield from blocks(summary(material))
    yield "</header>"
    yield from _contents([changed] if changed.blocks else [], parts)
    yield '<main id="main">'
    if changed.blocks:
        yield from section(changed)
    yield from findings(material, _FOR_FINDINGS)
    for part in parts:
        yield from section(part)
    yield "</main>"
    yield f"<footer><p>Written by antiphon {safe(material.about.antiphon)}. Everything is in report.json.</p></footer>"
    yield f"<script>{_file('script.js')}</script>"
    yield "</body></html>"


def _head(material: Material) -> Iterator[str]:
    style, script = _file("style.css"), _file("script.js")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
    yield f"<title>Audit of {safe(material.about.target, 80)}</title>"
    yield f"<style>{style}</style></head><body>"
    yield '<a class="skip" href="#main">To the findings</a>'


def _contents(before: list[Section], after: list[Section]) -> Iterator[str]:
    links = [(part.name, part.title) for part in before]
    links += [("findings", "Findings"), *((part.name, part.title) for part in after)]
    yield '<nav aria-label="Contents"><ul>'
    yield "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in links)
    yield "</ul></nav>"


@cache
def _file(name: str) -> str:
    """One of our own files, as it is put on the page: what is hashed must be what the browser sees."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8").replace("\r\n", "\n").strip()


@cache
def _hash(content: str) -> str:
    return b64encode(hashlib.sha256(content.encode()).digest()).decode()
