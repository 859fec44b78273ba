"""A role file, read: Markdown whose front matter says how to call it, and whose text is what the model is told."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from antiphon.engine import Limits, UsageError
from antiphon.engine.limits import LimitsError
from antiphon.subagents.model.naming import is_loopback, taken_apart
from antiphon.subagents.roles.definition import AgentLimits, Retrieve, RoleDefinition
from antiphon.subagents.roles.front_matter import MAX_FRONT, Front, RoleError, front_matter
from antiphon.tracing.blobs import open_plain

__all__ = ["MAX_BYTES", "RoleError", "read_role", "role_of"]

MAX_BYTES: Final = 256 * 1024
"""Most bytes of a role file."""
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
KEYS: Final = ("name", "description", "tools", "model", "escalate", "output", "framing", "limits", "retrieve", "warm")
Fits = TypeVar("Fits", bound=BaseModel)
_FOREIGN: Final = (".claude", "agents")
_NAMED: Final = re.compile(rf"""^name:[ \t]*["']?({NAME.pattern})["']?[ \t]*(?:#.*)?\r?$""", re.MULTILINE)
"""The name in a file that cannot be read otherwise, so that no other role answers in its place."""


def read_role(path: Path, *, within: Path | None = None) -> RoleDefinition:
    """Read a role file. One in ``.claude/agents`` is read as that tool's: unknown entries are its own business.

    Args:
        path: the file.
        within: the folder that a link must not lead out of; by default the file's own.

    Raises:
        RoleError: it cannot be read, or does not say what a role says; with file, line and reason.
    """
    text = _read(path, within or path.parent)
    return role_of(text, str(path), stem=path.stem, foreign=path.absolute().parent.parts[-2:] == _FOREIGN)


def role_of(text: str, file: str, *, stem: str, foreign: bool = False, source: str | None = None) -> RoleDefinition:
    """A role from the text of its file.

    Args:
        text: the Markdown.
        file: its name, for messages.
        stem: the role's name where the front matter has none.
        foreign: it is in the form of ``.claude/agents``.
        source: where the definition says that it came from; the file by default.

    Raises:
        RoleError: see `read_role`.
    """
    try:
        front = front_matter(text, file, lenient=foreign)
        return _Reading(file, front, foreign).definition(stem, source or file)
    except RoleError as error:
        named = _NAMED.search(text.split("\n---", 1)[0][:MAX_FRONT])
        error.role = named[1] if named else ""
        raise


def _read(path: Path, within: Path) -> str:
    try:
        real = os.path.realpath(path)
        if not Path(real).is_relative_to(os.path.realpath(within)):
            raise RoleError(path, "it is a link that leads out of its folder")
        with open_plain(Path(real)) as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise RoleError(path, f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise RoleError(path, f"it is larger than {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RoleError(path, "it is not UTF-8", content.count(b"\n", 0, error.start) + 1) from None


_MCP: Final = "mcp__"
_COUNTERPARTS: Final[Mapping[str, str]] = {
    "Read": "read",
    "LS": "list",
    "Glob": "glob",
    "Grep": "grep",
    "Edit": "edit",
    "MultiEdit": "edit",
    "Write": "write",
    "Bash": "run",
}
"""Tools of coding agents, and ours that do the same."""


class _Reading:
    """One front matter on its way to being a role."""

    def __init__(self, file: str, front: Front, foreign: bool) -> None:
        self._file, self._front, self._foreign = file, front, foreign
        self._notes: list[str] = []

    def definition(self, stem: str, source: str) -> RoleDefinition:
        """The role."""
        if not self._foreign:
            self._check_keys(self._front.values, KEYS, ())
        if not self._front.body:
            problem = "there is no text below the front matter to tell a model"
            raise RoleError(self._file, problem, self._front.body_line)
        return RoleDefinition(
            name=self._name(stem),
            description=" ".join((self._text("description") or "").split()),
            instructions=self._front.body,
            tools=self._foreign_tools() if self._foreign else self._tools(),
            model=self._foreign_model() if self._foreign else self._model("model"),
            escalate=None if self._foreign else self._model("escalate"),
            output=None if self._foreign else self._text("output"),
            framing="" if self._foreign else self._text("framing") or "",
            limits=AgentLimits() if self._foreign else self._limits(),
            retrieve=None if self._foreign else self._retrieve(),
            warm=not self._foreign and self._warm(),
            source=source,
            notes=tuple(self._notes),
        )

    def _check_keys(self, given: Mapping[str, Any], known: tuple[str, ...], place: tuple[str, ...]) -> None:
        for key in given:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
                what = "".join(f"{part}." for part in place) + key
                raise self._error((*place, key), f"a role has no {what[:60]!r} ({meant})")

    def _name(self, stem: str) -> str:
        name = self._text("name") or stem
        if not NAME.fullmatch(name):
            problem = f"a name is 1 to 64 letters, digits, - and _, and begins with a letter: not {name[:60]!r}"
            raise self._error(("name",), problem)
        return name

    def _text(self, key: str) -> str | None:
        value = self._front.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._error((key,), f"{key} must be text, not {value!r:.60}; put it in quotes")

    def _tools(self) -> tuple[str, ...]:
        value = self._front.values.get("tools")
        if value is None:
            return ()
        given = value.split(",") if isinstance(value, str) else value
        if not isinstance(given, list) or not all(isinstance(tool, str) for tool in cast("list[object]", given)):
            raise self._error(("tools",), 'tools must be a list of names, or text such as "read, grep"')
        names = [tool.strip() for tool in cast("list[str]", given)]
        if len(set(names)) < len(names):
            raise self._error(("tools",), "a tool is named twice")
        return tuple(name for name in names if name)

    def _foreign_tools(self) -> tuple[str, ...]:
        """Names of the other tool's tools, as ours of the same kind; what has none here is left out, and said so."""
        named: list[str] = []
        for name in self._tools():
            ours = name.removeprefix(_MCP) if name.startswith(_MCP) else _COUNTERPARTS.get(name)
            if ours is None:
                self._notes.append(f"tools: {name[:60]} has no counterpart here")
            else:
                named.append(ours)
        return tuple(dict.fromkeys(named))

    def _model(self, key: str) -> str | None:
        """A model's name. A role file may come with somebody's tree, and must not say where prompts are sent."""
        name = self._text(key)
        if name is None:
            return None
        try:
            parts = taken_apart(name)
        except UsageError as error:
            raise self._error((key,), f"{key}: {error.message}") from None
        if parts.provider == "file" or (parts.url is not None and not is_loopback(parts.url)):
            role = self._name(Path(self._file).stem)
            problem = f"{key} names an address or a folder, which only the command line may: --model {role}=MODEL"
            raise self._error((key,), problem)
        return name

    def _foreign_model(self) -> str | None:
        """Names without a provider are aliases of the tool that these files are for; no model of ours is called so."""
        name = self._text("model")
        if name is None or name == "inherit":
            return None
        if "/" not in name:
            self._notes.append(f"model: {name[:60]} is an alias of another tool; the run's model answers instead")
            return None
        return self._model("model")

    def _limits(self) -> AgentLimits:
        given = self._entries("limits", tuple(AgentLimits.model_fields), "turns: 20")
        if given is None:
            return AgentLimits()
        return self._fitted("limits", AgentLimits, {**given, "budget": self._budget(given.get("budget"))})

    def _retrieve(self) -> Retrieve | None:
        given = self._entries("retrieve", ("from", "most", "tokens"), "from: [docs/**]")
        return None if given is None else self._fitted("retrieve", Retrieve, given)

    def _warm(self) -> bool:
        value = self._front.values.get("warm", False)
        if not isinstance(value, bool):
            raise self._error(("warm",), f"warm is true or false, not {value!r:.60}")
        return value

    def _entries(self, key: str, known: tuple[str, ...], example: str) -> dict[str, Any] | None:
        """The entries below a key, all of them known; None if there is no such key."""
        value = self._front.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._error((key,), f"{key} must be entries such as {example}, not {value!r:.60}")
        given = cast("dict[str, Any]", value)
        self._check_keys(given, known, (key,))
        return given

    def _fitted(self, key: str, model: type[Fits], given: dict[str, Any]) -> Fits:
        try:
            return model.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = (key, *map(str, first["loc"]))
            got = "" if first["type"] == "missing" else f", not {first['input']!r:.60}"
            raise self._error(place, f"{'.'.join(place)}: {first['msg']}{got}") from None

    def _budget(self, value: object) -> Limits | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._error(("limits", "budget"), 'limits.budget must be entries such as usd: "0.50"')
        given = cast("dict[str, object]", value)
        for name, limit in given.items():
            try:
                Limits.parse({name: limit})
            except LimitsError as error:
                raise self._error(("limits", "budget", name), f"limits.budget: {error.problems[0][:200]}") from None
        return Limits.parse(given)

    def _error(self, place: tuple[str, ...], problem: str) -> RoleError:
        return RoleError(self._file, problem, self._front.line(place))
