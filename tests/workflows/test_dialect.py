"""The portable dialect, held to monty itself: what is called portable runs there as in CPython, the rest does not."""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from antiphon.subagents.jail.modules import MODULES as IN_THE_JAIL
from antiphon.workflows.syntax.dialect import Unportable, dialect, needs_jail
from antiphon.workflows.syntax.portable import (
    EXCEPTIONS_WITH_TEXT,
    INSTEAD_OF_BUILTINS,
    INSTEAD_OF_MODULES,
    MODULES,
    NOWHERE,
)
from antiphon.workflows.syntax.scopes import read_script
from antiphon.workflows.syntax.source import parse

monty = pytest.importorskip("pydantic_monty")


def found_in(source: str) -> tuple[Unportable, ...]:
    return dialect(read_script(parse(source, "script.py")))


def is_portable(source: str) -> bool:
    return not needs_jail(read_script(parse(source, "script.py")))


@pytest.fixture(scope="module")
def pool() -> Iterator[Any]:
    with monty.Monty(max_processes=2, request_timeout=30.0) as workers:
        yield workers


def in_monty(pool: Any, source: str) -> str:
    """What the last expression of a text gives in monty; what it raises, if that is what it comes to."""
    limits = {"max_turn_duration_secs": 2.0, "max_memory": 64 << 20}
    try:
        with pool.checkout(limits=limits) as session:
            return repr(session.feed_run(source, print_callback=monty.CollectString()))
    except monty.MontyError as error:
        return f"raised {error}"
    except TypeError as error:  # a value that no host takes
        return f"raised {error}"


def in_cpython(source: str) -> str:
    tree = ast.parse(source)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {"__name__": "builtins"}
    with redirect_stdout(StringIO()):
        exec(compile(tree, "script.py", "exec"), names)
        return repr(eval(compile(ast.Expression(last.value), "script.py", "eval"), names))


def blocks(name: str) -> list[str]:
    """The texts of a file, between lines of dashes; each ends with an expression."""
    return (Path(__file__).parent / "data" / "dialect" / name).read_text(encoding="utf-8").rstrip().split("\n---\n")


NOWHERE_AT_ALL = {
    "open('x')": "open",
    "__import__('os')": "__import__",
    "eval('1')": "eval",
    "exec('x = 1')": "exec",
    "input()": "input",
    "globals()": "globals",
    "exit()": "exit",
    "__builtins__": "__builtins__",
    "import os": "os",
    "import sys": "sys",
    "import asyncio": "asyncio",
    "import subprocess": "subprocess",
    "import socket": "socket",
    "from urllib.request import urlopen": "urllib.request",
    "import pydantic": "pydantic",
    "from . import x": "relative",
    "import time\ntime.sleep(1)": "time.sleep",
}


def test_what_is_called_portable_runs_in_monty_as_in_cpython(pool: Any) -> None:
    texts = blocks("portable.txt")
    assert len(texts) > 200
    assert [text for text in texts if found_in(text)] == []
    assert [text for text in texts if in_monty(pool, text) != in_cpython(text)] == []


def test_what_is_called_not_portable_does_not_run_in_monty(pool: Any) -> None:
    texts = [block.removeprefix("# ").split("\n", 1) for block in blocks("needs_jail.txt")]
    assert len(texts) > 70
    for said, text in texts:
        found = [one for one in found_in(text) if said in one.what]
        assert {one.runs_in for one in found} == {"jail"}, text
        assert all(one.instead for one in found), text
    assert [text for _, text in texts if in_monty(pool, text) == in_cpython(text)] == []


@pytest.mark.parametrize(("source", "said"), NOWHERE_AT_ALL.items())
def test_what_no_confined_script_has(source: str, said: str) -> None:
    found = [one for one in found_in(source) if said in one.what]
    assert [one.runs_in for one in found] == ["nowhere"]
    assert not is_portable(source)


@pytest.mark.parametrize(
    ("source", "instead"),
    [
        ("import time\ntime.time()", "now()"),
        ("from datetime import datetime\ndatetime.now()", "now()"),
        ("import datetime\ndatetime.date.today()", "now()"),
        ("import random\nrandom.choice([1])", "random()"),
        ("from random import shuffle\nshuffle([1])", "random()"),
    ],
)
def test_what_stands_still_is_said_and_runs(source: str, instead: str, pool: Any) -> None:
    (found,) = found_in(source)
    assert (found.runs_in, found.line) == ("anywhere", 2)
    assert instead in found.instead
    assert is_portable(source)
    assert not in_monty(pool, source).startswith("raised")


# --- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_the_modules_of_monty_have_these_names(module: str, pool: Any) -> None:
    source = f"from {module} import {', '.join(sorted(MODULES[module]))}\n1"
    assert in_monty(pool, source) == "1"
    assert module in IN_THE_JAIL


def test_no_module_of_the_jail_that_monty_has_is_missing(pool: Any) -> None:
    others = [module for module in IN_THE_JAIL if module not in MODULES]
    # Paths are left out on purpose: all that monty's Path is good for is a file.
    assert [one for one in others if in_monty(pool, f"import {one}\n1") == "1"] == ["pathlib", "posixpath"]


def test_what_is_told_to_write_instead_is_of_modules_that_there_are() -> None:
    for module in INSTEAD_OF_MODULES:
        assert importlib.util.find_spec(module) is not None
        assert module not in MODULES


@pytest.mark.parametrize("name", INSTEAD_OF_BUILTINS)
def test_the_builtins_that_monty_lacks(name: str, pool: Any) -> None:
    called = f"{name}()" if name in ("object", "property") else f"x = {name}\n1"
    assert hasattr(builtins, name)
    assert in_monty(pool, called) != "1"


def test_other_builtins_are_there(pool: Any) -> None:
    known = {*INSTEAD_OF_BUILTINS, *NOWHERE, "copyright", "credits", "license"}
    others = [name for name in dir(builtins) if not name.startswith("_") and name not in known]
    assert [name for name in others if in_monty(pool, f"x = {name}\n1") != "1" and not name.endswith("Warning")] == []


@pytest.mark.parametrize("name", sorted(EXCEPTIONS_WITH_TEXT))
def test_exceptions_take_a_text(name: str, pool: Any) -> None:
    assert in_monty(pool, f"str({name}('a')).strip(chr(39))") == "'a'"


@pytest.mark.checkout
def test_the_example_of_the_page_is_portable(pool: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "dialect.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    assert found_in(example) == ()
    assert in_monty(pool, f"{example}\nmanifest['name']") == "'risky-calls'"


# --- conditions -------------------------------------------------------------------------------------------------------

API = "from antiphon.workflows.script import *\n"


def doubtful(body: str, before: str = "") -> list[int]:
    """The lines of `main` (from 1) with a condition on what may be an Outcome."""
    text = f"{API}{before}async def main():\n" + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"
    first = text[: text.index("async def main")].count("\n") + 1
    return [one.line - first for one in found_in(text) if "always true in monty" in one.what]


FANNED = "found = await parallel(agent(x) for x in 'ab')\n"


@pytest.mark.parametrize(
    "body",
    [
        "for one in found:\n    if one: pass",
        "if found: pass",
        "good = [one for one in found if one]",
        "x = 1 if found[0] else 2",
        "while not found[-1]: pass",
        "for name, one in zip('ab', found):\n    if one: pass",
        "for i, one in enumerate(found):\n    assert one",
        "kept = {x: one for x, one in zip('ab', found)}\nif kept['a']: pass",
        "kept = []\nfor one in found:\n    kept.append(one)\nfirst = kept[0]\nif first: pass",
        "if any(found): pass",
        "if all(one for one in found): pass",
        "list(filter(None, found))",
        "list(filter(lambda one: one, found)) and bool(found[0])",
        "for one in found.failed():\n    if one: pass",
        "one = await branch('b', agent('x'))\nif one: pass",
        "tally = await quorum([agent('x')], 1, vote=print)\nif tally and 1: pass",
        "one = next(iter(found))\nif one: pass",
        "one = found[0] or None",
        "first, second = found\nif first: pass",
        "box = Box()\nbox.one = found[0]\nif box.one: pass",
        "if sorted(found, key=lambda one: one.path)[0]: pass",
    ],
)
def test_conditions_on_what_may_be_an_outcome(body: str) -> None:
    assert len(doubtful(FANNED + body, "class Box: pass\n")) == 1


@pytest.mark.parametrize(
    "body",
    [
        "for one in found:\n    if one.ok and one.value: pass",
        "if found.succeeded() and found.complete: pass",
        "values = [one.value for one in found if one.ok]\nif values: pass",
        "bad = found.failed()\nif bad: return len(bad)",
        "if not [one for one in found if one.kind == 'failed']: pass",
        "if any(one.ok for one in found): pass",
        "if found[0].reason or found[0].item: pass",
        "one = await agent('x')\nif one: pass",
        "kept = {one.item: one.value for one in found}\nif kept.get('a') or not kept: pass",
        "best = max((one.value for one in found if one.ok), default=None)\nif best: pass",
        "if claims(of=found): pass",
        "tally = await quorum([agent('x')], 1, vote=print)\nif tally.decided == 'yes' and tally.votes: pass",
        "texts = [f'{one.path}' for one in found]\nif texts[0]: pass",
        "if len([one for one in found]) and isinstance(found[0], str): pass",
        "x = put('a', 1) or get('a')",
    ],
)
def test_conditions_on_values(body: str) -> None:
    assert doubtful(FANNED + body) == []


def test_outcomes_are_followed_through_functions() -> None:
    text = f"""{API}
def is_good(one):
    return 1 if one else 0
def same(one): return one
async def fanned():
    return await parallel([agent('x')])
async def main():
    found = await fanned()
    is_good(found[0])
    if same(found[0]): pass
"""
    assert [one.line for one in found_in(text)] == [4, 11]


NESTED = """
async def inner():
    return await parallel([agent('x')])
async def main():
    outer = await parallel([inner(), quorum([agent('x')], 1, vote=print)])
    plain = await parallel([agent('x')])
"""


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("for one in outer:\n        if one.value: pass", 1),
        ("if outer.succeeded(): pass", 0),
        ("if outer.succeeded()[0]: pass", 1),
        ("for one in outer:\n        for two in one.value:\n            if two: pass", 1),
        ("for one in plain:\n        if one.value: pass", 0),
        ("if plain.succeeded()[0]: pass", 0),
        ("won = await race([inner(), agent('x')])\n    if won: pass", 1),
        ("won = await race([agent('y'), agent('x')])\n    if won: pass", 0),
        ("named = await branch('b', agent('y'))\n    if named.ok and named.value: pass", 0),
        ("named = await branch('b', inner())\n    if named.value: pass", 1),
        (
            "rounds = []\n    rounds.append(plain)\n    for one in rounds:\n        if one[0]: pass",
            1,
        ),
        ("staged = await pipeline([1], lambda n: inner())\n    if staged[0].value: pass", 1),
    ],
)
def test_what_is_nested_is_an_outcome_too(body: str, count: int) -> None:
    found = [one for one in found_in(f"{API}{NESTED}    {body}\n") if "always true in monty" in one.what]
    assert len(found) == count


def test_until_is_asked_of_outcomes() -> None:
    text = f"{API}async def main():\n    await parallel([agent('x')], until=lambda ended: ended[0] and True)\n"
    assert [one.line for one in found_in(text)] == [3]


def test_what_is_too_twisted_to_follow_is_said() -> None:
    order = sorted(range(300), key=lambda number: hashlib.sha256(str(number).encode()).digest())
    twisted = "".join(f"    x{i + 1} = x{i}\n" for i in order)
    (found,) = found_in(f"{API}async def main():\n    x0 = await parallel([agent('x')])\n{twisted}    if x0.ok: pass\n")
    assert (found.line, "too twisted" in found.what) == (1, True)


# --- what is hostile --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "x = " + " + ".join(["1"] * 900),
        "x = [found" + "[0]" * 400 + "]",
        "x = " + "(" * 90 + "1" + ")" * 90,
        "".join(f"x{i} = x{i - 1}\n" for i in range(1, 2_000)),
        "x = [" + "1," * 20_000 + "]",
    ],
)
def test_texts_of_any_shape_are_read(text: str) -> None:
    found_in(f"{API}async def main():\n    found = await parallel([agent('x')])\n    if found[0].ok: pass\n{text}\n")
