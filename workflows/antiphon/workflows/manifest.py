"""What a workflow declares about itself. Read as a literal from the text, so that reading it executes nothing."""

from __future__ import annotations

import ast
import difflib
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from antiphon.engine.errors import ManifestError
from antiphon.engine.limits import Limits, LimitsError
from antiphon.workflows.syntax.literal import Path, read_literal
from antiphon.workflows.syntax.scopes import Binding, Script, read_script
from antiphon.workflows.syntax.source import parse

_SHOWN_PROBLEMS: Final = 5
_LONGEST_NAME: Final = 64
# Marks that turn the reading direction around, so that a text looks like another on a terminal.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _slug(text: str) -> str:
    if (
        not text
        or len(text) > _LONGEST_NAME
        or not all(one.isascii() and (one.isalnum() or one in "-_") for one in text)
    ):
        raise ValueError(f"must be 1 to {_LONGEST_NAME} letters, digits, - and _, not {_short(text)}")
    return text


def _readable(text: str) -> str:
    if any((unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\t") or one in _TURNING for one in text):
        raise ValueError("must be readable text, without control characters")
    return text


def _entry(text: str) -> str:
    if not text.strip() or "\n" in text:
        raise ValueError("must be one line that is not empty")
    return _readable(text)


def _distinct(entries: tuple[str, ...]) -> tuple[str, ...]:
    twice = [entry for place, entry in enumerate(entries) if entry in entries[:place]]
    if twice:
        raise ValueError(f"has {twice[0]!r} twice")
    return entries


Slug = Annotated[str, Field(strict=True), AfterValidator(_slug)]
Text = Annotated[str, Field(strict=True), AfterValidator(_readable)]
Entry = Annotated[str, Field(strict=True), AfterValidator(_entry)]
Entries = Annotated[tuple[Entry, ...], AfterValidator(_distinct)]


class Scope(BaseModel):
    """What a run may touch.

    Attributes:
        read: patterns of files that subagents may read.
        write: patterns of files that they may change.
        tools: tools they may use.
        network: hosts they may reach.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: Entries = ()
    write: Entries = ()
    tools: Entries = ()
    network: Entries = ()


class Manifest(BaseModel):
    """What a workflow declares; the run is held to it.

    Attributes:
        name: letters, digits, - and _; at most 64.
        description: what it is for, in words.
        phases: the titles that `phase()` may set, in order.
        limits: what the run may use at most.
        scope: what it may touch.
        steps: host functions that it may call.
        roles: subagents that it may call.
        models: which model answers, by role.
        verify: what it promises to verify.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Slug
    description: Text = ""
    phases: Entries = ()
    limits: Limits = Limits()
    scope: Scope = Scope()
    steps: Entries = ()
    roles: Entries = ()
    models: dict[Entry, Entry] = Field(default_factory=dict)
    verify: Entries = ()

    def to_json(self) -> dict[str, Any]:
        """What `Manifest.model_validate` reads back: plain JSON, with only the limits that are set."""
        return {**self.model_dump(mode="json"), "limits": self.limits.to_json()}


def read_manifest(source: str | bytes, file: str) -> Manifest:
    """The manifest in a workflow's text. Nothing of the text is executed.

    Args:
        source: the text, or the bytes of the file.
        file: its name, for messages.

    Raises:
        ManifestError: there is no such literal, or more than one; it has a part that is no literal or does not fit;
            the text is not Python; or there is no ``async def main``. The message names the line and the fix.
    """
    return manifest_of(read_script(parse(source, file)), file)


def manifest_of(script: Script, file: str) -> Manifest:
    """The same, of a script that was read already. Raises `ManifestError` as `read_manifest` does."""
    declared, lines = read_literal(_declaration(script, file), file)
    _check_unchanged(script, file)
    _check_main(script, file)
    if not isinstance(declared, dict):
        raise ManifestError(file, 'the manifest must be an object: manifest = {"name": ...}', lines[()])
    return _fitted(cast(dict[str, object], declared), lines, file)


# --- finding it ---------------------------------------------------------------------------------------------------


def _declaration(script: Script, file: str) -> ast.expr:
    """What is assigned in the one `manifest = {...}` of the module."""
    bindings = _in_order(script, "manifest")
    if not bindings:
        raise ManifestError(file, "there is no manifest; " + _advice_for_missing(script))
    if len(bindings) > 1:
        places = " and ".join(str(_line(one)) for one in bindings[:3])
        raise ManifestError(file, f"the manifest is set more than once (lines {places}); keep one", _line(bindings[1]))
    for statement in script.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="manifest")], value=value):
                return value
            case ast.AnnAssign(target=ast.Name(id="manifest"), value=ast.expr() as value):
                return value
            case _:
                pass
    problem = "the manifest must be a statement of its own, at the left margin: manifest = {...}"
    raise ManifestError(file, problem, _line(bindings[0]))


def _advice_for_missing(script: Script) -> str:
    close = difflib.get_close_matches("manifest", [name.lower() for name in script.module.bindings], n=1)
    named = [name for name in script.module.bindings if close and name.lower() == close[0]]
    if named:
        return f"is it {named[0]} on line {_line(script.module.bindings[named[0]][0])}, under another name?"
    return 'write manifest = {"name": "my-workflow"} at the top'


def _in_order(script: Script, name: str) -> list[Binding]:
    return sorted(script.module.bindings.get(name, []), key=_line)


def _line(binding: Binding) -> int:
    return getattr(binding.node, "lineno", 1)


def _check_unchanged(script: Script, file: str) -> None:
    """What a script does to its manifest when it runs would not be seen, so it is refused."""
    for use in script.uses.get((script.module, "manifest"), []):
        node: ast.AST = use
        for around in script.ancestors(use):
            if not isinstance(around, ast.Attribute | ast.Subscript) or around.value is not node:
                break
            node = around
            changes = isinstance(around, ast.Attribute) and around.attr in _CHANGING and _is_called(script, around)
            if changes or not isinstance(around.ctx, ast.Load):
                raise ManifestError(file, "the manifest is changed here; write all of it in the literal", use.lineno)


_CHANGING: Final = frozenset(
    {"update", "setdefault", "pop", "popitem", "clear", "append", "extend", "insert", "remove"}
)


def _is_called(script: Script, node: ast.AST) -> bool:
    around = script.parents[node]
    return isinstance(around, ast.Call) and around.func is node


def _check_main(script: Script, file: str) -> None:
    bindings = _in_order(script, "main")
    if not bindings:
        raise ManifestError(file, "there is no main; write `async def main(...):`, which the run calls")
    main, line = bindings[-1].node, _line(bindings[-1])
    if len(bindings) > 1:
        raise ManifestError(file, f"main is set more than once (first on line {_line(bindings[0])}); keep one", line)
    if isinstance(main, ast.FunctionDef):
        raise ManifestError(file, "main must be a coroutine: write `async def main(...):`", line)
    if not isinstance(main, ast.AsyncFunctionDef) or main not in script.tree.body:
        raise ManifestError(file, "main must be written as `async def main(...):` at the left margin", line)
    inner = script.inner[main]
    for node in script.nodes:
        if isinstance(node, ast.Yield) and script.scopes[node] is inner:
            raise ManifestError(file, "main yields, and a run has one result; return it instead", node.lineno)


# --- fitting it ---------------------------------------------------------------------------------------------------


def _fitted(declared: Mapping[str, object], lines: Mapping[Path, int], file: str) -> Manifest:
    limits, problems = _read_limits(declared.get("limits", {}))
    try:
        manifest = Manifest.model_validate({**declared, "limits": limits})
    except ValidationError as error:
        problems += [(_place(one["loc"]), _sentence(one)) for one in error.errors(include_url=False)]
    else:
        if not problems:
            return manifest
    placed = sorted((_line_of(place, lines), problem) for place, problem in problems)
    line, text = placed[0]
    others = [f"line {other}: {problem}" for other, problem in placed[1:_SHOWN_PROBLEMS]]
    if len(placed) > _SHOWN_PROBLEMS:
        others.append(f"and {len(placed) - _SHOWN_PROBLEMS} more")
    raise ManifestError(file, "; ".join([text, *others]), line)


def _read_limits(given: object) -> tuple[Limits, list[tuple[Path, str]]]:
    """The limits, each read by itself so that every problem has its own line."""
    if not isinstance(given, dict):
        return Limits(), [(("limits",), f'limits must be an object such as {{"usd": "5"}}, not {_short(given)}')]
    problems: list[tuple[Path, str]] = []
    kept: dict[str, object] = {}
    for name, value in cast(dict[str, object], given).items():
        try:
            Limits.parse({name: value})
        except LimitsError as error:
            problems += [(("limits", name), _cut(problem, 200)) for problem in error.problems]
        else:
            kept[name] = value
    return Limits.parse(kept), problems


def _place(location: tuple[int | str, ...]) -> Path:
    return tuple(part for part in location if part != "[key]")


def _line_of(place: Path, lines: Mapping[Path, int]) -> int:
    """The line of a place in the manifest, or of the nearest place around it."""
    while place not in lines:
        place = place[:-1]
    return lines[place]


def _sentence(error: Mapping[str, Any]) -> str:
    """One problem that pydantic found, in the words of a manifest."""
    place = _place(error["loc"])
    name, given = _dotted(place), _short(error["input"])
    match error["type"]:
        case "missing":
            return f'the manifest has no {name}; add "{name}": "my-workflow"'
        case "extra_forbidden":
            return _unknown(place)
        case "tuple_type":
            return f'{name} must be a list of texts such as ["a", "b"], not {given}'
        case "string_type":
            return f"{name} must be a text, not {given}"
        case "value_error":
            return f"{name} {error['ctx']['error']}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"{name} must be an object such as {{...}}, not {given}"
        case _:
            return f"{name}: {error['msg']}"


def _unknown(place: Path) -> str:
    within: type[BaseModel] = Scope if place[0] == "scope" else Manifest
    known, name = list(within.model_fields), str(place[-1])
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"{'the scope' if within is Scope else 'a manifest'} has no {_short(name)} ({meant})"


def _dotted(place: Path) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return _cut("".join(parts).lstrip("."))


def _short(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
