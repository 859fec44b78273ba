"""The manifest: read as a literal, with one clear sentence, a line and a fix for whatever is wrong."""

import json
from decimal import Decimal
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from antiphon.engine.errors import ManifestError
from antiphon.engine.limits import Limits
from antiphon.workflows.manifest import Manifest, Scope, read_manifest

MAIN = "\nasync def main():\n    pass\n"
FULL = '''
"""A workflow."""
import os

manifest = {
    "name": "missing-authorization",
    "description": "Finds handlers "
    "without a check.",
    "phases": ["find", "refute"],
    "limits": {"usd": "5", "agent_calls": 400, "wall_seconds": 1800, "depth": 2},
    "scope": {"read": ["app/**"], "write": [], "tools": ("grep", "read"), "network": []},
    "steps": ["list_files"],
    "roles": ["auditor", "verifier"],
    "models": {"auditor": "some/model"},
    "verify": ["every finding"],
}
'''


def refusal(source: str, *, main: str = MAIN) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read_manifest(dedent(source) + main, "flows/w.py")
    assert str(caught.value).startswith("flows/w.py")
    assert caught.value.exit_code == 2
    return caught.value


def refused(source: str, line: int | None, *parts: str, main: str = MAIN) -> None:
    error = refusal(source, main=main)
    assert error.line == line, error
    for part in parts:
        assert part in error.problem, error


def test_a_full_manifest() -> None:
    manifest = read_manifest(FULL + MAIN, "w.py")
    assert manifest == Manifest(
        name="missing-authorization",
        description="Finds handlers without a check.",
        phases=("find", "refute"),
        limits=Limits(usd=Decimal(5), agent_calls=400, wall_seconds=1800, depth=2),
        scope=Scope(read=("app/**",), tools=("grep", "read")),
        steps=("list_files",),
        roles=("auditor", "verifier"),
        models={"auditor": "some/model"},
        verify=("every finding",),
    )


def test_the_smallest_manifest() -> None:
    manifest = read_manifest('manifest = {"name": "x"}' + MAIN, "w.py")
    assert (manifest.description, manifest.phases, manifest.limits, manifest.scope) == ("", (), Limits(), Scope())


@pytest.mark.parametrize(
    "declaration",
    ['manifest: dict[str, object] = {"name": "x"}', 'manifest: Final = {"name": "x"}', 'manifest = ({"name": "x"})'],
)
def test_annotated_or_in_brackets(declaration: str) -> None:
    assert read_manifest(declaration + MAIN, "w.py").name == "x"


def test_bytes_with_a_byte_order_mark() -> None:
    assert read_manifest(b'\xef\xbb\xbfmanifest = {"name": "x"}' + MAIN.encode(), "w.py").name == "x"
    assert read_manifest('\ufeffmanifest = {"name": "x"}' + MAIN, "w.py").name == "x"


def test_a_local_name_is_no_second_manifest() -> None:
    source = (
        'manifest = {"name": "x"}\nasync def main():\n    manifest = {}\n    manifest["a"] = 1\n    return manifest\n'
    )
    assert read_manifest(source, "w.py").name == "x"


def test_a_script_may_read_its_manifest() -> None:
    source = 'manifest = {"name": "x", "phases": ["a"]}\nasync def main():\n    return manifest["phases"][0].upper()\n'
    assert read_manifest(source, "w.py").name == "x"


def test_it_is_frozen_and_forbids_more() -> None:
    manifest = Manifest(name="x")
    with pytest.raises(ValidationError, match="frozen"):
        manifest.name = "y"
    with pytest.raises(ValidationError, match="extra"):
        Manifest.model_validate({"name": "x", "nome": 1})


def test_json_reads_back() -> None:
    manifest = read_manifest(FULL + MAIN, "w.py")
    text = json.dumps(manifest.to_json())
    assert Manifest.model_validate(json.loads(text)) == manifest
    assert json.loads(text)["limits"] == {"usd": "5", "agent_calls": 400, "wall_seconds": 1800.0, "depth": 2}


# --- finding it ---------------------------------------------------------------------------------------------------


def test_missing() -> None:
    refused("x = 1", None, "there is no manifest", 'write manifest = {"name": "my-workflow"}')


def test_under_another_name() -> None:
    refused('x = 1\nMANIFEST = {"name": "x"}', None, "is it MANIFEST on line 2")
    refused('manifets = {"name": "x"}', None, "is it manifets on line 1")


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ('manifest = {"name": "y"}', 2),
        ('manifest |= {"name": "y"}', 2),
        ("from other import manifest", 2),
        ("def manifest(): pass", 2),
        ("for manifest in []: pass", 2),
        ("x = 1\nif (manifest := 3): pass", 3),
        ("def change():\n    global manifest\n    manifest = {}", 3),
        ("del manifest", 2),
        ("if True:\n    manifest = {}", 3),
        ("y = [manifest := 1 for _ in range(3)]", 2),
    ],
)
def test_two_manifests(second: str, line: int) -> None:
    refused(f'manifest = {{"name": "x"}}\n{second}', line, "set more than once", "keep one")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('if True:\n    manifest = {"name": "x"}', 2),
        ('(manifest := {"name": "x"})', 1),
        ('x = manifest = {"name": "x"}', 1),
        ('manifest, x = {"name": "x"}, 1', 1),
        ("import manifest", 1),
        ("\ndef f():\n    global manifest\n    manifest = {}", 4),
    ],
)
def test_not_a_statement_of_its_own(source: str, line: int) -> None:
    error = refusal(source)
    assert error.line in (line, line - 1)
    assert "of its own" in error.problem or "more than once" in error.problem


@pytest.mark.parametrize(
    "change",
    [
        'manifest["name"] = "y"',
        'manifest["limits"]["usd"] = 3',
        'manifest["limits"].update(usd=3)',
        "manifest.update({})",
        'del manifest["name"]',
        'async def other():\n    manifest["name"] += "y"',
    ],
)
def test_changed_later(change: str) -> None:
    line = 2 + change.count("\n")
    refused(f'manifest = {{"name": "x"}}\n{change}', line, "is changed here")


@pytest.mark.parametrize("value", ["[]", "'text'", "3", "None"])
def test_no_object(value: str) -> None:
    refused(f"\nmanifest = {value}", 2, "must be an object")


# --- main ---------------------------------------------------------------------------------------------------------

NAMED = 'manifest = {"name": "x"}\n'


@pytest.mark.parametrize(
    ("main", "line", "part"),
    [
        ("", None, "there is no main; write `async def main(...):`"),
        ("def main(): pass", 2, "write `async def main(...):`"),
        ("main = 3", 2, "`async def main(...):`"),
        ("if True:\n    async def main(): pass", 3, "left margin"),
        ("async def main(): pass\nasync def main(): pass", 3, "set more than once (first on line 2)"),
        ("async def main():\n    yield 1", 3, "main yields"),
        ("class C:\n    async def main(self): pass", None, "there is no main"),
    ],
)
def test_main(main: str, line: int | None, part: str) -> None:
    refused(NAMED, line, part, main=main)


def test_main_may_hold_a_generator() -> None:
    main = "async def main():\n    def each():\n        yield 1\n    return list(each())\n"
    assert read_manifest(NAMED + main, "w.py").name == "x"


# --- the text -----------------------------------------------------------------------------------------------------


def test_no_python() -> None:
    refused("x = 1\nmanifest = {\n", 2, "this is not Python")
    refused("x = 1\nif x\n  y", 2, "this is not Python")


def test_not_utf8() -> None:
    with pytest.raises(ManifestError, match=r"w.py:2: the text is not UTF-8 \(byte 0xe9\)"):
        read_manifest(b'x = 1\nmanifest = {"name": "\xe9"}\n', "w.py")
    with pytest.raises(ManifestError, match=r"w.py:2: the text is not UTF-8"):
        read_manifest('x = 1\ny = "\udce9"\n', "w.py")


# --- the literal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ('f"x"', "write the text out instead of an f-string"),
        ("NAME", "write out what NAME stands for"),
        ("os.environ['X']", "write out the value instead of computing it"),
        ('"a" + "b"', "two texts side by side need no +"),
        ("60 * 30", "write the result out"),
        ("{'a', 'b'}", "write a list"),
        ("[x for x in 'ab']", "one by one"),
        ("[*LENSES]", "one by one"),
        ("(x := 'a')", "without :="),
        ("b'x'", "without the b"),
        ("...", "no JSON"),
        ("3j", "no JSON"),
        ("{**OTHER}", "write the keys out"),
        ("{1: 'a'}", "a plain text in quotes"),
        ("{f'a': 1}", "a plain text in quotes"),
        ("not True", "write the result out"),
        ("lambda: 1", "write out the value"),
        ("1 if x else 2", "write the result out"),
    ],
)
def test_a_part_that_is_no_literal(value: str, part: str) -> None:
    refused(f'manifest = {{\n  "name": "x",\n  "description":\n    {value},\n}}', 4, part)


def test_a_key_twice() -> None:
    refused('manifest = {\n "name": "x",\n "phases": [],\n "name": "y"}', 4, "the key 'name' twice (first on line 2)")


# --- what does not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ('"phase": ["a"]', ["a manifest has no 'phase'", "did you mean 'phases'?"]),
        ('"zzz": 1', ["there are name, description, phases"]),
        ('"phases": "find"', ["phases must be a list of texts", "not 'find'"]),
        ('"phases": ["a", 5]', ["phases[1] must be a text, not 5"]),
        ('"phases": ["a", "b", "a"]', ["phases has 'a' twice"]),
        ('"phases": ["a", " "]', ["phases[1] must be one line that is not empty"]),
        ('"steps": ["a\\nb"]', ["steps[0] must be one line"]),
        ('"description": 5', ["description must be a text, not 5"]),
        ('"description": "\\x1b[2J"', ["description must be readable text"]),
        ('"roles": ["a\\u202eb"]', ["roles[0] must be readable text"]),
        ('"description": "\\ud800"', ["description must be readable text"]),
        ('"models": ["a"]', ["models must be an object"]),
        ('"models": {"a": 5}', ["models.a must be a text, not 5"]),
        ('"scope": ["app/**"]', ["scope must be an object"]),
        ('"scope": {"reads": ["a"]}', ["the scope has no 'reads'", "did you mean 'read'?"]),
        ('"scope": {"read": "app/**"}', ["scope.read must be a list of texts"]),
        ('"limits": 5', ["limits must be an object"]),
        ('"limits": None', ["limits must be an object"]),
        ('"limits": {"usd": -1}', ["the limit usd must be a number of at least 0, not -1"]),
        ('"limits": {"agent_call": 1}', ["there is no limit 'agent_call'", "did you mean 'agent_calls'?"]),
        ('"limits": {"depth": "2"}', ["the limit depth must be a whole number"]),
        ('"limits": {"wall_seconds": True}', ["the limit wall_seconds must be a number"]),
    ],
)
def test_a_part_that_does_not_fit(key: str, parts: list[str]) -> None:
    refused(f'manifest = {{\n  "name": "x",\n\n  {key},\n}}', 4, *parts)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "é", "x" * 65, "a\n", "a.b"])
def test_a_name_that_is_no_slug(name: str) -> None:
    refused(f'manifest = {{\n  "name": {name!r}}}', 2, "name must be 1 to 64 letters, digits, - and _")


def test_no_name() -> None:
    refused('\nmanifest = {"phases": []}', 2, "the manifest has no name", 'add "name": "my-workflow"')


def test_the_line_within_a_part() -> None:
    refused('manifest = {"name": "x",\n"limits": {\n"usd": 1,\n"depth": -2}}', 4, "the limit depth")
    refused('manifest = {"name": "x",\n"phases": [\n"a",\n3]}', 4, "phases[1]")


def test_every_problem_is_named_first_line_first() -> None:
    error = refusal('manifest = {\n"name": "x",\n"limits": {"usd": -1},\n"phase": [],\n"steps": 3}')
    assert error.line == 3
    assert "; line 4: a manifest has no 'phase'" in error.problem
    assert "; line 5: steps must be" in error.problem


def test_very_many_problems_are_counted() -> None:
    keys = ", ".join(f'"k{number}": 1' for number in range(50))
    assert "and 45 more" in refusal(f'manifest = {{"name": "x", {keys}}}').problem


COUNTS: st.SearchStrategy[Any] = st.integers(0, 99)
TEXTS: st.SearchStrategy[Any] = st.lists(st.text("abc /*é", min_size=1).filter(str.strip), unique=True)
DECLARED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.text("abcXYZ019-_", min_size=1, max_size=64)},
    optional={
        "description": st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"])),
        "phases": TEXTS,
        "limits": st.fixed_dictionaries({}, optional={"usd": COUNTS, "depth": COUNTS}),
        "scope": st.fixed_dictionaries({}, optional={"read": TEXTS, "network": TEXTS}),
        "models": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
    },
)


@settings(max_examples=60, deadline=None)
@given(DECLARED)
def test_what_is_written_is_what_is_read(declared: dict[str, Any]) -> None:
    manifest = read_manifest(f"manifest = {declared!r}{MAIN}", "w.py")
    assert manifest == Manifest.model_validate(declared)
    assert Manifest.model_validate(manifest.to_json()) == manifest
