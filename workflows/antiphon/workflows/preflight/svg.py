"""The outline as an SVG picture: boxes inside of boxes, from top to bottom. Written with the standard library alone.

Nothing of it refers to anything outside, and it has no script: it can be looked at wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from antiphon.workflows.preflight.model import Outline, Place
from antiphon.workflows.preflight.text import head_of, spelled_out, times

MOST: Final = 400
_DEEPEST: Final = 12
_LETTER: Final = 8.2  # px that a letter of 13 px takes at most in a common sans-serif font, on average
_SMALL: Final = 6.6
_TEXT: Final = 70
_LINE: Final = 18.0
_PAD: Final = 12.0
_GAP: Final = 18.0
_NARROWEST: Final = 170.0
_COLOURS: Final = {
    "main": ("#f6f8fa", "#57606a"),
    "phase": ("#eef4ff", "#3b6fd4"),
    "fan-out": ("#fff7e6", "#b7791f"),
    "loop": ("#fdf0f4", "#b83280"),
    "choice": ("#f3f0ff", "#6b46c1"),
    "branch": ("#f0faf4", "#2f855a"),
    "workflow": ("#e9f7fa", "#2c7a7b"),
    "call": ("#ffffff", "#57606a"),
}
_UNBOUNDED: Final = "#c53030"
_INK: Final = "#1f2328"
_STYLE: Final = "font-family:'DejaVu Sans',Verdana,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class _Box:
    """A place that knows how large it is."""

    place: Place
    head: str
    note: str
    children: tuple[_Box, ...]
    width: float
    height: float


def svg(outline: Outline, *, title: str = "") -> str:
    """The outline as a whole SVG document.

    Args:
        outline: what is drawn; of more than `MOST` places the rest is only counted.
        title: stands above it.
    """
    left = [MOST]
    boxes = [box for place in outline.places if (box := _measured(place, left, 0)) is not None]
    rest = sum(1 for _ in outline.walk()) - (MOST - left[0])
    head = _cut(title) or "outline"
    width = max([box.width for box in boxes] + [_wide(head, _LETTER), _NARROWEST]) + 2 * _PAD
    height = _PAD + _LINE + _GAP + sum(box.height + _GAP for box in boxes) + (_LINE if rest else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" style="{_STYLE}">',
        f"<title>{_text(head)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        _words(_PAD, _PAD + 14, head, size=15, weight="bold"),
        *_column(boxes, _PAD, _PAD + _LINE + _GAP, width - 2 * _PAD),
    ]
    if rest:
        lines.append(_words(_PAD, height - _PAD, f"and {rest:,} more places", size=12))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _measured(place: Place, left: list[int], depth: int) -> _Box | None:
    if left[0] <= 0 or depth > _DEEPEST:
        return None
    left[0] -= 1
    head, note = _head(place), _note(place)
    inner = (_measured(child, left, depth + 1) for child in place.children)
    children = tuple(box for box in inner if box is not None)
    text = max(_wide(head, _LETTER), _wide(note, _SMALL))
    width = max([text, _NARROWEST, *(box.width for box in children)]) + 2 * _PAD
    height = 2 * _PAD + _LINE + (_LINE if note else 0) + sum(box.height + _GAP for box in children)
    return _Box(place, head, note, children, width, height - (_PAD / 2 if not children else 0))


def _column(boxes: Sequence[_Box], x: float, y: float, width: float, *, follow: bool = True) -> Iterator[str]:
    """Boxes below one another, all as wide; where they follow one another, an arrow from each to the next."""
    for number, box in enumerate(boxes):
        if number and follow:
            yield _arrow(x + 24, y - _GAP, y)
        yield from _drawn(box, x, y, width)
        y += box.height + _GAP


def _drawn(box: _Box, x: float, y: float, width: float) -> Iterator[str]:
    fill, ink = _COLOURS.get(box.place.kind, _COLOURS["call"])
    unbounded = box.place.bound.worst is None and not box.place.limited_by
    edge = _UNBOUNDED if unbounded else ink
    if box.place.kind == "fan-out":  # a second sheet behind it: there are many
        yield _rect(x + 4, y + 4, width - 4, box.height, fill, edge)
    yield _rect(x, y, width - 4 if box.place.kind == "fan-out" else width, box.height, fill, edge)
    yield _words(x + _PAD, y + _PAD + 11, box.head, size=13, weight="bold" if box.children else "normal")
    below = y + _PAD + _LINE
    if box.note:
        yield _words(x + _PAD, below + 11, box.note, size=11, ink=_UNBOUNDED if unbounded else "#57606a")
        below += _LINE
    follow = box.place.kind != "choice"
    yield from _column(box.children, x + _PAD, below + _GAP / 2, width - 2 * _PAD, follow=follow)


def _head(place: Place) -> str:
    return _cut(head_of(place))


def _note(place: Place) -> str:
    often = times(place)
    return _cut(f"line {place.line}" + (f" · {often}" if often else ""))


def _rect(x: float, y: float, width: float, height: float, fill: str, edge: str) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {where} rx="6" fill="{fill}" stroke="{edge}"/>'


def _arrow(x: float, above: float, below: float) -> str:
    tip = f"{x - 4:.1f},{below - 6:.1f} {x:.1f},{below:.1f} {x + 4:.1f},{below - 6:.1f}"
    line = f'<line x1="{x:.1f}" y1="{above:.1f}" x2="{x:.1f}" y2="{below - 5:.1f}" stroke="#57606a"/>'
    return f'{line}<polygon points="{tip}" fill="#57606a"/>'


def _words(x: float, y: float, text: str, *, size: int, weight: str = "normal", ink: str = _INK) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{ink}"'
    return f"<text {where}>{_text(text)}</text>"


def _cut(text: str) -> str:
    shown = spelled_out(" ".join(text.split()))
    return shown if len(shown) <= _TEXT else f"{shown[: _TEXT - 1]}…"


def _wide(text: str, letter: float) -> float:
    return sum(letter if one.isascii() else 2 * letter for one in text)


def _text(text: str) -> str:
    """A text that was cut, and so has nothing that cannot be seen; which is all that XML could not hold."""
    return escape(text, {'"': "&quot;"})
