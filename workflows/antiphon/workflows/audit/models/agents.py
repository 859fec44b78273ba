"""The model agents of an audit: roles that are shown code, and whose answers become records about that code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import anyio.to_thread

from antiphon.engine import AgentFailure, Amount, Call, CallContext, Limits
from antiphon.subagents.answers import Content, Recording, framed
from antiphon.subagents.function import Role
from antiphon.subagents.prompt.passage import Passage
from antiphon.subagents.prompt.retrieval import Retrieval
from antiphon.subagents.records import FileSpan
from antiphon.subagents.roles.definition import Retrieve, RoleDefinition
from antiphon.tracing import Json
from antiphon.workflows.audit.models.showing import BYTES_A_TOKEN, around, whole
from antiphon.workflows.audit.sources import Source, Sources

Make = Callable[[RoleDefinition, Retrieval, Recording], Role]
"""Makes a model agent of a role, of what it is shown, and of what becomes of its answers."""
Choose = Callable[["Shown"], Sequence[Passage]]

CLAIM: Final = "claim"
"""The key of the frame that holds a claim to be judged."""
BACKWARDS: Final = "backwards"
AROUND_TOKENS: Final = 6_000
"""Of the code around a claim, about."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What decides which code a call is shown.

    Attributes:
        covers: its units. frames: its frames. sources: the audited files.
    """

    covers: tuple[str, ...]
    frames: tuple[Json, ...]
    sources: Sources

    def source(self, unit: str) -> Source | None:
        """A file as it was surveyed; None where it cannot be read, or is another by now."""
        source = self.sources.source(unit) if unit in self.sources.hashes else None
        return None if self.sources.problem(unit, source) else source

    def content(self, unit: str) -> Content | None:
        """The same, for those who look quotes up in it."""
        source = self.source(unit)
        return None if source is None else Legible(source)


@dataclass(frozen=True, slots=True)
class Legible:
    """A source as what may be quoted."""

    source: Source

    @property
    def lines(self) -> Sequence[bytes]:
        """Its lines, ends included."""
        return self.source.lines

    @property
    def encoding(self) -> str:
        """How its text is encoded."""
        return self.source.encoding

    def symbol(self, line: int) -> str:
        """The innermost function or class around a line."""
        return self.source.symbol(line)

    def evidence(self, start_line: int, end_line: int) -> FileSpan | None:
        """Lines of it as evidence."""
        return self.source.evidence(start_line, end_line)


class Chosen(Retrieval):
    """Gives a prompt the code that its call is about, whatever words the task has."""

    def __init__(self, shown: Shown, choose: Choose) -> None:
        super().__init__(Path(shown.sources.root))
        self._shown, self._choose = shown, choose

    async def find(self, question: str, rule: Retrieve) -> tuple[Passage, ...]:
        """The code, in the order it is to be read."""
        return tuple(await anyio.to_thread.run_sync(self._choose, self._shown))


def files_covered(shown: Shown) -> list[Passage]:
    """Every file that the call covers, whole. For an auditor.

    Raises:
        AgentFailure: none of them can be read as it was surveyed.
    """
    passages = [whole(source) for source in map(shown.source, shown.covers) if source is not None]
    if not passages:
        raise AgentFailure("none of these files is there any more as it was surveyed")
    return passages[::-1] if framed(shown.frames, "order") == BACKWARDS else passages


def code_around(shown: Shown) -> list[Passage]:
    """The code around the claim that a frame holds. For a verifier.

    Raises:
        AgentFailure: there is no claim, or its file is not there any more as it was surveyed.
    """
    claim = claim_in(shown.frames)
    source = shown.source(str(claim.get("file", "")))
    if source is None:
        raise AgentFailure("the file of the claim is not there any more as it was surveyed")
    return [around(source, _line(claim, "line"), _line(claim, "end_line"), AROUND_TOKENS)]


def claim_in(frames: Sequence[Json]) -> Mapping[str, Json]:
    """The claim that the last frame with one holds; empty if there is none."""
    claims = [frame[CLAIM] for frame in frames if isinstance(frame, dict) and isinstance(frame.get(CLAIM), dict)]
    return cast("Mapping[str, Json]", claims[-1]) if claims else {}


def _line(claim: Mapping[str, Json], name: str) -> int:
    line = claim.get(name)
    return line if isinstance(line, int) else 1


@dataclass(frozen=True, slots=True)
class CodeAgent:
    """A model agent whose prompts hold code of the audited tree, and whose calls are keyed by its content.

    Attributes:
        definition: its role. sources: the audited files. make: makes the agent. choose: says which code.
        tokens: about how many each file comes to. most_tokens: of code in one prompt.
    """

    definition: RoleDefinition
    sources: Sources
    make: Make
    choose: Choose
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    most_tokens: int | None = None
    base: Role = field(init=False)

    def __post_init__(self) -> None:
        """Make the agent that answers for what does not depend on a call."""
        object.__setattr__(self, "base", self._agent((), ()))

    @property
    def name(self) -> str:
        """The role's name."""
        return self.definition.name

    @property
    def floor(self) -> Amount:
        """See `Role`."""
        return self.base.floor

    def floor_of(self, call: Call) -> Amount:
        """Enough for one last answer to this call, the code before it counted."""
        of: Any = getattr(self.base, "floor_of", None)
        if of is None:
            return self.base.floor
        tokens = sum(self.tokens.get(unit, 0) for unit in self._units(call))
        shown = min(tokens, tokens if self.most_tokens is None else self.most_tokens) * BYTES_A_TOKEN
        floor: Amount = of(replace(call, context=(*call.context, " " * shown)))
        return floor

    @property
    def limits(self) -> Limits | None:
        """What one call may use besides, as its role file says."""
        return self.definition.limits.budget

    @property
    def output(self) -> object:
        """See `Role`."""
        return self.base.output

    @property
    def version(self) -> str:
        """See `Role`."""
        return self.base.version

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The content of every file that it is shown, and all that the model agent sees."""
        code: dict[str, Json] = {unit: self.sources.hashes.get(unit, "") for unit in self._units(call)}
        seen: Any = getattr(self.base, "sees", None)
        more: Mapping[str, Json] = seen(call) if seen is not None else {}
        return {**more, "code": code}

    def _units(self, call: Call) -> tuple[str, ...]:
        """The files that a call is shown something of."""
        judged = str(claim_in(call.context).get("file", ""))
        return (*call.covers, judged) if judged else call.covers

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Let the model answer, with the code before its eyes."""
        return await self._agent(tuple(ctx.covers), ctx.frames)(task, ctx)

    def _agent(self, covers: tuple[str, ...], frames: tuple[Json, ...]) -> Role:
        shown = Shown(covers, frames, self.sources)
        definition = self.definition.model_copy(update={"retrieve": Retrieve(sources=("**",))})
        return self.make(definition, Chosen(shown, self.choose), Recording(shown.content, definition.framing))
