"""Backends: every async test runs on asyncio and trio, and on trio with a clock that jumps over idle time.

Waiting on a thread counts as idle under that clock, so tests marked `real_time` run without it. No test asks anything
but this machine: its clients, in child processes too, refuse.
"""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import trio.testing

from antiphon.subagents.model.guard import forbid_real_requests

REAL = ("asyncio", "trio")
VIRTUAL = "virtual"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give an async test its backends, unless its module or a mark of its own does."""
    module = cast(object, getattr(metafunc, "module", None))
    own = hasattr(module, "anyio_backend") or any(
        "anyio_backend" in str(mark.args[:1]) for mark in metafunc.definition.iter_markers("parametrize")
    )
    if "anyio_backend" in metafunc.fixturenames and not own:
        real_time = metafunc.definition.get_closest_marker("real_time")
        metafunc.parametrize("anyio_backend", REAL if real_time else (*REAL, VIRTUAL), indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The backend that anyio's plugin runs the test on; a fresh clock for each test."""
    if request.param == VIRTUAL:
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return request.param, {}


@pytest.fixture(autouse=True, scope="session")
def no_real_requests() -> Iterator[None]:
    """Every client of ours raises instead of reaching beyond this machine."""
    with forbid_real_requests():
        yield
