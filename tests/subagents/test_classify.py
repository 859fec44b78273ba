"""What a provider's failure means, whoever words it: which class, how long to wait, what it may have cost."""

import pytest

from antiphon.engine import InfrastructureError
from antiphon.subagents.model import BadRequest, ContentRefused, ContextTooLong
from antiphon.subagents.model.classify import MOST_REASON, Failure, Wire, classified, judged, said


def kind(error: Exception) -> str:
    return error.category if isinstance(error, InfrastructureError) else type(error).__name__


@pytest.mark.parametrize(
    ("status", "text", "meant", "billed"),
    [
        (429, "Rate limit reached for requests per minute", "rate", False),
        (
            429,
            '{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}',
            "quota",
            False,
        ),
        (429, "You exceeded your current quota. Please retry in 21.5s.", "rate", False),
        (429, "Request too large for gpt-4o: Limit 30000, Requested 41000", "ContextTooLong", None),
        (402, "Insufficient Balance", "credit", False),
        (400, "Your credit balance is too low to access the Anthropic API", "credit", False),
        (401, "whatever", "authentication", False),
        (403, "whatever", "authentication", False),
        (403, "Your input was flagged by moderation", "ContentRefused", None),
        (400, "API key not valid. Please pass a valid API key. API_KEY_INVALID", "authentication", False),
        (400, "This model's maximum context length is 8192 tokens", "ContextTooLong", None),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "ContextTooLong", None),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed", "ContextTooLong", None),
        (413, "Payload Too Large", "ContextTooLong", None),
        (400, "filtered due to the content management policy", "ContentRefused", None),
        (400, '{"error": {"code": "content_policy_violation"}}', "ContentRefused", None),
        (400, "Unknown parameter: 'max_tokenz'", "BadRequest", None),
        (404, "The model `gpt-99` does not exist", "BadRequest", None),
        (422, "Unprocessable", "BadRequest", None),
        (408, "Request Timeout", "timeout", True),
        (409, "Conflict", "overloaded", False),
        (500, "Internal Server Error", "overloaded", False),
        (502, "Bad Gateway", "overloaded", True),
        (503, "Service Unavailable", "overloaded", False),
        (504, "Gateway Timeout", "timeout", True),
        (529, '{"type": "error", "error": {"type": "overloaded_error"}}', "overloaded", False),
        (200, "not JSON", "network", True),
        (302, "moved", "network", True),
    ],
)
def test_a_status_means(status: int, text: str, meant: str, billed: bool | None) -> None:
    found = judged(Failure(status, text))
    assert kind(found) == meant
    assert getattr(found, "billed", None) == billed


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"Retry-After": "7"}, "", 7.0),
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({}, "Please try again in 20s.", 20.0),
        ({}, "Please try again in 250ms", 0.25),
        ({}, '{"error": {"details": [{"retryDelay": "23s"}]}}', 23.0),
        ({"Retry-After": "7"}, "try again in 20s", 7.0),
        ({}, "busy", None),
    ],
)
def test_how_long_to_wait_is_read_from_the_header_and_else_from_the_text(
    headers: dict[str, str], text: str, seconds: float | None
) -> None:
    found = judged(Failure(429, text, headers))
    assert isinstance(found, InfrastructureError)
    assert (found.category, found.retry_after) == ("rate", seconds)


class ConnectError(Exception):
    """As httpx calls it."""


class APITimeoutError(Exception):
    """As the SDKs call it."""


class Invented(Exception):
    """A library's error with a status that nobody sent."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code, self.message = status_code, message


class Unspeakable(Exception):
    """An error that cannot even be shown."""

    def __str__(self) -> str:
        raise ValueError("no")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "wire", "meant", "billed"),
    [
        # Seen on the wire: that is what happened, whatever the library made of it.
        (Invented(500, "Unterminated string"), Wire(True, 200), "network", True),
        (Invented(500, "x"), Wire(True, 429, {"retry-after": "3"}), "rate", False),
        (Invented(500, "Connection error."), Wire(True), "network", True),
        (Invented(500, "Connection error."), Wire(False), "network", False),
        (Invented(400, "does not support parameters: ['temperature']"), Wire(), "BadRequest", None),
        (APITimeoutError("late"), Wire(True), "timeout", True),
        (APITimeoutError("late"), Wire(False), "network", False),
        # Not seen: the library's own word, and what its classes say.
        (Invented(429, "slow down"), None, "rate", False),
        (caused(Exception("Connection error."), ConnectError("refused")), None, "network", False),
        (Exception("broken pipe"), None, "network", True),
        (Unspeakable(), None, "network", True),
    ],
)
def test_an_exception_means(error: Exception, wire: Wire | None, meant: str, billed: bool | None) -> None:
    found = classified(error, wire)
    assert kind(found) == meant
    assert getattr(found, "billed", None) == billed


@pytest.mark.parametrize(
    "ours", [InfrastructureError("rate", "x"), BadRequest("x"), ContentRefused("x"), ContextTooLong("x")]
)
def test_one_of_ours_stays_what_it_is(ours: Exception) -> None:
    assert classified(ours, Wire(True, 200)) is ours


def test_a_reason_is_short_on_one_line_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-very-private-thing")
    text = (
        "litellm.RateLimitError: RateLimitError: OpenAIException - wrong key\n a-very-private-thing  or sk-" + "x" * 30
    )
    reason = said(text + "y" * 1000)
    assert reason.startswith("wrong key [secret:OPENAI_API_KEY] or [secret:sk:")
    assert len(reason) <= MOST_REASON


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"error": {"message": "no", "code": "x"}}', "no"),
        ('{"error": "no"}', "no"),
        ('{"message": "no"}', "no"),
        ('{"detail": "no"}', "no"),
        ('{"error": {"code": 3}}', '{"error": {"code": 3}}'),
        ("{no", "{no"),
        ("", "it does not say why"),
        ("Invalid response object Traceback (most recent call last): File", "Invalid response object"),
    ],
)
def test_a_reason_is_what_the_provider_says(text: str, reason: str) -> None:
    assert said(text) == reason
