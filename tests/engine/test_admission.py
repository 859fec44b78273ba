"""Permits: deeper first, then first in first out, never lost."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine.admission import Admission

pytestmark = pytest.mark.anyio


class Ended(Exception):
    """What a stopped admission raises in these tests."""


async def hold(admission: Admission, depth: int, name: str, order: list[str]) -> None:
    async with admission.permit(depth):
        order.append(name)


async def test_never_more_than_the_permits_are_held() -> None:
    admission, held, most = Admission(3), 0, 0

    async def work() -> None:
        nonlocal held, most
        async with admission.permit():
            held += 1
            most = max(most, held)
            await anyio.wait_all_tasks_blocked()
            held -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(work)
    assert most == 3
    assert admission.in_use == admission.waiting == 0


async def test_deeper_branches_go_first_and_then_who_came_first() -> None:
    admission, order = Admission(1), list[str]()
    async with anyio.create_task_group() as tasks, admission.permit():
        for depth, name in [(1, "a"), (3, "b"), (1, "c"), (3, "d"), (2, "e")]:
            tasks.start_soon(hold, admission, depth, name, order)
            await anyio.wait_all_tasks_blocked()
        assert admission.waiting == 5
    assert "".join(order) == "bdeac"


async def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    admission, order = Admission(1), list[str]()
    async with anyio.create_task_group() as tasks:
        async with admission.permit():
            tasks.start_soon(hold, admission, 0, "first", order)
            await anyio.wait_all_tasks_blocked()
        # The permit is the first one's already, although it has not run yet.
        await hold(admission, 0, "second", order)
    assert order == ["first", "second"]


async def test_a_cancelled_wait_is_forgotten() -> None:
    admission, order = Admission(1), list[str]()
    async with anyio.create_task_group() as tasks, admission.permit():
        async with anyio.create_task_group() as doomed:
            doomed.start_soon(hold, admission, 9, "cancelled", order)
            await anyio.wait_all_tasks_blocked()
            doomed.cancel_scope.cancel()
        assert admission.waiting == 0
        tasks.start_soon(hold, admission, 0, "next", order)
        await anyio.wait_all_tasks_blocked()
    assert order == ["next"]
    assert admission.in_use == 0


async def test_a_permit_given_to_someone_just_cancelled_goes_on_to_the_next() -> None:
    admission, order = Admission(1), list[str]()

    async def doomed(scope: anyio.CancelScope) -> None:
        with scope:
            await hold(admission, 1, "cancelled", order)

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        async with admission.permit():
            tasks.start_soon(doomed, scope)
            tasks.start_soon(hold, admission, 0, "next", order)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert order[-1] == "next"
    assert admission.in_use == 0


async def test_an_error_inside_gives_the_permit_back() -> None:
    admission = Admission(1)
    with pytest.raises(Ended):
        async with admission.permit():
            raise Ended
    assert admission.in_use == 0


async def test_a_stop_turns_away_who_waits_and_who_comes_but_not_who_is_inside() -> None:
    admission, turned_away = Admission(1), list[str]()

    async def wait(name: str) -> None:
        try:
            async with admission.permit():
                raise AssertionError("let in")
        except Ended:
            turned_away.append(name)

    async with anyio.create_task_group() as tasks, admission.permit():
        tasks.start_soon(wait, "waiting")
        await anyio.wait_all_tasks_blocked()
        admission.stop(Ended)
        await wait("newcomer")
        await anyio.wait_all_tasks_blocked()
    assert sorted(turned_away) == ["newcomer", "waiting"]
    assert admission.closed
    assert admission.in_use == 0


async def test_a_free_permit_takes_no_checkpoint() -> None:
    admission, order = Admission(1), list[str]()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await hold(admission, 0, "entered", order)
        await checkpoint()
        order.append("went on")
    assert order == ["entered"]


def test_no_permits_are_no_admission() -> None:
    with pytest.raises(ValueError, match="at least 1 permit"):
        Admission(0)
