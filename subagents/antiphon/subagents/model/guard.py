"""No request leaves this machine while that is forbidden: every client asks here before it opens a connection."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from antiphon.engine import UsageError

VARIABLE = "ANTIPHON_REAL_REQUESTS"
"""The environment variable that forbids real requests by its value `FORBIDDEN`, in child processes too."""
FORBIDDEN = "forbidden"


class RealRequestForbidden(UsageError):
    """A client was about to send a request to something that is not this machine, and that is forbidden here.

    Attributes:
        target: where it would have gone, without credentials.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__(
            f"a real request to {target} is forbidden here",
            advice="answer it from a ScriptedModel, a Cassette or a LoopbackServer (docs/testing-agents.md)",
        )


def check_allowed(url: str) -> None:
    """Ask whether a request may go to `url`; every client does so before it opens a connection.

    Args:
        url: where it would go. What names no host, such as a provider's name, counts as somewhere else.

    Raises:
        RealRequestForbidden: real requests are forbidden and this is no loopback address.
    """
    if os.environ.get(VARIABLE) == FORBIDDEN and not is_loopback(url):
        raise RealRequestForbidden(_shown(url))


def is_loopback(url: str) -> bool:
    """Whether this URL's host is this machine by an address that never leaves it. No name is looked up."""
    host = _host(url)
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Depth:
    """How many contexts forbid at the moment, and what the variable said before the first of them."""

    def __init__(self) -> None:
        self._lock, self._depth = threading.Lock(), 0
        self._before: str | None = None

    def enter(self) -> None:
        with self._lock:
            if not self._depth:
                self._before = os.environ.get(VARIABLE)
            self._depth += 1
            os.environ[VARIABLE] = FORBIDDEN

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            if self._before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = self._before


_depth = _Depth()


@contextmanager
def forbid_real_requests() -> Generator[None]:
    """Inside, every client of ours raises `RealRequestForbidden` instead of reaching beyond this machine.

    It holds for the whole process, its threads, and the child processes started meanwhile (by the environment variable
    `ANTIPHON_REAL_REQUESTS`), so a test suite enters it once. Contexts nest, also from several threads.
    """
    _depth.enter()
    try:
        yield
    finally:
        _depth.leave()


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _shown(url: str) -> str:
    """The address without user, password, path and query: any of them may be a secret."""
    host = _host(url)
    return repr((f"{urlsplit(url).scheme}://{host}" if host else url.partition("?")[0])[:200])
