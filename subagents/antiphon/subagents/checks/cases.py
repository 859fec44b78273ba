"""Tests and how each of them ended, as some output says it: bounded, the worst of what is said twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from antiphon.subagents.prompt.delimiting import legible

CaseState = Literal["passed", "failed", "error", "skipped"]
"""How one test ended: `failed` is its own verdict, `error` that it could not come to one."""

MOST_CASES: Final = 50_000
_NAME_CHARACTERS: Final = 400
_NAMES_IN_ALL: Final = 4_000_000
_SAID_CHARACTERS: Final = 6_000
_SAID_IN_ALL: Final = 400_000
_WORST: Final[tuple[CaseState, ...]] = ("skipped", "passed", "failed", "error")


class TooManyCases(Exception):
    """An output names more tests than are kept."""


@dataclass(slots=True)
class Cases:
    """What was read.

    Attributes:
        states: by name, in the order in which they were named first. details: what was said of those that failed.
    """

    states: dict[str, CaseState] = field(default_factory=dict[str, CaseState])
    details: dict[str, str] = field(default_factory=dict[str, str])
    _room: int = _SAID_IN_ALL
    _names: int = _NAMES_IN_ALL

    def add(self, name: str, state: CaseState, said: str = "") -> None:
        """Add one test. Of a test that is named twice, the worse end counts: it may be its body and its clean-up.

        Raises:
            TooManyCases: there is no room for more.
        """
        name = legible(name.strip())[:_NAME_CHARACTERS]
        if not name:
            return
        before = self.states.get(name)
        self._names -= len(name) if before is None else 0
        if self._names < 0 or (before is None and len(self.states) >= MOST_CASES):
            raise TooManyCases(f"it names more tests than are kept ({MOST_CASES:,})")
        self.states[name] = state if before is None or _WORST.index(state) > _WORST.index(before) else before
        if said.strip() and state in ("failed", "error") and self._room > 0:
            told = legible(said.strip("\n"))[: min(_SAID_CHARACTERS, self._room)]
            self._room -= len(told)
            self.details[name] = f"{self.details[name]}\n{told}" if name in self.details else told
