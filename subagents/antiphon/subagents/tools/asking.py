"""What a person is asked before a tool is called, and what those who watch are told that it does."""

from __future__ import annotations

import difflib
import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

from antiphon.engine import CallContext
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.tools.contract import Tool
from antiphon.tracing import Json

if TYPE_CHECKING:
    from antiphon.engine import Run
    from antiphon.subagents.workspace.contract import Workspace

_ACT: Final = 120
_ARGUMENT: Final = 2_000
_QUESTION: Final = 12_000
_DIFFED: Final = 200_000
_TELLING: Final = ("command", "path", "name", "pattern", "query", "symbol", "message")
_REPLACED: Final = (("old", "new"), ("old_text", "new_text"), ("old_string", "new_string"))


def act_of(tool: Tool, name: str, arguments: Mapping[str, Json]) -> str:
    """What a call of a tool does, in a few words on one line: ``edit src/a.py``, ``run pytest -q``."""
    keys = (*tool.traits.paths, *_TELLING)
    said = next((str(arguments[key]) for key in keys if isinstance(arguments.get(key), str) and arguments[key]), "")
    line = " ".join(f"{name} {said}".split())
    return legible(line if len(line) <= _ACT else f"{line[: _ACT - 1]}…")


async def question(tool: Tool, name: str, arguments: Mapping[str, Json], ctx: CallContext, why: str) -> str:
    """What a person is asked: on the first line what would be done and for whom, then all that is known of it."""
    asker = f"{ctx.call.name} at {ctx.path}"
    first = f"may {asker} {act_of(tool, name, arguments)}?"
    because = f"asked because of: {why}" if why else ""
    told = await _diff(arguments, ctx)
    shown = besides_diff(arguments) if told else arguments
    lines = [first, because, *(f"  {key}: {_argument(value)}" for key, value in shown.items()), told]
    text = legible("\n".join(line for line in lines if line))
    if len(text) <= _QUESTION:
        return text
    return f"{text[:_QUESTION]}\n[... {len(text) - _QUESTION} characters left out ...]"


def diff_of(arguments: Mapping[str, Json], before: str = "") -> str:
    """What a call of a tool would change, as a diff; "" where its arguments do not say it.

    Args:
        arguments: of `edit`, `write`, `apply_patch`, or of any tool whose arguments are called alike.
        before: what is in the file that is written anew.
    """
    patch, path, content = arguments.get("patch"), arguments.get("path"), arguments.get("content")
    if isinstance(patch, str):
        return patch
    for old, new in _REPLACED:
        was, becomes = arguments.get(old), arguments.get(new)
        if isinstance(was, str) and isinstance(becomes, str):
            return _unified(was, becomes, str(path))
    return _unified(before, content, path) if isinstance(path, str) and isinstance(content, str) else ""


def besides_diff(arguments: Mapping[str, Json]) -> dict[str, Json]:
    """The arguments that are not in such a diff already."""
    told = _in_diff(arguments)
    return {key: value for key, value in arguments.items() if key not in told}


def _in_diff(arguments: Mapping[str, Json]) -> set[str]:
    """Names of the arguments that `diff_of` makes its diff of: others beside them have to be seen by themselves."""
    if isinstance(arguments.get("patch"), str):
        return {"patch"}
    named = {"path"} if isinstance(arguments.get("path"), str) else set[str]()
    for pair in _REPLACED:
        if all(isinstance(arguments.get(key), str) for key in pair):
            return {*pair, *named}
    return {"content", *named}


def _argument(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _ARGUMENT:
        text = f"{text[:_ARGUMENT]}[... {len(text) - _ARGUMENT} characters left out ...]"
    return text.replace("\n", "\n    ")


async def _diff(arguments: Mapping[str, Json], ctx: CallContext) -> str:
    path = arguments.get("path")
    written = isinstance(path, str) and isinstance(arguments.get("content"), str)
    return diff_of(arguments, await _present(path, ctx) if written and isinstance(path, str) else "")


async def _present(path: str, ctx: CallContext) -> str:
    """A file as it is now, from the workspace's own record of it; "" where there is none to compare with."""
    workspace = cast("Workspace | None", ctx.workspace)
    path = posixpath.normpath(path)
    if workspace is None or path.startswith(("/", "..")):
        return ""  # what leads out is refused by the tool itself
    held = await workspace.content(path, await workspace.tree())
    return "" if held is None else held[:_DIFFED].decode("utf-8", "replace")


def _unified(before: str, after: str, path: str) -> str:
    return "\n".join(_lines(before[:_DIFFED], after[:_DIFFED], path))


def _lines(before: str, after: str, path: str) -> Iterator[str]:
    old, new = before.splitlines(), after.splitlines()
    for line in difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""):
        yield line.rstrip("\n")


# --- consent ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Consent:
    """What the person at a run has said yes to for as long as it goes on.

    Attributes:
        tools: names of tools that are not asked about any more.
        asked: by the place of each open question: the tool that it is about.
    """

    tools: set[str] = field(default_factory=set[str])
    asked: dict[str, str] = field(default_factory=dict[str, str])

    def always(self, place: str) -> str:
        """Say yes to all further calls of the tool that is asked about at a place; its name, "" if it is none."""
        tool = self.asked.get(place, "")
        if tool:
            self.tools.add(tool)
        return tool


_CONSENTS: Final[WeakKeyDictionary[Run, Consent]] = WeakKeyDictionary()


def consent_in(run: Run) -> Consent:
    """What the person at this run has said yes to."""
    return _CONSENTS.setdefault(run, Consent())
