"""main's typed parameters: what a run may be given, checked before anything starts."""

from __future__ import annotations

import copy
import difflib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Annotated, Any, Final, Literal, NoReturn, Union, get_args, get_origin

from pydantic import (
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from antiphon.engine.errors import ParameterError

LARGEST_FILE_BYTES: Final = 16 << 20
_SHOWN_PROBLEMS: Final = 5
_MISSING: Final = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of main.

    Attributes:
        name: its name.
        type: its annotation; Any when there is none.
        written: the annotation as text; empty when there is none.
        default: what main has for it, or `inspect.Parameter.empty`.
        adapter: reads a value of the type.
    """

    name: str
    type: Any
    written: str
    default: Any
    adapter: TypeAdapter[Any]

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        return self.default is _MISSING

    def __str__(self) -> str:
        typed = f"{self.name}: {self.written}" if self.written else self.name
        if self.required:
            return typed
        return (
            f"{typed} = {_short_default(self.default)}" if self.written else f"{typed}={_short_default(self.default)}"
        )


@dataclass(frozen=True, slots=True)
class Parameters:
    """What main takes. `workflow` is how messages call it."""

    workflow: str
    each: tuple[Parameter, ...]

    @property
    def expected(self) -> str:
        """One line such as ``repo: str, lenses: list[str] = ['security']``."""
        return ", ".join(map(str, self.each)) or "no parameters"

    def validate(self, given: Mapping[str, object]) -> dict[str, Any]:
        """What to call main with: `given` in the declared types, and the defaults for the rest.

        Strict: a text is no number and no object, and 1 is not True. What JSON has no form for (a date, a path, a
        tuple, an enumeration) is read from its JSON form.

        Raises:
            ParameterError: a name is unknown, a required one is missing, or a value does not fit. All are named.
        """
        problems = [self._unknown(name) for name in given if name not in self._names]
        values: dict[str, Any] = {}
        for one in self.each:
            if one.name in given:
                values[one.name] = _read(one, given[one.name], problems)
            elif one.required:
                problems.append(f"{one.name} is missing")
            else:
                values[one.name] = _own_copy(one.default)
        if problems:
            self._refuse(problems)
        return values

    def from_text(self, pairs: Sequence[str]) -> dict[str, Any]:
        """Read ``--arg name=value`` pairs.

        A parameter of a type that is written as text (str, a path, a Literal or enumeration of texts) takes the value
        as it is; any other is read as JSON. ``name=@file`` takes the value from a file, ``name=@@text`` is ``@text``.

        Returns:
            What was given, as plain JSON: what a run records, and `validate` reads again. It has been validated.

        Raises:
            ParameterError: a pair cannot be read, a name is there twice, or `validate` refuses the whole.
        """
        given: dict[str, Any] = {}
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals or not name:
                self._refuse([f"{_cut(pair)!r} is no name=value"])
            if name in given:
                self._refuse([f"{_cut(name)} is given twice"])
            if name not in self._names:
                self._refuse([self._unknown(name)])
            given[name] = self._from_text(self._names[name], text)
        self.validate(given)
        return given

    @property
    def _names(self) -> dict[str, Parameter]:
        return {one.name: one for one in self.each}

    def _from_text(self, one: Parameter, text: str) -> Any:
        if text.startswith("@@"):
            text = text[1:]
        elif text.startswith("@"):
            text = self._from_file(one, text[1:])
        if _is_written_as_text(one.type):
            return text
        try:
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        self._refuse([f"{one.name} is read as JSON{_because(one)}, and {_cut(text)!r} is none: {reason}"])

    def _from_file(self, one: Parameter, name: str) -> str:
        try:
            with Path(name).open("rb") as stream:
                data = stream.read(LARGEST_FILE_BYTES + 1)
            if len(data) <= LARGEST_FILE_BYTES:
                return data.decode()
            problem = f"is larger than {LARGEST_FILE_BYTES >> 20} MiB"
        except UnicodeDecodeError:
            problem = "is not UTF-8"
        except (OSError, ValueError) as error:
            problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        self._refuse(
            [f"{one.name}=@{name}: the file {problem} (for a text that begins with @, write {one.name}=@@...)"]
        )

    def _unknown(self, name: str) -> str:
        close = difflib.get_close_matches(name, list(self._names), n=1)
        return f"there is no parameter {_cut(name)!r}" + (f" (did you mean {close[0]!r}?)" if close else "")

    def _refuse(self, problems: list[str]) -> NoReturn:
        shown = problems[:_SHOWN_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        raise ParameterError(self.workflow, "; ".join(shown), self.expected)


def parameters_of(main: Callable[..., object], workflow: str = "main") -> Parameters:
    """The parameters of a workflow's main, from its signature and annotations. Without annotation: any JSON.

    Args:
        main: the function.
        workflow: how messages call it.

    Raises:
        ParameterError: it takes ``*args``, ``**kwargs`` or positional-only parameters, or an annotation cannot be
            read.
    """
    signature = inspect.signature(main)
    expected = _cut(str(signature), 200)
    check_signature(signature, workflow)
    return described(signature, _hints(main, workflow, expected), workflow, main.__module__)


def check_signature(signature: inspect.Signature, workflow: str) -> None:
    """Raise `ParameterError` for parameters that cannot be given by name."""
    for one in signature.parameters.values():
        if one.kind in _REFUSED:
            problem = (
                f"main may not take {_REFUSED[one.kind].format(one.name)}; name each parameter, it is given by name"
            )
            raise ParameterError(workflow, problem, _cut(str(signature), 200))


def described(signature: inspect.Signature, hints: Mapping[str, Any], workflow: str, module: str = "") -> Parameters:
    """The parameters of a signature, with the type of each by name.

    Args:
        signature: of main, checked.
        hints: types by name; without one: any JSON.
        workflow: how messages call it.
        module: the name of the module that the types are of, which is not shown.

    Raises:
        ParameterError: a type cannot be read from JSON.
    """
    expected = _cut(str(signature), 200)
    return Parameters(
        workflow, tuple(_parameter(one, hints, workflow, expected, module) for one in signature.parameters.values())
    )


_REFUSED: Final[dict[Any, str]] = {
    inspect.Parameter.VAR_POSITIONAL: "*{}",
    inspect.Parameter.VAR_KEYWORD: "**{}",
    inspect.Parameter.POSITIONAL_ONLY: "{} by position only (the / in its parameters)",
}


def _hints(main: Callable[..., object], workflow: str, expected: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(main, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        problem = f"an annotation of main cannot be read: {error}"
    raise ParameterError(workflow, f"{problem}; import its names at the top of the file", expected)


def _parameter(
    one: inspect.Parameter, hints: Mapping[str, Any], workflow: str, expected: str, module: str
) -> Parameter:
    hint = hints.get(one.name, Any)
    try:
        adapter = TypeAdapter[Any](hint)
        # Forward references inside a type are read only here.
        adapter.rebuild()
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeError) as error:
        reason = str(error).partition("\n")[0]
    else:
        written = "" if one.annotation is _MISSING else _written(one.annotation, hint, module)
        return Parameter(one.name, hint, written, one.default, adapter)
    problem = f"{one.name} has a type that cannot be read from JSON: {_cut(reason, 200)}"
    raise ParameterError(workflow, f"{problem}; use plain types, a dataclass or a pydantic model", expected)


# --- reading values -----------------------------------------------------------------------------------------------


def _read(one: Parameter, value: object, problems: list[str]) -> Any:
    """`value` in its declared type; what does not fit is added to `problems`."""
    try:
        text = _as_json(value)
        if text is None:
            return one.adapter.validate_python(value, strict=True)
        return one.adapter.validate_json(text, strict=True)
    except ValidationError as error:
        problems += [_sentence(one, dict(problem)) for problem in error.errors(include_url=False)]
    except ValueError as error:
        problems.append(f"{one.name}: {error}")
    return None


def _as_json(value: object) -> str | None:
    """JSON text of plain JSON; None for what a program hands over, such as an instance of a model."""
    try:
        text = json.dumps(value, allow_nan=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except TypeError:
        return None
    return text


def _sentence(one: Parameter, error: Mapping[str, Any]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be", 1)
    given = error["input"]
    text = f"{one.name}{_cut(place)} {message[:1].lower()}{message[1:]}"
    if error["type"] == "missing":
        return f"{one.name}{_cut(place)} is missing"
    hint = "; give the JSON itself, not its text" if isinstance(given, str) and given[:1] in ("{", "[") else ""
    return f"{text}, not {_cut(repr(given))}{hint}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _is_written_as_text(hint: Any) -> bool:
    """Whether every value of a type is a text, on the command line as in JSON."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _is_written_as_text(get_args(hint)[0])
    if origin is Literal:
        return all(isinstance(value, str) for value in get_args(hint))
    if origin in (Union, types.UnionType):
        return all(_is_written_as_text(part) for part in get_args(hint) if part is not type(None))
    if not isinstance(hint, type):
        return False
    if issubclass(hint, Enum):
        return all(isinstance(member.value, str) for member in hint)
    return issubclass(hint, str | PurePath)


def _because(one: Parameter) -> str:
    if one.written:
        return f" (it is declared as {_cut(one.written)})"
    return " (it has no declared type; one declared as str takes the text as it is)"


# --- words --------------------------------------------------------------------------------------------------------


def _own_copy(default: Any) -> Any:
    """A default that one run may change without the next one seeing it."""
    return copy.deepcopy(default) if type(default) in (list, dict, set) else default


def _written(annotation: Any, hint: Any, module: str) -> str:
    if isinstance(annotation, str):
        return _cut(annotation)
    return _cut(inspect.formatannotation(hint).replace("typing.", "").replace(f"{module}.", ""))


def _short_default(value: object) -> str:
    text = repr(value)
    if len(text) <= 40:
        return text
    match value:
        case list():
            return "[...]"
        case dict():
            return "{...}"
        case _:
            return "..."


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
