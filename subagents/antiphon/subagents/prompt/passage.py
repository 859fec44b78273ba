"""A passage of a file that was chosen for a prompt by rule."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.tracing import Json


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines of a file, chosen for a prompt.

    Attributes:
        path: below the root that was searched, with `/`.
        first_line, last_line: from 1, both included.
        sha256: of the bytes of those lines, line ends included, as in the evidence of records.
        score: how well it fits; higher is better; compare only within one search.
        text: the lines.
    """

    path: str
    first_line: int
    last_line: int
    sha256: str
    score: float
    text: str

    def to_json(self) -> dict[str, Json]:
        """What the log says of it: everything but the text, which is in the prompt."""
        lines: list[Json] = [self.first_line, self.last_line]
        return {"path": self.path, "lines": lines, "sha256": self.sha256, "score": self.score}
