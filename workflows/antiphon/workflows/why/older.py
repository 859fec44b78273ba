"""Records as earlier versions of antiphon wrote them."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.subagents.records import Finding, author_verdict, from_json
from antiphon.tracing.log import Json


def as_now(record: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """A record, in the words of this version.

    Version 0.1 said on a finding how its author set it aside; now that is a verdict of the author.

    Raises:
        pydantic.ValidationError: it is a finding that no version knows.
    """
    if record.get("record") != "claim" or "suppressed" not in record:
        return [record]
    plain = {name: value for name, value in record.items() if name != "suppressed"}
    finding, method = from_json(plain, branch=""), record["suppressed"]
    if not isinstance(finding, Finding) or not isinstance(method, str):
        return [plain]
    return [plain, author_verdict(finding, method).to_json()]
