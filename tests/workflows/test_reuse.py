"""`--reuse`: what did not change is free, what changed is done again, and nobody can slip a result in."""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Amount, Call, CallContext, MalformedOutput
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.records import Actor, Coverage, CoverageState, Finding, FindingKey, Record, malformed
from antiphon.subagents.testing import performers_of
from antiphon.tracing import Json
from antiphon.workflows.audit.cache import Reuse, key_of
from antiphon.workflows.audit.store import Entry, Store, store_beside

KEY = "ab" * 32
ENTRY = Entry("r1", {"findings": 1}, [{"record": "coverage", "unit": "a", "check": "c", "state": "done"}])


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def entry_file(store: Store) -> Path:
    return store.folder / KEY[:2] / KEY[2:]


def test_what_is_kept_comes_back_and_is_the_owners_alone(store: Store) -> None:
    assert store.get(KEY) is None
    store.put(KEY, ENTRY)
    assert store.get(KEY) == ENTRY
    assert not store.troubles
    assert entry_file(store).stat().st_mode & 0o777 == 0o600
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_where_it_is(tmp_path: Path) -> None:
    assert store_beside(tmp_path / ".antiphon" / "runs").folder == tmp_path / ".antiphon" / "cache" / "audit"
    assert store_beside(tmp_path / "elsewhere").folder == tmp_path / "elsewhere" / "cache" / "audit"


def test_an_entry_of_somebody_else_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository can hold such a folder, and after a clone its files belong to the user."""
    with monkeypatch.context() as other:
        other.setenv("XDG_STATE_HOME", str(store.folder / "their-state"))
        store.put(KEY, ENTRY)
    assert store.get(KEY) is None
    assert store.troubles == {"an entry is damaged, or not of this user's making": 1}


@pytest.mark.parametrize("cut", [slice(0, 0), slice(0, 40), slice(0, -1), slice(1, None)])
def test_a_damaged_entry_does_not_count(store: Store, cut: slice) -> None:
    store.put(KEY, ENTRY)
    entry_file(store).write_bytes(entry_file(store).read_bytes()[cut])
    assert store.get(KEY) is None
    assert store.troubles.total() == 1


def test_an_entry_of_another_call_does_not_count(store: Store) -> None:
    store.put(KEY, ENTRY)
    other = KEY[:-2] + "cd"
    os.rename(entry_file(store), entry_file(store).with_name(other[2:]))
    assert store.get(other) is None
    assert store.troubles.total() == 1


def test_no_link_is_followed_and_nothing_others_may_write_counts(store: Store, tmp_path: Path) -> None:
    store.put(KEY, ENTRY)
    entry_file(store).chmod(0o622)
    assert store.get(KEY) is None
    aside = tmp_path / "aside"
    os.rename(entry_file(store), aside)
    aside.chmod(0o600)
    entry_file(store).symlink_to(aside)
    assert store.get(KEY) is None
    assert store.troubles.total() == 2


def test_a_folder_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    """A repository can hold a link in its place, to a folder of the user's with old files in it."""
    theirs = tmp_path / "documents"
    (theirs / "audit" / "ab").mkdir(parents=True)
    letter = theirs / "audit" / "ab" / ("cd" * 31)
    letter.write_text("dear")
    os.utime(letter, (0, 0))
    home = tmp_path / ".antiphon"
    home.mkdir()
    (home / "cache").symlink_to(theirs)
    store = store_beside(home / "runs")
    store.put(KEY, ENTRY)
    assert store.get(KEY) is None
    assert store.prune() == 0
    assert list(theirs.rglob("*")) == [theirs / "audit", theirs / "audit" / "ab", letter]
    assert dict(store.troubles) == {"its folder is no folder of this user, or a link": 3}


def test_only_what_we_name_so_is_ever_removed(store: Store) -> None:
    store.put(KEY, ENTRY)
    for name in ("ab/letter", "go/" + "cd" * 31, "ab.txt"):
        (store.folder / name).parent.mkdir(exist_ok=True)
        (store.folder / name).write_text("dear")
        os.utime(store.folder / name, (0, 0))
    store.kept_seconds = -1
    assert store.prune() == 1
    assert {f.name for f in store.folder.rglob("*") if f.is_file()} == {"letter", "cd" * 31, "ab.txt"}


def test_a_folder_that_cannot_be_written_is_a_trouble_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    store = Store(tmp_path / "cache")
    store.put(KEY, ENTRY)
    assert store.get(KEY) is None
    assert dict(store.troubles) == {"its folder is no folder of this user, or a link": 2}


def test_several_may_write_the_same_entry(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, [KEY] * 64, [ENTRY] * 64))
    assert store.get(KEY) == ENTRY
    assert [file.name for file in entry_file(store).parent.iterdir()] == [KEY[2:]]


def test_what_was_not_used_for_longest_goes_first(store: Store) -> None:
    keys = [f"{number:02d}" * 32 for number in range(6)]
    for age, key in enumerate(reversed(keys)):
        store.put(key, ENTRY)
        used = time.time() - 1000 * (age + 1)
        os.utime(store.folder / key[:2] / key[2:], (used, used))
    assert store.get(keys[0])  # the oldest, until now
    store.kept_bytes = 3 * (store.folder / keys[0][:2] / keys[0][2:]).stat().st_size
    assert store.prune() == 3
    assert [key for key in keys if store.get(key)] == [keys[0], keys[4], keys[5]]
    store.kept_seconds = -1
    assert store.prune() == 3


async_test = pytest.mark.anyio
real_time = pytest.mark.real_time


@dataclass
class Looker:
    """Answers for files whose contents it is told; a finding in each."""

    files: dict[str, str]
    name: str = "looker"
    floor: Amount = field(default_factory=lambda: Amount(tool_calls=1))
    output: object = None
    version: str = "1"
    state: CoverageState = "done"
    garbage: bool = False
    looked: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def sees(self, call: Call) -> Mapping[str, Json]:
        return {unit: self.files[unit] for unit in call.covers}

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        self.looked.append(ctx.covers)
        async with ctx.attempt(Amount(tool_calls=1), sort="process") as attempt:
            attempt.settle()
        for unit in ctx.covers:
            key = FindingKey(path=unit, rule="t:R")
            actor = Actor(tool="t")
            ctx.records.add(
                Finding(
                    record="claim",
                    sort="finding",
                    key=key,
                    rule="R",
                    title="a rule",
                    text=f"in {self.files[unit]}",
                    severity="low",
                    severity_by="t",
                    actor=actor,
                )
            )
            ctx.records.add(Coverage(record="coverage", unit=unit, check="c", state=self.state))
        if self.garbage:
            ctx.records.add(malformed(Actor(tool="t"), b"?", "what is this"))
            raise MalformedOutput("what is this")
        return {"findings": len(ctx.covers)}


async def audited(looker: Looker, reuse: Reuse, *shards: str) -> MemoryRun:
    async def main() -> int:
        found = await parallel(agent("look", role="looker", covers=shard.split()) for shard in shards)
        return len(found.succeeded())

    return await memory_run(main, performers=performers_of(reuse.remembering(looker)))


def recorded(ran: MemoryRun) -> list[Any]:
    ended: list[Any] = [event.data for event in ran.events("call.ended")]
    return [record for data in ended for record in data.get("records", [])]


def about(records: list[Any], unit: str) -> list[Any]:
    return [record for record in records if unit in (record.get("unit"), record.get("key", {}).get("path"))]


@async_test
@real_time
async def test_one_edited_file_is_one_call(store: Store) -> None:
    files = {"a": "1", "b": "2", "c": "3", "d": "4"}
    first = await audited(Looker(files), Reuse(store, run="r1"), "a b", "c d")
    looker, reuse = Looker({**files, "d": "new"}), Reuse(store, run="r2")
    second = await audited(looker, reuse, "a b", "c d")
    assert looker.looked == [("c", "d")]
    assert dict(reuse.taken) == {"r1": 1}
    assert about(recorded(second), "a") == about(recorded(first), "a") != []
    assert "in new" in str(recorded(second))
    assert second.result.spent.to_json()["tool_calls"] == 1
    assert reuse.notes() == ("1 of 2 calls were reused, as nothing they see changed: 1 from r1.",)


@async_test
@real_time
async def test_what_is_taken_costs_nothing_and_the_log_says_from_where(store: Store) -> None:
    await audited(Looker({"a": "1"}), Reuse(store, run="r1"), "a")
    ran = await audited(Looker({"a": "1"}), Reuse(store, run="r2"), "a")
    assert "tool_calls" not in ran.result.spent.to_json()
    assert not ran.events("attempt.started")
    [value] = [event.data["value"] for event in ran.events("call.ended") if "value" in event.data]
    assert value == {"findings": 1, "reused_from": "r1"}


@async_test
@real_time
@pytest.mark.parametrize(
    "other",
    [
        Looker({"a": "1", "b": "2"}, version="2"),
        Looker({"a": "1", "b": "3"}),
        Looker({"a": "", "b": "2"}),
    ],
    ids=["version", "content", "unknown content"],
)
async def test_what_sees_anything_else_is_performed(store: Store, other: Looker) -> None:
    await audited(Looker({"a": "1", "b": "2"}), Reuse(store), "a b")
    looker = Looker(other.files, version=other.version)
    await audited(looker, Reuse(store), "a b")
    assert looker.looked == [("a", "b")]


def test_the_order_of_files_and_the_name_of_the_role_are_part_of_the_key() -> None:
    looker, other = Looker({}), Looker({}, name="other")
    seen: dict[str, Json] = {"a": "1", "b": "2"}
    keys = {key_of(looker, ("a", "b"), seen), key_of(looker, ("b", "a"), seen), key_of(other, ("a", "b"), seen)}
    assert len(keys) == 3


@async_test
@real_time
@pytest.mark.parametrize(
    "looker",
    [Looker({"a": "1"}, state="partial"), Looker({"a": "1"}, state="failed"), Looker({"a": "1"}, garbage=True)],
    ids=["partial", "failed", "garbage"],
)
async def test_only_whole_looks_are_kept(store: Store, looker: Looker) -> None:
    await audited(looker, Reuse(store), "a")
    again = Looker({"a": "1"})
    await audited(again, Reuse(store), "a")
    assert again.looked == [("a",)]


@async_test
@real_time
async def test_secrets_are_gone_before_anything_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "hunter2hunter2")
    await audited(Looker({"a": "says hunter2hunter2"}), Reuse(store), "a")
    kept = [file.read_bytes() for file in store.folder.rglob("*") if file.is_file()]
    assert len(kept) == 1
    assert b"hunter2" not in kept[0]
    assert b"[secret:SERVICE_TOKEN]" in kept[0]


@async_test
@real_time
async def test_an_entry_that_says_less_than_a_whole_look_is_not_taken(store: Store) -> None:
    """A result that another version of us left, such as one without coverage, would hide findings."""
    looker = Looker({"a": "1"})
    records: list[Record] = []
    store.put(key_of(looker, ("a",), {"a": "1"}), Entry("r0", {}, [record.to_json() for record in records]))
    await audited(looker, Reuse(store), "a")
    assert looker.looked == [("a",)]


def test_a_failure_of_the_store_is_told() -> None:
    reuse = Reuse(Store(Path("/nowhere")))
    reuse.store.troubles["an entry belongs to somebody else"] = 2
    assert reuse.notes() == ("Of the kept results 2 could not be used: an entry belongs to somebody else.",)
