"""Scripts that want out, that lie, or that use up the machine: 300 techniques, in each runtime, through real sessions.

For each: nothing of the bait was had, no process stays, what ended it is the ending that docs/escapes.md publishes, and
an honest script works afterwards. What each does where nothing holds it is in `test_guest_control.py`.
"""

import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import anyio
import pytest
from tests.hostile.guests.endings import BEGINNING, DOCUMENT, endings, table
from tests.hostile.guests.holding import HONEST, SMALL, Ended, hold
from tests.hostile.guests.table import TECHNIQUES
from tests.hostile.guests.technique import VARIABLE, Bait, Technique, bait, script

import antiphon.engine
from antiphon.engine.script.monty import MontyRuntime, monty_problem
from antiphon.engine.script.runtime import Runtime
from antiphon.subagents.jail import probe_jail
from antiphon.subagents.sandbox import BACKENDS
from antiphon.subagents.sandbox.watch import descendants

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="the jail is for Linux"),
]
SECRET = secrets.token_hex(8)
PATIENT = replace(SMALL, turn_seconds=5.0)
"""For what no clock has to end, so that a busy machine changes nothing."""
HOST = (Path(antiphon.engine.__file__).parent, Path(sys.prefix), Path(os.__file__).parent)
"""Where antiphon and its Python are: no script needs to know."""
RACING = ("ended: protocol", "ended: turn", "ended: crashed", "returns")
"""How a script may end that has two of its branches speak for one: by which frame is there first."""
LIMITS = ("ended: turn", "ended: memory", "raises MemoryError")
SAMPLE = ("loop-in-c", "memory-swallowed", "kernel-ignored-signals", "frames-in-a-million", "cancellation-swallowed")
"""Slow ones that the default run affords."""
PUBLISHED = (
    *("CVE-2025-5120", "CVE-2025-9959", "CVE-2023-37271", "CVE-2023-41039", "CVE-2024-47532", "CVE-2025-22153"),
    *("CVE-2025-68668", "CVE-2026-0863", "CVE-2025-3248"),
)
FAMILIES = dict.fromkeys(technique.family for technique in TECHNIQUES.values())


@pytest.fixture(autouse=True)
def secret_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)


@cache
def published() -> dict[str, dict[str, list[str]]]:
    return {name: {key: list(ways) for key, ways in ended.items()} for name, ended in endings().items()}


def runtime_of(name: str) -> Runtime:
    """A runtime by name: monty, or the jail in one of the sandboxes. Skips the test where it cannot be had."""
    if name == "monty":
        problem = monty_problem()
        if problem is not None:
            pytest.skip(str(problem))
        return MontyRuntime()
    tried = probe_jail(None if name == "jail" else name)
    if tried.runtime is None:
        pytest.skip(tried.reason)
    return tried.runtime


def wrong(technique: Technique, runtime: Runtime, ended: Ended, bait: Bait) -> Iterator[str]:
    """What is not as it must be."""
    taken = bait.taken(ended.texts)
    if taken:
        yield f"it had of the bait: {sorted(taken)}"
    if any("DONE" in text for text in ended.texts[:1]):
        yield f"something was not refused: {ended.texts[0][:500]}"
    expected = published()[technique.name][runtime.name]
    if is_slow(technique):
        expected = [*expected, *LIMITS]  # which of them is first is a matter of how busy the machine is
    if technique.family == "scope forgery":
        expected = [*expected, *RACING]
    if ended.how not in expected:
        yield f"it {ended.how} ({ended.reason[:300]}), and {' or '.join(expected)} is published"
    if any(str(here) in text for text in ended.texts for here in HOST):
        yield "it tells a path of the host"


async def all_held(runtime: Runtime, techniques: Iterable[Technique], folder: Path) -> None:
    """Run them one after another, and an honest script after them; nothing may stay of any."""
    assert (await hold(runtime, HONEST)).how == "returns"  # also starts what is started once
    before = set(descendants(os.getpid()))
    found: dict[str, list[str]] = {}
    for technique in techniques:
        with bait(folder / technique.name, SECRET) as set_out:
            ended = await hold(runtime, script(technique, set_out), SMALL if is_slow(technique) else PATIENT)
            complaints = list(wrong(technique, runtime, ended, set_out))
            if complaints:
                found[technique.name] = complaints
    assert found == {}
    assert (await hold(runtime, HONEST)).how == "returns"
    if runtime.name == "jail":
        assert set(descendants(os.getpid())) == before


def is_slow(technique: Technique) -> bool:
    """Whether only a limit ends it somewhere, which takes as long as the limit says."""
    ways = {way for ended in published()[technique.name].values() for way in ended}
    return not ways.isdisjoint({"ended: turn", "ended: killed", "ended: frames"})


def chosen(family: str, *, slow: bool = False) -> list[Technique]:
    """The techniques of a family; without `slow` those that are over at once, and a few that are not."""
    own = [technique for technique in TECHNIQUES.values() if technique.family == family]
    return [technique for technique in own if slow or technique.name in SAMPLE or not is_slow(technique)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
async def test_nothing_gets_out_of_the_jail(family: str, tmp_path: Path) -> None:
    await all_held(runtime_of("jail"), chosen(family), tmp_path)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
async def test_nothing_gets_out_of_monty(family: str, tmp_path: Path) -> None:
    """A third of them: what it has nothing of, it has nothing of in many ways."""
    await all_held(runtime_of("monty"), chosen(family)[::3], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [*BACKENDS, "monty"])
async def test_nothing_gets_out_of_any_runtime(name: str, family: str, tmp_path: Path) -> None:
    """The whole product: the jail with and without bubblewrap, and monty, on both backends, the slow ones too."""
    await all_held(runtime_of(name), chosen(family, slow=True), tmp_path)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_many_hostile_scripts_at_once_leave_an_honest_one_alone(tmp_path: Path) -> None:
    runtime = runtime_of("jail")
    ended: dict[str, str] = {}

    async def one(name: str) -> None:
        with bait(tmp_path / name, SECRET) as set_out:
            ended[name] = (await hold(runtime, script(TECHNIQUES[name], set_out))).how

    async def honest(number: int) -> None:
        ended[f"honest {number}"] = (await hold(runtime, HONEST)).how

    async with anyio.create_task_group() as tasks:
        for number, name in enumerate(SAMPLE):
            tasks.start_soon(one, name)
            tasks.start_soon(honest, number)
    assert {ended[f"honest {number}"] for number, _ in enumerate(SAMPLE)} == {"returns"}
    assert {name: ended[name] for name in SAMPLE if ended[name] not in published()[name]["jail"]} == {}


def test_each_kernel_technique_had_its_primitive_in_hand(tmp_path: Path) -> None:
    """A technique that fails for want of a name proves nothing about the kernel: these did not."""
    ways = {name: published()[name]["jail"] for name, one in TECHNIQUES.items() if one.family == "the kernel"}
    wanting = {name for name, ended in ways.items() if any(way.startswith("raises") for way in ended)}
    assert wanting == {"kernel-fork-exec"}  # whose module is a file, which cannot be loaded any more


@pytest.mark.checkout
def test_what_is_published_is_what_is_tested() -> None:
    text = DOCUMENT.read_text()
    assert text[text.index(BEGINNING) + len(BEGINNING) :] == table(published())
    assert published().keys() == TECHNIQUES.keys()
    for source in PUBLISHED:
        assert source in text
