"""All findings, on the page: by rule, what matters first, each with who says it and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from antiphon.subagents.records import SEVERITIES
from antiphon.workflows.report.document import many
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.order import by_rule
from antiphon.workflows.report.page.writing import code, safe, text
from antiphon.workflows.report.phrases import joined, opinions, place, reasons_of, rules_of, support, text_of
from antiphon.workflows.report.untrusted import is_https
from antiphon.workflows.synthesis import Cluster

_OPEN_RULES = 12
_OPEN_ROWS = 60
_SHOWN_REASONS = 2
_SHOWN_LINES = 8
_STATUSES = ("confirmed", "unverified", "disputed", "refuted", "set aside")
_MATTERS = frozenset({"critical", "high", "medium"})


def findings(material: Material, most_bytes: int) -> Iterator[str]:
    """The section of all findings.

    Args:
        material: what the report is written from.
        most_bytes: how large it may become; what does not fit is counted, and is in report.json.
    """
    clusters = list(material.synthesis.clusters)
    yield '<section aria-labelledby="findings" class="findings">'
    yield '<h2 id="findings">Findings</h2>'
    if not clusters:
        coverage = material.synthesis.coverage
        rest = " But not everything was looked at; see below." if coverage.partly or coverage.not_at_all else ""
        yield f"<p>Nothing was found.{rest}</p></section>"
        return
    if material.about.run:
        asked = code(f"antiphon why {material.about.run} ID")
        yield f'<p class="quiet">More on one of these: {asked}, with the id in its last column.</p>'
    yield from _filter(clusters)
    left = len(clusters)
    room = most_bytes
    for number, rule in enumerate(by_rule(clusters)):
        written, shown, room = _within(rule, material, room, number < _OPEN_RULES)
        left -= shown
        yield from written
    if left:
        yield f'<p class="left">{many(left, "more finding")} would make this page too large; report.json has all.</p>'
    yield "</section>"


def _within(rule: Sequence[Cluster], material: Material, room: int, first: bool) -> tuple[list[str], int, int]:
    """One rule with as many of its findings as there is room for; how many; and the room that is left."""
    is_open = first and len(rule) <= _OPEN_ROWS and rule[0].severity in _MATTERS and rule[0].status != "refuted"
    head = list(_head(rule, material, is_open))
    rows: list[str] = []
    room -= sum(map(_size, head))
    for cluster in rule:
        row = _row(cluster, material)
        if (size := _size(row)) > room:
            break
        rows.append(row)
        room -= size
    return ([*head, *rows, "</tbody></table></div></details>"] if rows else []), len(rows), room


def _size(written: str) -> int:
    return len(written.encode()) + 1


def _head(rule: Sequence[Cluster], material: Material, is_open: bool) -> Iterator[str]:
    worst = rule[0]
    yield f'<details class="rule"{" open" if is_open else ""}><summary><h3>{_badge(worst.severity)} '
    yield f"{text((rules_of(rule),))} <span>{safe(worst.title)}</span></h3>"
    yield f' <span class="quiet">{many(len(rule), "finding")}</span></summary>'
    yield from _page_of(worst, material)
    yield '<div class="wide"><table><thead><tr><th scope="col">severity</th><th scope="col">where</th>'
    yield '<th scope="col">what</th><th scope="col">how sure</th><th scope="col">who says it</th></tr></thead><tbody>'


def _page_of(cluster: Cluster, material: Material) -> Iterator[str]:
    """A link to the rule's page, which shows its whole address, so that nobody is led elsewhere unknowingly."""
    url = material.synthesis.finding(cluster.claims[0]).url or ""
    if is_https(url) and len(url) <= 300:
        yield f'<p class="quiet">About this rule: <a href="{safe(url)}" rel="noreferrer noopener">{safe(url)}</a></p>'


def _row(cluster: Cluster, material: Material) -> str:
    status = "set aside" if cluster.set_aside else cluster.status
    inside = f"<br>in {code(cluster.key.symbol, 120)}" if cluster.key.symbol else ""
    excerpt = material.excerpt(cluster)
    shown = f"<pre><code>{safe(excerpt, 160)}</code></pre>" if excerpt else ""
    return (
        f'<tr class="f" data-s="{cluster.severity}" data-h="{status}" data-t="{_tools(cluster)}">'
        f"<td>{_badge(cluster.severity)}</td>"
        f'<th scope="row">{text((place(cluster),))}{inside}{_lines(cluster)}</th>'
        f"<td>{text((text_of(cluster, material.synthesis),))}{shown}{_bad(cluster, material)}</td>"
        f'<td><span class="h">{status}</span>{_why(cluster, material)}{_aside(cluster)}</td>'
        f"<td>{text(support(cluster))}<br>{code(cluster.id[:12])}</td></tr>"
    )


def _tools(cluster: Cluster) -> str:
    return safe("|".join(map(_tool, cluster.tools)), 2_000)


def _tool(name: str) -> str:
    """A tool's name without what separates names here."""
    return name.replace("|", "/")[:60]


def _why(cluster: Cluster, material: Material) -> str:
    reasons = reasons_of(material.checks_of(cluster))[:_SHOWN_REASONS]
    return f'<br><span class="quiet">{text(joined(reasons))}</span>' if reasons else ""


def _aside(cluster: Cluster) -> str:
    if not cluster.aside or cluster.set_aside:
        return ""
    return f'<p class="quiet">{cluster.aside} of {many(len(cluster.claims), "claim")} set aside by the author</p>'


def _bad(cluster: Cluster, material: Material) -> str:
    """What the sources say of the severity, where they do not agree."""
    return "".join(
        f'<p class="quiet">how bad, at line {site.start_line}: {text(opinions(site, material.synthesis))}</p>'
        for site in cluster.conflicts[:1]
    )


def _lines(cluster: Cluster) -> str:
    others = [str(site.start_line) for site in cluster.sites if site is not cluster.standing[0]]
    if not others:
        return ""
    rest = f", … ({len(cluster.sites)} places)" if len(others) > _SHOWN_LINES else ""
    return f'<br><span class="quiet">also lines {", ".join(others[:_SHOWN_LINES])}{rest}</span>'


def _badge(severity: str) -> str:
    return f'<span class="sev {severity}">{severity}</span>'


def _filter(clusters: Sequence[Cluster]) -> Iterator[str]:
    """What narrows the list; hidden until the script shows it, as it does nothing without."""
    tools = sorted({tool for cluster in clusters for tool in cluster.tools})
    yield '<div id="filter" role="search" aria-label="Narrow the findings" hidden>'
    yield _choice("severity", "at least", SEVERITIES[::-1])
    yield _choice("status", "how sure", _STATUSES)
    yield _choice("tool", "said by", list(dict.fromkeys(map(_tool, tools))))
    yield '<label>path <input id="path" type="search" autocomplete="off" spellcheck="false"></label>'
    yield '<label>text <input id="text" type="search" autocomplete="off" spellcheck="false"></label>'
    yield '<button type="button" id="unfold">Open all</button><button type="button" id="fold">Close all</button>'
    yield '<output id="shown" aria-live="polite"></output></div>'


def _choice(name: str, label: str, values: Sequence[str]) -> str:
    options = "".join(f'<option value="{safe(value)}">{safe(value, 60)}</option>' for value in values)
    return f'<label>{escape(label)} <select id="{name}"><option value="">any</option>{options}</select></label>'
