"""Writes the parts of a document as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from antiphon.workflows.report.document import Block, Item, Line, Paragraph, Said, Section, Strong, Table
from antiphon.workflows.report.untrusted import visible


def text(line: Line) -> str:
    """A line."""
    return "".join(map(_piece, line))


def _piece(piece: str | Said | Strong) -> str:
    match piece:
        case Said():
            return code(piece.text, piece.limit)
        case Strong():
            return f"<strong>{escape(piece.text)}</strong>"
        case str():
            return escape(piece)


def code(words: str, limit: int = 300) -> str:
    """Somebody else's words, as code."""
    return f"<code>{safe(words, limit)}</code>"


def safe(words: str, limit: int = 300) -> str:
    """Somebody else's words, also inside the quotes of an attribute: visible, cut, and escaped."""
    return escape(visible(words, limit), quote=True)


def section(part: Section) -> Iterator[str]:
    """A part under its heading."""
    yield f'<section aria-labelledby="{part.name}">'
    yield f'<h2 id="{part.name}">{escape(part.title)}</h2>'
    yield from blocks(part.blocks)
    yield "</section>"


def blocks(parts: Iterable[Block]) -> Iterator[str]:
    """Blocks; items that follow each other are one list."""
    in_list = False
    for block in parts:
        if isinstance(block, Item) != in_list:
            yield "</ul>" if in_list else "<ul>"
            in_list = not in_list
        match block:
            case Item():
                yield from _item(block)
            case Paragraph():
                yield f"<p>{text(block.line)}</p>"
            case Table():
                yield from _table(block)
    if in_list:
        yield "</ul>"


def _item(item: Item) -> Iterator[str]:
    if not item.below:
        yield f"<li>{text(item.line)}</li>"
        return
    yield f"<li>{text(item.line)}<ul>"
    for below in item.below:
        yield from _item(below)
    yield "</ul></li>"


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr>{''.join(_cell(line, n in table.numbers) for n, line in enumerate(row))}</tr>"
    yield "</tbody></table></div>"


def _cell(line: Line, is_number: bool) -> str:
    return f'<td class="n">{text(line)}</td>' if is_number else f"<td>{text(line)}</td>"
