"""The outline as a mermaid flowchart: text that pages such as GitHub's draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.model import Outline, Place
from antiphon.workflows.preflight.text import head_of, spelled_out, times

MOST: Final = 400
_TEXT: Final = 80
_BOXES: Final = {"call": ("[", "]"), "workflow": ("[[", "]]"), "choice": ("{{", "}}")}
_AS_IT_IS: Final = frozenset(" .,:+-*/=()!?")


def mermaid(outline: Outline) -> str:
    """The outline as a flowchart, its containers as subgraphs, in the order in which things happen."""
    drawing = _Drawing()
    lines = ["flowchart TB"]
    lines += drawing.row(outline.places, 1)
    if drawing.left_out:
        lines.append(f'  rest["{escaped(f"and {drawing.left_out} more places")}"]')
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text that is only text inside of a quoted label: everything but plain characters as a numeric entity."""
    shown = spelled_out(" ".join(text.split()))[:_TEXT]
    return "".join(one if (one.isalnum() and one.isascii()) or one in _AS_IT_IS else f"#{ord(one)};" for one in shown)


class _Drawing:
    """The boxes so far."""

    def __init__(self) -> None:
        self._count = 0
        self.left_out = 0

    def row(self, places: tuple[Place, ...], depth: int, *, follow: bool = True) -> Iterator[str]:
        """Places of one container; where they follow one another, an arrow from each to the next."""
        before = ""
        for place in places:
            if self._count >= MOST or depth > 30:
                self.left_out += sum(1 for _ in place.walk())
                continue
            self._count += 1
            name, indent = f"p{self._count}", "  " * depth
            yield from self._box(place, name, depth)
            if before and follow:
                yield f"{indent}{before} --> {name}"
            before = name

    def _box(self, place: Place, name: str, depth: int) -> Iterator[str]:
        indent, label = "  " * depth, escaped(label_of(place))
        if not place.children:
            opens, closes = _BOXES.get(place.kind, ("(", ")"))
            yield f'{indent}{name}{opens}"{label}"{closes}'
            return
        yield f'{indent}subgraph {name}["{label}"]'
        yield from self.row(place.children, depth + 1, follow=place.kind != "choice")
        yield f"{indent}end"


def label_of(place: Place) -> str:
    """A place in a few words, and how often it happens."""
    often = times(place)
    return f"{head_of(place)[: _TEXT - 30]} ({often})" if often else head_of(place)
