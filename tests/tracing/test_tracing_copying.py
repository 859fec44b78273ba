"""A log is copied with its chain, and only where that can be nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.tracing import LogDamaged, LogMissing, LogUnusable, open_log, read_log, verify_log
from antiphon.tracing.copying import copy_log

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


async def logged(directory: Path) -> Path:
    """A log with two notes."""
    async with open_log(directory) as log:
        await log.append("note", "main", {"text": "one"})
        await log.append("note", "main", {"text": "two"})
    return directory


async def test_a_copy_has_the_same_chain_and_goes_on_by_itself(tmp_path: Path) -> None:
    source, target = await logged(tmp_path / "a"), tmp_path / "b"
    target.mkdir()
    copy_log(source, target)
    before = [event.hash for event in read_log(source)]
    assert [event.hash for event in read_log(target)] == before
    async with open_log(target) as log:
        await log.append("note", "main", {"text": "three"})
    assert [event.hash for event in read_log(source)] == before
    assert [event.hash for event in read_log(target)][: len(before)] == before
    assert verify_log(target).ok


async def test_what_is_in_the_way_is_not_written_over(tmp_path: Path) -> None:
    source, target = await logged(tmp_path / "a"), await logged(tmp_path / "b")
    with pytest.raises(LogUnusable, match="holds a log already"):
        copy_log(source, target)


async def test_what_is_no_log_is_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    with pytest.raises(LogMissing):
        copy_log(source, target)
    (source / "run.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(LogDamaged):
        copy_log(source, target)
    (source / "run.db").unlink()
    (source / "run.db").symlink_to(await logged(tmp_path / "c") / "run.db")
    with pytest.raises(LogDamaged, match="not a plain file"):
        copy_log(source, target)
