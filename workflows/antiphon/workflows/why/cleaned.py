"""The records of a run whose log was cleaned away: what its report.json still holds of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from antiphon.subagents.records import Record, from_json
from antiphon.tracing.blobs import open_plain
from antiphon.workflows.cli.untrusted import mapping, sequence
from antiphon.workflows.report.json_report import FORMAT

LARGEST_BYTES: Final = 400_000_000
_BY_ID: Final = ("claims", "verdicts", "links", "resolutions")


def kept_records(directory: Path) -> Iterator[Record | None]:
    """The records in a run's report.json; None for each that cannot be read. The links that we suggested are not ours
    to repeat: they follow from the claims.
    """
    report = _report(directory / "report.json")
    if report.get("format") != FORMAT:
        return
    suggested = {str(id) for id in sequence(report.get("suggested"))}
    found = [item for name in _BY_ID for id, item in mapping(report.get(name)).items() if id not in suggested]
    for item in found + [_without_id(item) for item in sequence(report.get("malformed"))]:
        try:
            yield from_json(mapping(item))
        except (ValidationError, ValueError, TypeError, RecursionError):
            yield None


def _without_id(item: object) -> dict[str, object]:
    return {name: value for name, value in mapping(item).items() if name != "id"}


def _report(file: Path) -> dict[str, object]:
    with suppress(OSError, ValueError, RecursionError), open_plain(file) as stream:
        if os.fstat(stream.fileno()).st_size <= LARGEST_BYTES:
            return mapping(json.load(stream))
    return {}
