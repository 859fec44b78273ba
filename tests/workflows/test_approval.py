"""What a person approves of a script that a model wrote: its hash, its sealed record, and what a version gained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.workflows.approval import (
    HASH_DIGITS,
    Approved,
    Change,
    Kept,
    Planned,
    Subject,
    approved_now,
    changes,
    needs_approval,
    planned_of,
    unified,
)
from antiphon.workflows.approval.subject import declared_of
from antiphon.workflows.loading import load
from antiphon.workflows.manifest import read_manifest
from antiphon.workflows.places import seal
from antiphon.workflows.preflight import Preflight

TEXT = """# antiphon: planned tidy 0a1b2c3d
manifest = {"name": "tidy", "limits": {"usd": "5", "agent_calls": 40}, "roles": ["worker"],
            "scope": {"read": ["src/**"], "write": []}}


async def main(folder: str = "src"):
    return folder
"""
NOTHING = Preflight(file="tidy.py", digest="")
Version = Callable[..., Subject]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The approvals of a user who has none yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Kept()


def subject(source: str = TEXT, **more: Any) -> Subject:
    """What running a text would be."""
    manifest = declared_of(read_manifest(source, "tidy.py"))
    return Subject(file="/home/me/tidy.py", source=source, manifest=manifest, **more)


def approved(asked: Subject, cost: Mapping[str, Any] | None = None) -> Approved:
    """A person's yes to it."""
    return approved_now(asked, cost or {}, how="terminal")


@pytest.mark.parametrize(
    ("first", "planned"),
    [
        ("# antiphon: planned tidy 0a1b2c3d", Planned("tidy", "0a1b2c3d")),
        ("\ufeff# antiphon: planned tidy 0a1b2c3d  \r", Planned("tidy", "0a1b2c3d")),
        ("# antiphon: planned tidy 0a1b2c3d4", None),
        ("# antiphon: planned ../x 0a1b2c3d", None),
        (" # antiphon: planned tidy 0a1b2c3d", None),
        ("# antiphon: planned tidy 0A1B2C3D", None),
        ("manifest = {}", None),
        ("", None),
    ],
)
def test_the_first_line_says_that_a_model_wrote_it(first: str, planned: Planned | None) -> None:
    assert planned_of(f"{first}\nmanifest = {{}}\n") == planned


def test_the_hash_is_of_everything_that_would_run() -> None:
    whole = subject(granted={"confined": True}, arguments={"folder": "src"})
    others = [
        subject(TEXT + "\n", granted={"confined": True}, arguments={"folder": "src"}),
        subject(granted={"confined": False}, arguments={"folder": "src"}),
        subject(granted={"confined": True, "allow": ["run"]}, arguments={"folder": "src"}),
        subject(granted={"confined": True}, arguments={"folder": "lib"}),
        subject(granted={"confined": True}, arguments={}),
        replace(whole, manifest={**whole.manifest, "limits": {"usd": "6"}}),
        replace(whole, manifest={**whole.manifest, "scope": {}}),
    ]
    hashes = {one.hash for one in (whole, *others)}
    assert len(hashes) == len(others) + 1
    assert {len(one) for one in hashes} == {HASH_DIGITS}
    assert replace(whole, file="/elsewhere").hash == whole.hash


def test_a_hash_is_meant_only_by_all_the_digits_that_are_shown() -> None:
    whole = subject()
    assert whole.is_meant(whole.hash)
    assert whole.is_meant(f" {whole.digest.upper()} ")
    assert not whole.is_meant(whole.hash[:-1])
    assert not whole.is_meant("0" * HASH_DIGITS)
    assert not whole.is_meant("")


def test_an_approval_is_found_again_and_is_of_that_version_alone(kept: Kept) -> None:
    yes = approved(subject())
    assert kept.find(subject()) is None
    assert kept.keep(yes)
    assert kept.find(subject()) == yes
    assert kept.find(subject(arguments={"folder": "lib"})) is None
    assert kept.find(subject(TEXT.replace("5", "6"))) is None
    assert kept.last("/home/me/tidy.py") == yes
    assert kept.last("/home/me/other.py") is None


def test_the_last_version_is_what_a_new_one_is_compared_with(kept: Kept) -> None:
    older, newer = approved(subject()), approved(subject(arguments={"folder": "lib"}))
    kept.keep(replace(newer, at=older.at + 5))
    kept.keep(older)
    last = kept.last("/home/me/tidy.py")
    assert last is not None
    assert last.digest == newer.digest


def test_a_further_version_of_a_plan_is_compared_with_the_one_before_it(kept: Kept) -> None:
    first = replace(subject(), file="/home/me/plans/tidy/script.py")
    kept.keep(approved(first))
    second = TEXT.replace("planned tidy 0a", "planned tidy-v2 0b")
    later = replace(subject(second), file="/home/me/plans/tidy-v2/script.py")
    before = kept.before(later)
    assert before is not None
    assert before.digest == first.digest
    assert kept.before(replace(later, file="/home/you/plans/tidy-v2/script.py")) is None
    assert kept.before(replace(later, source=TEXT.replace("planned tidy 0a", "planned tidier 0b"))) is None
    assert kept.before(replace(later, source=TEXT.partition("\n")[2])) is None


def files_of(home: Path) -> list[Path]:
    """The records on disk."""
    return sorted((home / "state" / "antiphon" / "approved").rglob("*.json"))


def test_a_record_that_was_changed_or_written_by_somebody_else_is_none(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yes, wanted = approved(subject()), subject(TEXT.replace('"write": []', '"write": ["**"]'))
    kept.keep(yes)
    [record] = files_of(tmp_path)
    sealed, _, content = record.read_bytes().partition(b"\n")
    forged = content.replace(yes.digest.encode(), wanted.digest.encode())
    place = record.with_name(f"{wanted.digest}.json")
    others = seal(forged, "approval 2").encode()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    foreign = seal(forged, "approval 1").encode()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for mark in (sealed, others, foreign, b"", b"0" * 64):
        place.write_bytes(mark + b"\n" + forged)
        assert kept.find(wanted) is None
    place.write_bytes(seal(forged, "approval 1").encode() + b"\n" + forged)  # what only this user can write
    assert kept.find(wanted) is not None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[" * 100_000, b"\xff", json.dumps({"digest": 1}).encode()])
def test_a_sealed_record_that_says_something_else_is_none(kept: Kept, tmp_path: Path, content: bytes) -> None:
    kept.keep(approved(subject()))
    [record] = files_of(tmp_path)
    record.write_bytes(seal(content, "approval 1").encode() + b"\n" + content)
    assert kept.find(subject()) is None
    assert kept.last("/home/me/tidy.py") is None


def test_a_record_of_another_version_under_this_name_is_none(kept: Kept, tmp_path: Path) -> None:
    kept.keep(approved(subject()))
    [record] = files_of(tmp_path)
    other = subject(arguments={"folder": "lib"})
    record.rename(record.with_name(f"{other.digest}.json"))
    assert kept.find(other) is None


def test_a_user_without_a_place_for_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not Kept().keep(approved(subject()))
    assert Kept().find(subject()) is None


def test_the_values_of_arguments_are_not_kept(kept: Kept, tmp_path: Path) -> None:
    kept.keep(approved(subject(arguments={"folder": "hunter2"})))
    [record] = files_of(tmp_path)
    assert b"hunter2" not in record.read_bytes()
    assert record.stat().st_mode & 0o077 == 0


# --- the difference -----------------------------------------------------------------------------------------------


def test_what_a_version_gained_is_told_by_meaning() -> None:
    before = approved(subject(granted={"confined": True}, arguments={"folder": "a"}), _cost(40, 5.0))
    now = TEXT.replace('"write": []', '"write": ["src/**"], "network": ["example.com"]').replace('"worker"', '"judge"')
    now = now.replace('"usd": "5", "agent_calls": 40', '"usd": "9", "depth": 2, "agent_calls": 30')
    found = changes(before, subject(now, granted={"confined": False}, arguments={"folder": "b"}), _cost(None, 5.0))
    assert found == [
        Change("scope.write", "gains", "", "src/**"),
        Change("scope.network", "loses", "not said", "example.com"),
        Change("limits.agent_calls", "loses", "40", "30"),
        Change("limits.depth", "loses", "", "2"),
        Change("limits.usd", "gains", "5", "9"),
        Change("roles", "gains", "", "judge"),
        Change("roles", "loses", "worker", ""),
        Change("granted.confined", "changes", "True", "False"),
        Change("argument folder", "changes", "a value", "another value"),
        Change("cost.calls", "gains", "at most 40", "unbounded"),
    ]


def _cost(calls: float | None, usd: float) -> dict[str, Any]:
    return {"calls": {"expected": None, "worst": calls}, "usd": {"expected": None, "worst": usd}}


def test_a_scope_that_is_not_said_any_more_is_a_gain() -> None:
    now = TEXT.replace(', "write": []', "")
    assert changes(approved(subject()), subject(now), {}) == [Change("scope.write", "gains", "nothing", "not said")]


def test_a_limit_that_is_gone_is_a_gain() -> None:
    before = approved(subject())
    now = TEXT.replace('"usd": "5", ', "")
    assert changes(before, subject(now), {}) == [Change("limits.usd", "gains", "5", "")]


def test_a_version_that_is_the_same_has_no_difference() -> None:
    cost = _cost(40, 5.0)
    assert changes(approved(subject(), cost), subject(), cost) == []
    assert unified(TEXT, TEXT) == ""


def test_the_difference_line_by_line_is_a_patch() -> None:
    assert unified("a\nb", "a\nc\n").splitlines() == ["--- approved", "+++ now", "@@ -1,2 +1,2 @@", " a", "-b", "+c"]
    assert unified("a\n" * 10_000, "b\n" * 10_000) == ""


# --- whether it is needed -----------------------------------------------------------------------------------------


def test_what_a_person_wrote_needs_none(kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(TEXT.partition("\n")[2])
    assert needs_approval(load(file), NOTHING, kept=kept) is None


def test_what_a_model_wrote_needs_one_for_each_version(kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "tidy.py"
    file.write_text(TEXT)
    asked = needs_approval(load(file), NOTHING, arguments={"folder": "lib"}, kept=kept)
    assert asked is not None
    assert (asked.last, asked.changes, asked.patch) == (None, [], "")
    kept.keep(approved_now(asked.subject, {}, how="hash"))
    assert needs_approval(load(file), NOTHING, arguments={"folder": "lib"}, kept=kept) is None
    assert needs_approval(load(file), NOTHING, arguments={"folder": "bin"}, kept=kept) is not None
    file.write_text(TEXT.replace("[]}", '["**"]}'))
    again = needs_approval(load(file), NOTHING, arguments={"folder": "lib"}, kept=kept)
    assert again is not None
    assert again.changes == [Change("scope.write", "gains", "", "**")]
    assert again.patch.count("\n") > 3


def test_a_default_belongs_to_the_script_and_not_to_its_arguments(kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "tidy.py"
    file.write_text(TEXT)
    hashes = set[str]()
    for given in ({}, {"folder": "src"}):
        asked = needs_approval(load(file), NOTHING, arguments=given, kept=kept)
        assert asked is not None
        hashes.add(asked.hash)
    assert len(hashes) == 1


def test_an_event_of_the_log_says_who_agreed_and_holds_no_text() -> None:
    event = approved(subject()).event()
    assert set(event) == {"hash", "file", "at", "who", "how"}
    assert set(event) <= set(asdict(approved(subject()))) | {"hash"}
