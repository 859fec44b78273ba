"""Records what models answered while a case was mended, to be played back without them.

    python -m tests.corpus.recording

records all cassettes anew: after words of a prompt, or of a tool's description, were changed on purpose. They are kept
compressed, since every request says all that went before. What is recorded must be the same at every run, so these
teams run no tests themselves (a run says how long it took), and their tests print no times either.
"""

from __future__ import annotations

import lzma
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import anyio
from tests.corpus.cases import Case, read
from tests.corpus.driving import Team, mending
from tests.corpus.fixing import Fixing, fixing

from antiphon.subagents.testing import Cassette

CASSETTES: Final = Path(__file__).parent / "cassettes"
COMMANDS: Final[Mapping[str, str]] = {
    "backup-names": "make test",
    "leader-board": "env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -qq",
    "vendored-slugs": "env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -qq",
}
"""What is recorded, and how its tests are run."""


async def fixed(case: Case, cassette: Cassette, folder: Path) -> Fixing:
    """Mend the case in a folder, by what the cassette says."""
    project = case.write(folder / "project")
    return await fixing(project, case.report, client=cassette, run=folder / "run", test=COMMANDS[case.name])


def packed(name: str) -> Path:
    """Where a cassette is kept."""
    return CASSETTES / f"{name}.jsonl.xz"


def unpacked(name: str, folder: Path) -> Path:
    """The cassette of a case as a file that can be played."""
    file = folder / f"{name}.jsonl"
    file.write_bytes(lzma.decompress(packed(name).read_bytes()))
    return file


async def record(name: str) -> Fixing:
    """Record a case anew."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_STATE_HOME"] = str(folder / "own")
        tape = folder / f"{name}.jsonl"
        cassette = Cassette(tape, "record", client=Team(mending(read(name), handed=True)))
        done = await fixed(read(name), cassette, folder)
        await cassette.close()
        CASSETTES.mkdir(exist_ok=True)
        packed(name).write_bytes(lzma.compress(tape.read_bytes(), preset=9))
        return done


if __name__ == "__main__":
    for each in COMMANDS:
        print(each, anyio.run(record, each).result.status, packed(each).stat().st_size, "bytes")
