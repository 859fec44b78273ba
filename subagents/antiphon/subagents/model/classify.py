"""Failures of providers in our words: what to wait for, what to pause for, what to tell the task, and what it cost.

Read by status, by code and by what the text says, never by a provider's own classes: so the same rules hold for
litellm, for the libraries below it and for plain HTTP, and nothing has to be imported.

| what happened | here | billed |
|---|---|---|
| 429, too many requests or tokens | rate | no |
| 429 `insufficient_quota`, and what says that no quota is left | quota | no |
| 402, no balance | credit | no |
| 401, 403, no key or a wrong one | authentication | no |
| 409, 500, 503, 529, other 5xx | overloaded | no |
| 502, 520 | overloaded | unknown: a gateway does not know what is behind it |
| 408, 504, no answer in time | timeout | unknown |
| never connected | network | no |
| cut off, or an answer that is none | network | unknown |
| 413, and 4xx that says so | ContextTooLong | no |
| 4xx that says that the content is not wanted | ContentRefused | no |
| 400, 404, 422, other 4xx | BadRequest | no |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from antiphon.engine import InfrastructureError
from antiphon.subagents.model.contract import BadRequest, ContentRefused, ContextTooLong, Request
from antiphon.subagents.model.openai_form import NoAnswer
from antiphon.subagents.model.retry_after import retry_after
from antiphon.tracing import AntiphonError, Redactor

MOST_REASON = 400
"""Most characters of a provider's own words in a reason."""
_READ = 20_000
"""Most characters of an error that are looked at."""

TOLD_INSIDE = frozenset({401, 402, 403, 413, 429, 503, 529})
"""Failures that gateways wrap in a success: status 200, and the real one in the body."""

_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context (?:window|length)\b.{0,60}exceed|exceed.{0,60}context"
    r"|(?:prompt|input|messages?) (?:is|are|was) too long|input token count|reduce the length"
    r"|too many (?:input )?tokens|exceeds? the (?:maximum|model's)? ?(?:number of )?(?:input )?tokens"
    r"|request too large|ContextWindowExceeded",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"content_filter|content_policy|content management policy|content policy|ContentPolicyViolation"
    r"|usage polic(?:y|ies)|responsible ?ai|safety (?:system|setting|filter|reason)"
    r"|blocked (?:by|due to).{0,40}(?:safety|policy|content)"
    r"|moderation|was flagged|DataInspectionFailed|PROHIBITED_CONTENT",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(
    r"credit balance|insufficient[ _](?:balance|credits?|funds)|not enough credits|payment[ _]required"
    r"|billing_hard_limit|billing_not_active|billing hard limit",
    re.IGNORECASE,
)
_NO_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|quota (?:is |was |has been )?exhausted", re.I)
_PASSES = re.compile(r"per[ _-]?minute|retryDelay|(?:retry|try again) in", re.IGNORECASE)
_NO_KEY = re.compile(
    r"api[_ ]key_invalid|api key not valid|invalid[_ ]api[_ ]key|incorrect api key|missing .{0,40}api[_ ]key"
    r"|invalid authentication|unauthorized",
    re.IGNORECASE,
)
_WAIT = re.compile(
    r"(?:(?:retry|try again) (?:in|after)|\"?retryDelay\"?:)\s*\"?(\d+(?:\.\d+)?)\s*(ms|s\b|sec|m(?:in)?\b)?", re.I
)
_NEVER_SENT = re.compile(
    r"^(?:Connect(?:Error|Timeout)|Client(?:Proxy)?Connect\w*Error|ConnectionRefusedError|gaierror|PoolTimeout"
    r"|UnsupportedProtocol|InvalidURL\w*)$"
)
_CLASSES = re.compile(r"^(?:[\w.]*(?:Error|Exception|Timeout|litellm)(?::| -) *)+")
_TIMED_OUT = re.compile(r"Time(?:d)?out", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "m": 60.0, "min": 60.0}


@dataclass(frozen=True, slots=True)
class Wire:
    """What was seen of one request on the wire.

    Attributes:
        sent: whether it reached a connection; None if that was not seen.
        status: of the answer; None where there was none. headers: of the answer.
    """

    sent: bool | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure as it came.

    Attributes:
        status: of HTTP; None where there was no answer. text: what the provider says of it.
        headers: of the answer. names: the exception's class and those of its causes.
        sent: whether the request reached a connection; None if that is not known.
    """

    status: int | None
    text: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    names: tuple[str, ...] = ()
    sent: bool | None = None


def classified(error: Exception, wire: Wire | None = None) -> Exception:
    """What an exception of a client library means.

    Args:
        error: as it was raised. One of ours is returned as it is.
        wire: what was seen of the request. Libraries invent statuses; what was seen is believed before them.
    """
    if isinstance(error, AntiphonError):
        return error
    own = getattr(error, "status_code", None)
    status = own if isinstance(own, int) else None
    names, words = tuple(_names(error)), _words(error)
    if wire is None:
        return judged(Failure(status, words, _headers(getattr(error, "response", None)), names))
    if wire.status is None:
        # Refused before anything was sent is refused for a reason; any other status without an answer is made up.
        status = status if status is not None and status < 500 and not wire.sent else None
        return judged(Failure(status, words, {}, names, wire.sent))
    return judged(Failure(_really(wire.status, status), words, wire.headers, names, True))


def _really(seen: int, told: int | None) -> int:
    return told if seen == 200 and told in TOLD_INSIDE else seen


def judged(failure: Failure) -> Exception:
    """What a failure means: an InfrastructureError, or one of the three that concern the request itself."""
    text = failure.text[:_READ]
    if failure.status is None:
        return _unanswered(failure, text)
    if failure.status < 400:
        return InfrastructureError("network", f"the answer cannot be read: {said(text)}")
    return _refusal(failure, text) if failure.status < 500 else _failing(failure, text)


def late(request: Request, *, sent: bool) -> InfrastructureError:
    """What a request becomes that its own deadline ended; one that never reached a connection is not billed."""
    reason = f"no answer from {request.model[:200]} within {request.timeout_seconds:g} s"
    return InfrastructureError("timeout", reason, billed=sent)


def no_answer(model: str, problem: NoAnswer) -> Exception:
    """What an answer becomes that has no message of a model in it; it may have been billed all the same."""
    if problem.status in TOLD_INSIDE:
        return judged(Failure(problem.status, str(problem)))
    return InfrastructureError("network", f"{model[:200]} answered what is no answer: {said(str(problem))}")


def said(text: str) -> str:
    """A provider's words for a reason: one line, short, without secrets, traceback and the names of classes."""
    told = message_in(text).partition("Traceback (most recent")[0]
    bare = _CLASSES.sub("", " ".join(told.split()))
    return Redactor.from_environment().redact(bare)[:MOST_REASON] or "it does not say why"


def message_in(text: str) -> str:
    """What a failure's JSON body says, wherever the provider put it; the text itself where it is none."""
    body = _object_in(text)
    for key in ("error", "message", "detail"):
        inner = body.get(key)
        if isinstance(inner, dict):
            body = cast("dict[str, object]", inner)
        elif isinstance(inner, str) and inner:
            return inner
    return text


def _object_in(text: str) -> dict[str, object]:
    try:
        body = cast(object, json.loads(text)) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", body) if isinstance(body, dict) else {}


def wait_of(failure: Failure) -> float | None:
    """The seconds to wait, by header or else by what the text says."""
    asked = retry_after(failure.headers)
    if asked is None and (hit := _WAIT.search(failure.text[:_READ])):
        asked = float(hit[1]) * _SECONDS.get((hit[2] or "s").lower(), 1.0)
    return asked


def _refusal(failure: Failure, text: str) -> Exception:
    """4xx, in the order in which the reasons exclude each other."""
    status, words = failure.status, said(text)
    told = f"{text} {' '.join(failure.names)}"
    if status == 402 or _NO_CREDIT.search(told):
        return InfrastructureError("credit", words)
    if status == 413 or (status not in {401, 404} and _TOO_LONG.search(told)):
        return ContextTooLong(f"the conversation is too long for the model: {words}")
    if status == 429:
        return _too_many(failure, told, words)
    if status == 408:
        return InfrastructureError("timeout", words, retry_after=wait_of(failure))
    if status not in {401, 404} and _REFUSED.search(told):
        return ContentRefused(f"the provider refuses the content: {words}")
    if status in {401, 403, 407} or _NO_KEY.search(told):
        return InfrastructureError("authentication", words)
    if status in {409, 425}:
        return InfrastructureError("overloaded", words, retry_after=wait_of(failure))
    return BadRequest(f"the provider does not take the request ({status}): {words}")


def _too_many(failure: Failure, told: str, words: str) -> Exception:
    # Some providers call a limit for each minute a quota too; what says when to come again is no end of it.
    spent = "insufficient_quota" in told or (_NO_QUOTA.search(told) and not _PASSES.search(told))
    if spent and retry_after(failure.headers) is None:
        return InfrastructureError("quota", words)
    return InfrastructureError("rate", words, retry_after=wait_of(failure))


def _failing(failure: Failure, text: str) -> Exception:
    wait, words = wait_of(failure), said(text)
    if failure.status in {504, 524}:
        return InfrastructureError("timeout", words, retry_after=wait)
    unknown = failure.status in {502, 520, 522}
    return InfrastructureError("overloaded", words, retry_after=wait, billed=True if unknown else None)


def _unanswered(failure: Failure, text: str) -> Exception:
    words = said(text)
    if "AuthenticationError" in failure.names or _NO_KEY.search(text):
        return InfrastructureError("authentication", words)
    if failure.sent is False or (failure.sent is None and any(_NEVER_SENT.match(name) for name in failure.names)):
        return InfrastructureError("network", words, billed=False)
    # The first two names only: what a library was doing when it gave up is further down, and may be anything.
    late = any(_TIMED_OUT.search(name) for name in failure.names[:2])
    return InfrastructureError("timeout" if late else "network", words)


def _names(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen and len(seen) < 16:
        seen.add(id(at))
        yield type(at).__name__
        at = at.__cause__ or at.__context__


def _words(error: Exception) -> str:
    """What an error says; libraries whose errors cannot even be shown exist."""
    try:
        text = str(getattr(error, "message", "") or error)
    except Exception:
        text = ""
    return text or type(error).__name__


def _headers(answer: object) -> Mapping[str, str]:
    told = getattr(answer, "headers", None)
    if not isinstance(told, Mapping):
        return {}
    return {str(name): str(value) for name, value in cast("Mapping[object, object]", told).items()}
