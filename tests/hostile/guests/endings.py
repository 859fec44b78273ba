"""How each technique ends in each runtime: kept as data, published in docs/escapes.md, and held by the tests.

``python -m tests.hostile.guests.endings [NAME ...]`` runs them all (or these), adds what it sees to the data, and
writes the document anew. Read the difference before it is committed: an ending that got weaker is a hole.
"""

import json
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from tests.hostile.guests.holding import hold
from tests.hostile.guests.table import TECHNIQUES
from tests.hostile.guests.technique import Technique, bait, script

from antiphon.engine.script.monty import MontyRuntime
from antiphon.engine.script.runtime import Runtime
from antiphon.subagents.jail import choose_jail

ENDINGS = Path(__file__).parent / "endings.json"
DOCUMENT = Path(__file__).parents[3] / "docs" / "escapes.md"
BEGINNING = "<!-- made by tests/hostile/guests/endings.py -->\n"
DOING = {
    "reads": "reads a file",
    "writes": "changes files",
    "runs": "runs a program",
    "connects": "connects",
    "tells": "tells the environment",
    None: "",
}

Endings = Mapping[str, Mapping[str, Sequence[str]]]


def endings() -> Endings:
    """By technique and runtime, every ending that is right there: on a slow machine the clock may be first."""
    read: Endings = json.loads(ENDINGS.read_text())
    return read


def table(known: Endings) -> str:
    """The published table, family by family."""
    lines: list[str] = []
    family = ""
    for technique in TECHNIQUES.values():
        if technique.family != family:
            family = technique.family
            lines += ["", f"## {family[0].upper()}{family[1:]}", "", *_heading()]
        lines.append(_row(technique, known[technique.name]))
    return "\n".join(lines) + "\n"


def _heading() -> list[str]:
    return ["| technique | what it tries | plain CPython | jail | monty |", "|---|---|---|---|---|"]


def _row(technique: Technique, ended: Mapping[str, Sequence[str]]) -> str:
    what = technique.what + (f" ({technique.source})" if technique.source else "")
    cells = [f"`{technique.name}`", what, DOING[technique.does]]
    cells += [" or ".join(ended[name]) for name in ("jail", "monty")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


async def _see(runtime: Runtime, technique: Technique) -> str:
    with tempfile.TemporaryDirectory() as folder, bait(Path(folder) / "bait", secrets.token_hex(8)) as set_out:
        ended = await hold(runtime, script(technique, set_out))
        if set_out.taken(ended.texts):
            raise SystemExit(f"{technique.name} got out of {runtime.name}: {set_out.taken(ended.texts)}")
        return ended.how


async def _main(names: Sequence[str]) -> None:
    known = {name: {key: list(ways) for key, ways in ended.items()} for name, ended in endings().items()}
    for runtime in (choose_jail(), MontyRuntime()):
        for name in names or TECHNIQUES:
            try:
                how = await _see(runtime, TECHNIQUES[name])
            except TimeoutError:
                print(f"{runtime.name} {name}: nothing ended it")
                continue
            ways = known.setdefault(name, {}).setdefault(runtime.name, [])
            if how not in ways:
                ways.append(how)
                print(f"{runtime.name} {name}: {how}")
    kept = {name: known[name] for name in TECHNIQUES}
    ENDINGS.write_text(json.dumps(kept, indent=1) + "\n")
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(text[: text.index(BEGINNING) + len(BEGINNING)] + table(kept))


if __name__ == "__main__":
    anyio.run(_main, sys.argv[1:])
