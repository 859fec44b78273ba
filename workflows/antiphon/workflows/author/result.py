"""What the making of a plan comes to: kept in the run on the way, and written into the plan's folder at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from antiphon.tracing import Json

STATE: Final = "plan"
"""The key of the run's state under which it is kept."""
_MOST_NOTES: Final = 40
_NOTE_CHARACTERS: Final = 600


@dataclass(slots=True, kw_only=True)
class Told:
    """What is known so far.

    Attributes:
        name: of the plan. state: how it ended. reason: why it failed, or why this shape.
        survey, known: what there is. shape, sketch: what the author chose. needs: what the blind review names.
        attempts: every version. chosen: the number of the one that is kept. ending: why none is.
        notes: what went wrong on the way.
    """

    name: str
    state: Literal["planning", "planned", "failed"] = "planning"
    reason: str = ""
    survey: Mapping[str, Any] = field(default_factory=dict[str, Any])
    known: Sequence[Mapping[str, Any]] = ()
    shape: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sketch: Mapping[str, Any] = field(default_factory=dict[str, Any])
    needs: Sequence[Mapping[str, Any]] = ()
    attempts: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    chosen: int | None = None
    ending: str = ""
    notes: list[str] = field(default_factory=list[str])

    def note(self, text: str) -> None:
        """Keep a line about what went wrong."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text[:_NOTE_CHARACTERS])

    def settle(self) -> None:
        """Say how it ended."""
        done = self.shape.get("shape") == "workflow" or self.chosen is not None
        self.state = "planned" if done else "failed"
        self.reason = str(self.shape.get("reason", "")) if done else self.ending or "no script was written"

    def to_json(self) -> dict[str, Json]:
        """As it is kept in the run."""
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "survey": dict(self.survey),
            "known": [dict(one) for one in self.known],
            "shape": dict(self.shape),
            "sketch": dict(self.sketch),
            "needs": [dict(one) for one in self.needs],
            "attempts": [dict(one) for one in self.attempts],
            "chosen": self.chosen,
            "notes": list(self.notes),
        }

    def summary(self) -> dict[str, Json]:
        """What the run gives."""
        return summary_of(self.to_json())


def chosen_of(state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The version that is kept; None where there is none."""
    return next((one for one in state["attempts"] if one["number"] == state["chosen"]), None)


def summary_of(state: Mapping[str, Any]) -> dict[str, Json]:
    """What a plan came to, in short."""
    chosen = chosen_of(state)
    examined: dict[str, Any] = chosen["examined"] if chosen is not None else {}
    return {
        "name": state["name"],
        "state": state["state"],
        "reason": state["reason"],
        "shape": state["shape"].get("shape", ""),
        "workflow": state["shape"].get("workflow", ""),
        "attempts": len(state["attempts"]),
        "sha256": examined.get("sha256", ""),
        "portable": examined.get("portable"),
        "cost": examined.get("cost"),
        "arguments": dict(chosen["arguments"]) if chosen is not None else {},
        "findings": [one for one in examined.get("problems", []) if one["severity"] != "note"],
        "notes": list(state["notes"]),
    }
