"""A project with a bug, and what the roles of a fix say of it: for tests that drive the real workflow with a double."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.subagents.testing import Answer
from antiphon.tracing import Json
from antiphon.workflows.fix.words import CODE_MARK, CRITICISE_MARK, DIAGNOSE_MARK, REPRODUCE_MARK

CODE = "def last(items):\n    return items[len(items)]\n\n\ndef first(items):\n    return items[0]\n"
HEAD = "import unittest\n\nimport box\n\n\n"
TEST = (
    HEAD
    + "class First(unittest.TestCase):\n    def test_first(self):\n        self.assertEqual(box.first([1, 2]), 1)\n"
)
NEW = (
    f"{HEAD}class Last(unittest.TestCase):\n    def test_last(self):\n        self.assertEqual(self.last(), 2)\n\n"
    "    def last(self):\n        try:\n            return box.last([1, 2])\n        except IndexError:\n"
    "            return None\n"
)
REPORT = "last([1, 2]) raises IndexError. I expected 2."
PROJECT = {"box.py": CODE, "tests/__init__.py": "", "tests/test_box.py": TEST}
CASE = "tests.test_last.Last.test_last"


def project(folder: Path, files: Mapping[str, str] = PROJECT) -> Path:
    """Write a project."""
    root = folder / "project"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def call(tool: str, **arguments: Any) -> Completion:
    """An answer that wants a tool called."""
    return Completion(calls=(ToolCall(f"c-{tool}", tool, json.dumps(arguments)),))


def write(path: str, content: str) -> Completion:
    """Write a file."""
    return call("write", path=path, content=content)


def edit(path: str, old: str, new: str) -> Completion:
    """Edit a file."""
    return call("edit", path=path, old=old, new=new)


def plan(*approaches: str, **more: Any) -> Answer:
    """The planner's answer: a hypothesis for each approach."""
    named = approaches or ("the index",)
    hypotheses: list[Json] = [{"cause": f"{one} is wrong", "approach": one, "evidence": []} for one in named]
    return Answer({"understanding": "it raises", "hypotheses": hypotheses, "reproduce": "call last", **more})


def shown(**more: Any) -> Answer:
    """The tester's answer."""
    return Answer({"shows": "It calls last.", "files": ["tests/test_last.py"], **more})


def changed(**more: Any) -> Answer:
    """The coder's or the refiner's answer."""
    return Answer({"summary": "one less", "cause": "The index is one too many.", **more})


def agrees(**more: Any) -> Answer:
    """A critic that has nothing against it."""
    return Answer({"sound": True, "reason": "It holds.", **more})


def objects(what: str, **more: Any) -> Answer:
    """A critic that has."""
    return Answer({"sound": False, "reason": "No.", "points": [{"must": True, "what": what}], **more})


RIGHT = edit("box.py", "items[len(items)]", "items[len(items) - 1]")
WRONG = edit("box.py", "items[len(items)]", "items[len(items) - 2]")
TESTED = (write("tests/test_last.py", NEW), shown())
USUAL: dict[str, tuple[Any, ...]] = {
    DIAGNOSE_MARK: (plan(),),
    REPRODUCE_MARK: TESTED,
    CODE_MARK: (RIGHT, changed()),
    CRITICISE_MARK: (agrees(),),
}
"""Everybody does at once what is right."""
