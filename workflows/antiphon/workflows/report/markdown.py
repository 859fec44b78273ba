"""The report for a person: what matters first, in five minutes; where the tools disagree; what nobody looked at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from antiphon.subagents.records import SEVERITIES, Claim
from antiphon.workflows.report.about import About
from antiphon.workflows.report.order import by_rule, is_test
from antiphon.workflows.report.untrusted import cell, code
from antiphon.workflows.synthesis import Cluster, Gap, Site, Synthesis

SHOWN_RULES = 20
SHOWN_PLACES = 3
SHOWN_GAPS = 40
_MATTERS = frozenset({"critical", "high", "medium"})
_GAPS = {
    "unreadable": "could not be read",
    "failed": "a check failed on it",
    "partial": "a check saw only a part of it",
    "missing": "planned, and nothing came back",
}


def markdown(synthesis: Synthesis, about: About) -> str:
    """The report as Markdown. It is plain text too: nothing in it acts on a terminal."""
    sections = (
        _head(synthesis, about),
        _first(synthesis),
        _disagreements(synthesis),
        _gaps(synthesis, about),
        _malformed(synthesis),
        _set_aside(synthesis),
        _rules(synthesis),
        _method(synthesis, about),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def _head(synthesis: Synthesis, about: About) -> Iterator[str]:
    coverage = synthesis.coverage
    open_clusters = [cluster for cluster in synthesis.clusters if not cluster.set_aside]
    counts = Counter(cluster.severity for cluster in open_clusters)
    severities = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    read = coverage.units - coverage.unread
    yield f"# Audit of {code(about.target)}"
    yield ""
    if synthesis.failed:
        yield "**THIS REPORT FAILED.** Claims were lost or doubled on the way; the section on method says which."
        yield ""
    yield from (f"> {code(note)}" for note in about.notes)
    yield f"- **{_many(len(open_clusters), 'finding')}**" + (f": {severities}" if severities else "")
    yield f"- {_many(sum(len(c.conflicts) for c in synthesis.clusters), 'disagreement')} on how bad something is"
    yield f"- {coverage.whole} of {_many(read, 'file')} looked at by every check meant for it" + _beyond(synthesis)
    yield f"- {_many(len(synthesis.clusters) - len(open_clusters), 'finding')} set aside by the code's authors"
    yield ""


def _beyond(synthesis: Synthesis) -> str:
    missing = [f"{synthesis.coverage.partly} in part"] if synthesis.coverage.partly else []
    missing += [f"{synthesis.coverage.not_at_all} not at all"] if synthesis.coverage.not_at_all else []
    return f" ({', '.join(missing)})" if missing else ""


def _first(synthesis: Synthesis) -> Iterator[str]:
    matter = [cluster for cluster in synthesis.clusters if cluster.severity in _MATTERS and not cluster.set_aside]
    yield "## What matters first"
    yield ""
    if not matter:
        yield "Nothing of medium severity or worse was found."
    rules = by_rule(matter)
    for clusters in rules[:SHOWN_RULES]:
        yield from _rule_entry(clusters, synthesis)
    yield from _more(len(rules) - SHOWN_RULES, "rule", "with findings of medium severity or worse")
    yield ""


def _rule_entry(clusters: Sequence[Cluster], synthesis: Synthesis) -> Iterator[str]:
    """One rule: the worst it found, and the first few places, those outside of tests first."""
    first = clusters[0]
    in_tests = sum(is_test(cluster.key.path) for cluster in clusters)
    tests = f", {in_tests} of them in tests" if 0 < in_tests < len(clusters) else ", all in tests" if in_tests else ""
    name = code("/".join(sorted({rule for cluster in clusters for rule in cluster.rules})))
    yield f"- **{first.severity}** {name} {code(first.title)}: {_many(len(clusters), 'finding')}{tests}"
    for cluster in clusters[:SHOWN_PLACES]:
        yield from _entry(cluster, synthesis)
    yield from (f"  {line}" for line in _more(len(clusters) - SHOWN_PLACES, "finding"))


def _entry(cluster: Cluster, synthesis: Synthesis) -> Iterator[str]:
    key, line = cluster.key, cluster.sites[0].start_line
    where = code(f"{key.path}:{line}" if line else key.path)
    inside = f" in {code(key.symbol)}" if key.symbol else ""
    times = f", {_many(len(cluster.sites), 'place')}" if len(cluster.sites) > 1 else ""
    yield f"  - {where}{inside}{times}: {code(cluster.text)}"
    yield f"    - says {_support(cluster)}{_aside(cluster)}; `{cluster.id[:12]}`"
    yield from (
        f"    - how bad, at line {site.start_line}: {_opinions(site, synthesis)}" for site in cluster.conflicts[:1]
    )


def _support(cluster: Cluster) -> str:
    tools = " and ".join(cluster.tools)
    if cluster.agreement == "one lineage":
        return f"{tools} (one lineage, so one opinion)"
    return f"{tools}, independently" if cluster.agreement == "independent" else f"{tools} alone"


def _aside(cluster: Cluster) -> str:
    return f"; {cluster.suppressed} of {_many(len(cluster.claims), 'claim')} set aside" if cluster.suppressed else ""


def _opinions(site: Site, synthesis: Synthesis) -> str:
    said = (f"{_source(opinion.by, site, synthesis)}: {' and '.join(opinion.severities)}" for opinion in site.opinions)
    return "; ".join(said)


def _source(by: str, site: Site, synthesis: Synthesis) -> str:
    """Who states a severity. Ours is said to be ours, and for whose finding."""
    claims: list[Claim] = [synthesis.claims[id] for id in site.claims]
    tools = sorted({claim.actor.tool for claim in claims if claim.severity_by == by} - {by})
    return f"{by}'s table for {' and '.join(tools)}" if tools else by


def _disagreements(synthesis: Synthesis) -> Iterator[str]:
    yield "## Where they disagree"
    yield ""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for cluster in synthesis.clusters:
        for site in cluster.conflicts:
            said = "/".join(cluster.rules), _opinions(site, synthesis)
            found[said].append(code(f"{cluster.key.path}:{site.start_line}"))
    if not found:
        yield "Wherever two sources say how bad something is, they say the same."
    for (rules, opinions), places in found.items():
        rest = f", … ({len(places)} places, all in report.json)" if len(places) > SHOWN_PLACES else ""
        yield f"- {code(rules)} {opinions}: {', '.join(places[:SHOWN_PLACES])}{rest}"
    yield ""


def _gaps(synthesis: Synthesis, about: About) -> Iterator[str]:
    gaps = [gap for gap in synthesis.coverage.gaps if gap.state != "unread"]
    yield "## What was not looked at"
    yield ""
    if not gaps:
        yield "Every file that a check reads was looked at by every check meant for it."
    grouped = _grouped(gaps)
    for (unit, state, reason), checks in grouped[:SHOWN_GAPS]:
        by = f" ({', '.join(map(code, checks))})" if checks else ""
        yield f"- {code(unit)}: {_GAPS[state]}: {code(reason)}{by}"
    yield from _more(len(grouped) - SHOWN_GAPS, "gap")
    unread = Counter(_suffix(gap.unit) for gap in synthesis.coverage.gaps if gap.state == "unread")
    if unread:
        kinds = ", ".join(f"{number} {code(suffix)}" for suffix, number in sorted(unread.items(), key=_most)[:12])
        yield f"- {_many(unread.total(), 'file')} that no check reads: {kinds}{', …' if len(unread) > 12 else ''}"
    for reason, number in sorted(about.left_out.items()):
        yield f"- left out on purpose: {_many(number, 'entry', 'entries')}, {code(reason)}"
    yield ""


def _grouped(gaps: Iterable[Gap]) -> list[tuple[tuple[str, str, str], list[str]]]:
    """One entry for a unit and a reason, with all checks that give it."""
    groups: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for gap in gaps:
        groups[gap.unit, gap.state, gap.reason].extend([gap.check] if gap.state != "unreadable" else [])
    return list(groups.items())


def _suffix(unit: str) -> str:
    name = unit.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and stem else "without a suffix"


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _malformed(synthesis: Synthesis) -> Iterator[str]:
    if not synthesis.malformed:
        return
    yield "## Output that could not be read"
    yield ""
    for record in synthesis.malformed:
        yield f"- {code(record.actor.tool)} on {_many(len(record.units), 'file')}: {code(record.reason)}"
        yield f"  - it begins {code(record.raw, 80)} ({record.size} bytes, kept in report.json)"
    yield ""


def _set_aside(synthesis: Synthesis) -> Iterator[str]:
    aside = Counter("/".join(cluster.rules) for cluster in synthesis.clusters if cluster.set_aside)
    if not aside:
        return
    yield "## Set aside by the authors"
    yield ""
    yield "A comment in the source (noqa, nosec) says that these are known. They are listed, not omitted."
    yield ""
    for rule, number in sorted(aside.items(), key=_most):
        yield f"- {code(rule)}: {number}"
    yield ""


def _rules(synthesis: Synthesis) -> Iterator[str]:
    groups = by_rule([cluster for cluster in synthesis.clusters if not cluster.set_aside])
    if not groups:
        return
    yield "## All findings, by rule"
    yield ""
    yield "| severity | rule | what | findings | places | files |"
    yield "|---|---|---|--:|--:|--:|"
    yield from map(_row, groups)
    yield ""


def _row(clusters: Sequence[Cluster]) -> str:
    first, files = clusters[0], {cluster.key.path for cluster in clusters}
    rules = "/".join(sorted({rule for cluster in clusters for rule in cluster.rules}))
    places = sum(len(cluster.sites) for cluster in clusters)
    return f"| {first.severity} | {cell(rules)} | {cell(first.title)} | {len(clusters)} | {places} | {len(files)} |"


def _method(synthesis: Synthesis, about: About) -> Iterator[str]:
    ledger = synthesis.ledger
    yield "## How this was done"
    yield ""
    yield f"- antiphon {about.antiphon}" + (f", run {code(about.run)}" if about.run else "")
    yield f"- analysers: {', '.join(f'{tool} {version}' for tool, version in about.tools.items()) or 'none'}"
    yield f"- isolation: {about.isolation}" + _isolation(about)
    if about.outcomes:
        yield f"- calls: {', '.join(f'{number} {outcome}' for outcome, number in sorted(about.outcomes.items()))}"
    for check in synthesis.coverage.checks:
        rest = [f"{number} {word}" for word in ("partial", "failed", "missing") if (number := getattr(check, word))]
        yield f"  - {code(check.check)}: {check.done} of {_many(check.planned, 'file')}" + "".join(
            f", {r}" for r in rest
        )
    yield "- the audited project's own configuration of these tools was not read"
    yield "- findings are grouped by file, rule and enclosing function; ruff's S rules are ports of bandit's, so that"
    yield "  both report something is one opinion. ruff states no severity: where it has one, that is from our table"
    yield f"- claims: {ledger.claims_in} came in, {ledger.claims_out} are in the output"
    for problem in ("missing", "repeated", "unknown"):
        if ids := getattr(ledger, problem):
            yield f"- **{problem}**: {', '.join(f'`{id}`' for id in ids)}"


def _isolation(about: About) -> str:
    return " (these analysers only parse; they run nothing of what they read)" if about.isolation == "none" else ""


def _more(number: int, singular: str, which: str = "") -> Iterator[str]:
    if number > 0:
        yield f"- … and {_many(number, f'more {singular}')}{' ' + which if which else ''}; all are in report.json"


def _many(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
