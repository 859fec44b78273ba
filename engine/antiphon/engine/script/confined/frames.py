"""What a guest may send: frames, checked one by one. Everything in them is hostile input."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from antiphon.engine.script.runtime import GuestDied
from antiphon.tracing.log import Json

MAX_ITEMS = 100_000
"""How many items one fan-out of a guest may have."""
_HALVES: Final = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_Token = Annotated[str, Field(max_length=64)]
_Text = Annotated[str, Field(max_length=1_000_000)]
_Group = Annotated[int, Field(gt=0, lt=2**53)]


class Frame(BaseModel):
    """What every frame says: its own number, which rises, and the token of the branch that it belongs to."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[int, Field(gt=0, lt=2**53)]
    at: _Token


class CallAsked(BaseModel):
    """A call: which function of the script API, with which arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Literal["agent", "step", "approve", "choose", "workflow"]
    args: dict[str, Any]


class ItemAsked(BaseModel):
    """An item of a fan-out: a call that the host performs, a coroutine of the guest's, or something that is neither."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    call: CallAsked | None = None
    coroutine: bool = False
    item: str | bool | int | float | None = None
    wrong: Annotated[str, Field(max_length=200)] | None = None


class Options(BaseModel):
    """What a construct takes besides its items."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    concurrency: int | None = None
    limits: dict[str, Any] | None = None
    context: Any = ()
    need: int = 1
    name: str = ""


class CallFrame(Frame):
    """Perform a call; the reply is its value."""

    do: Literal["call"]
    call: CallAsked


class FanFrame(Frame):
    """Run a construct; the reply is what it came to. `asks` names what stays on the guest's side."""

    do: Literal["fan"]
    group: _Group
    made: Annotated[Literal["parallel", "pipeline", "race", "quorum", "branch"], Field(alias="construct")]
    options: Options
    items: Annotated[list[ItemAsked], Field(max_length=MAX_ITEMS)]
    asks: list[Literal["until", "vote", "source"]]


class BeginFrame(Frame):
    """A coroutine of a fan-out is there; the reply is the token of its branch, once it may begin."""

    do: Literal["begin"]
    group: _Group
    index: Annotated[int, Field(ge=0, lt=2**53)]


class AskFrame(Frame):
    """What does the host want to know of a fan-out? With the answer to what it wanted to know before."""

    do: Literal["ask"]
    group: _Group
    answer: dict[str, Any] | None


class PulledFrame(Frame):
    """What an asynchronous source gave: an item, its end (None), or what it raised."""

    do: Literal["pulled"]
    group: _Group
    item: ItemAsked | None = None
    raised: _Text | None = None


class EndFrame(Frame):
    """A branch of the guest is over: with a value (of `main` only), an exception, or because it was cancelled."""

    do: Literal["end"]
    value: Any = None
    error: _Text | None = None
    described: _Text | None = None
    cancelled: bool = False


class PrintFrame(Frame):
    """What the script printed."""

    do: Literal["print"]
    text: str


class NowFrame(Frame):
    """What is answered at once, without awaiting anything: `do` is the name in the script API."""

    do: Literal["phase", "log", "now", "random", "put", "get", "claims", "synthesize", "budget", "fail", "replan"]
    title: Any = None
    reserve: dict[str, Any] | None = None
    text: Any = None
    key: Any = None
    value: Any = None
    default: Any = None
    reason: Any = None
    partial: Any = None
    results: Any = None
    reading: Literal["used", "remaining"] = "used"
    kind: Any = "usd"
    of: list[str] | None = None
    phase: str | None = None
    status: str | None = None
    planned: Any = ()


AnyFrame = CallFrame | FanFrame | BeginFrame | AskFrame | PulledFrame | EndFrame | PrintFrame | NowFrame
_FRAMES: TypeAdapter[AnyFrame] = TypeAdapter(Annotated[AnyFrame, Field(discriminator="do")])


def frame_of(text: str) -> AnyFrame:
    """The frame that a text is. Raises `GuestDied` for what no guest sends."""
    try:
        return _FRAMES.validate_json(text)
    except ValidationError as error:
        if (whole := _whole(text)) != text:
            return frame_of(whole)
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"][:6])
        raise GuestDied("protocol", f"it sent a frame that is none ({place}: {first['msg'][:200]})") from None


def reply_of(id: int, reply: Mapping[str, Json]) -> str:
    """The text that answers a frame."""
    try:
        return to_json({"id": id, **reply}).decode()
    except PydanticSerializationError:  # a model may answer with half a character
        return _whole(json.dumps({"id": id, **reply}))


def _whole(text: str) -> str:
    """JSON with a replacement character for each half of one, which Python's text may have and UTF-8 cannot."""
    return _HALVES.sub(lambda found: r"\ufffd" if found[1] else found[0], text)
