"""Tools that others require: what must have succeeded on the present state of the workspace before a tool is called.

What a required tool came to is recorded with the turn that it was called in, so a call that goes on after a stop knows
it without asking anybody again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from antiphon.subagents.tools.contract import Tool
from antiphon.tracing import Json

_NARROWING: Final = ("only", "paths", "offset")
"""Arguments with which a tool looks at a part, or reads on in what it said before: its success then says little."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a required tool came to.

    Attributes:
        tool: its name.
        tree: the state of the workspace when it had ended; "" where the call has no workspace.
        failed: it could not do it, or what it looked at is not as it should be.
    """

    tool: str
    tree: str
    failed: bool = False

    def to_json(self) -> Json:
        """As it is in the log."""
        return {"tool": self.tool, "tree": self.tree, "failed": self.failed}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Check:
        """The same, read back. Raises `KeyError`, `TypeError` for what is none."""
        return cls(str(said["tool"]), str(said["tree"]), said["failed"] is not False)


def is_whole(arguments: Mapping[str, Json]) -> bool:
    """Whether a call of a required tool, if it succeeds, stands for all that the tool can look at."""
    return not any(arguments.get(name) for name in _NARROWING)


def required_tools(tools: Iterable[Tool], more: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The tools that others require.

    Args:
        tools: all that may be called.
        more: what a person requires besides, by tool.
    """
    own = {name for tool in tools for name in tool.traits.after}
    return frozenset(own.union(*more.values()))


def unmet(required: Iterable[str], checks: Iterable[Check], tree: str) -> str:
    """Why a tool may not be called yet, and what to call first; "" if it may.

    The last word of each required tool on this very state of the workspace counts.

    Args:
        required: the tools it requires.
        checks: what those came to so far, in order.
        tree: the present state of the workspace.
    """
    here = {check.tool: check.failed for check in checks if check.tree == tree}
    missing = [name for name in required if here.get(name) is not False]
    if not missing:
        return ""
    failed = [name for name in missing if name in here]
    first = ", ".join(missing)
    if failed:
        return f"{', '.join(failed)} failed on the files as they are now; put that right and call {first} again first"
    return f"call {first} first: nothing of that kind succeeded on the files as they are now"
