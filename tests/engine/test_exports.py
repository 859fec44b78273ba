"""What the engine offers by name, and what importing it costs."""

import subprocess
import sys

import pytest

import antiphon.engine

EXPORTED = [
    "AgentFailure",
    "Amount",
    "Approvals",
    "Attempt",
    "Branch",
    "Budget",
    "BudgetRefused",
    "Call",
    "CallContext",
    "CallFailed",
    "Cancelled",
    "Census",
    "Critic",
    "Degraded",
    "Denied",
    "Failed",
    "HabitError",
    "InfrastructureError",
    "Journal",
    "Limits",
    "MalformedOutput",
    "ManifestError",
    "Missing",
    "Outcome",
    "Outcomes",
    "OutputType",
    "OverBudget",
    "ParameterError",
    "Performer",
    "Prepared",
    "Record",
    "Run",
    "RunResult",
    "SchemaMismatch",
    "Settings",
    "Skipped",
    "Stopped",
    "Succeeded",
    "Tally",
    "TimedOut",
    "UndeclaredError",
    "UsageError",
    "WindDown",
    "current_branch",
    "output_type",
    "parse_top_up",
    "read_journal",
    "source_fingerprint",
]

HEAVY = ("litellm", "openai", "anthropic", "jsonschema", "rich", "click", "opentelemetry.sdk", "trio")

LOOK = """
import sys, time
began = time.perf_counter()
import {module}
took = time.perf_counter() - began
print(took)
print(*sorted(name for name in sys.modules))
"""


def test_the_public_names_are_these_and_no_others() -> None:
    """Adding or taking away a name is a decision: change this list with it."""
    assert sorted(antiphon.engine.__all__) == sorted(EXPORTED)


def test_all_is_sorted_and_every_name_is_there() -> None:
    names = antiphon.engine.__all__
    assert list(names) == sorted(names)
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(antiphon.engine, name) is not None


def test_every_public_thing_says_what_it_is() -> None:
    for name in antiphon.engine.__all__:
        assert (getattr(antiphon.engine, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("module", ["antiphon.engine", "antiphon.engine.script.api", "antiphon.engine.testing"])
def test_importing_it_brings_in_no_model_sdk_and_nothing_of_the_floors_above(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(module=module)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[1].split())
    assert not [name for name in HEAVY if name in loaded]
    assert not [name for name in loaded if name.startswith(("antiphon.subagents", "antiphon.workflows"))]
