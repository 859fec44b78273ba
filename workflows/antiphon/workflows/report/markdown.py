"""The report for a person, as Markdown: what matters first, in five minutes. Nothing in it acts on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from antiphon.workflows.baseline.comparison import Comparison
from antiphon.workflows.report.about import About
from antiphon.workflows.report.document import Block, Item, Line, Paragraph, Said, Strong, Table
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.sections import sections_of, summary
from antiphon.workflows.report.untrusted import cell, code
from antiphon.workflows.synthesis import Synthesis


def markdown(
    synthesis: Synthesis,
    about: About,
    comparison: Comparison | None = None,
    excerpts: Mapping[str, str] | None = None,
) -> str:
    """The report as Markdown. It is plain text too: nothing in it acts on a terminal.

    Args:
        synthesis: what was found.
        about: how.
        comparison: with an earlier audit, if there is one.
        excerpts: lines of code by id of a claim (`excerpts`).
    """
    material = Material(synthesis=synthesis, about=about, comparison=comparison, excerpts=excerpts or {})
    return "\n".join(_lines(material)) + "\n"


def _lines(material: Material) -> Iterator[str]:
    yield f"# Audit of {code(material.about.target)}"
    yield from _blocks(summary(material))
    for part in sections_of(material):
        yield ""
        yield f"## {part.title}"
        yield from _blocks(part.blocks)


def _blocks(blocks: Iterable[Block]) -> Iterator[str]:
    """Blocks, with an empty line before each but between the items of one list."""
    before: Block | None = None
    for block in blocks:
        if not (isinstance(before, Item) and isinstance(block, Item)):
            yield ""
        match block:
            case Item():
                yield from _item(block, "")
            case Paragraph():
                yield text(block.line)
            case Table():
                yield from _table(block)
        before = block


def _item(item: Item, indent: str) -> Iterator[str]:
    yield f"{indent}- {text(item.line)}"
    for below in item.below:
        yield from _item(below, indent + "  ")


def _table(table: Table) -> Iterator[str]:
    rules = ["--:" if column in table.numbers else "---" for column in range(len(table.columns))]
    yield f"| {' | '.join(table.columns)} |"
    yield f"|{'|'.join(rules)}|"
    for row in table.rows:
        yield f"| {' | '.join(text(line, in_table=True) for line in row)} |"


def text(line: Line, *, in_table: bool = False) -> str:
    """A line as Markdown, also where a bar would end a table's cell."""
    parts: list[str] = []
    for piece in line:
        match piece:
            case Said():
                parts.append(cell(piece.text, piece.limit) if in_table else code(piece.text, piece.limit))
            case Strong():
                parts.append(f"**{piece.text.strip()}**{' ' if piece.text.endswith(' ') else ''}")
            case str():
                parts.append(piece)
    return "".join(parts)
