"""The rules of preflight on hostile text: bounded, never executed, and never a traceback; and the needs of a review."""

from collections.abc import Iterator

import pytest
from tests.workflows.preflight_scripts import IMPORTS, MANIFEST, declared, findings_of

from antiphon.workflows.preflight.model import Need
from antiphon.workflows.preflight.rules import MOST_CALLS

HEAD = f"{IMPORTS}{MANIFEST}\n"
ASKING = "async def main(x):\n    return await agent"
CIRCLE = "async def f(x):\n    return await g(await agent(x))\nasync def g(x):\n    return await f(x)\n"
CLASSES = "class A(A):\n    a: A\n    def a(self): self.a = self.a(self)\n"
NESTED = "S0 = {'type': 'array', 'maxItems': 1}\n" + "".join(
    f"S{n} = {{'items': S{n - 1}, 'properties': {{'a': S{n - 1}, 'b': S{n - 1}}}}}\n" for n in range(1, 10)
)


def _many(line: str, count: int) -> str:
    return HEAD + "async def main(x):\n" + "".join(line.format(n=n) for n in range(count))


def hostile() -> Iterator[tuple[str, str]]:
    yield "many calls", _many("    a{n} = await agent(f'{{x}}')\n", 300)
    yield "too many calls", _many("    await agent('x')\n", MOST_CALLS + 1)
    yield "one name, many lives", _many("    x = await agent(f'{{x}}')\n", 250)
    yield "a chain of names", _many("    a{n} = x\n    x = a{n} + x\n", 1_000)
    yield "one list, many parts", _many("    x.append(agent(f'{n} {{x}}', context=x))\n", 250)
    yield "many loops", _many("    while True:\n        x = await agent(f'{{x}}')\n", 150)
    yield "many fan-outs", _many("    x = await parallel([agent(f'{{y}} {{x}}') for y in x for z in y])\n", 120)
    calling = "".join(f"async def f{n}(x):\n    return await f{n + 1}(await f{n + 1}(x))\n" for n in range(300))
    last = "async def f300(x):\n    return await agent(x)\nasync def main(x):\n    return await f0(x)\n"
    yield "functions of functions", HEAD + calling + last
    yield "around in a circle", f"{HEAD}{CIRCLE}async def main(x):\n    return await parallel([f(x), g(x)])\n"
    doubled = "a = [*a, *a]\n" * 400
    yield "lists of lists", f"{HEAD}a = []\n{doubled}async def main():\n    return await parallel(a)\n"
    yield "deep", f"{HEAD}{ASKING}({'(' * 80}x{',)' * 80})\n"
    yield "a long sum", f"{HEAD}{ASKING}({'x + ' * 500}x)\n"
    yield "a long text", f"{HEAD}{ASKING}({'write {a ' * 20_000!r})\n"
    yield "many holes", f"{HEAD}X = {'{a}' * 100_000!r}\n{ASKING}(X)\n"
    yield (
        "one long text again and again",
        f"{HEAD}X = {'{a} the plan above ' * 20_000!r}\n{ASKING}({'+'.join(['X'] * 150)})\n",
    )
    yield "many decorators", HEAD + "@a\n" * 8_000 + "def f(): pass\nasync def main():\n    return await agent('x')\n"
    yield "a long word", f"{HEAD}{ASKING}({'write ' + 'aa-/.' * 20_000!r}, workspace=x)\n"
    yield (
        "schemas in schemas",
        f"{HEAD}{NESTED}{ASKING}(await parallel(agent(a) for a in await agent('x', output=S9)))\n",
    )
    yield "classes", f"{HEAD}{CLASSES}async def main():\n    return A(A(await agent('x'))).a(A).a\n"


HOSTILE = dict(hostile())
TOO_LARGE = {"too many calls"}


@pytest.mark.parametrize("name", HOSTILE)
def test_bounded_on_hostile_text(name: str) -> None:
    """What is too much is given up by count, and said; the whole takes seconds, where following all takes hours."""
    found = findings_of(declared(HOSTILE[name]))
    assert len(found) < 4 * MOST_CALLS
    assert ("too-large-to-follow" in {one.rule for one in found}) is (name in TOO_LARGE)


def test_what_is_too_large_is_said_to_be_so() -> None:
    assert [one.rule for one in findings_of(declared(HOSTILE["too many calls"]))] == ["too-large-to-follow"]


def test_nothing_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    findings_of(HEAD + "print('executed')\nraise SystemExit\nasync def main():\n    return await agent('x')\n")
    assert capsys.readouterr().out == ""


# --- needs ----------------------------------------------------------------------------------------------------------

AUDIT = """
LENSES = {"security": "Look for missing authorisation.", "speed": "Look for queries in loops."}

async def main(files: list[str]):
    \"\"\"Licences are what this does not look at.\"\"\"
    log("licences")
    found = await parallel(
        agent(f"{words} in {file}", role="auditor", covers=[file]) for file in files for words in LENSES.values()
    )
    tests = await step("tests", {"workspace": "read"})
    return {"found": found.succeeded(), "failed": len(found.failed()), "tests": tests}
"""


def needed(text: str, *terms: str, evidence: bool = False) -> Need:
    return Need(kind="evidence" if evidence else "dimension", text=text, terms=terms)


def uncovered(*needs: Need) -> list[str]:
    return [one.reason for one in findings_of(declared(HEAD + AUDIT), needs=needs) if one.rule == "need-not-covered"]


@pytest.mark.parametrize(
    "need",
    [
        needed("who may do what", "authorisation", "authorization"),
        needed("queries", "query"),
        needed("speed", "latency", "Queries in loops"),
        needed("a run of the tests", "tests", evidence=True),
        needed("missing"),
    ],
)
def test_a_need_is_covered_by_words_that_get_to_a_call(need: Need) -> None:
    assert uncovered(need) == []


@pytest.mark.parametrize(
    "need",
    [
        needed("licences of what it uses", "licence", "license"),
        needed("thread safety", "race", "lock"),
        needed("benchmarks", "benchmark", "measured", evidence=True),
        needed("accessibility"),
    ],
)
def test_a_need_that_nothing_speaks_of_is_found(need: Need) -> None:
    """A docstring and a note in the log reach nobody who works."""
    (reason,) = uncovered(need, needed("queries", "query"))
    assert repr(need.text) in reason


# --- scripts without imports ----------------------------------------------------------------------------------------

CONFINED = """manifest = {"name": "confined", "limits": {"usd": "1"}, "roles": ["worker"]}

async def main(path: str):
    await agent(f"Look at {path}", role="worker")
    return await agent("Sum up {path}", role="worker")
"""


def test_a_script_that_finds_the_api_as_globals_is_followed_like_any_other() -> None:
    found = [(one.line, one.rule) for one in findings_of(CONFINED) if one.severity != "note"]
    assert found == [(4, "result-unused"), (5, "unreachable-input")]


def test_what_runs_only_outside_of_antiphon_is_no_part_of_it() -> None:
    aside = "if __name__ == '__main__':\n    while True:\n        x = await agent(x)\n        x = [x for x in y]\n"
    source = f"{HEAD}async def main(x: str):\n    x = await agent(x)\n    return x\n{aside}"
    assert [one for one in findings_of(declared(source)) if one.severity != "note"] == []


def test_what_is_shown_of_the_script_is_cut_and_in_one_line() -> None:
    over = "[" + ",\n ".join(f"'é{n}'" for n in range(400)) + "]"
    source = f"{HEAD}async def main():\n    for one in {over}:\n        log(await agent(one, role='worker'))\n"
    (found,) = [one for one in findings_of(declared(source)) if one.rule == "awaits-in-sequence"]
    assert "for one in ['é0', 'é1', 'é2'" in found.reason
    assert "\n" not in found.reason
    assert len(found.reason) < 300
