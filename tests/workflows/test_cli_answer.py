"""`antiphon answer` and `antiphon roles`: what is asked is shown, what is answered fits, nobody is kept waiting."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.workflows.cli import main

Antiphon = Callable[..., tuple[int, str, str]]
FIRST, SECOND = "a" * 32, "b" * 32
TOOL = {"name": "search", "description": "Finds.", "parameters": {"type": "object", "required": ["q"]}}
CHOICE = {"type": "object", "properties": {"answer": {"enum": ["a", "b"]}}, "required": ["answer"]}


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder with an empty box, and no terminal: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("box").mkdir()

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


def ask(id: str = FIRST, text: str = "Name a colour.", **changes: Any) -> None:
    """Ask in the box, as a run does."""
    document: dict[str, Any] = {
        "version": 1,
        "kind": "request",
        "id": id,
        "asked_at": f"2026-11-21T00:00:0{int(id[0], 16) - 10}Z",
        "asker": "worker at main/0" if id == SECOND else "",
        "conversation": "c",
        "model": "file:box",
        "messages": [{"role": "system", "text": "You name colours. Well."}, {"role": "user", "text": text}],
        "tools": [],
        "force": "",
        "schema": None,
        "max_tokens": 10,
        "temperature": None,
    }
    Path(f"box/request-{id}.json").write_text(json.dumps(document | changes))


def answer(id: str = FIRST) -> dict[str, Any]:
    """What was answered."""
    found: dict[str, Any] = json.loads(Path(f"box/answer-{id}.json").read_text())
    return found


def test_nothing_is_asked(antiphon: Antiphon) -> None:
    assert antiphon("answer", "box") == (0, "", "nothing is asked\n")
    assert antiphon("answer", "box", "--json")[1] == "[]\n"
    code, _, err = antiphon("answer", "box", "--text", "x")
    assert code == 2
    assert "there is no open request" in err
    code, _, err = antiphon("answer", "nowhere")
    assert code == 2
    assert "nowhere cannot be read: No such file or directory" in err


def test_what_is_asked_is_listed_oldest_first(antiphon: Antiphon) -> None:
    ask(SECOND, "Name a fruit.", schema=CHOICE, tools=[TOOL])
    ask(FIRST)
    code, out, err = antiphon("answer", "box", "--list")
    assert code == 0
    assert out.splitlines() == [
        "aaaaaaaa  2026-11-21T00:00:00Z  Name a colour.  (You name colours.)",
        "bbbbbbbb  2026-11-21T00:00:01Z  Name a fruit.  (worker at main/0)",
    ]
    assert "2 open; next: antiphon answer box --request ID --text TEXT" in err
    listed = json.loads(antiphon("answer", "box", "--list", "--json")[1])
    assert [(one["id"], one["task"], one["tools"]) for one in listed] == [
        (FIRST, "Name a colour.", []),
        (SECOND, "Name a fruit.", ["search"]),
    ]
    assert listed[1]["schema"] == CHOICE


def test_without_a_terminal_it_lists_and_waits_for_nobody(antiphon: Antiphon, monkeypatch: pytest.MonkeyPatch) -> None:
    ask()

    class Endless(io.StringIO):
        def read(self, size: int | None = -1, /) -> str:
            raise AssertionError("nobody may read here")

    monkeypatch.setattr(sys, "stdin", Endless())
    code, out, _ = antiphon("answer", "box")
    assert (code, out[:8]) == (0, "aaaaaaaa")


def test_one_is_shown_whole(antiphon: Antiphon) -> None:
    ask(schema=CHOICE, tools=[TOOL], messages=[{"role": "user", "text": "One\ntwo"}])
    _, out, _ = antiphon("answer", "box", "--list", "--request", "aa")
    assert "-- user\nOne\ntwo\n-- tool search\nFinds.\n" in out
    assert "-- the answer is a value of this schema" in out
    assert json.loads(antiphon("answer", "box", "--list", "--request", "aa", "--json")[1])["id"] == FIRST


def test_a_text_answers_the_only_one(antiphon: Antiphon) -> None:
    ask()
    assert antiphon("answer", "box", "--text", "blue") == (0, "", "answered aaaaaaaa\n")
    assert answer() == {"version": 1, "text": "blue"}
    assert antiphon("answer", "box")[2] == "nothing is asked\n"


def test_one_of_several_has_to_be_named(antiphon: Antiphon) -> None:
    ask(FIRST)
    ask(SECOND)
    code, _, err = antiphon("answer", "box", "--text", "blue")
    assert code == 2
    assert "error: there are several open requests\n" in err
    ask("ab" * 16)
    assert (
        "there are several requests 'a' that are open\n"
        in antiphon("answer", "box", "--request", "a", "--text", "x")[2]
    )
    assert "open are: aaaaaaaa, bbbbbbbb" in err
    assert antiphon("answer", "box", "--request", "b", "--text", "red", "--json")[1] == f'{{"answered": "{SECOND}"}}\n'
    assert answer(SECOND)["text"] == "red"
    assert antiphon("answer", "box", "--request", "c", "--text", "red")[0] == 2


def test_stdin_is_read_where_it_is_asked_for(antiphon: Antiphon, monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("blü\nred\n".encode())))
    assert antiphon("answer", "box", "--text", "-")[0] == 0
    assert answer()["text"] == "blü\nred"
    ask(SECOND)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert "what stdin says is not UTF-8" in antiphon("answer", "box", "--text", "-")[2]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (CHOICE, "b", {"answer": "b"}),
        (CHOICE, '"b"', {"answer": "b"}),
        (CHOICE, '{"answer": "b"}', {"answer": "b"}),
        ({"type": "string"}, "some words", "some words"),
        ({"type": "string"}, "5", "5"),
        ({"type": "integer"}, " 5 ", 5),
        ({"type": "object", "required": ["n"]}, '{"n": 1}', {"n": 1}),
    ],
)
def test_a_value_is_typed_plainly(antiphon: Antiphon, schema: dict[str, Any], text: str, value: object) -> None:
    ask(schema=schema)
    assert antiphon("answer", "box", "--text", text)[0] == 0
    assert answer() == {"version": 1, "value": value}


@pytest.mark.parametrize(
    ("schema", "text", "problem"),
    [
        (CHOICE, "c", "$.answer: 'c' is not one of ['a', 'b']"),
        ({"type": "object", "required": ["n"]}, "{}", "$: 'n' is a required property"),
        ({"type": "object"}, "{", "$: '{' is not of type 'object'"),
        ({"type": "integer"}, "many", "$: 'many' is not of type 'integer'"),
    ],
)
def test_what_does_not_fit_is_not_written(antiphon: Antiphon, schema: dict[str, Any], text: str, problem: str) -> None:
    ask(schema=schema)
    code, _, err = antiphon("answer", "box", "--text", text)
    assert code == 2
    assert f"error: this is no answer to request aaaaaaaa: {problem}" in err
    assert "next: antiphon answer box --list --request aaaaaaaa" in err
    assert os.listdir("box") == [f"request-{FIRST}.json"]


def test_a_forced_tool_takes_a_value(antiphon: Antiphon) -> None:
    ask(tools=[TOOL], force="search")
    assert "'q' is a required property" in antiphon("answer", "box", "--text", "{}")[2]
    assert antiphon("answer", "box", "--text", '{"q": 1}')[0] == 0
    assert answer()["value"] == {"q": 1}


def test_a_whole_document_may_call_tools(antiphon: Antiphon) -> None:
    ask(tools=[TOOL])
    call = {"name": "search", "arguments": {"q": "x"}}
    for text, problem in [
        ("x", "a whole answer must be JSON"),
        ("[]", "a whole answer must be an object"),
        ('{"version": 2, "text": ""}', "1 was expected"),
        (json.dumps({"calls": [call | {"name": "rm"}]}), "it calls 'rm', and the tools of this request are search"),
        (json.dumps({"calls": [call | {"arguments": {}}]}), "the arguments of search: $: 'q' is a required property"),
        (json.dumps({"calls": [call | {"arguments": "{"}]}), "the arguments of search must be JSON"),
    ]:
        code, _, err = antiphon("answer", "box", "--document", "--text", text)
        assert code == 2
        assert problem in err
    assert antiphon("answer", "box", "--document", "--text", json.dumps({"calls": [call]}))[0] == 0
    assert answer() == {"version": 1, "calls": [call]}


def test_an_error_is_an_answer(antiphon: Antiphon) -> None:
    ask(schema=CHOICE)
    assert antiphon("answer", "box", "--error", "refused", "--text", "I will not")[0] == 0
    assert answer() == {"version": 1, "error": {"class": "refused", "reason": "I will not"}}
    assert antiphon("answer", "box", "--error", "mood")[0] == 2


def test_options_that_contradict_each_other(antiphon: Antiphon) -> None:
    ask()
    assert "--error takes its reason from --text" in antiphon("answer", "box", "--editor", "--error", "rate")[2]
    assert os.listdir("box") == [f"request-{FIRST}.json"]
    assert "--editor and --text" in antiphon("answer", "box", "--editor", "--text", "x")[2]
    assert "--document says how --text is meant" in antiphon("answer", "box", "--document")[2]


def test_what_was_not_taken_is_open_again(antiphon: Antiphon) -> None:
    ask()
    Path(f"box/answer-{FIRST}.json").write_text("{")
    assert antiphon("answer", "box", "--list")[1] == ""
    Path(f"box/answer-{FIRST}.problem").write_text("it is not taken: it is not JSON")
    assert "it is not taken: it is not JSON" in antiphon("answer", "box", "--list")[1]
    assert antiphon("answer", "box", "--text", "blue")[0] == 0
    assert answer()["text"] == "blue"
    assert antiphon("answer", "box")[2] == "nothing is asked\n"  # also where the run is dead, and takes nothing back


def on_a_terminal(typed: str, *words: str, code: int = 0, editor: Path | None = None) -> str:
    """What a person sees who types this into `antiphon answer`, which ends with this exit code."""
    own, theirs = pty.openpty()
    command = [sys.executable, "-m", "antiphon", "answer", "box", *words]
    environment = {**os.environ, "EDITOR": str(editor or ""), "VISUAL": ""}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    os.write(own, typed.encode())
    seen = b""
    try:
        while piece := os.read(own, 65_536):
            seen += piece
    except OSError:  # the other side is closed
        pass
    os.close(own)
    assert process.wait() == code
    return seen.decode()


def test_a_person_answers_one_after_the_other(antiphon: Antiphon) -> None:
    ask(FIRST, schema=CHOICE)
    ask(SECOND, "Name a fruit.")
    seen = on_a_terminal("c\n.\nb\n.\npear\nor plum\n.\n")
    assert "'c' is not one of ['a', 'b']" in seen
    assert "2 answered, 0 skipped" in seen
    assert (answer(FIRST)["value"], answer(SECOND)["text"]) == ({"answer": "b"}, "pear\nor plum")


def test_a_person_may_skip_and_leave(antiphon: Antiphon) -> None:
    ask(FIRST)
    ask(SECOND)
    assert "0 answered, 1 skipped" in on_a_terminal(".\n\x04")
    assert sorted(os.listdir("box")) == [f"request-{FIRST}.json", f"request-{SECOND}.json"]


def test_an_editor_may_be_used(antiphon: Antiphon, tmp_path: Path) -> None:
    ask()
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho from the editor > "$1"\n')
    editor.chmod(0o755)
    assert "1 answered" in on_a_terminal("", "--editor", editor=editor)
    assert answer()["text"] == "from the editor"


def write_editor(path: Path, script: str) -> Path:
    """An editor that does this to "$1"."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_editor_may_write_a_whole_document(antiphon: Antiphon, tmp_path: Path) -> None:
    ask()
    editor = write_editor(tmp_path / "editor", """echo '{"text": "whole"}' > "$1\"""")
    assert "1 answered" in on_a_terminal("", "--editor", "--document", editor=editor)
    assert answer() == {"version": 1, "text": "whole"}


def test_an_editor_begins_with_what_did_not_fit(antiphon: Antiphon, tmp_path: Path) -> None:
    ask(schema=CHOICE)
    editor = write_editor(tmp_path / "editor", 'grep -q much "$1" && echo b > "$1" || echo much thought > "$1"')
    seen = on_a_terminal("", "--editor", editor=editor)
    assert "'much thought' is not one of" in seen
    assert "1 answered" in seen


def test_an_editor_that_writes_no_text(antiphon: Antiphon, tmp_path: Path) -> None:
    ask()
    editor = write_editor(tmp_path / "editor", """printf '\\374' > "$1\"""")
    assert "what the editor wrote is not UTF-8" in on_a_terminal("", "--editor", code=2, editor=editor)


def test_a_person_is_told_that_a_request_is_not_there(antiphon: Antiphon) -> None:
    ask()
    assert "there is no request 'c' that is open" in on_a_terminal("", "--request", "c", code=2)


# --- roles ---------------------------------------------------------------------------------------------------------


def test_the_roles_are_listed(antiphon: Antiphon) -> None:
    code, out, err = antiphon("roles", "--model", "critic=ollama/x")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 14
    (critic,) = [line for line in lines if line.startswith("critic")]
    assert critic.split()[1:4] == ["ollama/x", "built", "in"]
    assert "Finds what is wrong or missing" in critic


def test_roles_of_the_project_and_what_is_wrong_with_them(antiphon: Antiphon) -> None:
    for folder, name, text in [
        (".antiphon/roles", "critic", "---\nmodel: ollama/own\ndescription: Our own.\n---\nx"),
        (".antiphon/roles", "broken", "---\nnmae: x\n---\nx"),
        (".claude/agents", "mine", "---\nname: mine\nmodel: opus\ntools: Read\n---\nx"),
    ]:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{name}.md").write_text(text)
    code, out, err = antiphon("roles")
    assert code == 0
    assert "critic       ollama/own  .antiphon/roles/critic.md  Our own." in out
    assert "judge        -           built in  Picks one" in out
    assert "broken" in out
    assert "cannot be used" in out
    assert ".antiphon/roles/broken.md:2: a role has no 'nmae'" in err
    assert "mine.md: model: opus is an alias of another tool" in err
    listed = {one["name"]: one for one in json.loads(antiphon("roles", "--json")[1])}
    assert listed["critic"]["hides"] == ["built in"]
    assert (listed["mine"]["tools"], listed["mine"]["model"]) == (["read"], None)
    assert "nmae" in listed["broken"]["problem"]
