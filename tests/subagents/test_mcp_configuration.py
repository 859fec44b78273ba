"""How servers are described and named: what a file may say, and that nothing starts for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.tools.mcp import (
    McpAsked,
    McpServer,
    ServerUnsuitable,
    check_named,
    expanded,
    facts_of,
    is_mcp_name,
    read_servers,
    server_of,
)
from antiphon.subagents.tools.mcp.configuration import resolved
from antiphon.subagents.tools.mcp.naming import tool_name

PROGRAM = {"command": ["server", "--flag"]}


def test_all_that_can_be_said_of_a_server() -> None:
    table = {
        "db": {
            **PROGRAM,
            "env": {"URL": "plain", "TOKEN": "Bearer ${TOKEN}"},
            "read": ["data"],
            "write": ["out"],
            "network": ["db.example.org"],
            "tools": ["query"],
            "seconds": 5,
            "start_seconds": 2.5,
        },
        "web": {"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer $KEY"}},
        "all": {**PROGRAM, "network": True},
    }
    servers = read_servers(table)
    assert servers["db"] == McpServer(
        name="db",
        command=("server", "--flag"),
        env={"URL": "plain", "TOKEN": "Bearer ${TOKEN}"},
        read=("data",),
        write=("out",),
        network=("db.example.org",),
        tools=("query",),
        seconds=5.0,
        start_seconds=2.5,
    )
    assert [server.reaches for server in servers.values()] == [True, True, True]
    assert servers["db"].references() == ("TOKEN",)
    assert not read_servers({"x": PROGRAM})["x"].reaches


@pytest.mark.parametrize(
    ("name", "table", "says"),
    [
        ("a__b", PROGRAM, "cannot be the name of a server"),
        ("a b", PROGRAM, "cannot be the name of a server"),
        ("x" * 33, PROGRAM, "cannot be the name of a server"),
        ("x", [], "must be a table"),
        ("x", {}, "a command, or a url"),
        ("x", {**PROGRAM, "url": "https://example.org"}, "a command, or a url"),
        ("x", {"command": "server"}, "command must be a list of texts"),
        ("x", {"command": ["server", ""]}, "command has an empty text"),
        ("x", {"command": ["a\0b"]}, "command must be text"),
        ("x", {**PROGRAM, "comand": 1}, "there is no setting 'comand'"),
        ("x", {**PROGRAM, "env": {"A B": "x"}}, "env cannot set 'A B'"),
        ("x", {**PROGRAM, "env": {"PATH": "x"}}, "env cannot set 'PATH'"),
        ("x", {**PROGRAM, "env": {"A": 1}}, "env.A must be text"),
        ("x", {**PROGRAM, "headers": {"A": "b"}}, "headers says nothing"),
        ("x", {**PROGRAM, "network": ["a/b"]}, "network must be true or a list of hosts"),
        ("x", {**PROGRAM, "seconds": 0}, "seconds must be above 0"),
        ("x", {**PROGRAM, "seconds": True}, "seconds must be a number"),
        ("x", {**PROGRAM, "seconds": float("nan")}, "seconds must be a number"),
        ("x", {**PROGRAM, "start_seconds": 1e9}, "at most 3600"),
        ("x", {"url": "file:///etc/passwd"}, "url must begin with https://"),
        ("x", {"url": "https://me:secret@example.org"}, "a user or a password"),
        ("x", {"url": "http://example.org", "headers": {"A": "b"}}, "in clear"),
        ("x", {"url": "https://example.org", "headers": {"A": "b\r\nC: d"}}, "what a header cannot"),
        ("x", {"url": "https://example.org", "read": ["."]}, "read says nothing"),
    ],
)
def test_what_describes_no_server_is_said(name: str, table: Any, says: str) -> None:
    with pytest.raises(ServerUnsuitable) as raised:
        read_servers({name: table})
    assert str(raised.value).startswith(f"mcp.{name[:60]}")
    assert says in str(raised.value)


def test_references_are_replaced_from_the_environment_alone() -> None:
    given = {"A": "$ONE-${TWO}", "B": "$$ONE", "C": "5 $ or $ 5"}
    assert resolved(given, {"ONE": "1", "TWO": "$ONE"}) == {"A": "1-$ONE", "B": "$ONE", "C": "5 $ or $ 5"}
    with pytest.raises(ServerUnsuitable, match=r"\$TWO, which is not set"):
        resolved(given, {"ONE": "1"})


def test_what_a_run_keeps_holds_no_value_of_a_variable() -> None:
    plain = McpServer(name="x", command=("server",), env={"KEY": "one"})
    facts = facts_of([plain])
    assert facts == facts_of([McpServer(name="x", command=("server",), env={"KEY": "another"})])
    assert facts != facts_of([McpServer(name="x", command=("server", "-v"), env={"KEY": "one"})])
    assert facts != facts_of([McpServer(name="x", command=("server",), env={"KEY": "$one"})])
    assert "one" not in json.dumps(facts)


def test_a_resumed_run_gets_the_servers_it_had() -> None:
    old, new = McpServer(name="x", command=("old",)), McpServer(name="x", command=("new",))
    other = McpServer(name="y", command=("y",))
    facts = facts_of([old])
    assert McpAsked(configured={"x": old}).again(facts) == (old,)
    assert McpAsked(configured={"x": old, "y": other}, names=("y",)).again(facts) == (old, other)
    assert McpAsked(configured={"x": new}, names=("x",)).again(facts) == (new,)
    assert McpAsked().again(None) == ()
    with pytest.raises(UsageError, match="configured otherwise"):
        McpAsked(configured={"x": new}).again(facts)
    with pytest.raises(UsageError, match="no configuration here describes"):
        McpAsked().again(facts)


def test_one_that_is_not_described_is_said_with_what_is_meant() -> None:
    asked = McpAsked(configured={"time": McpServer(name="time", command=("t",))}, names=("tiem",))
    with pytest.raises(UsageError, match="did you mean 'time'"):
        asked.servers()
    assert McpAsked(configured=asked.configured, names=("time", "time")).servers() == (asked.configured["time"],)


def test_no_file_starts_a_server_by_naming_its_tools() -> None:
    check_named(["read", "time__now"], ["time"], "the workflow")
    with pytest.raises(UsageError, match="no file can start by itself") as raised:
        check_named(["read", "time__*"], [], "the workflow")
    assert raised.value.advice == "add --mcp time to have it started"


def test_names_and_patterns() -> None:
    known = ["read", "time__now", "time__convert", "timer__x"]
    assert expanded(["read", "time__*", "time__now", "git__log"], known) == (
        *("read", "time__now", "time__convert", "git__log"),
    )
    assert (is_mcp_name("git_log"), is_mcp_name("git__log"), server_of("git__a__b")) == (False, True, "git")
    assert tool_name("git", "log") == "git__log"
    assert tool_name("git", "ä.b") == "git____b"
    first, second = tool_name("git", "n" * 100), tool_name("git", "n" * 101)
    assert (len(first), len(second)) == (64, 64)
    assert first != second


def test_the_configuration_describes_servers(tmp_path: Path) -> None:
    from antiphon.workflows.cli.configuration import ConfigurationError, configuration

    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.antiphon.mcp.time]\ncommand = ["server"]\n')
    assert configuration(tmp_path).mcp == {"time": McpServer(name="time", command=("server",))}
    for text, says in (("mcp = 3", "mcp must be a table"), ("[mcp.x]\ncomand = []", "there is no setting 'comand'")):
        (tmp_path / "antiphon.toml").write_text(text)
        with pytest.raises(ConfigurationError, match=says):
            configuration(tmp_path)


def test_naming_servers_imports_no_sdk() -> None:
    heavy = "{'mcp', 'httpx2', 'jsonschema', 'starlette'}"
    program = f"import antiphon.subagents.tools.mcp, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
