"""A call's hash: everything it can see, and nothing else."""

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine import Call, Limits, Prepared, UsageError, output_type, source_fingerprint
from antiphon.engine.call import call_hash
from antiphon.tracing import Redactor

CALL = Call(sort="agent", name="auditor", task="Audit a.py")
SEEN = Prepared(visible={"version": "1"})


def is_enough(value: Any) -> bool:
    """A criterion."""
    return bool(value)


def is_plenty(value: Any) -> bool:
    """Another criterion."""
    return len(value) > 10


def test_limits_labels_and_context_order_of_keys_do_not_change_it() -> None:
    before = call_hash(CALL, SEEN, ({"a": 1, "b": 2},))
    again = replace(CALL, limits=Limits(usd="5"), label="the first")  # type: ignore[arg-type]
    assert call_hash(again, SEEN, ({"b": 2, "a": 1},)) == before


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, sort="step"),
        replace(CALL, name="verifier"),
        replace(CALL, task="Audit b.py"),
        replace(CALL, about="c1"),
        replace(CALL, covers=("a.py",)),
        replace(CALL, settings=(("model", "m"),)),
        replace(CALL, until=is_enough),
        replace(CALL, until="pytest"),
    ],
    ids=["sort", "name", "task", "about", "covers", "settings", "until", "command"],
)
def test_whatever_a_subagent_sees_changes_it(other: Call) -> None:
    assert call_hash(other, SEEN, ()) != call_hash(CALL, SEEN, ())


def test_frames_schema_and_what_the_performer_shows_change_it() -> None:
    plain = call_hash(CALL, SEEN, ())
    others = [
        call_hash(CALL, SEEN, ("a frame",)),
        call_hash(CALL, Prepared(visible={"version": "2"}), ()),
        call_hash(CALL, Prepared(visible={"version": "1", "inputs": {"a.py": "00"}}), ()),
        call_hash(CALL, Prepared(visible={"version": "1"}, output=output_type(int)), ()),
    ]
    assert len({plain, *others}) == 5


def test_the_order_of_frames_counts() -> None:
    assert call_hash(CALL, SEEN, ("a", "b")) != call_hash(CALL, SEEN, ("b", "a"))


@given(st.text(), st.text())
def test_tasks_never_collide(one: str, other: str) -> None:
    hashes = [call_hash(replace(CALL, task=task), SEEN, ()) for task in (one, other)]
    assert (hashes[0] == hashes[1]) == (one == other)


def test_what_is_no_json_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        call_hash(replace(CALL, task={1, 2}), SEEN, ())  # type: ignore[arg-type]


def test_a_secret_leaves_no_trace_and_a_new_one_repeats_nothing() -> None:
    def hashed(key: str) -> str:
        redactor = Redactor({"API_KEY": key})
        return call_hash(replace(CALL, task=f"use {key}"), SEEN, (), redactor.redact)

    assert hashed("first-secret-value") == hashed("second-secret-value")
    assert hashed("first-secret-value") != call_hash(replace(CALL, task="use first-secret-value"), SEEN, ())


# --- fingerprints of code ---------------------------------------------------------------------------------------------


def test_the_source_tells_functions_apart() -> None:
    assert source_fingerprint(is_enough) != source_fingerprint(is_plenty)
    assert source_fingerprint(is_enough) == source_fingerprint(is_enough)


def decorated(floor: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator whose arguments are no part of what the function does."""
    return lambda function: function


def test_decorators_are_left_out() -> None:
    def once() -> Callable[..., Any]:
        @decorated(1)
        def answer() -> int:
            return 1

        return answer

    def twice() -> Callable[..., Any]:
        @decorated(2)
        def answer() -> int:
            return 1

        return answer

    assert source_fingerprint(once()) == source_fingerprint(twice())


class Threshold:
    """A callable object."""

    def __call__(self, value: Any) -> bool:
        """Whether the value is enough."""
        return bool(value)


def test_objects_that_can_be_called_have_no_address_in_them() -> None:
    assert source_fingerprint(Threshold()) == source_fingerprint(Threshold())
    partials = [functools.partial(is_enough, value=1), functools.partial(is_enough, value=1)]
    assert len({source_fingerprint(partial) for partial in partials}) == 1
    assert source_fingerprint(functools.partial(is_enough, value=2)) != source_fingerprint(partials[0])


WITHOUT_SOURCE = """
from antiphon.engine import source_fingerprint
names = {}
exec("def f(v):\\n    return (lambda: v in {'a', 'b', 'c', 'd'})()", names)
print(source_fingerprint(names["f"]))
"""


def test_code_without_source_has_the_same_fingerprint_in_every_process() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", WITHOUT_SOURCE],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
