"""An MCP server written by hand, of the protocol of 2025, each of whose tools goes wrong in its own way.

``python faulty.py [mute | exits | strict | offers FILE]``. It uses no SDK, so that it can say what no SDK would.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

HOW = sys.argv[1] if len(sys.argv) > 1 else ""
BORN = str(time.time_ns())
CANCELLED: list[Any] = []
ANSWERS: list[Any] = []
OBJECT: dict[str, Any] = {"type": "object"}
META: list[Any] = []
BEGUN: list[bool] = []


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def say(**message: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def told(number: Any, value: Any, *, failed: bool = False) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    say(id=number, result={"content": [{"type": "text", "text": text}], "isError": failed})


def offered() -> list[dict[str, Any]]:
    if HOW == "offers":
        with open(sys.argv[2], encoding="utf-8") as file:
            found: list[dict[str, Any]] = json.load(file)
        return found
    return [{"name": name, "description": f"It {name}.", "inputSchema": OBJECT} for name in WAYS]


def begin(number: Any) -> None:
    if HOW == "mute":
        return
    if HOW == "exits":
        sys.exit("it cannot find its configuration")
    if HOW == "refuses":
        say(id=number, error={"code": -32000, "message": f"no such key: {os.environ['KEY']}"})
        return
    say(
        id=number,
        result={
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "faulty", "version": "1"},
        },
    )


def reached(port: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError as error:
        return f"refused: {error}"
    return "reached"


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        return f"refused: {error}"


def exits(number: Any, given: dict[str, Any]) -> None:
    sys.stderr.write("cannot go on: \x1b[31mout of cheese\n")
    sys.exit(3)


def stray(number: Any, given: dict[str, Any]) -> None:
    for line in range(given.get("lines", 3)):
        write(f"note {line}\n")
    told(number, "still here")


def floods(number: Any, given: dict[str, Any]) -> None:
    while True:
        say(method="notifications/message", params={"level": "info", "data": "x"})


def wrong_id(number: Any, given: dict[str, Any]) -> None:
    told("another", "not yours")
    told(number + 1_000_000, "nor yours")
    told(number, "yours")


def asks(number: Any, given: dict[str, Any]) -> None:
    say(id="s1", method="sampling/createMessage", params={"messages": [], "maxTokens": 5})
    say(id="s2", method="roots/list")
    say(id="s3", method="ping")
    say(id="s4", method="elicitation/create", params={"message": "?", "requestedSchema": {"type": "object"}})
    for _ in range(4):
        ANSWERS.append(json.loads(sys.stdin.readline()))
    told(number, ANSWERS)


def changes(number: Any, given: dict[str, Any]) -> None:
    say(method="notifications/tools/list_changed")
    told(number, "changed")


def sees(number: Any, given: dict[str, Any]) -> None:
    told(number, {"environment": dict(os.environ), "cwd": os.getcwd(), "listed": sorted(os.listdir("."))})


WAYS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "asks": asks,
    "born": lambda number, given: told(number, BORN),
    "cancelled": lambda number, given: told(number, CANCELLED),
    "changes": changes,
    "echo": told,
    "exits": exits,
    "fails": lambda number, given: told(number, "there is no such thing", failed=True),
    "floods": floods,
    "garbage": lambda number, given: write('{"jsonrpc": "2.0", "id": \n'),
    "hangs": lambda number, given: None,
    "huge": lambda number, given: write('{"jsonrpc": "2.0", "id": 1, "result": "' + "x" * 100_000_000 + '"}\n'),
    "killed": lambda number, given: os.kill(os.getpid(), signal.SIGKILL),
    "reaches": lambda number, given: told(number, reached(given["port"])),
    "reads": lambda number, given: told(number, read(given["path"])),
    "sees": sees,
    "shapeless": lambda number, given: say(id=number, result={"content": "all of it"}),
    "stray": stray,
    "traced": lambda number, given: told(number, META),
    "wrong_id": wrong_id,
}


def call(number: Any, params: dict[str, Any]) -> None:
    META[:] = [params.get("_meta")]
    WAYS[params["name"]](number, params.get("arguments") or {})


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        message: dict[str, Any] = json.loads(line)
        params: dict[str, Any] = message.get("params") or {}
        if HOW == "strict" and not BEGUN and message.get("method") != "initialize":
            sys.exit("expected initialize")
        BEGUN.append(True)
        match message.get("method"):
            case "initialize":
                begin(message["id"])
            case "tools/list":
                say(id=message["id"], result={"tools": offered()})
            case "tools/call":
                call(message["id"], params)
            case "notifications/cancelled":
                CANCELLED.append(params)
            case "server/discover":
                say(id=message["id"], error={"code": -32601, "message": "no such method"})
            case _:
                pass


main()
