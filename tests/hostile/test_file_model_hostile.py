"""A directory of a file model is anybody's: odd names, links, floods and texts that command a terminal do nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine import UsageError
from antiphon.subagents.model import file_inbox
from antiphon.subagents.model.contract import Completion
from antiphon.subagents.model.file_format import MAX_ANSWER_BYTES, Exchange, Unreadable, answered, checked
from antiphon.subagents.model.file_inbox import document_of, inbox, leave, misfit
from antiphon.workflows.cli import main

ID = "0123456789abcdef0123456789abcdef"


def asked(**changes: Any) -> dict[str, Any]:
    """The document of a request."""
    document: dict[str, Any] = {
        "version": 1,
        "kind": "request",
        "id": ID,
        "asked_at": "2026-11-21T00:00:00Z",
        "asker": "",
        "conversation": "",
        "model": "file:x",
        "messages": [{"role": "user", "text": "Name a colour."}],
        "tools": [],
        "force": "",
        "schema": None,
        "max_tokens": 10,
        "temperature": None,
    }
    return document | changes


def put(box: Path, id: str = ID, **changes: Any) -> Path:
    """A request in a directory."""
    path = box / f"request-{id}.json"
    path.write_text(json.dumps(asked(id=id, **changes)))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "request-.json",
        "request-0123.json",
        "request-0123456789ABCDEF0123456789ABCDEF.json",
        f"request-{ID}.json.bak",
        f".request-{ID}.json",
        f"request-{ID}.json\n",
        "request-../../../../etc/passwd.json".replace("/", "\u2215"),
    ],
)
def test_files_of_other_names_are_not_looked_at(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(asked()))
    seen = inbox(tmp_path)
    assert (seen.open, seen.unreadable) == ((), {})


def test_many_answers_hide_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_inbox, "MOST_LISTED", 3)
    for number in range(5):
        put(tmp_path, f"{number:032x}")
        (tmp_path / f"answer-{number:032x}.json").write_text("{}")
    for number in range(5, 9):
        put(tmp_path, f"{number:032x}")
    seen = inbox(tmp_path)
    assert ([request.id[-1] for request in seen.open], seen.more) == (["5", "6", "7"], 1)


def test_what_is_no_plain_file_is_named_and_not_opened(tmp_path: Path) -> None:
    put(tmp_path.parent, "f" * 32).rename(tmp_path / "elsewhere.json")
    (tmp_path / f"request-{'a' * 32}.json").symlink_to(tmp_path / "elsewhere.json")
    os.mkfifo(tmp_path / f"request-{'b' * 32}.json")
    (tmp_path / f"request-{'c' * 32}.json").mkdir()
    seen = inbox(tmp_path)
    assert seen.open == ()
    assert [name[8] for name in seen.unreadable] == ["a", "b", "c"]
    assert all("it is no plain file" in reason for reason in seen.unreadable.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is not JSON"),
        ("[" * 200_000, "it is nested too deeply"),
        (json.dumps(asked(id="a" * 32)), "its id is not that of its name"),
        (json.dumps(asked(id="../x")), "does not match"),
        (json.dumps(asked(extra=1)), "'extra' was unexpected"),
        (json.dumps(asked(messages=[{"role": "root", "text": ""}])), "'root' is not one of"),
        (json.dumps(asked(schema="x")), "is not of type"),
    ],
)
def test_a_request_that_is_none_is_said_to_be(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / f"request-{ID}.json").write_text(content)
    seen = inbox(tmp_path)
    assert seen.open == ()
    assert reason in seen.unreadable[f"request-{ID}.json"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"type": "mood"},
        {"type": 5},
        {"pattern": "("},
        {"properties": 5},
        {"enum": []},
        {"multipleOf": 0},
        {"required": "x"},
    ],
)
def test_a_hostile_schema_fetches_nothing_and_ends(schema: dict[str, Any]) -> None:
    assert misfit("x", schema) != ""


def test_an_answer_is_never_written_through_a_link(tmp_path: Path) -> None:
    put(tmp_path)
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / f"answer-{ID}.problem").write_text("not taken")
    (tmp_path / f"answer-{ID}.json").symlink_to(target)
    (request,) = inbox(tmp_path).open
    leave(request, document_of(request, "blue"))
    assert target.read_text() == "mine"
    assert not (tmp_path / f"answer-{ID}.json").is_symlink()


def test_an_answer_that_is_too_large_is_not_written(tmp_path: Path) -> None:
    put(tmp_path)
    (request,) = inbox(tmp_path).open
    with pytest.raises(Unreadable, match="larger than 8,388,608 bytes"):
        leave(request, {"text": "x" * MAX_ANSWER_BYTES})
    assert [path.name for path in tmp_path.iterdir()] == [f"request-{ID}.json"]


def test_a_request_that_was_taken_back_is_not_answered(tmp_path: Path) -> None:
    path = put(tmp_path)
    (request,) = inbox(tmp_path).open
    path.unlink()
    with pytest.raises(UsageError, match="was taken back"):
        leave(request, {"text": "blue"})
    put(tmp_path)
    leave(request, {"text": "blue"})
    with pytest.raises(UsageError, match="was answered meanwhile"):
        leave(request, {"text": "red"})


def test_lone_surrogates_and_great_numbers_are_no_answer() -> None:
    with pytest.raises(Unreadable):
        answered(b'{"version": 1, "usage": {"input": ' + b"9" * 30 + b'}, "text": ""}', (), "", ID)
    with pytest.raises(Unreadable):
        answered(b'{"version": 1, "value": ' + b"9" * 5_000 + b"}", (), "", ID)
    with pytest.raises(Unreadable):
        checked(b"\xff\xfe{}", "answer")


def test_names_of_an_exchange_stay_in_their_directory(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, ID)
    for path in (exchange.request, exchange.answer, exchange.problem, exchange.failed):
        assert path.parent == tmp_path


def test_what_is_shown_cannot_command_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\r\nNext"
    put(
        tmp_path,
        messages=[{"role": "system", "text": bad}, {"role": "user", "text": bad * 3}],
        tools=[{"name": bad, "description": bad, "parameters": {bad: bad}}],
        schema={"description": bad},
    )
    (tmp_path / f"answer-{ID}.problem").write_text(bad)
    for words in (["--list"], ["--list", "--request", ID], ["--list", "--json"], ["--text", bad]):
        assert main(["answer", str(tmp_path), *words]) == 0
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)


def test_a_long_text_is_cut_where_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, messages=[{"role": "user", "text": "x" * 1_000_000}])
    assert main(["answer", str(tmp_path), "--list"]) == 0
    assert len(capsys.readouterr().out) < 300
    assert main(["answer", str(tmp_path), "--list", "--request", "0123"]) == 0
    out = capsys.readouterr().out
    assert "[1,000,000 characters in all]" in out
    assert len(out) < 21_000


KEYS = st.sampled_from(
    ["version", "text", "value", "calls", "error", "finish", "usage", "class", "name", "arguments", "id"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["rate", "stop", "search"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.binary(max_size=30), st.booleans())
def test_whatever_is_answered_is_taken_or_refused(document: dict[str, Any], spoil: bytes, whole: bool) -> None:
    content = json.dumps({**document, "version": 1}).encode()
    for given_content in (content, content[: len(spoil)] + spoil if whole else spoil):
        try:
            found = answered(given_content, ["search"], "", ID)
        except Unreadable as refused:
            found = refused
        assert isinstance(found, Completion) or str(found)


SCHEMAS = st.recursive(
    st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(["object", "string", "#", "#/properties/a", "("]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "$ref", "pattern", "enum", "items", "allOf", "not", "required", "a"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "$ref", "pattern", "enum", "allOf"]), SCHEMAS), VALUES)
def test_whatever_a_schema_says_a_value_fits_it_or_not(schema: dict[str, Any], value: Any) -> None:
    assert isinstance(misfit(value, schema), str)
