"""The tools of one conversation and what holds for them: the policy, what they require, and what they left behind."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import anyio

from antiphon.engine import CallContext
from antiphon.engine.denial import Outside, tell
from antiphon.subagents.loop.anomaly import NOT_CALLED
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.tools.asking import act_of, consent_in, question
from antiphon.subagents.tools.contract import Tool, ToolResult, changes
from antiphon.subagents.tools.policy import Policy
from antiphon.subagents.tools.requiring import Check, is_whole, required_tools, unmet
from antiphon.tracing import Json

if TYPE_CHECKING:
    from antiphon.subagents.workspace.contract import Workspace

DENIED: Final = "denied: "
"""What the result of a tool begins with that may not be called so."""
_LISTED: Final = 10
_UNDO_SECONDS: Final = 60.0
_CHANGING: Final[ContextVar[bool]] = ContextVar("changing", default=False)

Answer = Literal["yes", "no", "always"]


class Toolbox:
    """What the calls of one answer are performed with.

    Args:
        ctx: of the call that they are performed for.
        tools: all that may be called, by name; also those that the model was not shown.
        policy: what they may do.
        checks: what tools that others require came to in earlier turns.
        turn: the number of the answer, from 1; names what a person is asked about it.

    Attributes:
        checks: what such tools came to in this turn.
    """

    def __init__(
        self,
        ctx: CallContext,
        tools: Mapping[str, Tool],
        *,
        policy: Policy | None = None,
        checks: tuple[Check, ...] = (),
        turn: int = 0,
    ) -> None:
        self.ctx, self.tools, self.policy = ctx, tools, policy or Policy()
        self.checks: list[Check] = []
        self._before, self._turn = checks, turn
        self._required = required_tools(tools.values(), self.policy.after)
        self._workspace = cast("Workspace | None", ctx.workspace)
        self._tree: str | None = None
        self._changed = False
        self._locks: dict[str, anyio.Lock] = {}
        self._asked: Counter[str] = Counter()
        self._acts: list[str] = []

    # --- the workspace --------------------------------------------------------------------------------------------

    def may_change(self, tool: Tool) -> bool:
        """Whether a call of a tool may change the workspace."""
        return self._workspace is not None and self._workspace.writable and changes(tool)

    async def tree(self) -> str:
        """The present state of the workspace; "" where there is none."""
        if self._workspace is None:
            return ""
        if self._tree is None:
            self._tree = await self._workspace.tree()
        return self._tree

    async def left(self) -> str:
        """The state of the workspace after the calls of a turn; "" where none of them may have changed it."""
        return await self.tree() if self._changed else ""

    @asynccontextmanager
    async def alone(self, tool: Tool) -> AsyncGenerator[None]:
        """Wait until nothing else that another tool calls changes the workspace, where this one may."""
        if not self.may_change(tool) or _CHANGING.get():
            yield
            return
        async with self._lock("changing"):
            token = _CHANGING.set(True)
            try:
                yield
            finally:
                _CHANGING.reset(token)

    def _lock(self, which: str) -> anyio.Lock:
        """One for each; most conversations need none, and an answer makes a box of its own."""
        return self._locks.setdefault(which, anyio.Lock())

    @asynccontextmanager
    async def watched(self, tool: Tool) -> AsyncGenerator[str]:
        """The state to go back to where a call changes what it may not, "" where that cannot be.

        A call that does not come to its end, for want of time or because the run stops, is looked at here.
        """
        held = self.may_change(tool) and self.policy.holds_writes(tool)
        before, ended = await self.tree() if held else "", False
        try:
            yield before
            ended = True
        finally:
            if before and not ended:
                self._tree = None
                with anyio.move_on_after(_UNDO_SECONDS, shield=True):
                    await self._undone(tool, before, ToolResult(""))

    async def held(self, tool: Tool, arguments: Mapping[str, Json], before: str, answer: ToolResult) -> ToolResult:
        """What a call came to: its changes undone if one of them is not allowed, its success kept if it is required."""
        if self.may_change(tool):
            self._changed, self._tree = True, None
        if before:
            answer = await self._undone(tool, before, answer)
        name = tool.spec.name
        if name in self._required and (answer.failed or is_whole(arguments)):
            self.checks.append(Check(name, await self.tree(), answer.failed))
        return answer

    async def _undone(self, tool: Tool, before: str, answer: ToolResult) -> ToolResult:
        """Take back what a call changed, all of it, where something of that may not be changed."""
        after, workspace = await self.tree(), self._workspace
        if workspace is None or after == before:
            return answer
        changed = await workspace.changed(before, after)
        strays = self.policy.strays(tool, [change.path for change in changed])
        if not strays:
            return answer
        await workspace.restore(before)
        self._tree = None
        more = f" and {len(strays) - _LISTED} more" if len(strays) > _LISTED else ""
        listed = ", ".join(strays[:_LISTED])
        why = f"it changed {listed}{more}, which it may not; all files are again what they were before it"
        self.ctx.note(f"{tool.spec.name} {DENIED}{why}")
        self._tell_denied(tool.spec.name, "scope.write", why)
        return ToolResult(f"{DENIED}{why}\n{answer.text}", failed=answer.failed or tool.traits.cost == "write")

    # --- the policy -----------------------------------------------------------------------------------------------

    async def refused(self, tool: Tool, arguments: Mapping[str, Json]) -> ToolResult | None:
        """Why a call is not performed; None if it may be. Asks the person where the policy says so."""
        if not _is_text(arguments):
            return ToolResult(
                f"{NOT_CALLED}the arguments are no text: there is half of a character in them", failed=True
            )
        name, ruling = tool.spec.name, self.policy.ruling(tool, arguments, self._is_folder, self._really)
        if ruling.mode == "deny":
            return self._denied(name, ruling.why, ruling.outside)
        required = self.policy.required(tool)
        if required and (missing := unmet(required, (*self._before, *self.checks), await self.tree())):
            return ToolResult(f"{NOT_CALLED}{missing}", failed=True)
        if ruling.mode == "ask" and not await self._allowed(tool, arguments, ruling.why):
            return self._denied(name, "the person who was asked said no")
        return None

    def _is_folder(self, path: str) -> bool:
        return path == "." or (self._workspace is not None and os.path.isdir(self._workspace.root / path))

    def _really(self, path: str) -> str:
        """Where a path leads through links; what leads out of the workspace is refused by the tool itself."""
        if self._workspace is None or path.startswith("/"):
            return path
        root = self._workspace.root
        try:
            real = os.path.relpath(os.path.realpath(root / path), root)
        except (OSError, ValueError):  # no text that could be a file name
            return path
        return path if real == ".." or real.startswith("../") else real

    def _denied(self, name: str, why: str, field: str = "") -> ToolResult:
        self.ctx.note(f"{name} {DENIED}{why}")
        if field:
            self._tell_denied(name, field, why)
        return ToolResult(f"{DENIED}{why}", failed=True)

    def _tell_denied(self, name: str, field: str, why: str) -> None:
        """Put it into the log and the census of what was denied: it is the same one where a turn is repeated."""
        self._asked[DENIED] += 1
        outside = Outside(f"tool {legible(name)[:64]}", field, why)
        tell(self.ctx.run, self.ctx.path, outside, at=f"{self._turn}.{self._asked[DENIED]}")

    async def _allowed(self, tool: Tool, arguments: Mapping[str, Json], why: str) -> bool:
        """A person's yes or no: recorded, and never asked for again where the call goes on after a stop."""
        decision = f"tool {_digest(self._turn, tool.spec.name, arguments)}"
        self._asked[decision] += 1
        key = self.ctx.path, decision, self._asked[decision]
        run, place = self.ctx.run, self._place()
        if (recorded := run.journal.decisions.get(key)) is None:
            answer = await self._answer(tool, arguments, why, place)
            recorded = run.decide(*key, {"tool": tool.spec.name, "answer": answer})
        return _said(recorded) in ("yes", "always")

    async def _answer(self, tool: Tool, arguments: Mapping[str, Json], why: str, place: str) -> Answer:
        name, consent = tool.spec.name, consent_in(self.ctx.run)
        async with self._lock("asking"):  # one question of a call at a time
            if name in consent.tools:
                return "always"
            text = await question(tool, name, arguments, self.ctx, why)
            consent.asked[place] = name
            try:
                yes = await self._ask(place, text)
            finally:
                del consent.asked[place]
            return ("always" if name in consent.tools else "yes") if yes else "no"

    def _place(self) -> str:
        """Where the question stands: the same whenever it is asked again, so that an answer to it stays one."""
        self._asked[""] += 1
        number = self._asked[""]
        return f"{self.ctx.path}#{self._turn}" + (f".{number}" if number > 1 else "")

    async def _ask(self, place: str, text: str) -> bool:
        """As `CallContext.ask` does, at a place of our own."""
        ctx, run = self.ctx, self.ctx.run
        ctx.waits_for("an answer")
        run.land(ctx.call.sort)
        try:
            return await run.answer(place, text)
        finally:
            run.take_off(ctx.call.sort)
            ctx.wait_ends()

    # --- who watches ----------------------------------------------------------------------------------------------

    @contextmanager
    def acting(self, tool: Tool, arguments: Mapping[str, Json]) -> Generator[None]:
        """Say what the agent does, while it does it."""
        act = act_of(tool, tool.spec.name, arguments)
        self._acts.append(act)
        self._tell_act()
        try:
            yield
        finally:
            self._acts.remove(act)
            self._tell_act()

    def _tell_act(self) -> None:
        """Of several at the same time, the one that began last; a tool that calls others is again told after them."""
        if self._acts:
            self.ctx.run.acts[self.ctx.path] = self._acts[-1]
        else:
            self.ctx.run.acts.pop(self.ctx.path, None)


def _said(recorded: Any) -> str:
    return str(cast("dict[str, Any]", recorded).get("answer")) if isinstance(recorded, dict) else ""


def _is_text(arguments: Mapping[str, Json]) -> bool:
    r"""Whether all of it can be written: ``"\\ud800"`` is JSON, and no text that a file or a program could take."""
    try:
        json.dumps(dict(arguments), ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _digest(turn: int, name: str, arguments: Mapping[str, Json]) -> str:
    said = json.dumps([turn, name, dict(arguments)], sort_keys=True)
    return legible(name)[:64] + " " + hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
