"""main's typed parameters: strict about JSON, plain about text, and clear about what does not fit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from antiphon.engine.errors import ParameterError
from antiphon.workflows.parameters import LARGEST_FILE_BYTES, parameters_of
from antiphon.workflows.values import plain

Main = Callable[..., Any]


class Options(BaseModel):
    depth: int
    deep: bool = False


@dataclass
class Point:
    x: int
    y: int


class Color(Enum):
    RED = "red"


LENSES = ["security"]


async def audit(repo: str, lenses: list[str] = LENSES, *, depth: int = 2) -> None: ...


def refused(main: Main, given: dict[str, object], *parts: str) -> ParameterError:
    with pytest.raises(ParameterError) as caught:
        parameters_of(main, "audit").validate(given)
    assert str(caught.value).startswith("audit: ")
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in caught.value.problem, caught.value
    return caught.value


def text_refused(main: Main, pairs: list[str], *parts: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters_of(main).from_text(pairs)
    for part in parts:
        assert part in caught.value.problem, caught.value


# --- validate -----------------------------------------------------------------------------------------------------


def test_given_and_defaults() -> None:
    values = parameters_of(audit).validate({"repo": "src", "depth": 5})
    assert values == {"repo": "src", "lenses": ["security"], "depth": 5}


def test_a_default_is_not_shared_between_runs() -> None:
    first = parameters_of(audit).validate({"repo": "src"})
    first["lenses"].append("more")
    assert parameters_of(audit).validate({"repo": "src"})["lenses"] == ["security"]


def test_every_problem_is_named() -> None:
    error = refused(
        audit,
        {"lense": [], "lenses": "security", "depth": "2"},
        "there is no parameter 'lense' (did you mean 'lenses'?)",
        "repo is missing",
        "lenses must be a valid array, not 'security'",
        "depth must be a valid integer, not '2'",
    )
    assert error.advice == (
        "main takes repo: str, lenses: list[str] = ['security'], depth: int = 2; pass each as --arg name=value"
    )


def test_no_parameters() -> None:
    async def main() -> None: ...

    assert parameters_of(main).validate({}) == {}
    assert "no parameters" in str(refused(main, {"x": 1}).advice)


def test_a_text_of_json_is_no_object() -> None:
    async def main(options: Options | dict[str, int], items: list[int], point: Point) -> None: ...

    refused(
        main,
        {"options": '{"depth": 1}', "items": "[1]", "point": '{"x": 1, "y": 2}'},
        "options",
        "items must be a valid array, not '[1]'; give the JSON itself, not its text",
        "point",
    )


def test_models_and_dataclasses() -> None:
    async def main(options: Options, point: Point) -> None: ...

    values = parameters_of(main).validate({"options": {"depth": 3}, "point": {"x": 1, "y": 2}})
    assert values == {"options": Options(depth=3), "point": Point(1, 2)}
    again = parameters_of(main).validate({"options": Options(depth=3), "point": Point(1, 2)})
    assert again == values
    refused(main, {"options": {}, "point": {"x": "1", "y": 2}}, "options.depth is missing", "point.x must be")


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (bool, 1),
        (bool, "true"),
        (str, 1),
        (str, None),
        (float, "1"),
        (list[int], {}),
    ],
)
def test_strict(hint: Any, value: object) -> None:
    async def main(x: Any) -> None: ...

    main.__annotations__["x"] = hint
    refused(main, {"x": value}, "x ")


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Path, "src/a.py"),
        (date, "2026-01-02"),
        (Decimal, "5.10"),
        (tuple[int, str], [1, "a"]),
        (set[str], ["a"]),
        (Color, "red"),
        (Literal["a", "b"], "a"),
        (float, 1),
        (bytes, "ab"),
        (int | None, None),
        (Options, {"depth": 1, "deep": True}),
        (Annotated[int, Field(ge=1)], 3),
    ],
)
def test_what_a_run_records_reads_back(hint: Any, value: object) -> None:
    async def main(x: Any) -> None: ...

    main.__annotations__["x"] = hint
    parameters = parameters_of(main)
    first = parameters.validate({"x": value})
    recorded = plain(first)
    assert isinstance(recorded, dict)
    assert parameters.validate(recorded) == first


def test_a_constraint() -> None:
    async def main(x: Annotated[int, Field(ge=1)]) -> None: ...

    refused(main, {"x": 0}, "x must be greater than or equal to 1, not 0")


def test_no_annotation_takes_any_json() -> None:
    async def main(x: Any, y: Any = 3) -> None: ...

    main.__annotations__.clear()
    parameters = parameters_of(main)
    assert parameters.validate({"x": {"a": [1, None, "t"]}}) == {"x": {"a": [1, None, "t"]}, "y": 3}
    assert parameters.expected == "x, y=3"


def test_what_json_cannot_hold() -> None:
    async def main(x: Any) -> None: ...

    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    refused(main, {"x": float("nan")}, "x: ")
    refused(main, {"x": deep}, "x: it is nested too deeply")
    deep.clear()


def test_many_problems_are_counted() -> None:
    async def main(x: list[int]) -> None: ...

    refused(main, {"x": ["a"] * 100}, "and 95 more")


# --- the signature ------------------------------------------------------------------------------------------------


def test_annotations_written_as_text() -> None:
    async def main(options: "Options", items: "list[Point]") -> None: ...

    values = parameters_of(main).validate({"options": {"depth": 1}, "items": [{"x": 1, "y": 2}]})
    assert values == {"options": Options(depth=1), "items": [Point(1, 2)]}
    assert parameters_of(main).expected == "options: Options, items: list[Point]"


def test_an_annotation_that_means_nothing() -> None:
    async def main(x: Any) -> None: ...

    main.__annotations__["x"] = "Missing"
    with pytest.raises(ParameterError, match="name 'Missing' is not defined; import its names"):
        parameters_of(main)


def test_a_type_that_json_cannot_give() -> None:
    class Connection:
        pass

    async def main(x: Connection) -> None: ...

    with pytest.raises(ParameterError, match=r"x has a type that cannot be read from JSON: .*Connection"):
        parameters_of(main)


async def _star(*given: str) -> None: ...
async def _stars(**given: str) -> None: ...
async def _slash(x: str, /, y: str) -> None: ...


@pytest.mark.parametrize(
    ("main", "part"), [(_star, r"\*given"), (_stars, r"\*\*given"), (_slash, "x by position only")]
)
def test_parameters_without_a_name(main: Main, part: str) -> None:
    with pytest.raises(ParameterError, match=f"main may not take {part}.*it is given by name"):
        parameters_of(main)


def test_expected_is_one_line() -> None:
    long = ["x" * 50]

    async def main(
        repo: str, lenses: list[str] = long, options: Options | None = None, text: str = "y" * 99
    ) -> None: ...

    assert parameters_of(main).expected == (
        "repo: str, lenses: list[str] = [...], options: Options | None = None, text: str = ..."
    )


# --- the command line ---------------------------------------------------------------------------------------------


def test_pairs() -> None:
    parameters = parameters_of(audit)
    assert parameters.from_text(["repo=src", 'lenses=["a", "b"]', "depth=3"]) == {
        "repo": "src",
        "lenses": ["a", "b"],
        "depth": 3,
    }
    assert parameters.from_text(["repo=a=b"]) == {"repo": "a=b"}
    assert parameters.from_text(["repo="]) == {"repo": ""}


@pytest.mark.parametrize("text", ["5", "null", '{"a": 1}', '"quoted"', " é "])
def test_a_str_takes_the_text_as_it_is(text: str) -> None:
    async def main(a: str, b: Annotated[str, Field(min_length=1)], c: str | None = None, d: Path = Path()) -> None: ...

    given = parameters_of(main).from_text([f"{name}={text}" for name in "abcd"])
    assert given == dict.fromkeys("abcd", text)
    assert parameters_of(main).validate(given)["d"] == Path(text)


def test_literals_and_enumerations_of_texts_are_text() -> None:
    async def main(mode: Literal["a", "b"], color: Color = Color.RED) -> None: ...

    assert parameters_of(main).validate(parameters_of(main).from_text(["mode=a", "color=red"])) == {
        "mode": "a",
        "color": Color.RED,
    }
    text_refused(main, ["mode=c"], "mode must be 'a' or 'b', not 'c'")


def test_other_types_are_json() -> None:
    async def main(x: dict[str, int] | str, y: object = None) -> None: ...

    assert parameters_of(main).from_text(['x={"a": 1}', "y=[1]"]) == {"x": {"a": 1}, "y": [1]}
    assert parameters_of(main).from_text(['x="a"']) == {"x": "a"}
    text_refused(main, ["x=a"], "x is read as JSON (it is declared as dict[str, int] | str), and 'a' is none")


def test_no_declared_type_is_json() -> None:
    async def main(x: Any) -> None: ...

    main.__annotations__.clear()
    text_refused(main, ["x=abc"], "x is read as JSON (it has no declared type; one declared as str takes the text")


@pytest.mark.parametrize("text", ["NaN", "[1, Infinity]", "{", "[" * 100_000, "9" * 5000, "'a'"])
def test_json_that_is_none(text: str) -> None:
    async def main(x: Any) -> None: ...

    text_refused(main, [f"x={text}"], "x is read as JSON")


def test_pairs_that_are_none() -> None:
    text_refused(audit, ["repo"], "'repo' is no name=value")
    text_refused(audit, ["=x"], "'=x' is no name=value")
    text_refused(audit, ["repo=a", "repo=b"], "repo is given twice")
    text_refused(audit, ["rpeo=a"], "there is no parameter 'rpeo' (did you mean 'repo'?)")
    text_refused(audit, [], "repo is missing")
    text_refused(audit, ["repo=a", "depth=x"], "depth is read as JSON (it is declared as int), and 'x' is none")
    text_refused(audit, ["repo=a", 'depth="3"'], "depth must be a valid integer")


def test_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("é\n")
    numbers = tmp_path / "n.json"
    numbers.write_text('["a"]\n')
    parameters = parameters_of(audit)
    assert parameters.from_text([f"repo=@{file}", f"lenses=@{numbers}"]) == {"repo": "é\n", "lenses": ["a"]}
    assert parameters.from_text(["repo=@@home"]) == {"repo": "@home"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    text_refused(audit, [f"repo=@{tmp_path / 'none'}"], "cannot be read: No such file", "repo=@@")
    text_refused(audit, [f"repo=@{tmp_path}"], "cannot be read: Is a directory")
    text_refused(audit, ["repo=@a\0b"], "cannot be read")
    text_refused(audit, ["repo=@"], "cannot be read")
    (tmp_path / "latin").write_bytes(b"\xe9")
    text_refused(audit, [f"repo=@{tmp_path / 'latin'}"], "is not UTF-8")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(LARGEST_FILE_BYTES + 1)
    text_refused(audit, [f"repo=@{tmp_path / 'large'}"], "is larger than 16 MiB")


@given(st.text().filter(lambda text: not text.startswith("@")))
def test_any_text_goes_through(text: str) -> None:
    parameters = parameters_of(audit)
    try:
        given = parameters.from_text([f"repo={text}"])
    except ParameterError:
        # A text that UTF-8 cannot hold is refused, and nothing else.
        assert any("\ud800" <= one <= "\udfff" for one in text)
    else:
        assert given == {"repo": text}
