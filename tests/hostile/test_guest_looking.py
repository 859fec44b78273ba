"""Looking at a script (`antiphon check`, and what `run` does first) executes nothing of it, and survives any text."""

import secrets
from pathlib import Path

import pytest
from tests.hostile.guests.table import TECHNIQUES
from tests.hostile.guests.technique import bait, script

from antiphon.engine import UsageError
from antiphon.workflows.loading import load
from antiphon.workflows.preflight import preflight
from antiphon.workflows.runtimes import RuntimeAsked

FAMILIES = dict.fromkeys(technique.family for technique in TECHNIQUES.values())
AT_DEFINITION = ("published escapes", "classes and descriptors", "format strings")
MANIFEST = 'manifest = {"name": "hostile", "phases": []}\n'
MAIN = "async def main():\n    return 1\n"
# Texts that a parser, a compiler or an evaluator of constants may die of.
TEXTS = {
    "parentheses": f"{MANIFEST}{MAIN}x = {'(' * 100_000}{')' * 100_000}",
    "minus": f"{MANIFEST}{MAIN}x = {'-' * 100_000}1",
    "sum": f"{MANIFEST}{MAIN}x = {'+'.join(['1'] * 50_000)}",
    "attributes": f"{MANIFEST}{MAIN}x = a{'.a' * 50_000}",
    "calls": f"{MANIFEST}{MAIN}x = a{'()' * 50_000}",
    "lambdas": f"{MANIFEST}{MAIN}x = {'lambda: ' * 5_000}1",
    "elif": f"{MANIFEST}{MAIN}if 1: pass\n{'elif 1: pass' + chr(10) * 1}" + "elif 1: pass\n" * 20_000,
    "indentation": MANIFEST + MAIN + "".join(f"{' ' * n}if 1:\n" for n in range(1_000)) + " " * 1_000 + "pass\n",
    "nested calls": f"{MANIFEST}async def main():\n    return await {'parallel(' * 90}1{')' * 90}\n",
    "nested texts": f"{MANIFEST}{MAIN}x = {chr(102) + chr(39) + chr(123)}" * 60,
    "doubling": MANIFEST + "x0 = 'a'\n" + "".join(f"x{n + 1} = x{n} + x{n}\n" for n in range(60)) + MAIN,
    "huge power": f"{MANIFEST}async def main():\n    for n in range(9 ** 9 ** 9): await agent('x')\n",
    "huge list": f"{MANIFEST}async def main():\n    await parallel([agent('x')] * 10 ** 12)\n",
    "huge text": f"{MANIFEST}async def main():\n    await agent('x' * 10 ** 12)\n",
    "huge shift": f"{MANIFEST}async def main():\n    for n in range(1 << 10 ** 12): await agent('x')\n",
    "huge number": f"{MANIFEST}{MAIN}x = {'9' * 100_000}\n",
    "null": f"{MANIFEST}{MAIN}x = '\0'\n",
    "byte order mark": f"\ufeff{MANIFEST}{MAIN}",
    "surrogate": f"{MANIFEST}{MAIN}x = '\ud800'\n",
    "another encoding": f"# -*- coding: utf-7 -*-\n{MANIFEST}{MAIN}",
    "no encoding": f"# -*- coding: no-such-thing -*-\n{MANIFEST}{MAIN}",
    "too long": f"{MANIFEST}{MAIN}#{'x' * 10_000_000}",
    "deep manifest": f'manifest = {{"name": "x", "a": {"{" + chr(34) + "a" + chr(34) + ":"}' * 50,
    "code in the manifest": f"manifest = {{'name': __import__('os').system('exit 1')}}\n{MAIN}",
    "manifest twice": f"{MANIFEST}{MANIFEST}{MAIN}",
    "no main": MANIFEST,
    "nothing": "",
}


def looked_at(family: str, folder: Path) -> dict[str, object]:
    """What was had of the bait while the scripts of a family were only looked at."""
    had: dict[str, object] = {}
    for technique in TECHNIQUES.values():
        if technique.family == family:
            with bait(folder / technique.name, secrets.token_hex(8)) as set_out:
                text = script(technique, set_out)
                said = [str(preflight(text, "hostile.py")), loaded(text, folder / "hostile.py")]
                had[technique.name] = set_out.taken(said)
    return {name: taken for name, taken in had.items() if taken}


def loaded(text: str, path: Path) -> str:
    """What `antiphon run --runtime monty` has of a file before it starts it, or why it refuses it."""
    path.write_text(text, errors="surrogatepass")
    try:
        return str(load(path, runtime=RuntimeAsked(name="monty")))
    except UsageError as refused:
        return f"refused: {refused}"


@pytest.mark.parametrize("family", AT_DEFINITION)
def test_looking_at_a_script_executes_nothing_of_it(family: str, tmp_path: Path) -> None:
    """Langflow CVE-2025-3248: decorators, defaults and annotations ran while a text was only checked."""
    assert looked_at(family, tmp_path) == {}


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_looking_at_any_script_executes_nothing_of_it(family: str, tmp_path: Path) -> None:
    assert looked_at(family, tmp_path) == {}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_is_told_of_and_never_a_traceback(text: str, tmp_path: Path) -> None:
    looked = preflight(text, "hostile.py")
    assert looked.to_json()
    said = loaded(text, tmp_path / "hostile.py")
    assert "Traceback" not in said
    if looked.passed:
        assert not said.startswith("refused")
