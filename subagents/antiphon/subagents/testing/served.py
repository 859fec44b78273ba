"""What a loopback server does with a request: an answer, or one of the ways in which providers fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from antiphon.subagents.model.contract import Request, Usage
from antiphon.subagents.testing.doubles import Good
from antiphon.subagents.testing.wire import error_out
from antiphon.tracing import Json

Cut = Literal["", "before", "headers", "body"]
"""Where a connection breaks: nowhere, before the first byte, after the headers, halfway through the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as the server got it.

    Attributes:
        number: how many requests had come with it, from 1.
        request: what was asked, in our words.
        body: as it came over the wire. path: of the URL.
        seen: how often the very same body had come before: the number of a retry, from 0.
    """

    number: int
    request: Request
    body: Mapping[str, object]
    path: str = "/v1/chat/completions"
    seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the server does with a request.

    Attributes:
        kind: what the tally counts it as.
        said: what it answers, and unless `billed` says otherwise, bills. None for a failure.
        status: of the response. headers: of the response, besides its type and length.
        body: sent as it is, instead of what `said` makes.
        wait_seconds: before the headers. body_wait_seconds: between the headers and the body.
        cut: where the connection breaks.
        usage: what the answer says it used: the truth, nothing (None), or any figures at all.
        billed: what it costs, where that is not what was answered.
    """

    kind: str = "answered"
    said: Good | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    wait_seconds: float = 0.0
    body_wait_seconds: float = 0.0
    cut: Cut = ""
    usage: Mapping[str, Json] | Literal["true"] | None = "true"
    billed: Usage | None = None


def answered(said: Good) -> Served:
    """A good answer."""
    return Served(said=said)


def failed(status: int, message: str, *, sort: str, code: str, headers: Mapping[str, str] | None = None) -> Served:
    """A failure that is not billed, as OpenAI words it."""
    body = json.dumps(error_out(message, sort=sort, code=code)).encode()
    return Served(kind=str(code or status), status=status, headers=headers or {}, body=body)


def rate_limited(retry_after: float | None = None, *, date: bool = False) -> Served:
    """429: too many requests.

    Args:
        retry_after: the seconds to wait that it names, None for none.
        date: names them as an HTTP date instead, which knows whole seconds only.
    """
    headers: dict[str, str] = {}
    if retry_after is not None:
        at = datetime.now(UTC) + timedelta(seconds=retry_after)
        headers["retry-after"] = _http_date(at) if date else f"{retry_after:g}"
    return failed(429, "Rate limit reached", sort="requests", code="rate_limit_exceeded", headers=headers)


def _http_date(at: datetime) -> str:
    """As HTTP writes it, in English whatever the locale."""
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.weekday()]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * at.month - 3 :][:3]
    return f"{day}, {at.day:02} {month} {at.year} {at:%H:%M:%S} GMT"


def out_of_quota() -> Served:
    """429: the account has no quota left; waiting does not help."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return failed(429, message, sort="insufficient_quota", code="insufficient_quota")


def overloaded(status: int = 503) -> Served:
    """503 or 529: the provider has too much to do."""
    return failed(status, "The server is overloaded or not ready yet", sort="server_error", code="overloaded")


def broken(status: int = 500) -> Served:
    """500: the provider failed."""
    return failed(status, "The server had an error while processing", sort="server_error", code="server_error")


def unauthenticated() -> Served:
    """401: no such key."""
    return failed(401, "Incorrect API key provided", sort="invalid_request_error", code="invalid_api_key")


def too_long() -> Served:
    """400: the conversation does not fit into the model's window."""
    message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    return failed(400, message, sort="invalid_request_error", code="context_length_exceeded")


def refused() -> Served:
    """400: the provider does not answer this."""
    message = "The response was filtered due to the prompt triggering the content management policy."
    return failed(400, message, sort="invalid_request_error", code="content_filter")


def malformed(said: Good) -> Served:
    """200 with a body that is no JSON: what it cost is lost with it."""
    return replace(answered(said), kind="malformed", body=b'{"id": "chatcmpl-broken", "choices": [{"mess')


def cut(said: Good, where: Cut = "body") -> Served:
    """An answer that was made and billed, on a connection that breaks before it is through."""
    return replace(answered(said), kind=f"cut {where}", cut=where)


def misreported(said: Good, usage: Mapping[str, Json] | None) -> Served:
    """An answer that says it used something else, or with None nothing at all."""
    return replace(answered(said), kind="misreported", usage=usage)


def slow(served: Served | Good, seconds: float, *, headers_first: bool = False) -> Served:
    """The same, but `seconds` later: before its headers, or between headers and body."""
    inner = served if isinstance(served, Served) else answered(served)
    if headers_first:
        return replace(inner, body_wait_seconds=seconds)
    return replace(inner, wait_seconds=seconds)
