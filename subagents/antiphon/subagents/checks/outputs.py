"""Reads what test programs print: unittest, ``go test -json``, cargo; TAP is in `tap.py`.

The output is the tested code's as much as the program's, so each form is read for what it says and no further: a line
that a test prints can name a test that is not there. Whoever compares two runs finds the difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from antiphon.subagents.checks.cases import Cases, CaseState
from antiphon.subagents.checks.tap import read_tap
from antiphon.subagents.workspace.detecting import Framework

_UNITTEST_BEGIN: Final = re.compile(r"^(\w+) \(([\w.<>]+)\)")
_UNITTEST_END: Final = re.compile(r"(?:^|\.\.\. |\s)(ok|FAIL|ERROR|skipped .*|expected failure|unexpected success)$")
_UNITTEST_DETAIL: Final = re.compile(r"^(?:FAIL|ERROR): (\w+) \(([\w.<>]+)\)")
_UNITTEST_STATES: Final[Mapping[str, CaseState]] = {
    "ok": "passed",
    "FAIL": "failed",
    "ERROR": "error",
    "unexpected success": "failed",
}
_SKIPPED: Final[CaseState] = "skipped"
_UNLOADED: Final = "unittest.loader._FailedTest"
_AROUND_TESTS: Final = frozenset({"setUpClass", "tearDownClass", "setUpModule", "tearDownModule"})
_RULE: Final = "=" * 70
_SUMMARY: Final = "-" * 70 + "\nRan "
_CARGO: Final = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b")
_CARGO_DETAIL: Final = re.compile(r"^---- (\S+) stdout ----$")
_CARGO_STATES: Final[Mapping[str, CaseState]] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
_GO_STATES: Final[Mapping[str, CaseState]] = {"pass": "passed", "fail": "failed", "skip": "skipped"}


def read_unittest(stdout: str, stderr: str) -> Cases:
    """``python -m unittest -v``, which writes to stderr."""
    cases, name = Cases(), ""
    for line in stderr.split(_RULE)[0].splitlines():
        begun = _UNITTEST_BEGIN.match(line)
        name = _unittest_name(begun[1], begun[2]) if begun else name
        ended = _UNITTEST_END.search(line)
        if name and ended:
            cases.add(name, _unittest_state(ended[1], name))
            name = ""
    for block in stderr.split(_RULE)[1:]:
        said = block.partition(_SUMMARY)[0].strip()
        if found := _UNITTEST_DETAIL.match(said):
            name = _unittest_name(found[1], found[2])
            cases.add(name, _unittest_state(said.partition(":")[0], name), said)
    return cases


def _unittest_name(method: str, place: str) -> str:
    """``package.module.Class.method``; Python before 3.11 does not say the method twice."""
    return place if place.endswith(f".{method}") else f"{place}.{method}"


def _unittest_state(word: str, name: str) -> CaseState:
    """What a word means. What it calls an error is a test that raised, unless no test was come to at all."""
    state: CaseState = _UNITTEST_STATES.get(word, _SKIPPED)
    unreached = name.startswith(_UNLOADED) or name.rpartition(".")[2] in _AROUND_TESTS
    if state == "error" and not unreached:
        return "failed"
    return state


def read_go(stdout: str, stderr: str) -> Cases:
    """``go test -json``: a line of JSON for each event."""
    cases = Cases()
    said: dict[str, list[str]] = {}
    failing: set[str] = set()
    for event in _json_lines(stdout):
        package, test, action = (str(event.get(key) or "") for key in ("Package", "Test", "Action"))
        name = f"{package}.{test}" if test else package
        if action == "output":
            said.setdefault(name, []).append(str(event.get("Output") or ""))
        elif action in _GO_STATES and (test or action == "fail"):
            state: CaseState = _GO_STATES[action] if test else "error"
            cases.add(name, state, "".join(said.pop(name, [])))
            failing |= {package} if state == "failed" else set()
    # A package fails for each failing test in it; alone it is an error only where it did not come to its tests.
    for name in [one for one, state in cases.states.items() if state == "error"]:
        if name in failing:
            del cases.states[name]
            cases.details.pop(name, None)
    return cases


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found: Any = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found


def read_cargo(stdout: str, stderr: str) -> Cases:
    """``cargo test``. Which binary a test is in is said on stderr, so a name is as its binary says it."""
    cases, speaking = Cases(), ""
    details: dict[str, list[str]] = {}
    for line in stdout.splitlines():
        if found := _CARGO.match(line):
            cases.add(found[1], _CARGO_STATES[found[2]])
        elif block := _CARGO_DETAIL.match(line):
            speaking = block[1]
        elif line.startswith(("failures:", "test result:")):
            speaking = ""
        elif speaking:
            details.setdefault(speaking, []).append(line)
    for name, lines in details.items():
        if cases.states.get(name) == "failed":
            cases.add(name, "failed", "\n".join(lines))
    return cases


READERS: Final[Mapping[Framework, Callable[[str, str], Cases]]] = {
    "unittest": read_unittest,
    "tap": read_tap,
    "go": read_go,
    "cargo": read_cargo,
}
"""By framework: what reads its output, given both outputs as text."""
