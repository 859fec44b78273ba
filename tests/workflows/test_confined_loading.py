"""A confined script is read and never executed: its text as a guest runs it, and what its main is given."""

from __future__ import annotations

import ast
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from antiphon.engine import UsageError
from antiphon.engine.errors import HabitError, ParameterError
from antiphon.workflows.confined import read_confined
from antiphon.workflows.loading import load_source
from antiphon.workflows.parameters import Parameters, parameters_of
from antiphon.workflows.runtimes import RUNTIMES, RuntimeAsked, RuntimeUnusable, choose_runtime, standing
from antiphon.workflows.script_text import GIVEN, guest_text

# --- the text -----------------------------------------------------------------------------------------------------

IMPORTS = """from __future__ import annotations
from antiphon.workflows.script import (
    agent as ask,
    parallel,
); x = 1
from antiphon.workflows.script import log
if x:
    from antiphon.workflows.script import (get,
      put)
é = "é"; from antiphon.workflows.script import race as first
if __name__ == "__main__":
    import asyncio
if (__name__
    == "__main__"):
    x = 2
x = 3
"""
REPLACED = """from __future__ import annotations
ask = agent; (None


); x = 1
None
if x:
    (None
)
é = "é"; first = race; None
if False:
    import asyncio
if ((False
)):
    x = 2
x = 3
"""


def text_of(source: str) -> str:
    return guest_text(source, ast.parse(source), "script.py")


def test_imports_of_the_api_are_blanked_out_line_by_line() -> None:
    replaced = text_of(IMPORTS)
    compile(replaced, "script.py", "exec", dont_inherit=True)
    assert replaced.count("\n") == IMPORTS.count("\n")
    assert [line.rstrip() for line in replaced.splitlines()] == REPLACED.splitlines()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("from antiphon.workflows.script import function_agent", "function_agent: roles come from"),
        ("from antiphon.workflows.script import step_function as s", "step_function: steps are the host's"),
        ("from antiphon.engine import Limits", "no `from antiphon.engine import …`"),
        ("import antiphon.workflows.script as api", "no `import antiphon.workflows.script`"),
        ("def f():\n    import antiphon", "script.py:3: a confined script has no `import antiphon`"),
    ],
)
def test_what_only_a_trusted_file_has_is_refused_by_name(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        text_of(f"x = 1\n{line}\n")
    assert says in str(caught.value)
    assert "--runtime trusted" in str(caught.value.advice)


def test_a_guest_has_every_name_that_may_be_imported() -> None:
    from antiphon.engine.script.guest import text_of as guest_text_of

    given = guest_text_of("prelude") + guest_text_of("cpython")
    defined = {node.name for node in ast.parse(given).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert defined | {"budget"} >= GIVEN


# --- what main is given -------------------------------------------------------------------------------------------

HEAD = """
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Optional

manifest = {"name": "typed"}
LENSES = ["security", "correctness"]
Lens = Literal["a", "b"]

class Color(Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Point:
    x: int
    y: float = 2
    color: Color = Color.RED

async def main(SIGNATURE):
    return locals()
"""
SIGNATURES = (
    "repo: str, lenses: list[str] = LENSES, *, depth: int = 2",
    "p: Point",
    "ps: list[Point], c: Color = Color.BLUE",
    "ps: dict[str, list[Point]]",
    "p: Point | None = None",
    "x: Lens",
    "x: Literal[1, 'a', None]",
    "x: Optional[int] = None",
    "x: int | str",
    "x",
    "x: Any = None",
    "x: dict[str, int]",
    "x: dict[int, str]",
    "x: tuple[int, str]",
    "x: tuple[int, ...] = (1, 2)",
    "x: float",
    "x: set[int]",
    "x: 'list[int]'",
)
GIVEN_VALUES: tuple[dict[str, Any], ...] = (
    {},
    {"repo": "a", "depth": "2"},
    {"repo": "a", "lenses": "security"},
    {"p": {"x": 1}},
    {"p": {"x": 1, "y": 3, "color": "blue"}},
    {"p": {"x": 1, "z": 3}},
    {"p": '{"x": 1}'},
    {"p": None},
    {"ps": [{"x": 1, "color": "blue"}]},
    {"ps": {"a": [{"x": 1}]}},
    {"ps": [], "c": "red"},
    {"x": "a"},
    {"x": "c"},
    {"x": 1},
    {"x": True},
    {"x": None},
    {"x": {"a": 1}},
    {"x": {"1": "a"}},
    {"x": [1, "a"]},
    {"x": [1, 2]},
    {"y": 1},
)


@contextmanager
def module(text: str) -> Generator[dict[str, Any]]:
    """The names of a text, executed here as a guest would."""
    made = ModuleType("_confined_parity")
    sys.modules[made.__name__] = made
    try:
        exec(compile(text, "script.py", "exec", dont_inherit=True), vars(made))
        yield vars(made)
    finally:
        del sys.modules[made.__name__]


def called(names: dict[str, Any], parameters: Parameters, given: dict[str, Any]) -> str:
    """What main was given, or how that was refused."""
    try:
        values = parameters.validate(given)
    except ParameterError as error:
        return str(error).partition("; pass each")[0]
    with pytest.raises(StopIteration) as ended:
        names["main"](**values).send(None)
    return repr(ended.value.value)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_main_is_given_what_a_trusted_one_is_given_and_refuses_the_same(signature: str) -> None:
    source = HEAD.replace("SIGNATURE", signature)
    written = read_confined(source, "script.py")
    with module(source) as trusted:
        parameters = parameters_of(trusted["main"])
        expected = [called(trusted, parameters, given) for given in GIVEN_VALUES]
        names = [one.name for one in parameters.each]
    with module(written.text) as guest:
        assert [called(guest, written.parameters, given) for given in GIVEN_VALUES] == expected
    assert [one.name for one in written.parameters.each] == names


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        ("*args: int", "may not take *args"),
        ("x: Foo", "name 'Foo' is not defined"),
        ("x: 3", "3 is no type"),
        ("x: int | Point", "declare it as object"),
        ("x: 'list['", "is no type"),
        ("x: Any.thing", "nothing that a confined main can be given"),
        (f"x: {'list[' * 60}int{']' * 60}", "nested too deeply"),
    ],
)
def test_a_type_that_cannot_be_read_is_refused(signature: str, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_confined(HEAD.replace("SIGNATURE", signature), "script.py")
    assert says in caught.value.problem


DOUBLING = "".join(f"@dataclass\nclass C{n}:\n    a: 'C{n + 1}'\n    b: 'C{n + 1}'\n" for n in range(40))
HOSTILE = (
    ("class E(Enum):\n    mro = 1\n", "x: E", "mro"),
    ("@dataclass\nclass D:\n    a: int\n    a: str\n    __init__: int = 3\n", "x: D", ""),
    ("", "x, x", "duplicate argument 'x'"),
    ("return 3\n", "x", "'return' outside function"),
    ("class Both:\n    pass\n", "x: Both", "no dataclass, TypedDict or enumeration"),
    (
        "".join(f"@dataclass\nclass C{n}:\n    a: 'C{n + 1}'\n    b: 'C{n + 1}'\n" for n in range(40)),
        "x: C0",
        "nested too deeply",
    ),
)


def refusal_of(source: str) -> str:
    """How a script is refused; "" where it is not."""
    try:
        read_confined(source, "script.py")
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("before", "signature", "says"), HOSTILE)
def test_a_declaration_that_means_harm_is_refused_or_read(before: str, signature: str, says: str) -> None:
    imports = "from dataclasses import dataclass\nfrom enum import Enum\nmanifest = {'name': 'x'}\n"
    refusal = refusal_of(f"{imports}{before}async def main({signature}):\n    pass\n")
    assert says in refusal
    assert bool(says) is bool(refusal)


def test_a_class_that_contains_itself_is_refused() -> None:
    source = "@dataclass\nclass Tree:\n    below: list['Tree']\n" + HEAD.replace("SIGNATURE", "x: Tree")
    with pytest.raises(ParameterError, match="contains itself"):
        read_confined(source, "script.py")


def test_a_computed_default_stays_the_scripts_own() -> None:
    written = read_confined(HEAD.replace("SIGNATURE", "x: int = len(LENSES)"), "script.py")
    assert written.parameters.expected == "x: int = len(LENSES)"
    assert written.parameters.validate({}) == {}


# --- loading, and which runtime -------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_of_a_script_is_executed_when_it_is_loaded(runtime: str, tmp_path: Path) -> None:
    loaded = load_source(
        "raise ValueError('executed')\nmanifest = {'name': 'x'}\nasync def main(n: int = 1):\n    return n\n",
        tmp_path / "script.py",
        runtime=RuntimeAsked(name=runtime),
    )
    assert (loaded.runtime, loaded.parameters.expected) == (runtime, "n: int = 1")


def test_habits_are_found_where_nothing_is_imported(tmp_path: Path) -> None:
    source = (
        "manifest = {'name': 'x', 'roles': ['worker']}\nasync def main():\n    await agent('a', {'role': 'worker'})\n"
    )
    with pytest.raises(HabitError, match=r":3: agent\(\) takes no object of options"):
        load_source(source, tmp_path / "script.py", runtime=RuntimeAsked(name="jail"))


def test_a_role_that_only_the_script_could_have_is_refused(tmp_path: Path) -> None:
    source = "manifest = {'name': 'x', 'roles': ['nobody']}\nasync def main():\n    pass\n"
    with pytest.raises(UsageError, match="role 'nobody'"):
        load_source(source, tmp_path / "script.py", runtime=RuntimeAsked(name="jail"))


def test_runtimes_are_told_by_name() -> None:
    with pytest.raises(UsageError, match="there is no runtime 'jial'") as caught:
        choose_runtime("jial")
    assert "did you mean 'jail'" in str(caught.value.advice)
    for name in RUNTIMES:
        found = standing(name)
        if found.usable:
            assert choose_runtime(name).name == name
        else:
            with pytest.raises(RuntimeUnusable, match=name):
                choose_runtime(name)
