"""Scripts that mean harm: reading the manifest and looking for habits ends soon, in one error, and executes nothing."""

import sys
import time
from pathlib import Path

import pytest

from antiphon.engine.errors import ManifestError
from antiphon.workflows.habits import find_habits
from antiphon.workflows.manifest import read_manifest

MAIN = "\nasync def main(): pass\n"
# Of processor time, which other work on the machine does not add to; each takes about one.
SECONDS = 15.0


def refused(source: str | bytes) -> ManifestError:
    before = time.process_time()
    with pytest.raises(ManifestError) as caught:
        read_manifest(source, "w.py")
    assert time.process_time() - before < SECONDS
    assert len(str(caught.value)) < 2000
    return caught.value


def declared(value: str) -> str:
    return f'manifest = {{"name": "x", "description": {value}}}{MAIN}'


@pytest.mark.parametrize(
    "text",
    [
        "[" * 90 + "]" * 90,
        "[" * 10_000,
        "{'a': " * 40 + "1" + "}" * 40,
        "-" * 500 + "1",
        "-" * 100_000 + "1",
        "~" * 1000 + "1",
        "1" + "+1" * 500,
        "1" + "+1" * 100_000,
        "a" + ".b" * 100_000,
        "a" + "[0]" * 20_000,
        "'a'" * 1000 + " + 'b'" * 1000,
        "lambda: " * 5000 + "1",
        "not " * 20_000 + "1",
        "f\"{f'{1}'}\"",
    ],
    ids=lambda text: f"{text[:8]} {len(text)}",
)
def test_deep_literals(text: str) -> None:
    refused(declared(text))


@pytest.mark.parametrize(
    "text",
    [
        "'" + "x" * 70_000 + "'",
        "[" + "1, " * 20_000 + "]",
        "{" + ", ".join(f"'k{number}': 1" for number in range(20_000)) + "}",
        "9" * 5000,
        "0x" + "f" * 100_000,
        "-0x" + "f" * 100_000,
        "1e999",
        "-1e999",
        "1_0" * 3000,
        "10 ** 10 ** 10",
        "'x' * 10 ** 12",
    ],
    ids=lambda text: f"{text[:8]} {len(text)}",
)
def test_huge_literals(text: str) -> None:
    refused(declared(text))


@pytest.mark.parametrize(
    "value", ["0x" + "f" * 30_000, "1e999", "9" * 4000, "'" + "9" * 60_000 + "'", "'NaN'", "'1e99999'"]
)
def test_huge_limits(value: str) -> None:
    refused(f'manifest = {{"name": "x", "limits": {{"usd": {value}}}}}{MAIN}')


def test_a_huge_file() -> None:
    assert "larger than 1 MiB" in refused("#" * (1 << 20) + MAIN).problem
    assert "larger than 1 MiB" in refused("é" * (1 << 19) + MAIN).problem
    assert "larger than 1 MiB" in refused(b"\xff" * (2 << 20)).problem


@pytest.mark.parametrize("source", ["x = 1\n\0", b"x = 1\n\0", 'x = 1\nmanifest = {"name": "a\0b"}'])
def test_null_bytes(source: str | bytes) -> None:
    error = refused(source)
    assert (error.line, "null byte" in error.problem) == (2, True)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe" + "x = 1".encode("utf-16-le"), b"\x80", b"# coding: latin-1\nx = '\xe9'\n"]
)
def test_other_encodings(data: bytes) -> None:
    assert "not UTF-8" in refused(data).problem


EXECUTED = "antiphon_hostile_manifest_was_executed"


@pytest.mark.parametrize(
    "text",
    [
        "manifest = __import__('{0}')",
        "manifest = dict(name=__import__('{0}'))",
        "manifest = {{'name': f\"{{__import__('{0}')}}\"}}",
        "manifest = {{'name': (x := __import__('{0}'))}}",
        "manifest = {{**__import__('{0}').x}}",
        "manifest = {{__import__('{0}').x: 1}}",
        "manifest: __import__('{0}') = {{'name': 'x', 'phases': [__import__('{0}')]}}",
        "manifest = [__import__('{0}') for _ in '1']",
        "manifest = {{'name': 'x'}} if __import__('{0}') else 1",
        "(manifest := __import__('{0}').x)",
        "import {0}\nmanifest = {0}.manifest",
        "import {0}\nmanifest = {{'name': 'x', 'nome': 1}}",
    ],
)
def test_nothing_is_executed(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{EXECUTED}.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    source = text.format(EXECUTED) + MAIN
    refused(source)
    find_habits(source, "w.py")
    assert EXECUTED not in sys.modules


def test_a_good_manifest_executes_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{EXECUTED}.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    call = f"__import__('{EXECUTED}')"
    source = f"import {EXECUTED}\nmanifest: {call} = {{'name': 'x'}}\n{call}\n@{call}\nasync def main(x={call}): pass\n"
    assert read_manifest(source, "w.py").name == "x"
    assert find_habits(source, "w.py") == []
    assert EXECUTED not in sys.modules


START = "from antiphon.workflows.script import *\nimport asyncio\nasync def main():\n"
SLOW = {
    "names of names": "".join(f"    a{n} = a{n - 1} or a{n - 1}\n    if a{n}: pass\n" for n in range(1, 3000)),
    "names both ways": "".join("    a, b = b, a\n    if a: len(b)\n" for _ in range(2500)),
    "one name often": "".join("    a = await branch('x', agent('y'))\n    if a is 1: pass\n" for _ in range(2000)),
    "a long chain": "    a0 = agent('x')\n"
    + "".join(f"    a{n} = a{n - 1}\n" for n in range(1, 20_000))
    + "    await a19999\n",
    "sets of sets": "    a0 = {1}\n"
    + "".join(f"    a{n} = a{n - 1} | a{n - 1}\n    parallel(a{n})\n" for n in range(1, 2000)),
    "a wide tuple": "    " + ", ".join(f"a{n}" for n in range(30_000)) + " = 1\n",
    "a deep sum": "    return " + "+".join(["len(parallel([agent('x')]))"] * 900) + "\n",
    "many lambdas in a loop": "    calls = []\n    for f in calls:\n"
    + "".join(
        f"        x{n} = lambda: agent(f)\n        y{n} = x{n}\n        calls.append(y{n})\n" for n in range(1500)
    )
    + "    await parallel(calls)\n",
    "one name in a loop": "    calls = []\n    for f in calls:\n        x = lambda: agent(f)\n"
    + "        x = [x, x]\n" * 1500
    + "    await parallel(calls)\n",
    "loops within loops": "".join("    " + " " * n + f"for f{n} in x:\n" for n in range(90))
    + "".join(" " * 100 + f"x.append(lambda: {'+'.join(f'f{n}' for n in range(90))})\n" for _ in range(100)),
    "comprehensions": "    " + "[" * 60 + "agent(x)" + "".join(f" for x in y{n}]" for n in range(60)) + "\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_looking_for_habits_ends_soon(name: str) -> None:
    before = time.process_time()
    find_habits(START + SLOW[name], "w.py")
    assert time.process_time() - before < SECONDS
