"""One result of a SARIF log, with what it takes to recognise it again in another log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

State = Literal["new", "unchanged", "updated", "absent"]
STATES: tuple[State, ...] = ("new", "updated", "unchanged", "absent")

Named = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """Where in a file, counted from 1; 0 for what is not said."""

    start_line: int = 0
    start_column: int = 0
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        """As an editor shows it."""
        return str(self.start_line) if not self.start_column else f"{self.start_line}:{self.start_column}"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One result of one log.

    Attributes:
        run, index: which run of the log, and which of its results; it tells equal results apart.
        tool: the name of the tool, in lower case. rule: its name for the rule.
        uri: the file, relative to the audited folder where that is known.
        region: where in the file. symbol: the enclosing function or class as the log names it, or "".
        message: what is said, arguments filled in. snippet: the code, if the log holds it.
        level: SARIF's word. severity: antiphon's word, or the level where the log has none.
        guids: names that the tool gave this very result. fingerprints: the tool's full fingerprints.
        partials: its partial fingerprints. suppressed: how it was set aside ("inSource", "external"), "" if it was not.
        claim, cluster, lens: in a log of ours: ids, and the view that found it; else "".
    """

    run: int
    index: int
    tool: str
    rule: str
    uri: str = ""
    region: Region = Region()
    symbol: str = ""
    message: str = ""
    snippet: str = ""
    level: str = "warning"
    severity: str = "warning"
    guids: Named = ()
    fingerprints: Named = ()
    partials: Named = ()
    suppressed: str = ""
    claim: str = ""
    cluster: str = ""
    lens: str = ""

    @cached_property
    def text(self) -> str:
        """The message with the result's own line and column numbers blanked, as they change when it moves."""
        numbers = {str(number) for number in self._numbers if number}
        if not numbers:
            return self.message
        return re.sub(rf"\b(?:{'|'.join(sorted(numbers))})\b", "#", self.message)

    @property
    def _numbers(self) -> tuple[int, ...]:
        region = self.region
        return (region.start_line, region.start_column, region.end_line, region.end_column)

    @cached_property
    def order(self) -> tuple[object, ...]:
        """By place, then by everything else that it says; where it stands in its log decides last of all."""
        content = (self.uri, self.region, self.rule, self.message, self.snippet, self.symbol, self.level)
        return (*content, self.severity, self.fingerprints, self.partials, self.guids, self.run, self.index)

    @property
    def place(self) -> str:
        """File and line, for a person."""
        return f"{self.uri}:{self.region.start_line}" if self.region.start_line else self.uri
