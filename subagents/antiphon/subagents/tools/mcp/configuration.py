"""How a project describes its MCP servers: ``[tool.antiphon.mcp.NAME]``. Describing one never starts it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

from antiphon.subagents.model.guard import is_loopback

KEYS: Final = (*("command", "url", "env", "headers", "read", "write", "network", "tools", "seconds", "start_seconds"),)
SECONDS: Final = 60.0
START_SECONDS: Final = 30.0
MOST_SECONDS: Final = 3600.0

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,31}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]*-]{1,253}")
_REFERENCE: Final = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_OURS: Final = frozenset({"PATH", "HOME", "TMPDIR"})


class ServerUnsuitable(ValueError):
    """A table that describes no server; the text says which setting, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """One MCP server: a program that speaks on its pipes, or a URL.

    Attributes:
        name: letters, digits, ``-`` and single ``_``, at most 32: its tools are called ``NAME__tool``.
        command: a program and its arguments; a program with a slash is looked for in the project's folder.
        url: where it listens (streamable HTTP). One of command and url.
        env: its variables: texts, in which ``$VAR`` is taken from the user's environment.
        headers: of every HTTP request, likewise.
        read, write: what its sandbox grants, below the project's folder or absolute.
        network: hosts that it needs; anything but empty grants its sandbox the network, which is all or nothing.
        tools: which of its tools may be used, by its own names; None for all.
        seconds: that one call may take. start_seconds: that it may take until its tools are known.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    seconds: float = SECONDS
    start_seconds: float = START_SECONDS

    def __post_init__(self) -> None:
        """Refuse what is no server.

        Raises:
            ServerUnsuitable: the text says why.
        """
        if not _NAME.fullmatch(self.name):
            raise ServerUnsuitable(
                f"{self.name[:60]!r} cannot be the name of a server: letters, digits, - and single _, at most 32"
            )
        if bool(self.command) == bool(self.url):
            raise ServerUnsuitable("it needs a command, or a url, and not both")
        if self.url:
            _check_url(self.url, bool(self.headers))
        for setting in ("env", "read", "write", "network") if self.url else ("headers",):
            if getattr(self, setting):
                kind = "is asked over HTTP, and started by somebody else" if self.url else "is not asked over HTTP"
                raise ServerUnsuitable(f"{setting} says nothing of a server that {kind}")

    @property
    def reaches(self) -> bool:
        """Whether a call of its tools may reach a host."""
        return bool(self.url or self.network)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that a call of its tools may reach, as its configuration says; ``*`` is every one."""
        return (urlsplit(self.url).hostname or "",) if self.url else self.network

    def fingerprint(self) -> str:
        """A hash of what it is, without the values of its variables and headers, which may be secrets."""
        said = {
            "command": self.command,
            "url": self.url,
            "env": {name: _REFERENCE.findall(value) for name, value in self.env.items()},
            "headers": {name: _REFERENCE.findall(value) for name, value in self.headers.items()},
            "read": self.read,
            "write": self.write,
            "network": self.network,
            "tools": self.tools,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]

    def references(self) -> tuple[str, ...]:
        """The variables of the user's environment that it is given, sorted."""
        texts = (*self.env.values(), *self.headers.values())
        return tuple(sorted({hit[1] or hit[2] for text in texts for hit in _REFERENCE.findall(text) if not hit[0]}))


def resolved(texts: Mapping[str, str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The texts with ``$VAR`` and ``${VAR}`` replaced; ``$$`` is a dollar.

    Raises:
        ServerUnsuitable: a variable is not set.
    """
    known = os.environ if environment is None else environment

    def value(hit: re.Match[str]) -> str:
        name = hit[2] or hit[3]
        if hit[1]:
            return "$"
        if name not in known:
            raise ServerUnsuitable(f"it is to be given ${name}, which is not set")
        return known[name]

    return {name: _REFERENCE.sub(value, text) for name, text in texts.items()}


def read_servers(table: Mapping[str, Any]) -> dict[str, McpServer]:
    """The servers that a table ``mcp`` describes, by name.

    Raises:
        ServerUnsuitable: one of them is none; the text names it.
    """
    servers: dict[str, McpServer] = {}
    for name, said in table.items():
        if not isinstance(said, dict):
            raise ServerUnsuitable(f"mcp.{name[:60]} must be a table")
        try:
            servers[name] = _server(name, cast("dict[str, Any]", said))
        except ServerUnsuitable as error:
            raise ServerUnsuitable(f"mcp.{name[:60]}: {error}") from None
    return servers


def _server(name: str, table: Mapping[str, Any]) -> McpServer:
    unknown = next((key for key in table if key not in KEYS), None)
    if unknown is not None:
        raise ServerUnsuitable(f"there is no setting {unknown[:60]!r}; there are {', '.join(KEYS)}")
    return McpServer(
        name=name,
        command=_texts("command", table.get("command", [])),
        url=_text("url", table.get("url", "")),
        env=_pairs("env", table.get("env", {}), _VARIABLE),
        headers=_pairs("headers", table.get("headers", {}), _HEADER),
        read=_texts("read", table.get("read", [])),
        write=_texts("write", table.get("write", [])),
        network=_network(table.get("network", [])),
        tools=_texts("tools", table["tools"]) if "tools" in table else None,
        seconds=_seconds("seconds", table.get("seconds", SECONDS)),
        start_seconds=_seconds("start_seconds", table.get("start_seconds", START_SECONDS)),
    )


def _text(setting: str, value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ServerUnsuitable(f"{setting} must be text, not {value!r:.100}")
    return value


def _texts(setting: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ServerUnsuitable(f"{setting} must be a list of texts, not {value!r:.100}")
    texts = tuple(_text(setting, entry) for entry in cast("Sequence[object]", value))
    if not all(texts):
        raise ServerUnsuitable(f"{setting} has an empty text")
    return texts


def _pairs(setting: str, value: object, name: re.Pattern[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ServerUnsuitable(f"{setting} must be a table of texts, not {value!r:.100}")
    pairs = {key: _text(f"{setting}.{key[:60]}", one) for key, one in cast("dict[str, object]", value).items()}
    for key in pairs:
        if not name.fullmatch(key) or (setting == "env" and key in _OURS):
            raise ServerUnsuitable(f"{setting} cannot set {key[:60]!r}")
    if setting == "headers":
        check_headers(pairs)
    return pairs


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse values that a header cannot have, without saying them.

    Raises:
        ServerUnsuitable: one has a line end, another control character, or one beyond ASCII.
    """
    for name, value in headers.items():
        if any(sign < " " or sign > "~" for sign in value):
            raise ServerUnsuitable(f"headers.{name[:60]} holds what a header cannot")


def _network(value: object) -> tuple[str, ...]:
    """Hosts; ``true`` is every host."""
    if isinstance(value, bool):
        return ("*",) if value else ()
    hosts = _texts("network", value)
    bad = next((host for host in hosts if not _HOST.fullmatch(host)), None)
    if bad is not None:
        raise ServerUnsuitable(f"network must be true or a list of hosts, not {bad[:100]!r}")
    return hosts


def _seconds(setting: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ServerUnsuitable(f"{setting} must be a number, not {value!r:.100}")
    if not 0 < value <= MOST_SECONDS:
        raise ServerUnsuitable(f"{setting} must be above 0 and at most {MOST_SECONDS:g}, not {value!r}")
    return float(value)


def _check_url(url: str, headers: bool) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ServerUnsuitable(f"url {url[:100]!r} cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(sign <= " " for sign in url):
        raise ServerUnsuitable(f"url must begin with https:// (or http://) and a host, not {url[:100]!r}")
    if "@" in parts.netloc:
        raise ServerUnsuitable('url holds a user or a password; say it as headers, by "$VAR"')
    if parts.scheme == "http" and headers and not is_loopback(url):
        raise ServerUnsuitable("headers would go in clear over http://; use https://")
