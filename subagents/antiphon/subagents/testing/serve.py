"""A loopback server as a process of its own: ``python -m antiphon.subagents.testing.serve``.

Prints one line of JSON, ``{"url": "http://127.0.0.1:PORT/v1", "model": "openai/…@…"}``, and serves until its standard
input ends, so it never outlives whoever started it. Then it prints what it counted, again as one line.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING

from antiphon.engine import UsageError
from antiphon.subagents.testing.faults import Faults
from antiphon.subagents.testing.served import Asked, Served, answered, slow
from antiphon.subagents.testing.server import LoopbackServer, say_what_was_asked

if TYPE_CHECKING:
    from antiphon.subagents.testing.loopback import Answering


def main(words: list[str] | None = None) -> None:
    """Serve until standard input ends."""
    options = _parser().parse_args(words)
    with LoopbackServer(_answering(options)) as server:
        print(json.dumps({"url": server.url, "model": server.model}), flush=True)
        sys.stdin.read()
    tally = server.tally
    counted = {"kinds": tally.kinds, "usage": asdict(tally.usage()), "known": asdict(tally.usage(known=True))}
    print(json.dumps({**counted, "connections": tally.connections, "most_open": tally.most_open}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m antiphon.subagents.testing.serve", description=__doc__)
    parser.add_argument("--answer", default="", help="MODULE:FUNCTION that answers; by default what was asked")
    parser.add_argument("--text", default=None, help="answer this text to everything")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="before every answer")
    parser.add_argument("--faults", type=float, default=0.0, metavar="SHARE", help="of the answers go wrong")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    return parser


def _answering(options: argparse.Namespace) -> Answering:
    answer = _named(options.answer) if options.answer else say_what_was_asked
    if options.text is not None:
        text = str(options.text)
        answer = _constant(answered(text))
    if options.latency:
        answer = _late(answer, options.latency)
    return Faults(answer, share=options.faults, seed=options.seed) if options.faults else answer


def _named(name: str) -> Answering:
    module, _, function = name.partition(":")
    try:
        found: Answering = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{name!r} names no function: {error}", advice="write --answer MODULE:FUNCTION") from None
    return found


def _constant(served: Served) -> Answering:
    return lambda asked: served


def _late(answer: Answering, seconds: float) -> Answering:
    from inspect import isawaitable

    async def late(asked: Asked) -> Served:
        given = answer(asked)
        return slow(await given if isawaitable(given) else given, seconds)

    return late


if __name__ == "__main__":
    main()
