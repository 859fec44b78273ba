"""What a hostile script is here: a name, where it is known from, its text, and what it does where nothing holds it."""

import os
import secrets
import select
import socket
import textwrap
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Effect = Literal["reads", "writes", "runs", "connects", "tells"]

VARIABLE = "HOSTILE_CANARY"
"""The environment variable of the host that no script may learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """One way to get out, to lie, or to use up the machine.

    Attributes:
        name: unique, in kebab case.
        family: what it belongs to.
        what: one line for the published table.
        text: a whole script with `main`, or one with `attack()`, or the body of `attack()`.
        source: where it was published; empty for what everybody knows.
        does: what it does in plain CPython: reads a file, writes one, runs a program, connects, tells the environment.
            None where there is nothing to see, such as a bomb.
    """

    name: str
    family: str
    what: str
    text: str
    source: str = ""
    does: Effect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bait:
    """What one run of a technique could take, and how one sees that it did."""

    folder: Path
    content: str
    secret: str
    listening: socket.socket

    @property
    def mark(self) -> Path:
        """A file that is not there, and must not be afterwards."""
        return self.folder / "mark"

    def constants(self) -> str:
        """The lines that tell a script where everything is: it need not guess."""
        port: int = self.listening.getsockname()[1]
        given = {
            "FOLDER": str(self.folder),
            "CANARY": str(self.folder / "canary"),
            "PLANTED": str(self.folder / "planted.py"),
            "MARK": str(self.mark),
            "PORT": port,
            "NAME": VARIABLE,
        }
        return "".join(f"{name} = {value!r}\n" for name, value in given.items())

    def _changed(self) -> bool:
        canary = self.folder / "canary"
        expected = {"canary", "planted.py", "mark", "gave"}
        return not canary.exists() or canary.read_text() != self.content or not set(os.listdir(self.folder)) <= expected

    def taken(self, seen: Iterable[str]) -> set[Effect]:
        """What was had of it.

        Args:
            seen: every text that left the script: its value, its errors, its notes.
        """
        texts = "\n".join(seen)
        had: set[Effect] = set()
        if self.content in texts:
            had.add("reads")
        if self.secret in texts:
            had.add("tells")
        if self._changed():
            had.add("writes")
        if self.mark.exists():
            had.add("runs")
        if select.select([self.listening], [], [], 0)[0]:
            had.add("connects")
        return had


@contextmanager
def bait(folder: Path, secret: str) -> Generator[Bait]:
    """A folder with a canary, a module that leaves a mark when it is executed, and somebody who listens."""
    folder.mkdir(parents=True)
    content = f"canary {secrets.token_hex(8)}"
    (folder / "canary").write_text(content)
    (folder / "planted.py").write_text(f"open({os.fspath(folder / 'mark')!r}, 'w').close()\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Bait(folder=folder, content=content, secret=secret, listening=listening)


MANIFEST = 'manifest = {"name": "hostile", "phases": ["only"], "roles": ["echo", "slow"], "steps": ["list_files"]}\n'


def script(technique: Technique, bait: Bait) -> str:
    """The whole file."""
    text = textwrap.dedent(technique.text).strip("\n") + "\n"
    if "def attack(" not in text and "async def main(" not in text:
        text = "def attack():\n" + textwrap.indent(text, "    ")
    if "async def main(" not in text:
        text += "\nasync def main():\n    return attack()\n"
    return MANIFEST + bait.constants() + text
