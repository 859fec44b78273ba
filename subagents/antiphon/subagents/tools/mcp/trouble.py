"""What goes wrong with a server as a whole."""

from __future__ import annotations

from antiphon.engine import UsageError
from antiphon.tracing.errors import AntiphonError


class McpUnavailable(UsageError):
    """A server cannot be used: it does not start, does not answer, or offers what cannot be taken.

    Attributes:
        server: its name in the configuration. reason: why.
    """

    def __init__(self, server: str, reason: str, advice: str = "") -> None:
        self.server, self.reason = server, reason
        advice = advice or f"antiphon doctor --mcp {server}"
        super().__init__(f"the MCP server {server!r} cannot be used: {reason}", advice=advice)


class Lost(AntiphonError):
    """A connection is over. Ends a call in flight, which becomes a failed result."""


class Gone(Exception):
    """A server is not there any more, and is not started again."""
