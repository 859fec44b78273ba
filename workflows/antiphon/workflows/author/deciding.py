"""Which version of a script is kept, and when it is no use to ask for another one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from antiphon.tracing import Json
from antiphon.workflows.author.shapes import Written, json_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One version of a script, and what there is to say of it.

    Attributes:
        number: from 1. draft: as the author gave it. examined: what the step `examine` gave.
    """

    number: int
    draft: Written
    examined: Mapping[str, Any]

    @property
    def source(self) -> str:
        """The text, with its first line; where it was too large to be looked at, as it came."""
        return str(self.examined["source"]) or self.draft.script

    @property
    def problems(self) -> Sequence[Mapping[str, Any]]:
        """What is wrong with it, the worst first."""
        found: Sequence[Mapping[str, Any]] = self.examined["problems"]
        return found

    @property
    def passed(self) -> bool:
        """Whether nothing refuses it."""
        return bool(self.examined["passed"])

    @property
    def warnings(self) -> int:
        """How many findings there are that do not refuse it and may be faults."""
        return sum(problem["severity"] == "warning" for problem in self.problems)

    @property
    def digest(self) -> str:
        """Tells it from other versions: the text and its tests, without blanks at the ends of lines."""
        plain = "\n".join(line.rstrip() for line in self.draft.script.strip().splitlines())
        tests = [json_of(test) for test in self.draft.tests]
        return hashlib.sha256(f"{plain}\0{tests}\0{self.draft.arguments}".encode("utf-8", "surrogatepass")).hexdigest()

    @staticmethod
    def line(examined: Mapping[str, Any]) -> str:
        """How it went, for a person."""
        problems = examined["problems"]
        counts = {name: sum(one["severity"] == name for one in problems) for name in ("error", "warning", "note")}
        told = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count)
        first = next((one for one in problems if one["severity"] == "error"), None)
        why = f"; first: {first['rule']}: {first['reason']}" if first else ""
        return f"{'passed' if examined['passed'] else 'refused'} ({told or 'nothing to say'}){why}"[:600]

    def to_json(self) -> dict[str, Json]:
        """As it is kept in the run."""
        return {"number": self.number, **json_of(self.draft), "examined": dict(self.examined)}


@dataclass(slots=True)
class Drafts:
    """The versions so far.

    Attributes:
        number: how often the author was asked. attempts: what came of that.
        repeated: whether a refused text came again; stands: whether one that passes came again, as its author means it.
    """

    number: int = 0
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    repeated: bool = False
    stands: bool = False

    def lost(self) -> None:
        """The author gave nothing."""
        self.number += 1

    def take(self, attempt: Attempt) -> None:
        """Take one more version."""
        self.number += 1
        same = [one for one in self.attempts if one.digest == attempt.digest]
        self.attempts.append(attempt)
        self.stands = bool(same) and attempt.passed
        self.repeated = bool(same) and not attempt.passed

    @property
    def last(self) -> Attempt | None:
        """The version to be mended."""
        return self.attempts[-1] if self.attempts else None

    @property
    def best(self) -> Attempt | None:
        """The version to be kept: one that passes, with the fewest warnings, the latest of those; None for none."""
        passed = [one for one in self.attempts if one.passed]
        return min(passed, key=lambda one: (one.warnings, -one.number), default=None)

    @property
    def is_over(self) -> bool:
        """Whether it is no use to ask again."""
        last = self.last
        return self.repeated or self.stands or (last is not None and last.passed and not last.warnings)

    def ending(self, rounds: int) -> str:
        """Why no version is kept; "" where one is."""
        if self.best is not None:
            return ""
        if self.repeated:
            return f"the same refused script came twice: {self._first()}"
        if self.last is None:
            return f"the author gave no script in {self.number} attempts"
        return f"no version of {len(self.attempts)} passed ({rounds} repairs): {self._first()}"

    def _first(self) -> str:
        assert self.last is not None
        problem = self.last.problems[0]
        line = f"line {problem['line']}: " if problem.get("line") else ""
        return f"{line}{problem['reason']}"
