"""What the synthesis computes fast is what a naive computation over every pair gives."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.subagents.records import (
    Actor,
    Claim,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Passage,
    Patch,
    PatchKey,
    Verdict,
)
from antiphon.workflows.synthesis import Status, synthesize, union_of
from antiphon.workflows.synthesis.patches import all_clash, clash
from antiphon.workflows.synthesis.resemblance import WORDS, pairs, resemble
from antiphon.workflows.synthesis.status import status_of
from antiphon.workflows.synthesis.suggestions import claim_words, comparable, suggested_links

ALICE, BOB = Actor(tool="alice"), Actor(tool="bob")

# --- resemblance ---

LETTERS = "abcdefghij"
TEXTS = st.lists(st.frozensets(st.sampled_from(LETTERS), max_size=8), max_size=25)


def naive_resemblance(a: frozenset[str], b: frozenset[str], percent: int) -> bool:
    return len(a) >= WORDS and len(b) >= WORDS and 100 * len(a & b) >= percent * len(a | b)


@settings(deadline=None)
@given(TEXTS, st.sampled_from([1, 34, 50, 67, 75, 80, 99, 100]))
def test_the_join_finds_exactly_the_pairs_that_a_look_at_every_pair_finds(
    sets: list[frozenset[str]], percent: int
) -> None:
    found = [frozenset(pair) for pair in pairs(sets, percent=percent)]
    naive = {
        frozenset(pair)
        for pair in combinations(range(len(sets)), 2)
        if naive_resemblance(sets[pair[0]], sets[pair[1]], percent)
    }
    assert set(found) == naive
    assert len(found) == len(naive), "each pair once"


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_whether_two_texts_resemble_each_other_does_not_depend_on_any_third(
    sets: list[frozenset[str]], more: list[frozenset[str]]
) -> None:
    alone = {frozenset(pair) for pair in pairs(sets)}
    assert alone == {frozenset(pair) for pair in pairs([*sets, *more]) if max(pair) < len(sets)}


# --- suggestions ---

SENTENCES = ["a b c d e", "a b c d e f", "A, b. c d e", "a b c d f", "x y z", "x y z w", "a b", ""]
BRANCHES = st.sampled_from(["0", "1", "2"])


@st.composite
def worded(draw: st.DrawFn) -> Claim:
    common = {"record": "claim", "text": draw(st.sampled_from(SENTENCES)), "actor": ALICE, "branch": draw(BRANCHES)}
    ordinal = {"ordinal": draw(st.integers(0, 2))}
    match draw(st.sampled_from(["text", "fact", "finding"])):
        case "text":
            return Passage.model_validate({**common, **ordinal, "sort": "text"})
        case "fact":
            key = FactKey(subject=draw(st.sampled_from("pqrs")), attribute="is")
            return Fact.model_validate({**common, "sort": "fact", "key": key, "value": 1})
        case _:
            path, rule = draw(st.sampled_from([("a.py", "r"), ("a.py", "q"), ("a.py", "p"), ("b.py", "r")]))
            said = {"rule": rule, "title": "", "severity": "low", "severity_by": "alice"}
            return Finding.model_validate(
                {**common, **said, "sort": "finding", "key": FindingKey(path=path, rule=rule)}
            )


def key_of(claim: Claim) -> str:
    return claim.id if isinstance(claim, Passage) else repr(claim.key)


def may_be_linked(a: Claim, b: Claim, different: set[frozenset[str]]) -> bool:
    keys = frozenset((key_of(a), key_of(b)))
    if len(keys) == 1 or a.branch == b.branch or comparable(a) != comparable(b) or keys in different:
        return False
    return resemble(claim_words(a), claim_words(b))


def components(items: Iterable[str], edges: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    sets = {item: frozenset((item,)) for item in items}
    for a, b in edges:
        both = sets[a] | sets[b]
        sets |= dict.fromkeys(both, both)
    return set(sets.values())


@settings(deadline=None, max_examples=400)
@given(st.lists(worded(), max_size=20), st.data())
def test_suggested_links_connect_exactly_what_resembles_each_other(drawn: list[Claim], data: st.DataObject) -> None:
    claims = dict(sorted({claim.id: claim for claim in drawn}.items()))
    cluster_of = {id: key_of(claim) for id, claim in claims.items()}
    keys = sorted(set(cluster_of.values()))
    every = st.sampled_from([(a, b) for a, b in combinations(keys, 2)] or [("", "")])
    apart = data.draw(st.sets(every, max_size=4))
    different = {frozenset(pair) for pair in apart}
    links = list(suggested_links(claims, cluster_of, apart))
    naive = [(key_of(a), key_of(b)) for a, b in combinations(claims.values(), 2) if may_be_linked(a, b, different)]
    ends = [(cluster_of[link.a], cluster_of[link.b]) for link in links]
    assert components(keys, ends) == components(keys, naive)
    assert all(may_be_linked(claims[link.a], claims[link.b], different) for link in links)
    assert len(links) == len(keys) - len(components(keys, naive)), "no link more than it takes"


def test_a_thousand_equal_texts_get_fewer_than_a_thousand_links() -> None:
    def said(number: int) -> Passage:
        text = "this module is imported and never used"
        return Passage(record="claim", sort="text", text=text, actor=ALICE, branch=f"0/{number % 7}", ordinal=number)

    synthesis = synthesize([said(number) for number in range(1_000)], {})
    assert len(synthesis.suggested) == 999
    assert [len(topic.claims) for topic in synthesis.topics] == [1_000]


def test_a_near_copy_of_everything_gets_no_more_links_than_it_takes() -> None:
    shared = [f"w{number}" for number in range(40)]
    texts = [" ".join([*shared, f"x{number}", f"y{number}"]) for number in range(400)]
    said = [
        Passage(record="claim", sort="text", text=text, actor=ALICE, branch=f"0/{number % 7}")
        for number, text in enumerate(texts)
    ]
    assert len(synthesize(said, {}).suggested) == 399


def test_one_sentence_about_many_files_links_nothing() -> None:
    def found(number: int) -> Finding:
        return Finding(
            record="claim",
            sort="finding",
            key=FindingKey(path=f"{number}.py", rule="F401"),
            rule="F401",
            title="unused import",
            text="os is imported and never used",
            severity="low",
            severity_by="ruff",
            actor=ALICE,
            branch=f"0/{number}",
        )

    assert not synthesize([found(number) for number in range(50)], {}).links


# --- status ---

PLACES = 8
NUMBER = st.integers(0, PLACES - 1)


def name(number: int) -> str:
    return f"{number:064x}"


def judged(of: int, stance: str) -> Verdict:
    return Verdict.model_validate(
        {"record": "verdict", "of": name(of), "stance": stance, "actor": BOB, "method": "look"}
    )


@st.composite
def frameworks(draw: st.DrawFn) -> dict[str, Verdict]:
    """Verdicts on claims and on each other, also in circles, which hashes cannot form and a hostile caller can."""
    verdicts = draw(st.lists(st.tuples(NUMBER, st.sampled_from(["confirm", "refute", "cannot_tell"])), max_size=PLACES))
    return {name(number): judged(of, stance) for number, (of, stance) in enumerate(verdicts)}


def naive_status(ids: Sequence[str], verdicts: Mapping[str, Verdict]) -> dict[str, Status]:
    """The grounded extension, by its definition: the least fixpoint of what is defended."""
    attacks = {(v, verdict.of) for v, verdict in verdicts.items() if verdict.stance == "refute"}
    for (v, first), (w, second) in product(verdicts.items(), repeat=2):
        if first.of == second.of and {first.stance, second.stance} == {"confirm", "refute"}:
            attacks.add((v, w))
    everything = {*ids, *verdicts, *(target for _, target in attacks)}
    standing: set[str] = set()
    while True:
        fallen = {b for a, b in attacks if a in standing}
        defended = {item for item in everything if all(a in fallen for a, b in attacks if b == item)}
        if defended == standing:
            break
        standing = defended
    confirmed = {verdict.of for v, verdict in verdicts.items() if verdict.stance == "confirm" and v in standing}
    return {
        id: "refuted"
        if id in fallen
        else "disputed"
        if id not in standing
        else "confirmed"
        if id in confirmed
        else "unverified"
        for id in ids
    }


@settings(deadline=None)
@given(frameworks())
def test_status_is_the_grounded_extension(verdicts: dict[str, Verdict]) -> None:
    ids = [name(number) for number in range(PLACES + 2)]
    assert status_of(ids, verdicts) == naive_status(ids, verdicts)


def test_circles_end_as_disputed() -> None:
    circle = {name(1): judged(2, "refute"), name(2): judged(3, "refute"), name(3): judged(1, "refute")}
    assert set(status_of([*circle, name(4)], circle).values()) == {"disputed", "unverified"}


def test_a_long_chain_of_refutations_is_followed_to_its_end() -> None:
    chain = {name(number + 1): judged(number, "refute") for number in range(5_000)}
    status = status_of([name(number) for number in range(5_001)], chain)
    assert [status[name(number)] for number in (5_000, 4_999, 1, 0)] == [
        "unverified",
        "refuted",
        "refuted",
        "unverified",
    ]


# --- patches ---


@st.composite
def patches(draw: st.DrawFn) -> Patch:
    start = draw(st.integers(1, 6))
    end = draw(st.integers(start - 1, min(start + 2, 6)))
    text = draw(st.sampled_from(["", "x\n", "y\n"]))
    key = PatchKey(base="c0ffee", path="a.py", start_line=start, end_line=end)
    return Patch(record="claim", sort="patch", key=key, replacement=text, text="", actor=ALICE, branch=draw(BRANCHES))


def points(patch: Patch) -> set[int]:
    """What a patch touches: line n is 2n, the place before it 2n - 1."""
    start, end = patch.key.start_line, patch.key.end_line
    return {2 * start - 1} if end < start else set(range(2 * start, 2 * end + 1))


def naive_clash(a: Patch, b: Patch) -> bool:
    return (a.key, a.replacement) != (b.key, b.replacement) and bool(points(a) & points(b))


@settings(deadline=None)
@given(st.lists(patches(), max_size=12))
def test_contested_regions_are_what_clashes_directly_or_by_way_of_others(drawn: list[Patch]) -> None:
    by_id = {patch.id: patch for patch in drawn}
    regions = [c for c in synthesize(drawn, {}).conflicts if c.kind == "patch_textual"]
    found = {frozenset(id for side in conflict.positions for id in side.records) for conflict in regions}
    edges = [(a, b) for a, b in combinations(by_id, 2) if naive_clash(by_id[a], by_id[b])]
    same = [(a, b) for a, b in combinations(by_id, 2) if by_id[a].key == by_id[b].key]
    assert found == {part for part in components(by_id, [*edges, *same]) if any(part >= {a, b} for a, b in edges)}


@settings(deadline=None)
@given(patches(), patches())
def test_two_patches_clash_exactly_where_they_touch_the_same(a: Patch, b: Patch) -> None:
    assert clash((a.key, a.replacement), (b.key, b.replacement)) == naive_clash(a, b)


@settings(deadline=None)
@given(st.lists(patches(), min_size=2, max_size=5))
def test_patches_all_clash_exactly_if_each_two_do(drawn: list[Patch]) -> None:
    versions = {(patch.key, patch.replacement): patch for patch in drawn}
    if len(versions) > 1:
        assert all_clash(list(versions)) == all(naive_clash(a, b) for a, b in combinations(versions.values(), 2))


BASE = "1\n2\n3\n4\n5\n6\n"


@settings(deadline=None)
@given(st.lists(patches(), max_size=5))
def test_the_union_is_there_exactly_if_nothing_clashes_and_does_not_depend_on_order(
    drawn: list[Patch],
) -> None:
    union = union_of({patch.id: patch for patch in drawn}, BASE)
    clashes = any(naive_clash(a, b) for a, b in combinations(drawn, 2))
    assert (union.text is None) == clashes == bool(union.clashes)
    again = union_of({patch.id: patch for patch in reversed(drawn)}, BASE)
    assert again == union
    if union.text is not None:
        assert union.text == from_the_bottom(drawn)


def from_the_bottom(drawn: Sequence[Patch]) -> str:
    """Patches that do not clash, applied one after the other from the last line up, so that no line moves."""
    lines = BASE.splitlines(keepends=True)
    once = {(patch.key.start_line, patch.key.end_line, patch.replacement) for patch in drawn}
    for start, end, text in sorted(once, reverse=True):
        lines = [*lines[: start - 1], text, *lines[end:]]
    return "".join(lines)
