"""Requests from other processes: small files moved into a run's `control/`, which only the owner takes out again."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, Literal

import anyio
from pydantic import BaseModel, ConfigDict

from antiphon.engine import Run, UsageError, parse_top_up
from antiphon.tracing import AntiphonError, LogClosed, LogFailed
from antiphon.tracing.blobs import open_plain

POLL_SECONDS = 0.25
MAX_BYTES = 10_000


class Request(BaseModel):
    """What another process may ask of a running run: pause, stop, more budget, or an answer to an approval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ask: Literal["pause", "stop", "top_up", "answer"]
    budget: str = ""
    path: str = "*"
    yes: bool = False


def leave(control: Path, request: Request) -> None:
    """Leave a request for the owner of the run: written whole, then moved in.

    Raises:
        UsageError: the run has no plain folder for requests.
    """
    if control.is_symlink() or not control.is_dir():
        raise UsageError(f"{control} is no folder that requests could be left in", advice="antiphon runs")
    fresh = control / f".{secrets.token_hex(8)}"
    fresh.write_text(request.model_dump_json(), encoding="utf-8")
    os.replace(fresh, control / f"{secrets.token_hex(8)}.json")


async def follow(run: Run, control: Path) -> None:
    """Carry out requests as they come, until cancelled."""
    while True:
        _take_all(run, control)
        await anyio.sleep(POLL_SECONDS)


def _take_all(run: Run, control: Path) -> None:
    for file in sorted(control.glob("*.json")):
        _take(run, file)


def _take(run: Run, file: Path) -> None:
    """Carry out one request, once: what cannot be taken out of the folder is not carried out."""
    text = _read(file)
    try:
        file.unlink()
    except OSError:
        return
    try:
        _carry_out(run, Request.model_validate_json(text))
    except (ValueError, AntiphonError) as error:
        if isinstance(error, LogFailed | LogClosed):
            raise
        told = str(error).encode("utf-8", "replace").decode()[:500]
        run.log.enqueue("note", "", {"text": f"a control request was not understood and is ignored: {told}"})


def _read(file: Path) -> bytes:
    try:
        with open_plain(file) as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError:
        return b""
    return content if len(content) <= MAX_BYTES else b""


def _carry_out(run: Run, request: Request) -> None:
    asked: dict[str, Any] = request.model_dump()
    run.log.enqueue("control", "", asked)
    match request.ask:
        case "pause":
            run.pause("asked", "another process asked for a pause")
        case "stop":
            run.stop("another process asked for a stop")
        case "top_up":
            run.top_up(parse_top_up(request.budget))
        case "answer":
            run.give_answer(request.path, request.yes)
