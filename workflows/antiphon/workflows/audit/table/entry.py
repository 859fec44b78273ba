"""What an entry of the table says of a tool."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from antiphon.subagents.process import Completed
from antiphon.workflows.audit.hits import Job, Reading
from antiphon.workflows.audit.languages import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Honouring:
    """How a tool treats comments by which an author silences it.

    A tool that can be asked to pass over them runs twice where a file mentions one: everything, and again as the
    author wanted it. What is only in the first output is what the author set aside.

    Attributes:
        words: what such comments contain, in lower case. It only decides whether to ask again, so it may be too wide.
        method: what the author's verdict calls them.
        ignoring: options for everything; None for a tool that cannot be asked: what was silenced is then not known,
            and the report says so.
        honouring: options that the second run has instead.
    """

    words: tuple[bytes, ...]
    method: str
    ignoring: tuple[str, ...] | None = ()
    honouring: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """How to find a program and its version.

    Attributes:
        program: a name looked up on PATH, or beside this Python. Empty for a Python module run by this Python.
        module: that module, or one of our runners (a file name in ``runners/``).
        distribution: the installed package whose version is the tool's, for a module.
        version: options that make the program print its version.
        oldest: the oldest version that has every option we use.
    """

    program: str = ""
    module: str = ""
    distribution: str = ""
    version: tuple[str, ...] = ("--version",)
    oldest: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tool.

    In options and environment, ``{data}`` is the folder of our own rule files, ``{root}`` the audited folder, and
    ``{rustup}`` where Rust's toolchains are.

    Attributes:
        tool: its name. home: its page. licence: SPDX. lineage: where its rules come from, unless a rule says otherwise.
        asks: how to find it. advice: what to type to install it. bundled: it comes with antiphon.
        languages: what it reads. lenses: each view it can take, with the options for it.
        options: for every lens. whole: it looks at all files in one call, as one file's meaning is in the others.
        parsed: files that are no Python that parses are not given to it, as it would stop at the first.
        target: the files, or the audited folder, as its last arguments; or nothing, as its options name it.
        separator: goes before them.
        honouring: see `Honouring`; None where it has no such comments.
        read: makes a `Reading` of its output. exits: the statuses that mean it did its work.
        isolation: how it is kept from the audited project's configuration, for the documentation.
        reads: public files of the system that it does not start without.
        executes: it executes code of the tree. shard: files of one call, about.
        timeout_seconds: wall time of one command.
        environment: more variables.
    """

    tool: str
    home: str
    licence: str
    lineage: str
    asks: Asks
    advice: str
    languages: frozenset[Language]
    lenses: Mapping[str, tuple[str, ...]]
    read: Callable[[Completed, Job], Reading]
    isolation: str
    options: tuple[str, ...] = ()
    bundled: bool = False
    whole: bool = False
    parsed: bool = False
    target: Literal["files", "root", "none"] = "files"
    separator: tuple[str, ...] = ("--",)
    honouring: Honouring | None = None
    exits: frozenset[int] = frozenset({0})
    reads: tuple[str, ...] = ()
    executes: bool = False
    shard: int = 16
    timeout_seconds: float = 120.0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def digest(self) -> str:
        """Changes with anything in the entry that could change what a call finds."""
        said = {name: repr(getattr(self, name)) for name in _DECIDING}
        said["languages"], said["exits"] = repr(sorted(self.languages)), repr(sorted(self.exits))
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


_DECIDING = sorted(
    {item.name for item in dataclasses.fields(Entry)} - {"read", "home", "advice", "isolation", "languages", "exits"}
)


def first_problem(error: Exception) -> str:
    """One line of what is wrong with some JSON."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def file_languages(*names: Language) -> frozenset[Language]:
    """A set of languages, for short."""
    return frozenset(names)
