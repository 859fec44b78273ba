"""The labelled fixture: what the second look makes of it is what the page says, and it refutes nothing that is true."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

pytestmark = [pytest.mark.long, pytest.mark.checkout]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The script that prints the figures."""
    spec = importlib.util.spec_from_file_location("second_look_figures", ROOT / "benchmarks" / "second_look.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def by_part(benchmark: ModuleType) -> dict[str, Any]:
    """What the second look makes of every case."""
    return {part: anyio.run(benchmark.judged, benchmark.cases(part)) for part in benchmark.PARTS}


def test_the_fixture_is_large_and_mixed(benchmark: ModuleType) -> None:
    parts = {part: benchmark.cases(part) for part in benchmark.PARTS}
    cases = [case for found in parts.values() for case in found]
    assert len(cases) >= 60
    assert len(parts["held_out"]) >= 20
    assert len({case.id for case in cases}) == len(cases)
    for found in parts.values():
        true = sum(case.label == "true_positive" for case in found)
        assert len(found) / 4 < true < len(found) * 3 / 4
    assert all(case.after for case in parts["held_out"])


def test_the_page_gives_the_figures_that_the_code_gives(benchmark: ModuleType, by_part: dict[str, Any]) -> None:
    page = benchmark.PAGE.read_text()
    assert benchmark.with_figures(page, benchmark.report(by_part)) == page, "run it with --write"


def test_nothing_true_is_refuted(by_part: dict[str, Any]) -> None:
    results = [result for found in by_part.values() for result in found]
    true = [result for result in results if result.case.label == "true_positive"]
    assert [result.case.id for result in true if result.outcome in ("refuted", "disputed")] == []
