"""Retry-After in both forms, and what no sane provider would ask for."""

from __future__ import annotations

import pytest

from antiphon.subagents.model.retry_after import retry_after

NOW = 1_700_000_000.0
"""Tue, 14 Nov 2023 22:13:20 GMT."""

ASKED: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"Retry-After": "17"}, 17.0),
    "a fraction": ({"retry-after": "1.5"}, 1.5),
    "with blanks": ({"RETRY-AFTER": " 3 "}, 3.0),
    "milliseconds": ({"retry-after-ms": "250"}, 0.25),
    "milliseconds win": ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
    "broken milliseconds do not": ({"retry-after": "9", "retry-after-ms": "soon"}, 9.0),
    "a date": ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
    "a date of the old form": ({"retry-after": "Tuesday, 14-Nov-23 22:13:50 GMT"}, 30.0),
    "a date of C": ({"retry-after": "Tue Nov 14 22:13:50 2023"}, 30.0),
    "a date with a zone": ({"retry-after": "Tue, 14 Nov 2023 23:13:50 +0100"}, 30.0),
    "by the server's clock": (
        {"retry-after": "Tue, 14 Nov 2023 20:00:10 GMT", "date": "Tue, 14 Nov 2023 20:00:00 GMT"},
        10.0,
    ),
    "the server's clock is broken": ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT", "date": "now"}, 30.0),
    "zero": ({"retry-after": "0"}, 0.0),
    "negative": ({"retry-after": "-5"}, 0.0),
    "negative milliseconds": ({"retry-after-ms": "-1"}, 0.0),
    "a date that is over": ({"retry-after": "Mon, 13 Nov 2023 22:13:20 GMT"}, 0.0),
    "years": ({"retry-after": "315360000"}, 315_360_000.0),
    "no number": ({"retry-after": "NaN"}, None),
    "for ever": ({"retry-after": "inf"}, None),
    "beyond floats": ({"retry-after": "1e999"}, None),
    "as Python writes": ({"retry-after": "1_000"}, None),
    "a date beyond time": ({"retry-after": "Tue, 99 Nov 99999 22:13:50 GMT"}, None),
    "words": ({"retry-after": "soon"}, None),
    "empty": ({"retry-after": ""}, None),
    "a long line": ({"retry-after": "9" * 10_000}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), ASKED.values(), ids=ASKED)
def test_what_is_asked_is_read_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_without_a_time_given_it_is_now() -> None:
    assert retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) is not None
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0
