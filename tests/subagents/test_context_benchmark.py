"""benchmarks/context.py counts what it says: the same work three ways, and what a cache would have held."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from antiphon.subagents.model.contract import Message

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.checkout


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("context_figures", ROOT / "benchmarks" / "context.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def by_bytes(text: str) -> int:
    """A measure that needs no encoding."""
    return -(-len(text.encode()) // 4)


def test_the_work_is_the_same_in_all_ways(figures: ModuleType) -> None:
    tree, one, led = figures.rows_of(10, figures.LONG, by_bytes)
    assert [row.requests for row in (tree, one, led)] == [11, 11, 12]
    assert tree.sent < led.sent < one.sent
    assert tree.fresh < tree.sent
    last = list(figures.one_transcript(figures.steps_of(10), figures.LONG))[-1]
    text = "".join(message.text for message in last)
    for step in figures.steps_of(10):
        assert step.task in text
        assert step.answer in text


def test_what_a_cache_would_have_held_is_the_longest_beginning_that_was_sent_before(figures: ModuleType) -> None:
    def said(*texts: str) -> list[Message]:
        return [Message(role="user", text=text) for text in texts]

    long = "x" * 4 * 1_024
    row = figures.counted("way", [said(long, "aaaa"), said(long, "bbbb"), said("bbbb", long)], by_bytes)
    assert (row.requests, row.sent, row.fresh) == (3, 3 * 1_025, 1_025 + 1 + 1_025)
    assert row.weighted == row.fresh + 102.4
    short = figures.counted("way", [said("aaaa", "b"), said("aaaa", "c")], by_bytes)
    assert short.fresh == short.sent == 4
