"""What this floor shows: its names, its weight, its errors."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon import tracing
from antiphon.tracing import (
    AntiphonError,
    BlobDamaged,
    ExporterMissing,
    LogBusy,
    LogClosed,
    LogDamaged,
    LogFailed,
    LogMissing,
    LogTooNew,
    LogUnusable,
    NetworkFilesystem,
    NotEncodable,
)

RUN = Path("/runs/r-1")
ERRORS: list[AntiphonError] = [
    NotEncodable("note", "root/1", "it is a set"),
    LogMissing(RUN),
    LogBusy(RUN, 42, "host"),
    LogBusy(RUN, None),
    LogTooNew(RUN, 9, 1),
    NetworkFilesystem(RUN, "nfs4"),
    LogUnusable(RUN, "Permission denied"),
    LogDamaged(RUN, 7, "its hash does not fit"),
    LogDamaged(RUN, None, "it is empty"),
    LogFailed(RUN, "database or disk is full"),
    LogClosed("note"),
    BlobDamaged("a" * 64, "it is missing"),
    ExporterMissing("otlp", "no installed package brings it"),
]


def test_public_names() -> None:
    assert sorted(tracing.__all__) == tracing.__all__
    assert all(hasattr(tracing, name) for name in tracing.__all__)
    public = {
        name for name, value in vars(tracing).items() if not name.startswith("_") and hasattr(value, "__module__")
    }
    assert public <= set(tracing.__all__)


def test_importing_the_floor_imports_no_sdk() -> None:
    code = "import sys, antiphon.tracing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = (
        "opentelemetry",
        "requests",
        "urllib3",
        "google.protobuf",
        "litellm",
        "pydantic",
        "rich",
        "trio",
        "asyncio",
    )
    assert [name for name in loaded if name.startswith(heavy)] == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_says_what_where_why_and_what_next(error: AntiphonError) -> None:
    assert str(error) == error.message
    assert error.message.endswith(".")
    assert ". " not in error.message
    assert error.advice
    assert error.exit_code in (1, 2, 74)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: AntiphonError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_an_error_of_others_is_built_from_a_message() -> None:
    error = AntiphonError("It broke.", advice="antiphon runs")
    assert (str(error), error.advice, error.exit_code) == ("It broke.", "antiphon runs", 1)
