"""Merging of states: the same in any order, nothing lost, nothing invented; and git's own merge agrees where it can."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.subagents.workspace.listing import Skipped
from antiphon.subagents.workspace.merging import Edit, edits, merge_states, united
from antiphon.subagents.workspace.patch import sides_between
from antiphon.subagents.workspace.snapshot import Entry, entries, index_lines
from antiphon.subagents.workspace.store import Store, open_store

BASE = tuple(f"line {number}\n" for number in range(8))
UNIVERSE = (
    *((at, at + 1, (f"changed {at} {variant}\n",)) for at in range(8) for variant in "xy"),
    *((at, at + 1, ()) for at in range(0, 8, 2)),
    *((at, at, (f"new at {at} {variant}\n",)) for at in range(0, 9, 2) for variant in "xy"),
)
"""Versions draw from one small set of edits, so that they overlap; what was drawn independently hardly ever would."""
FEW = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

drawn = st.frozensets(st.sampled_from(UNIVERSE), max_size=3)
FILES = ("a", "b", "dir", "dir/x", "bin")


def applied(chosen: frozenset[tuple[int, int, tuple[str, ...]]]) -> str:
    """The base with some edits, those left out that touch an earlier one."""
    text: list[str] = []
    at = 0
    last = -1
    for begin, end, lines in sorted(chosen):
        if begin <= last:
            continue
        text += [*BASE[at:begin], *lines]
        at = last = end
    return "".join([*text, *BASE[at:]])


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "run")
        place.mkdir()
        yield open_store(place, Path(folder), None)


def tree_of(store: Store, files: dict[str, bytes | None]) -> str:
    """A state with these files; None for a link instead of one."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                file.symlink_to("a")
            else:
                file.write_bytes(content)
        found: dict[bytes, Entry] = entries(store, Path(folder), map(str.encode, files), Skipped())
    index = store.temporary("index")
    store.git.at(None, index)("update-index", "-z", "--index-info", given=index_lines(found.values(), (), store))
    try:
        return store.index_tree(index)
    finally:
        index.unlink()


@st.composite
def version(draw: st.DrawFn) -> dict[str, bytes | None]:
    """Files as one of several agents might leave them: changed, deleted, added, a folder in a file's place, a link."""
    files: dict[str, bytes | None] = {"a": applied(draw(drawn)).encode(), "b": applied(draw(drawn)).encode()}
    if draw(st.integers(0, 3)) == 0:
        del files["b"]
    match draw(st.integers(0, 5)):
        case 0:
            files["dir"] = b"a file\n"
        case 1:
            files["dir/x"] = draw(st.sampled_from([b"one\n", b"two\n"]))
        case 2:
            files["link"] = None
        case 3:
            files["bin"] = b"\0" + draw(st.sampled_from([b"1", b"2"]))
        case _:
            pass
    return files


@FEW
@given(st.lists(version(), min_size=2, max_size=3), st.booleans())
def test_any_order_gives_the_same_and_nothing_is_lost(
    store: Store, versions: list[dict[str, bytes | None]], flat: bool
) -> None:
    begin: dict[str, bytes | None] = {"a": "".join(BASE).encode(), "b": "".join(BASE).encode(), "bin": b"\0"}
    begin |= {"dir": b"the base\n"} if flat else {"dir/x": b"the base\n"}
    base = tree_of(store, begin)
    trees = [tree_of(store, files) for files in versions]
    came = {merge_states(store, base, order) for order in permutations(trees)}
    assert len(came) == 1
    [merged] = came
    wrong = {conflict.path.encode() for conflict in merged.conflicts}
    result = sides_between(store, base, merged.tree)
    assert not wrong & result.keys(), "a file in conflict is as in the base"
    changed = [sides_between(store, base, tree) for tree in trees]
    for path in set[bytes]().union(*changed) - wrong:
        afters = {one[path][1] for one in changed if path in one}
        assert path in result
        if len(afters) == 1:
            assert result[path][1] in afters
    assert result.keys() <= set[bytes]().union(*changed), "nothing is changed that nobody changed"
    assert merge_states(store, base, [*trees, base, trees[0]]) == merged
    assert merge_states(store, base, trees[:1]).tree == trees[0]


@settings(FEW, max_examples=15)
@given(drawn, drawn)
def test_git_agrees_wherever_this_merges(
    store: Store, one: frozenset[tuple[int, int, tuple[str, ...]]], two: frozenset[tuple[int, int, tuple[str, ...]]]
) -> None:
    before = "".join(BASE).encode()
    contents = [applied(one).encode(), applied(two).encode()]
    base, *names = [store.write_blob(content) for content in (before, *contents)]
    union = united(before, [edits(store, base, name, after) for name, after in zip(names, contents, strict=True)])
    with tempfile.TemporaryDirectory() as folder:
        for name, content in zip(("base", "one", "two"), (before, *contents), strict=True):
            Path(folder, name).write_bytes(content)
        command = ["git", "merge-file", "-p", "one", "base", "two"]
        said = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if union is not None:
        assert (said.returncode, said.stdout) == (0, union)
    elif said.returncode == 0:
        assert contents[0] != contents[1], "what is the same is no conflict"


@given(st.lists(st.frozensets(st.sampled_from(UNIVERSE), max_size=3), max_size=4))
def test_a_union_has_all_edits_or_is_none(chosen: list[frozenset[tuple[int, int, tuple[str, ...]]]]) -> None:
    each = [
        frozenset(Edit(begin, end, tuple(line.encode() for line in lines)) for begin, end, lines in one)
        for one in chosen
    ]
    before = "".join(BASE).encode()
    union = united(before, each)
    everything = frozenset[Edit]().union(*each)
    clash = any(one.touches(other) for one in everything for other in everything)
    assert (union is None) == clash
    if union is not None:
        lines = union.splitlines(keepends=True)
        assert all(line in lines for edit in everything for line in edit.lines)
        gone = {at for edit in everything for at in range(edit.begin, edit.end)}
        kept = [line.encode() for at, line in enumerate(BASE) if at not in gone]
        assert [line for line in lines if line.startswith(b"line")] == kept
    assert united(before, reversed(each)) == union
