"""The text protocol: calls of tools and the answer as fenced blocks, for models that know neither tools nor schemas.

A block begins with a line of three or more backticks (or tildes) and a word, and ends with a line of at least as many
and nothing else, as in Markdown. ``call NAME`` holds the arguments of one call, a JSON object; ``answer`` holds the
answer, one JSON value. Any other block is prose, and so is what stands inside one: quoting a call calls nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from antiphon.subagents.model.answering.reading import parsed
from antiphon.subagents.model.contract import Message, ToolCall
from antiphon.tracing import Json

# Possessive, so that a line of a million tildes is looked at once.
_OPENS = re.compile(r" {0,3}+(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<info>[^`]*+)")
_BACKTICKS = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        info: the words after its first fence. body: the lines inside.
        first, last: the lines of its fences; the last is None where the text ends before it.
    """

    info: tuple[str, ...]
    body: str
    first: str
    last: str | None

    @property
    def closed(self) -> bool:
        """Whether it has a last fence."""
        return self.last is not None

    @property
    def is_protocol(self) -> bool:
        """Whether it is meant as a call or an answer."""
        return self.info[:1] in (("call",), ("answer",))


def taken_apart(text: str) -> tuple[str, list[Block]]:
    """What a message says besides the protocol, and all its blocks, in order."""
    pieces = list(_pieces(text))
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    prose = (_prose(piece) for piece in pieces if not isinstance(piece, Block) or not piece.is_protocol)
    return "\n".join(prose).strip(), blocks


def whole(text: str) -> Json:
    """A message that is one JSON value, bare or alone in one block.

    Raises:
        Unreadable: it is not.
    """
    said = [piece for piece in _pieces(text) if isinstance(piece, Block) or piece.strip()]
    match said:
        case [Block(info=() | ("json",) | ("answer",), closed=True) as block]:
            return parsed(block.body)
        case _:
            return parsed(text)


def call_block(call: ToolCall) -> str:
    """A call as the protocol writes it."""
    longest = max(map(len, _BACKTICKS.findall(call.arguments)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}call {call.name}\n{call.arguments}\n{fence}"


def in_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A conversation told without native calls: they become blocks, and what tools answered the user's words.

    Messages of the user's that follow each other become one: many local models' templates want turns to alternate.
    """
    groups = groupby(enumerate(map(_in_words, messages)), key=lambda pair: "" if pair[1].role == "user" else pair[0])
    return tuple(_as_one([message for _, message in group]) for _, group in groups)


def _as_one(messages: Sequence[Message]) -> Message:
    text = "\n\n".join(message.text for message in messages)
    return replace(messages[0], text=text, cached=any(message.cached for message in messages))


def _in_words(message: Message) -> Message:
    if message.role == "tool":
        return replace(message, role="user", answers="")
    if not message.calls:
        return message
    said = any(block.info[:1] == ("call",) for block in taken_apart(message.text)[1])
    blocks = () if said else map(call_block, message.calls)
    return replace(message, text="\n\n".join(filter(None, (message.text, *blocks))), calls=())


def _pieces(text: str) -> Iterator[str | Block]:
    """The lines outside of blocks, and the blocks."""
    lines = iter(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    for line in lines:
        opened = _OPENS.fullmatch(line)
        if opened is None:
            yield line
        else:
            inside, last = _inside(lines, opened["fence"])
            yield Block(tuple(opened["info"].split()), "\n".join(inside), line, last)


def _inside(lines: Iterator[str], fence: str) -> tuple[list[str], str | None]:
    """The lines up to the fence that closes a block, and that fence; None where the text ends before."""
    inside: list[str] = []
    for line in lines:
        bare = line.strip(" \t")
        if len(bare) >= len(fence) and not bare.strip(fence[0]) and len(line) - len(line.lstrip(" ")) <= 3:
            return inside, line
        inside.append(line)
    return inside, None


def _prose(piece: str | Block) -> str:
    if isinstance(piece, str):
        return piece
    return "\n".join((piece.first, piece.body, *(() if piece.last is None else (piece.last,))))
