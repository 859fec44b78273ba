"""What tools may do without asking, what a person is asked about, and what is denied.

Rules come from three sides: the person who runs (the command line), the project's own configuration, and the workflow's
manifest. The strictest that fits holds, whoever says it; only the person can allow what is asked about by default.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

from antiphon.engine import UsageError
from antiphon.subagents.ignore_patterns import Patterns
from antiphon.subagents.tools.contract import Cost, Tool
from antiphon.subagents.workspace.files.viewing import View
from antiphon.tracing import Json

Mode = Literal["auto", "ask", "deny"]
"""Called at once; called once a person said yes; never called."""
MODES: Final[Mapping[str, Mode]] = {"auto": "auto", "ask": "ask", "deny": "deny"}

_TOOL: Final = re.compile(r"[A-Za-z0-9_*?\[][A-Za-z0-9_*?\[\]!.-]{0,99}")
_MOST_PATTERNS: Final = 100
_MOST_SHOWN: Final = 200
_FIELDS: Final = ("scope.tools", "scope.network", "scope.write", "scope.read")
_ASKED_ABOUT: Final[tuple[Cost, ...]] = ("network",)
"""What is asked about where nobody says anything of it: it leaves the workspace."""
_INSIDE: Final = "\x01"
"""A name that no pattern spells out, for what is inside of a folder."""


def _is_root(path: str) -> bool:
    return path == "."


def _as_named(path: str) -> str:
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule about tools.

    Attributes:
        tool: names that it is about, as in a shell: ``git_*``. mode: what it says of them.
        paths: only calls that name such a path, in patterns as in an ignore file; empty for all calls.
        source: who says so, for messages: ``--deny run``.
    """

    tool: str
    mode: Mode
    paths: tuple[str, ...] = ()
    source: str = ""

    def fits(self, name: str, paths: Sequence[str], folders: Sequence[str] = ()) -> bool:
        """Whether it is about a call of a tool that names these paths.

        Args:
            name: the tool's.
            paths: all of them.
            folders: those in which the tool looks at whatever is there; a rule about some of that is about the call.
        """
        if not fnmatchcase(name, self.tool):
            return False
        if not self.paths or any(_means(self.paths, path) for path in paths):
            return True
        return self.mode != "auto" and any(_may_hold(self.paths, folder) for folder in folders)

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        return {"tool": self.tool, "mode": self.mode, "paths": list(self.paths), "source": self.source}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a workflow's manifest says that its calls may touch. None where it says nothing of that.

    Attributes:
        tools: patterns of names. read, write: patterns of paths, as in an ignore file. network: hosts.
    """

    tools: tuple[str, ...] | None = None
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    network: tuple[str, ...] | None = None

    def denies(self, tool: Tool, paths: Sequence[str] = (), folders: Sequence[str] = ()) -> str:
        """Why a call of a tool that names these paths leaves the scope; "" if it does not.

        Those that are folders are in it as well where some of one may be, if the tool looks at no more than that.
        """
        name, cost = tool.spec.name, tool.traits.cost
        if self.tools is not None and not any(fnmatchcase(name, pattern) for pattern in self.tools):
            return f"scope.tools is {_listed(self.tools)}"
        if cost == "network" and (outside := self._unreachable(tool)):
            return outside
        if tool.traits.sees_all and self.read is not None and not _all(self.read):
            return f"it may read every file of the workspace, and scope.read is {_listed(self.read)}"
        if self.write is not None and cost == "write":
            return _outside("write", self.write, paths)
        if self.read is not None and cost == "read" and tool.traits.works:
            return _outside("read", self.read, paths, folders if tool.traits.narrows else ())
        return ""

    def denies_end(
        self, tool: Tool, paths: Sequence[str], really: Callable[[str], str], folders: Sequence[str] = ()
    ) -> str:
        """The same of where links lead: that is outside, so it is not told."""
        leads = next((path for path in paths if self.denies(tool, (really(path),), folders)), None)
        if leads is None:
            return ""
        which, patterns = ("write", self.write) if tool.traits.cost == "write" else ("read", self.read)
        return f"{leads[:_MOST_SHOWN]} leads to what is not in scope.{which} ({_listed(patterns or ())})"

    def _unreachable(self, tool: Tool) -> str:
        """Why a tool may reach a host that is not in the scope; "" if it may not."""
        if self.network is None or _all(self.network):
            return ""
        if not self.network:
            return "scope.network names no host"
        hosts = tool.traits.hosts or ("*",)
        strays = [host for host in hosts if not any(_is_host(host, pattern) for pattern in self.network)]
        if not strays:
            return ""
        what = "it may reach every host" if strays[0] == "*" else f"it reaches {strays[0][:_MOST_SHOWN]}"
        return f"{what}, and scope.network is {_listed(self.network)}"

    def hides(self, tool: Tool) -> bool:
        """Whether every call of a tool leaves the scope."""
        cost = tool.traits.cost
        nowhere = (cost == "write" and self.write == ()) or (cost == "read" and tool.traits.works and self.read == ())
        narrow = tool.traits.sees_all and self.read is not None and not _all(self.read)
        return nowhere or narrow or bool(replace(self, read=None, write=None).denies(tool))

    @property
    def narrows(self) -> bool:
        """Whether there is anything in the workspace that may not be read."""
        return self.read is not None and not _all(self.read)

    def shows(self, path: str, *, folder: bool = False) -> bool:
        """Whether a file may be read, or whether some of a folder ("" for the top) may be."""
        if self.read is None:
            return True
        return _may_show(self.read, path or ".") if folder else _patterns(self.read).means(path)

    @property
    def holds_writes(self) -> bool:
        """Whether there is anything in the workspace that may not be changed."""
        return self.write is not None and not _all(self.write)

    def strays(self, paths: Sequence[str]) -> list[str]:
        """Those of some changed paths that may not be changed."""
        return [path for path in paths if self.write is not None and not _means(self.write, path)]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of one call of a tool: the mode, and who says so and why; `outside` is whose word denies it."""

    mode: Mode
    why: str = ""
    outside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the tools of a run may do. The default: everything inside of the workspace; the network is asked about.

    Attributes:
        rules: of the person and of the project's configuration.
        scopes: of the manifest, and of those of the workflows around it.
        after: what a person requires before a tool, besides what the tool itself does; by the tool's name.
    """

    rules: tuple[Rule, ...] = ()
    scopes: tuple[Scope, ...] = ()
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def ruling(
        self,
        tool: Tool,
        arguments: Mapping[str, Json],
        is_folder: Callable[[str], bool] = _is_root,
        really: Callable[[str], str] = _as_named,
    ) -> Ruling:
        """What becomes of a call.

        Args:
            tool: what is called.
            arguments: with what.
            is_folder: whether a path of the workspace is a folder.
            really: where a path of the workspace leads through links; that has to be allowed as well.
        """
        name = tool.spec.name
        named = paths_of(tool, arguments) if self.rules or self.scopes else ()
        paths = tuple(dict.fromkeys((*named, *map(really, named))))
        folders = [path for path in paths if tool.traits.cost == "read" and is_folder(path)]
        for scope in self.scopes:
            if outside := scope.denies(tool, named, folders) or scope.denies_end(tool, named, really, folders):
                field = next((name for name in _FIELDS if name in outside), "scope")
                return Ruling("deny", f"outside of what the workflow may touch: {outside}", field)
        fitting = [rule for rule in self.rules if rule.fits(name, paths, folders)]
        for mode in ("deny", "ask"):
            found = next((rule for rule in fitting if rule.mode == mode), None)
            if found is not None:
                source = found.source or found.tool
                return Ruling(found.mode, f"the rule {source}", source)
        if tool.traits.cost in _ASKED_ABOUT and not any(rule.mode == "auto" for rule in fitting):
            return Ruling("ask", "it reaches the network")
        return Ruling("auto")

    def offers(self, tool: Tool) -> bool:
        """Whether a model is told of a tool at all: not where no argument could make it allowed."""
        name = tool.spec.name
        if any(rule.mode == "deny" and not rule.paths and rule.fits(name, ()) for rule in self.rules):
            return False
        return not any(scope.hides(tool) for scope in self.scopes)

    def view(self, tool: Tool) -> View | None:
        """What a tool that looks may see of a folder; None for all of it."""
        scopes = [scope for scope in self.scopes if scope.narrows]
        if not scopes or tool.traits.cost != "read":
            return None
        return View(
            file=lambda path: all(scope.shows(path) for scope in scopes),
            folder=lambda path: all(scope.shows(path, folder=True) for scope in scopes),
        )

    def required(self, tool: Tool) -> tuple[str, ...]:
        """The tools that must have succeeded before this one is called."""
        return tuple(dict.fromkeys((*tool.traits.after, *self.after.get(tool.spec.name, ()))))

    def holds_writes(self, tool: Tool) -> bool:
        """Whether what a call of a tool changed has to be looked at afterwards, as its arguments do not say it."""
        name = tool.spec.name
        denied = any(rule.mode == "deny" and rule.paths and fnmatchcase(name, rule.tool) for rule in self.rules)
        return denied or any(scope.holds_writes for scope in self.scopes)

    def strays(self, tool: Tool, paths: Sequence[str]) -> list[str]:
        """Those of the paths that a call changed which it may not change."""
        denies = [rule for rule in self.rules if rule.mode == "deny" and rule.paths]
        denied = {path for path in paths for rule in denies if rule.fits(tool.spec.name, (path,))}
        return sorted(denied.union(*(scope.strays(paths) for scope in self.scopes)))

    def within(self, scope: Scope) -> Policy:
        """The same, for a workflow that is nested in this one's and says what it may touch itself."""
        return replace(self, scopes=(*self.scopes, scope))


def read_rule(mode: Mode, text: str) -> Rule:
    """A rule as it is typed: ``TOOL`` or ``TOOL:PATH,PATH``.

    Raises:
        UsageError: it names no tool, or a pattern that is none.
    """
    name, colon, said = text.partition(":")
    paths = tuple(filter(None, (path.strip() for path in said.split(","))))
    option = {"auto": "--allow", "ask": "--ask", "deny": "--deny"}[mode]
    if not _TOOL.fullmatch(name) or "\0" in said:
        raise UsageError(f"{option} {text[:_MOST_SHOWN]!r} names no tool", advice=f"{option} run, or {option} 'git_*'")
    if (colon and not paths) or len(paths) > _MOST_PATTERNS or len(Patterns.of(paths).lines) != len(paths):
        raise UsageError(
            f"{option} {text[:_MOST_SHOWN]!r}: after the colon stand patterns of paths, as in an ignore file",
            advice=f"{option} 'edit:src/**,tests/**'",
        )
    return Rule(tool=name, mode=mode, paths=paths, source=f"{option} {text}")


def paths_of(tool: Tool, arguments: Mapping[str, Json]) -> tuple[str, ...]:
    """The paths in the workspace that a call names, written in one way; the whole workspace is ".".

    One that leads out stays as it is: no pattern of what is allowed means it, and the tool itself refuses it.
    """
    return tuple(dict.fromkeys(posixpath.normpath(path or ".") for path in _named(tool, arguments)))


def _named(tool: Tool, arguments: Mapping[str, Json]) -> Iterator[str]:
    for name in tool.traits.paths:
        match arguments.get(name):
            case str(path):
                yield path
            case [_, *_] as paths:
                yield from (path for path in paths if isinstance(path, str))
            case _:
                yield "."
    patch = arguments.get("patch")
    if isinstance(patch, str):
        yield from _patched(patch)


def _patched(patch: str) -> Iterator[str]:
    """The paths that a patch changes, as the tool that applies it reads them; what it cannot read changes nothing."""
    from antiphon.subagents.tools.files.patching import paths_in

    try:
        yield from paths_in(patch)
    except UsageError:
        yield "."


def _means(patterns: tuple[str, ...], path: str) -> bool:
    """Whether patterns mean a path. Nobody knows whether it is a file or a folder, so either is enough."""
    if path in ("..", ".") or path.startswith(("/", "../")):
        return _all(patterns)
    read = _patterns(patterns)
    return read.means(path) or read.decides(path, folder=True) is True or read.means(f"{path}/{_INSIDE}")


def _may_hold(patterns: tuple[str, ...], folder: str) -> bool:
    """Whether there may be something in a folder that patterns mean."""
    return _patterns(patterns).may_mean_in("" if folder == "." else folder)


def _may_show(patterns: tuple[str, ...], folder: str) -> bool:
    """The same of a folder of the workspace: there is nothing of it in one that is outside."""
    return folder != ".." and not folder.startswith(("/", "../")) and _may_hold(patterns, folder)


def _all(patterns: tuple[str, ...]) -> bool:
    whole = any(pattern in ("**", "*", "/**", "/*") for pattern in patterns)
    return whole and not any(pattern.startswith("!") for pattern in patterns)


def _is_host(host: str, pattern: str) -> bool:
    """Whether a pattern of a scope means a host; ``*`` as a host is every one, which only its like means."""
    return fnmatchcase(host.lower(), pattern.lower()) if host != "*" else False


@lru_cache(maxsize=256)
def _patterns(patterns: tuple[str, ...]) -> Patterns:
    return Patterns.of(patterns)


def _outside(which: str, patterns: tuple[str, ...], paths: Sequence[str], folders: Collection[str] = ()) -> str:
    """Why some paths are outside; of `folders` it is enough that there may be something in them that is not."""
    if not patterns:
        return f"scope.{which} is empty"
    strays = [path for path in paths if not (_may_show if path in folders else _means)(patterns, path)]
    return f"{strays[0][:_MOST_SHOWN]} is not in scope.{which} ({_listed(patterns)})" if strays else ""


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(patterns)[:_MOST_SHOWN] or "empty"
