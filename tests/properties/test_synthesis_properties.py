"""The synthesis keeps its promises on overlapping subsets of one small universe, and each promise can be seen to break.

A promise is a function that fails with an AssertionError; it is checked on the product, and on a synthesis with a
seeded bug, which it must catch. The universe is made anew for other names of branches, so that a record can be told by
its index.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from antiphon.subagents.records import (
    Actor,
    Claim,
    CommandRun,
    Coverage,
    Fact,
    FactKey,
    FileSpan,
    Finding,
    FindingKey,
    Link,
    Malformed,
    Passage,
    Patch,
    PatchKey,
    Record,
    Resolution,
    Severity,
    UrlQuote,
    Verdict,
    author_verdict,
    malformed,
    references,
)
from antiphon.workflows.synthesis import AnyCluster, Cluster, Conflict, Position, Synthesis, lineage_of, synthesize

Synthesize = Callable[[Iterable[Record]], Synthesis]
Indices = tuple[int, ...]

RUFF = Actor(tool="ruff", version="1", lens="security", lineage="bandit")
BANDIT = Actor(tool="bandit", version="1", lens="security", lineage="bandit")
PYLINT = Actor(tool="pylint", version="3")
FIRST = Actor(tool="agent", model="m1", framing="assume it is broken")
SECOND = Actor(tool="agent", model="m2", framing="assume it is broken")
THIRD = Actor(tool="agent", model="m3")
PAGE = UrlQuote(kind="url", url="https://Example.org/a/?q=1", quote="so it is")
SAME_PAGE = UrlQuote(kind="url", url="https://example.org/a#part", quote="and so")
COMMAND = CommandRun(kind="command", argv=("make", "test"), exit=1, sha256="1" * 64)
SPAN = FileSpan(kind="file_span", path="a.py", start_line=3, end_line=3, sha256="0" * 64)
PLANNED = {"a.py": ("ruff/security", "bandit/security"), "b.py": ("ruff/security",), "c.md": ()}
NAMES = ("0/1", "0/2", "0/3")


def finding(actor: Actor, branch: str, line: int | None, severity: Severity, **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "branch": branch,
        "key": {"path": "a.py", "rule": "bandit:B602", "symbol": "f"},
        "rule": actor.tool + "-1",
        "title": "a shell is started",
        "text": "the command may hold what a user typed",
        "severity": severity,
        "severity_by": actor.tool,
        "actor": actor,
        "line": line,
        "evidence": (SPAN,),
    }
    return Finding.model_validate(content | changes)


def fact(actor: Actor, branch: str, value: Any, subject: str = "Berlin", *evidence: Any) -> Fact:
    key = FactKey(subject=subject, attribute="population", qualifiers=(("year", "2024"),))
    text = f"the population of {subject} in the year 2024"
    return Fact(
        record="claim", sort="fact", branch=branch, key=key, value=value, text=text, actor=actor, evidence=evidence
    )


def passage(actor: Actor, branch: str, text: str) -> Passage:
    return Passage(record="claim", sort="text", branch=branch, text=text, actor=actor)


def patch(actor: Actor, branch: str, start: int, end: int, replacement: str, path: str = "a.py") -> Patch:
    key = PatchKey(base="c0ffee", path=path, start_line=start, end_line=end)
    return Patch(
        record="claim", sort="patch", branch=branch, key=key, replacement=replacement, text="a patch", actor=actor
    )


def verdict(of: Record, stance: str, actor: Actor, branch: str) -> Verdict:
    content = {"record": "verdict", "of": of.id, "stance": stance, "actor": actor, "method": "look", "branch": branch}
    return Verdict.model_validate(content)


def link(a: Record, b: Record, relation: str, actor: Actor, branch: str) -> Link:
    content = {"record": "link", "a": a.id, "b": b.id, "relation": relation, "actor": actor, "branch": branch}
    return Link.model_validate(content)


def claims_of(one: str, two: str, three: str) -> list[Claim]:
    elsewhere = FindingKey(path="b.py", rule="bandit:B602", symbol="f")
    other = FindingKey(path="a.py", rule="pylint:W1", symbol="f")
    return [
        finding(RUFF, one, 3, "high"),
        finding(BANDIT, one, 3, "low", end_line=4),
        finding(BANDIT, two, 4, "low"),
        finding(RUFF, two, 3, "high", text="what a user typed may become a command"),
        finding(RUFF, two, 9, "high", ordinal=1),
        finding(RUFF, two, 9, "high"),
        finding(PYLINT, three, 3, "critical", key=other),
        finding(PYLINT, three, None, "info", key=elsewhere),
        fact(FIRST, one, 3),
        fact(FIRST, two, 3.0),
        fact(SECOND, two, 4, "Berlin", PAGE),
        fact(THIRD, three, 4, "Berlin", SAME_PAGE),
        fact(THIRD, one, {"n": 4}, "Berlin", COMMAND),
        fact(PYLINT, three, 3, "Bern", COMMAND),
        fact(SECOND, one, 3, "Bern", PAGE),
        passage(FIRST, one, "one two three four five six seven eight nine ten"),
        passage(SECOND, two, "one two three four five six seven eight nine ten"),
        passage(THIRD, three, "One two three four five six seven eight nine, eleven"),
        passage(THIRD, one, "one two three four five six seven eight nine eleven"),
        passage(THIRD, one, "nothing like it"),
        patch(FIRST, one, 2, 4, "x\n"),
        patch(SECOND, two, 2, 4, "x\n"),
        patch(SECOND, two, 2, 4, "y\n"),
        patch(THIRD, three, 4, 6, "x\n"),
        patch(THIRD, three, 3, 2, "z\n"),
        patch(FIRST, three, 3, 2, "w\n"),
        patch(FIRST, three, 2, 1, "w\n"),
        patch(FIRST, two, 2, 4, "q\n", "b.py"),
        fact(PYLINT, one, True, "Rome"),
        fact(FIRST, two, True, "Rome"),
        fact(THIRD, three, 1, "Rome"),
    ]


@cache
def universe(names: tuple[str, ...] = NAMES) -> tuple[Record, ...]:
    """The same records for any names of the three branches, in the same order."""
    one, two, three = names
    claims = claims_of(*names)
    a, b, c, d, *_ = claims
    confirmed, refuted = verdict(a, "confirm", PYLINT, three), verdict(a, "refute", THIRD, three)
    own, unsure = verdict(a, "refute", BANDIT, two), verdict(a, "cannot_tell", FIRST, two)
    counter = verdict(refuted, "refute", FIRST, one)
    verdicts = [
        confirmed, refuted, own, unsure, counter,
        verdict(counter, "refute", SECOND, two),
        verdict(confirmed, "confirm", SECOND, two),
        verdict(claims[8], "refute", SECOND, two),
        verdict(claims[10], "confirm", THIRD, three),
        verdict(claims[10], "refute", FIRST, three),
        verdict(claims[15], "refute", PYLINT, three),
        verdict(claims[20], "refute", THIRD, one),
        author_verdict(b, "noqa").recorded_by(one),
        author_verdict(claims[7], "nosec").recorded_by(three),
    ]  # fmt: skip
    links = [
        link(a, claims[6], "same_as", FIRST, one),
        link(claims[6], d, "different", SECOND, two),
        link(a, b, "different", THIRD, three),
        link(claims[8], claims[13], "contradicts", FIRST, one),
        link(claims[15], claims[17], "different", SECOND, two),
        link(claims[15], claims[17], "same_as", THIRD, three),
        link(claims[19], claims[16], "same_as", FIRST, one),
        link(claims[18], claims[16], "supersedes", FIRST, one),
        link(claims[20], claims[27], "same_as", FIRST, one),
        link(confirmed, refuted, "contradicts", SECOND, two),
        link(c, c, "contradicts", SECOND, two),
    ]
    rest: list[Record] = [
        verdict(links[0], "refute", THIRD, three),
        Resolution(record="resolution", of=a.id, index=0, state="false", actor=PYLINT, branch=one),
        Resolution(record="resolution", of=a.id, index=0, state="true", actor=THIRD, branch=two),
        Resolution(record="resolution", of=c.id, index=0, state="unchecked", actor=THIRD, branch=two),
        Resolution(record="resolution", of=c.id, index=7, state="false", actor=THIRD, branch=two),
        Coverage(record="coverage", unit="a.py", check="ruff/security", state="done", branch=one),
        Coverage(record="coverage", unit="a.py", check="bandit/security", state="failed", branch=two),
        malformed(FIRST, b"{", "no JSON", ["a.py"]).recorded_by(one),
        malformed(FIRST, b"{", "no JSON", ["a.py"]).recorded_by(two),
    ]
    return (*claims, *verdicts, *links, *rest)


SIZE = len(universe())
# Small subsets, also with repetitions; and large ones: yes or no for each record.
MASK = st.lists(st.booleans(), min_size=SIZE, max_size=SIZE)
INDICES = st.lists(st.integers(0, SIZE - 1), max_size=10).map(tuple) | MASK.map(
    lambda mask: tuple(index for index in range(SIZE) if mask[index])
)


def chosen(indices: Iterable[int], names: tuple[str, ...] = NAMES) -> list[Record]:
    return [universe(names)[index] for index in indices]


def product(records: Iterable[Record]) -> Synthesis:
    return synthesize(records, PLANNED)


def text_of(synthesis: Synthesis) -> str:
    return json.dumps(synthesis.to_json())


# --- the promises: each takes a synthesis, some records of the universe, and a number to vary the rest by ---


def any_order(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Byte-identical under any arrival order and any repetition; so merging is idempotent and commutative."""
    records = chosen(indices)
    again = [*records, *records[: seed % 7]]
    random.Random(seed).shuffle(again)
    assert text_of(synthesized(again)) == text_of(synthesized(records))


def any_merge(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Merging is idempotent, commutative and associative: parts may arrive twice, in any order, in any grouping."""
    records = chosen(indices)
    first, second = sorted((seed % (len(records) + 1), seed * 7 % (len(records) + 1)))
    a, b, c = records[:first], records[first:second], records[second:]
    once = text_of(synthesized(records))
    assert text_of(synthesized(records + records)) == once
    assert text_of(synthesized(c + b + a)) == once
    assert text_of(synthesized((a + b) + (b + c))) == once


def conservation(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """What came in is in the output, each exactly once."""
    came_in = {record.id: record for record in chosen(indices)}
    synthesis = synthesized(came_in.values())
    clusters = every_cluster(synthesis)
    out = Counter(id for cluster in clusters for id in cluster.claims)
    assert out == Counter(id for id, record in came_in.items() if isinstance(record, Claim))
    assert Counter(r.id for r in synthesis.malformed) == Counter(of_sort(came_in, Malformed))
    assert set(synthesis.verdicts) == of_sort(came_in, Verdict)
    assert set(synthesis.resolutions) == of_sort(came_in, Resolution)
    assert set(synthesis.links) - set(synthesis.suggested) == of_sort(came_in, Link)
    assert synthesis.ledger.records_in == synthesis.ledger.records_out == len(came_in) - len(of_sort(came_in, Coverage))
    assert not synthesis.failed


def every_cluster(synthesis: Synthesis) -> tuple[AnyCluster, ...]:
    return (*synthesis.clusters, *synthesis.facts, *synthesis.patches, *synthesis.passages)


def of_sort(records: dict[str, Record], sort: Any) -> set[str]:
    return {id for id, record in records.items() if isinstance(record, sort)}


MONOTONE = ("value", "severity", "existence", "stance", "identity", "patch_textual")


def monotone(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """A conflict that was seen stays, whatever is said later; its sides can only grow."""
    drawn = random.Random(seed).sample(indices, len(indices))
    before, after = (synthesized(chosen(part)) for part in (drawn[: seed % (len(drawn) + 1)], drawn))
    for conflict in before.conflicts:
        if conflict.kind in MONOTONE:
            assert any(covers(later, conflict) for later in after.conflicts), conflict


def covers(later: Conflict, earlier: Conflict) -> bool:
    sides = {position.says: set(position.records) for position in later.positions}
    return later.kind == earlier.kind and all(
        set(side.records) <= sides.get(side.says, set()) for side in earlier.positions
    )


def closure(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Every id that the output names is a record that is there."""
    synthesis = synthesized(chosen(indices))
    records = {record.id for record in chosen(indices)} | set(synthesis.suggested)
    clusters = every_cluster(synthesis)
    abouts = records | {cluster.id for cluster in clusters} | {gap.unit for gap in synthesis.coverage.gaps}
    assert {conflict.about for conflict in synthesis.conflicts} <= abouts
    assert {id for c in synthesis.conflicts for side in c.positions for id in side.records} <= records
    assert {id for topic in synthesis.topics for id in (*topic.claims, *topic.links)} <= records
    assert set(synthesis.aside) | set(synthesis.status) | set(synthesis.judged) <= records
    assert {cluster.topic for cluster in clusters} - {""} == {topic.id for topic in synthesis.topics}
    names = [(v.of,) for v in synthesis.verdicts.values()] + [(x.a, x.b) for x in synthesis.links.values()]
    loose = {id for some in names for id in some} - records
    assert bool(loose) <= bool(synthesis.ledger.dangling)


def non_deletion(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Verdicts and links take no claim out of the output, and change nothing of what the others say."""
    records = chosen(indices)
    told = [record for record in records if not isinstance(record, Verdict | Link)]
    before, after = synthesized(told), synthesized(records)
    for part in ("clusters", "facts", "patches", "passages"):
        assert sorted(map(content, getattr(before, part))) == sorted(map(content, getattr(after, part)))
    assert before.claims == after.claims


def content(cluster: Any) -> tuple[object, ...]:
    if isinstance(cluster, Cluster):  # what the verdicts come to is theirs to say, of a cluster as of its sites
        return cluster.id, cluster.claims, str([replace(site, status="unverified") for site in cluster.sites])
    return cluster.id, cluster.claims, str(getattr(cluster, "values", None) or getattr(cluster, "versions", ()))


def relabelling(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Other names for the branches change ids and orders, and nothing else."""
    others = random.Random(seed).sample(["9/1", "7", "0/2"], 3)
    first, second = (unlabelled(synthesized(chosen(indices, names)), names) for names in (NAMES, tuple(others)))
    assert first == second


def unlabelled(synthesis: Synthesis, names: tuple[str, ...]) -> object:
    """What it says, without what names of branches change: ids of records, and orders."""
    data = synthesis.to_json()
    data["topics"] = [
        {"title": topic.title, "claims": list(topic.claims), "suggested": topic.suggested} for topic in synthesis.topics
    ]
    data["suggested"] = len(synthesis.suggested)
    for id in synthesis.suggested:  # which of several equal texts is linked to the others depends on ids
        for part in ("links", "status"):
            cast("dict[str, object]", data[part]).pop(id)
    for item in cast("dict[str, dict[str, object]]", data["links"]).values():
        if item["relation"] != "supersedes":  # a link that goes both ways is kept with the smaller id first
            item["a"] = item["b"] = sorted([str(item["a"]), str(item["b"])], key=order_of(names).__getitem__)
    for item in cast("list[dict[str, object]]", data["conflicts"]):
        if item["kind"] in ("stance", "identity"):  # the same, of two records that contradict each other
            del item["about"]
    text = json.dumps(data)
    for index, record in enumerate(universe(names)):
        text = text.replace(record.id, f"#{index}")
    for number, name in enumerate(names):
        text = text.replace(f'"branch": "{name}"', f'"branch": "{number}"')
    return in_order(json.loads(text))


def order_of(names: tuple[str, ...]) -> dict[str, int]:
    return {record.id: index for index, record in enumerate(universe(names))}


def in_order(value: object) -> object:
    if isinstance(value, list):
        return sorted(map(in_order, cast("list[object]", value)), key=repr)
    if not isinstance(value, dict):
        return value
    # Ids of conflicts hash ids of records; a topic goes by the smallest of them.
    kept = cast("dict[str, object]", value).items()
    return {key: in_order(item) for key, item in kept if not (key == "topic" or (key == "id" and "kind" in value))}


def support(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Positions count the groups that a naive closure over shared roots finds, and the minority is shown as such."""
    records = {record.id: record for record in chosen(indices)}
    for conflict in synthesized(records.values()).conflicts:
        if conflict.kind in ("value", "existence", "stance", "identity", "patch_textual"):
            voices = {id for position in conflict.positions for id in position.records}
            groups = naive_groups([records[id] for id in voices])
            counts = {p.says: sum(not group.isdisjoint(p.records) for group in groups) for p in conflict.positions}
            assert {p.says: len(p.groups) for p in conflict.positions} == counts
            most = max(counts.values())
            assert {p.says for p in conflict.positions if p.minority} == {s for s, n in counts.items() if n < most}


def naive_groups(records: Sequence[Record]) -> list[set[str]]:
    groups = [({record.id}, shared(record)) for record in records]
    while True:
        pair = next(((a, b) for a in groups for b in groups if a is not b and a[1] & b[1]), None)
        if pair is None:
            return [ids for ids, _ in groups]
        groups = [group for group in groups if group is not pair[0] and group is not pair[1]]
        groups.append((pair[0][0] | pair[1][0], pair[0][1] | pair[1][1]))


def shared(record: Record) -> set[object]:
    assert not isinstance(record, Coverage)
    actor = record.actor
    found: set[object] = {("lineage", actor.lineage or actor.model or actor.tool)}
    found |= {("model", actor.model)} - {("model", "")} | {("framing", actor.framing)} - {("framing", "")}
    for piece in getattr(record, "evidence", ()):
        found |= {"example.org/a"} if isinstance(piece, UrlQuote) else set()
        found |= {piece.argv} if isinstance(piece, CommandRun) else set()
    return found


def completeness(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Every two records that a naive look at every pair finds at odds are at odds in the output, and no others."""
    records = {record.id: record for record in chosen(indices)}
    synthesis = synthesized(records.values())
    for kind, naive in NAIVE.items():
        expected = {
            frozenset((a, b)) for a in records for b in records if a < b and naive(records, records[a], records[b])
        }
        found = {
            pair for conflict in synthesis.conflicts if conflict.kind == kind for pair in opposed(conflict, records)
        }
        assert found == expected, kind


def opposed(conflict: Conflict, records: dict[str, Record]) -> Iterator[frozenset[str]]:
    """Pairs of records on different sides; of patches those that clash, since a conflict holds a whole region."""
    for side in conflict.positions:
        for other in conflict.positions:
            for a in side.records:
                for b in other.records if side.says < other.says else ():
                    if conflict.kind != "patch_textual" or points(records[a]) & points(records[b]):
                        yield frozenset((a, b))


def differ(records: dict[str, Record], a: Record, b: Record) -> bool:
    return isinstance(a, Fact) and isinstance(b, Fact) and a.key == b.key and told(a) != told(b)


def told(fact: Fact) -> object:
    """The value; Python takes True for 1, and JSON does not."""
    return isinstance(fact.value, bool), fact.value


def points(record: Record) -> set[int]:
    """What a patch touches: line n is 2n, the place before it 2n - 1."""
    assert isinstance(record, Patch)
    start, end = record.key.start_line, record.key.end_line
    return {2 * start - 1} if end < start else set(range(2 * start, 2 * end + 1))


def clash(records: dict[str, Record], a: Record, b: Record) -> bool:
    if not (isinstance(a, Patch) and isinstance(b, Patch)) or (a.key, a.replacement) == (b.key, b.replacement):
        return False
    return a.key.path == b.key.path and bool(points(a) & points(b))


def contradict(records: dict[str, Record], a: Record, b: Record) -> bool:
    """A link says so; verdicts of two lineages on one record; a verdict, or who confirms it, against who refutes it."""
    named = {frozenset((r.a, r.b)) for r in records.values() if isinstance(r, Link) and r.relation == "contradicts"}
    return frozenset((a.id, b.id)) in named or any(
        against(records, x, y) or (isinstance(x, Verdict | Link) and refutes(records, y, x))
        for x, y in ((a, b), (b, a))
    )


def against(records: dict[str, Record], a: Record, b: Record) -> bool:
    both = isinstance(a, Verdict) and isinstance(b, Verdict) and a.of == b.of and a.of in records
    if not both or not counts(records, a) or not counts(records, b):
        return False
    assert isinstance(a, Verdict)
    assert isinstance(b, Verdict)
    return (a.stance, b.stance) == ("confirm", "refute")


def counts(records: dict[str, Record], verdict: Record) -> bool:
    assert isinstance(verdict, Verdict)
    judged: Any = records[verdict.of]
    return lineage_of(verdict.actor) != lineage_of(judged.actor)


def refutes(records: dict[str, Record], a: Record, b: Record) -> bool:
    return isinstance(a, Verdict) and a.of == b.id and a.stance == "refute" and counts(records, a)


NAIVE: dict[str, Callable[[dict[str, Record], Record, Record], bool]] = {
    "value": differ,
    "patch_textual": clash,
    "stance": contradict,
}


def existence(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """A claim is against each verdict that refutes it and counts; no other verdict is against anything."""
    records = {record.id: record for record in chosen(indices)}
    found = [c for c in synthesized(records.values()).conflicts if c.kind == "existence"]
    sides = [{position.says: set(position.records) for position in conflict.positions} for conflict in found]
    claims = [record for record in records.values() if isinstance(record, Claim)]
    pairs = {(c.id, v) for c in claims for v in records if refutes(records, records[v], c)}
    for claim, refuting in pairs:
        assert any(claim in side["it is so"] and refuting in side["it is not so"] for side in sides)
    assert {v for side in sides for v in side["it is not so"]} == {refuting for _, refuting in pairs}
    assert all(any((c, v) in pairs for c in side["it is so"] for v in side["it is not so"]) for side in sides)


def severity(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Findings of one key whose lines meet, also by way of others, are at odds if two sources give two severities."""
    records = {record.id: record for record in chosen(indices)}
    found = {id: record for id, record in records.items() if isinstance(record, Finding)}
    sites = {id: {other for other in found if meet(found[id], found[other])} for id in found}
    for _ in found:
        sites = {id: set[str]().union(*(sites[other] for other in site)) for id, site in sites.items()}
    expected = {frozenset(site) for site in sites.values() if at_odds([found[id] for id in site])}
    conflicts = [c for c in synthesized(records.values()).conflicts if c.kind == "severity"]
    assert {frozenset(id for p in c.positions for id in p.records) for c in conflicts} == expected
    assert all(found[id].severity == p.says for c in conflicts for p in c.positions for id in p.records)


def meet(a: Finding, b: Finding) -> bool:
    first, second = (set(range(x.line or 0, max(x.line or 0, x.end_line or 0) + 1)) for x in (a, b))
    return a.key == b.key and bool(first & second)


def at_odds(site: Sequence[Finding]) -> bool:
    return len({claim.severity for claim in site}) > 1 and len({claim.severity_by for claim in site}) > 1


def identity(synthesized: Synthesize, indices: Indices, seed: int) -> None:
    """Every two links that call one pair of keys the same and different are at odds, and so are a key and a link."""
    records = {record.id: record for record in chosen(indices)}
    found = [c for c in synthesized(records.values()).conflicts if c.kind == "identity"]
    sides = [{position.says: set(position.records) for position in conflict.positions} for conflict in found]
    ends = {id: key_pair(records, x) for id, x in records.items() if isinstance(x, Link)}
    ends = {id: pair for id, pair in ends.items() if pair}
    same = {id for id in ends if relation(records[id]) == "same_as"}
    different = {id for id in ends if relation(records[id]) == "different"}
    links = {(a, b) for a in same for b in different if ends[a] == ends[b]}
    keys = {(end, id) for id in different if len(ends[id] or ()) == 1 for end in references(records[id])}
    shown = {(a, b) for side in sides for a in side["they are the same"] for b in side["they are different"]}
    assert shown >= links | keys
    assert {b for _, b in shown} == {b for _, b in links | keys}
    assert {a for a, _ in shown} == {a for a, _ in links | keys}


def relation(record: Record) -> str:
    return record.relation if isinstance(record, Link) else ""


def key_pair(records: dict[str, Record], link: Link) -> frozenset[object] | None:
    if link.a == link.b or link.a not in records or link.b not in records:
        return None
    return frozenset(getattr(records[end], "key", end) for end in (link.a, link.b))


PROMISES: dict[str, Callable[[Synthesize, Indices, int], None]] = {
    promise.__name__: promise
    for promise in (
        any_order,
        any_merge,
        conservation,
        monotone,
        closure,
        non_deletion,
        relabelling,
        support,
        completeness,
        existence,
        severity,
        identity,
    )
}


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(indices=INDICES, seed=st.integers(0, 10_000))
def test_the_synthesis_keeps(promise: Callable[[Synthesize, Indices, int], None], indices: Indices, seed: int) -> None:
    promise(product, indices, seed)


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
def test_the_whole_universe_keeps(promise: Callable[[Synthesize, Indices, int], None]) -> None:
    promise(product, tuple(range(SIZE)), 4)


def test_the_universe_holds_every_sort_of_conflict_and_suggestion() -> None:
    synthesis = product(universe())
    wanted = {*MONOTONE, "patch_semantic", "coverage_gap", "evidence_unresolved"}
    assert {conflict.kind for conflict in synthesis.conflicts} == wanted
    assert set(synthesis.status.values()) == {"refuted", "disputed", "unverified"}
    assert "confirmed" in product(chosen([10, 39])).status.values()
    assert synthesis.suggested
    assert synthesis.inadmissible
    assert synthesis.minority
    assert [topic.suggested for topic in synthesis.topics] == [False, False]
    assert True in {topic.suggested for topic in product(universe()[:31]).topics}


# --- the seeded bugs ---


def dropped_conflict(records: Iterable[Record]) -> Synthesis:
    synthesis = product(records)
    return replace(synthesis, conflicts=synthesis.conflicts[1:])


def majority_wins(records: Iterable[Record]) -> Synthesis:
    """What has a minority is taken to be settled."""
    synthesis = product(records)
    settled = tuple(c for c in synthesis.conflicts if not any(position.minority for position in c.positions))
    return replace(synthesis, conflicts=settled)


def last_writer_wins(records: Iterable[Record]) -> Synthesis:
    last: dict[object, Record] = {}
    for record in records:
        last[record.key if isinstance(record, Fact) else record.id] = record
    return product(last.values())


def order_dependence(records: Iterable[Record]) -> Synthesis:
    arrived = {record.id: record for record in records}
    synthesis = product(arrived.values())
    return replace(synthesis, claims={id: synthesis.claims[id] for id in arrived if id in synthesis.claims})


def counts_arrivals(records: Iterable[Record]) -> Synthesis:
    """What arrives twice is counted twice."""
    arrived = list(records)
    synthesis = product(arrived)
    return replace(synthesis, ledger=replace(synthesis.ledger, records_in=len(arrived)))


def lost_malformed(records: Iterable[Record]) -> Synthesis:
    return product(record for record in records if not isinstance(record, Malformed))


def hidden_minority(records: Iterable[Record]) -> Synthesis:
    synthesis = product(records)
    return replace(synthesis, conflicts=tuple(replace(c, positions=loudest(c.positions)) for c in synthesis.conflicts))


def loudest(positions: Iterable[Position]) -> tuple[Position, ...]:
    return tuple(position for position in positions if not position.minority)


def unmarked_minority(records: Iterable[Record]) -> Synthesis:
    synthesis = product(records)
    equal = (replace(c, positions=tuple(replace(p, minority=False) for p in c.positions)) for c in synthesis.conflicts)
    return replace(synthesis, conflicts=tuple(equal))


def double_count(records: Iterable[Record]) -> Synthesis:
    """Support counts records instead of groups."""
    synthesis = product(records)
    counted = (
        replace(c, positions=tuple(replace(p, groups=p.records) for p in c.positions)) for c in synthesis.conflicts
    )
    return replace(synthesis, conflicts=tuple(counted))


def same_branch_merge(records: Iterable[Record]) -> Synthesis:
    """Claims of one branch with one key are taken to be one."""
    first: dict[object, Record] = {}
    for record in sorted(records, key=lambda record: record.id):
        key = (record.branch, record.key) if isinstance(record, Finding | Fact | Patch) else record.id
        first.setdefault(key, record)
    return product(first.values())


def adjudicator_deletes(records: Iterable[Record]) -> Synthesis:
    """What is refuted is left out."""
    synthesis = product(records)
    return replace(synthesis, clusters=tuple(c for c in synthesis.clusters if c.status != "refuted"))


def invented_record(records: Iterable[Record]) -> Synthesis:
    synthesis = product(records)
    invented = (replace(topic, claims=(*topic.claims, "f" * 64)) for topic in synthesis.topics)
    return replace(synthesis, topics=tuple(invented))


def named_by_branch(records: Iterable[Record]) -> Synthesis:
    """A finding's title tells which branch came first in the alphabet."""
    synthesis = product(records)
    titled = (replace(c, title=min(synthesis.claims[id].branch for id in c.claims)) for c in synthesis.clusters)
    return replace(synthesis, clusters=tuple(titled))


def own_verdicts_count(records: Iterable[Record]) -> Synthesis:
    """A verdict of the lineage that it judges counts as if it were another's."""
    synthesis = product(records)
    own = [id for id in synthesis.inadmissible if synthesis.verdicts[id].stance == "refute"]
    sides = tuple(
        (Position("it is so", (synthesis.verdicts[id].of,), ("a",)), Position("it is not so", (id,), ("b",)))
        for id in own
    )
    more = tuple(
        Conflict(id, "existence", synthesis.verdicts[id].of, side) for id, side in zip(own, sides, strict=True)
    )
    return replace(synthesis, conflicts=(*synthesis.conflicts, *more))


def last_severity_wins(records: Iterable[Record]) -> Synthesis:
    synthesis = product(records)
    return replace(synthesis, conflicts=tuple(c for c in synthesis.conflicts if c.kind != "severity"))


def links_settle_identity(records: Iterable[Record]) -> Synthesis:
    """Who says last whether two are the same is believed."""
    synthesis = product(records)
    return replace(synthesis, conflicts=tuple(c for c in synthesis.conflicts if c.kind != "identity"))


@dataclass(frozen=True)
class Caught:
    """A promise that catches a bug."""

    bug: Synthesize
    promise: Callable[[Synthesize, Indices, int], None]

    def __str__(self) -> str:
        return f"{getattr(self.promise, '__name__', '')} catches {getattr(self.bug, '__name__', '')}"


CAUGHT = [
    Caught(dropped_conflict, completeness),
    Caught(dropped_conflict, existence),
    Caught(majority_wins, monotone),
    Caught(majority_wins, completeness),
    Caught(last_writer_wins, conservation),
    Caught(last_writer_wins, any_order),
    Caught(last_writer_wins, completeness),
    Caught(order_dependence, any_order),
    Caught(counts_arrivals, any_merge),
    Caught(lost_malformed, conservation),
    Caught(hidden_minority, completeness),
    Caught(hidden_minority, monotone),
    Caught(unmarked_minority, support),
    Caught(double_count, support),
    Caught(same_branch_merge, conservation),
    Caught(adjudicator_deletes, non_deletion),
    Caught(adjudicator_deletes, conservation),
    Caught(invented_record, closure),
    Caught(named_by_branch, relabelling),
    Caught(own_verdicts_count, existence),
    Caught(last_severity_wins, severity),
    Caught(links_settle_identity, identity),
]


@pytest.mark.parametrize("caught", CAUGHT, ids=str)
def test_a_seeded_bug_is_caught(caught: Caught) -> None:
    def broken(drawn: tuple[Indices, int]) -> bool:
        try:
            caught.promise(caught.bug, *drawn)
        except AssertionError:
            return True
        return False

    try:
        find(
            st.tuples(INDICES, st.integers(0, 10_000)),
            broken,
            settings=settings(
                max_examples=500, deadline=None, database=None, derandomize=True, phases=[Phase.generate]
            ),
        )
    except NoSuchExample:
        pytest.fail(f"nothing shows that {caught}")


def test_every_promise_is_shown_able_to_fail() -> None:
    assert {caught.promise for caught in CAUGHT} == set(PROMISES.values())
