"""How a run is performed, and what it is given from outside; none of it is part of any call's hash."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

HostFunction = Callable[..., Any]

LARGE_BYTES: Final = 64 * 1024
"""A value whose JSON is larger than this is kept as a blob, and not in the log."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is performed; none of it is part of any call's hash.

    Attributes:
        attempts: how many provider attempts may be in flight at once, over all providers; each has a gate of its own.
        processes: how many child processes may run at once; as many as there are processors by default.
        window: how many branches of one fan-out are started at once, unless it says otherwise.
        spans: whether events carry span ids and subagents work in an OpenTelemetry context.
        retry_failed: kinds of failed outcomes to perform again on resume (``{"*"}`` for all).
        answers: answers to approvals, by path; ``{"*": True}`` answers all.
        pilot: how many items of a larger fan-out run before a person is asked about its rest; None for all of them.
        gate_phases: whether a person is asked before each phase after the first.
        settle_seconds: how long a pause waits for calls in flight; what has not ended then is cancelled, and resumes.
        grace_seconds: how long a stop waits for branches to end.
    """

    attempts: int = 1_000
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    window: int = 1_000
    spans: bool = True
    retry_failed: frozenset[str] = frozenset()
    answers: Mapping[str, bool] = field(default_factory=dict[str, bool])
    pilot: int | None = None
    gate_phases: bool = False
    settle_seconds: float = 120.0
    grace_seconds: float = 5.0


class Blobs(Protocol):
    """Keeps large values by their hash; see `antiphon.tracing.blobs.BlobStore`."""

    def put(self, content: bytes) -> str:
        """Keep it durably; its sha256 in hex."""
        ...

    def get(self, digest: str) -> bytes:
        """What was kept under a hash, checked."""
        ...
