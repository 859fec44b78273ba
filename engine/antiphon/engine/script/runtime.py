"""What runs a confined script: one protocol, so that jail and monty are the same to everything above.

A runtime runs one text, which has no names but the script API. Whatever it wants leaves it as a frame: a line of JSON,
answered by another. Nothing else crosses, and nothing that comes from it is believed (`confined/frames.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from antiphon.tracing.errors import AntiphonError
from antiphon.tracing.log import Json

Death = Literal["crashed", "killed", "memory", "cpu", "turn", "frames", "output", "protocol", "syntax"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestLimits:
    """What one guest may use; what goes beyond ends it, and never the host.

    Attributes:
        memory_bytes: what it may allocate beyond what it starts with.
        turn_seconds: how long it may compute between two waits for the host.
        cpu_seconds: how long it may compute in all; None for no limit.
        frame_bytes: the largest frame that it may send.
        frames: how many frames it may send.
        sent_bytes: how much it may send in all, so that what is kept of it is bounded too.
        output_bytes: how much it may print; what is beyond is dropped, and that is said once.
        grace_seconds: how long it may take to end a branch that was cancelled.
    """

    memory_bytes: int = 512 * 2**20
    turn_seconds: float = 10.0
    cpu_seconds: float | None = 600.0
    frame_bytes: int = 16 * 2**20
    frames: int = 200_000
    sent_bytes: int = 256 * 2**20
    output_bytes: int = 1_000_000
    grace_seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a guest runs.

    Attributes:
        source: the script's text, checked, its imports of the script API blanked out line by line.
        file: what tracebacks call it; a name, never a path of this machine.
        token: the scope token of the root branch.
        arguments: what `main` is given.
        seed: fixes randomness and hashes.
        now: unix seconds that the guest's clocks show.
    """

    source: str
    file: str
    token: str
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])
    seed: str = ""
    now: float = 0.0


class GuestDied(AntiphonError):
    """A guest ended before its script did.

    Args:
        category: crashed (by itself, or its process was lost), killed (by us, for the given reason), memory, cpu,
            turn, frames and output (a limit of `GuestLimits`), protocol (it sent what no guest sends), syntax (the
            runtime does not run this text).
        reason: one sentence; what it quotes of the guest is cut.
    """

    exit_code = 1

    def __init__(self, category: Death, reason: str, *, advice: str | None = None) -> None:
        self.category: Death = category
        self.reason = reason
        super().__init__(f"the script was ended ({category}): {reason}", advice=advice)


class ScriptRaised(AntiphonError):
    """A confined script raised an exception of its own; the message is its type, text and innermost place."""

    exit_code = 1


class Guest(Protocol):
    """A running script, as the host sees it."""

    @property
    def waiting(self) -> bool:
        """Whether it has taken all that it was sent, and computes nothing."""
        ...

    async def receive(self) -> str | None:
        """The next frame, as text no longer than the limit; None when the script is over.

        Raises:
            GuestDied: it ended otherwise.
        """
        ...

    async def send(self, reply: str) -> None:
        """Answer a frame. What is sent to a guest that is no more is dropped."""
        ...

    async def kill(self, reason: str) -> None:
        """End it at once. `receive` raises from then on."""
        ...


class Runtime(Protocol):
    """Something that runs scripts, confined."""

    @property
    def name(self) -> str:
        """As typed after ``--runtime``."""
        ...

    def guest(self, program: Program, limits: GuestLimits) -> AbstractAsyncContextManager[Guest]:
        """Start a script; leaving the context leaves nothing of it behind.

        Raises:
            UsageError: the runtime cannot be used here.
            GuestDied: it could not be started, or refuses the text.
        """
        ...
