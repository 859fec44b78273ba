"""Models that mend a case of the corpus, by the real tools: every role plays from a list of moves.

Which role a request is for is told by the first words of its task; which move is due, by how often that conversation
was answered. So a double has no state: a run that was killed, or tries that go on side by side, get the same answers.
"""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.corpus.cases import Case, apply, names, place

from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.testing import Answer, FunctionModel
from antiphon.workflows.fix.words import (
    AGAIN_MARK,
    CODE_MARK,
    COMMAND_MARK,
    CRITICISE_MARK,
    DIAGNOSE_MARK,
    REFINE_MARK,
    REPLAN_MARK,
    REPRODUCE_MARK,
)

MARKS = (
    DIAGNOSE_MARK, REPLAN_MARK, COMMAND_MARK, REPRODUCE_MARK, AGAIN_MARK, CODE_MARK, CRITICISE_MARK, REFINE_MARK,
)  # fmt: skip
Said = Answer | Completion | str
Move = Said | Callable[[Request], Said]
Moves = Mapping[str, Sequence[Move]]
Form = Literal["unified", "begin", "write", "edit"]
FORMS: tuple[Form, ...] = ("unified", "begin", "write", "edit")
Files = Mapping[str, bytes]
ALONE = "env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest"
"""pytest without the plugins of antiphon's own environment, which take four times as long to import as it does."""


class Team(FunctionModel):
    """A model that plays all roles.

    Args:
        moves: by the mark of a task; the last of them is given again when there are no more.
    """

    def __init__(self, moves: Moves) -> None:
        super().__init__(self._next)
        self.moves = moves

    def heard(self, mark: str) -> str:
        """All that tools answered in conversations of that mark."""
        asked = [request for request in self.requests if mark_of(request) == mark]
        texts = [message.text for request in asked for message in request.messages if message.role == "tool"]
        return "\n".join(dict.fromkeys(texts))

    def asked(self, mark: str) -> list[Request]:
        """The requests of that mark."""
        return [request for request in self.requests if mark_of(request) == mark]

    def _next(self, request: Request) -> Said:
        moves = self.moves[mark_of(request)]
        return said(moves[min(answers_in(request), len(moves) - 1)], request)


def said(move: Move, request: Request) -> Said:
    """What a move says to a request."""
    return move(request) if callable(move) else move


def mark_of(request: Request) -> str:
    """Whose task it is."""
    said = "\n".join(message.text for message in request.messages if message.role in ("system", "user"))
    found = [mark for mark in MARKS if mark in said]
    assert len(found) == 1, (found, said[-400:])
    return found[0]


def answers_in(request: Request) -> int:
    """How often this conversation was answered."""
    return sum(message.role == "assistant" for message in request.messages)


def calling(*calls: tuple[str, Mapping[str, Any]]) -> Completion:
    """An answer that wants tools called."""
    wanted = [(name, json.dumps(arguments)) for name, arguments in calls]
    return Completion(calls=tuple(ToolCall(f"call-{n}", name, text) for n, (name, text) in enumerate(wanted)))


def call(tool: str, **arguments: Any) -> Completion:
    """An answer that wants one tool called."""
    return calling((tool, arguments))


# --- what is said -----------------------------------------------------------------------------------------------------


def plan(case: Case, **more: Any) -> Answer:
    """The planner's answer: the true cause."""
    files = [{"file": path, "line": 1} for path in touched(case.right)]
    said = {"cause": case.cause, "evidence": files, "distinguish": "", "approach": f"mend it in {files[0]['file']}"}
    usual: dict[str, Any] = {
        "understanding": case.report.strip().splitlines()[0],
        "hypotheses": [said],
        "reproduce": "as the report does it",
        "verify": "the new test and all others pass",
        "infeasible": "",
    }
    return Answer({**usual, **more})


def reproduction(case: Case, **more: Any) -> Answer:
    """The tester's answer."""
    usual: dict[str, Any] = {
        "shows": "what the report says",
        "files": [case.reproducing[0]],
        "existing": [],
        "impossible": "",
    }
    return Answer({**usual, **more})


def change(summary: str = "It is mended.", **more: Any) -> Answer:
    """The coder's and the refiner's answer."""
    usual: dict[str, Any] = {
        "summary": summary,
        "cause": "",
        "unsure": "",
        "rejected": [],
        "blocked": "no",
        "evidence": "",
    }
    return Answer({**usual, **more})


def critique(*points: Mapping[str, Any], **more: Any) -> Answer:
    """The critic's answer; without points, that it is sound."""
    usual: dict[str, Any] = {"sound": not points, "reason": "I read it.", "points": list(points), "approach": ""}
    return Answer({**usual, **more})


# --- how files are changed --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class States:
    """The files of a case as they are, with the wrong patch and with the right one."""

    came: Files
    wrong: Files
    right: Files

    @classmethod
    def of(cls, case: Case) -> States:
        """Those of a case, by git's own hand."""
        return cls(case.files, patched(case, case.wrong), patched(case, case.right))


def patched(case: Case, patch: str) -> Files:
    """The files of a case with a patch."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in case.files.items():
            place(root, path, content)
        apply(root, patch)
        return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def touched(patch: str) -> list[str]:
    """The files that a patch speaks of."""
    return [line.removeprefix("+++ b/").strip() for line in patch.splitlines() if line.startswith("+++ b/")]


def changing(before: Files, after: Files, form: Form) -> list[Completion]:
    """Calls of tools that turn some files into others, in one of the ways that models do it."""
    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    if form == "write":
        return [call("write", path=path, content=text_of(after[path])) for path in paths]
    if form == "edit":
        return [
            call("edit", path=path, old=old, new=new)
            for path in paths
            for old, new in hunks(text_of(before[path]), text_of(after[path]))
        ]
    patch = "".join(unified(path, text_of(before[path]), text_of(after[path])) for path in paths)
    return [call("apply_patch", patch=patch if form == "unified" else begun(patch))]


def text_of(content: bytes) -> str:
    """A file as a model sees it: it does not see how lines end."""
    return content.decode().replace("\r\n", "\n")


def unified(path: str, before: str, after: str) -> str:
    """A unified diff of one file."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    return "".join(lines)


def begun(patch: str) -> str:
    """The same in the form that begins with ``*** Begin Patch``."""
    text = re.sub(r"^--- .*\n\+\+\+ b/(.*)$", r"*** Update File: \1", patch, flags=re.MULTILINE)
    text = re.sub(r"^@@ .* @@$", "@@", text, flags=re.MULTILINE)
    return f"*** Begin Patch\n{text}*** End Patch\n"


def hunks(before: str, after: str) -> list[tuple[str, str]]:
    """Pairs of old and new text, with lines around that make the old one unique."""
    found: list[tuple[str, str]] = []
    for group in difflib.SequenceMatcher(None, before.splitlines(), after.splitlines()).get_grouped_opcodes(3):
        first, last = group[0], group[-1]
        old = "".join(before.splitlines(True)[first[1] : last[2]])
        found.append((old, "".join(after.splitlines(True)[first[3] : last[4]])))
    return found


# --- teams ------------------------------------------------------------------------------------------------------------


def form_of(case: Case) -> Form:
    """Each case is mended in one of the forms."""
    return FORMS[names().index(case.name) % len(FORMS)]


def looking(case: Case) -> list[Move]:
    """Every role looks first."""
    (first, *_) = touched(case.right)
    word = re.sub(r"\W", ".", Path(first).stem)
    return [call("glob", pattern="**/*"), calling(("grep", {"pattern": word}), ("read", {"path": first}))]


def run(case: Case) -> Completion:
    """The tests are run, in the quickest way."""
    return call("run_tests", command=case.test or ALONE)


def showing(case: Case) -> list[Move]:
    """The tester: reads a test that is there, and writes one."""
    own = next(path for path in case.files if "test" in path and path.endswith((".py", ".js", ".sh")))
    path, text = case.reproducing
    return [call("read", path=own), call("write", path=path, content=text), reproduction(case)]


def mending(case: Case, *, handed: bool) -> Moves:
    """A team that takes the wrong way first: within the coder's conversation, or handed back and then refined.

    Args:
        case: what it mends.
        handed: the coder hands the wrong patch back, and the refiner sets it right.
    """
    states, form = States.of(case), form_of(case)
    wrong = changing(states.came, states.wrong, form)
    right = changing(states.wrong, states.right, form)
    done = change("It is mended at its cause.", cause=case.cause)
    coder: list[Move] = [*wrong, change("I changed it.")] if handed else [*wrong, run(case), *right, run(case), done]
    return {**honest(case, states), CODE_MARK: [*looking(case), *coder], REFINE_MARK: [*right, done]}


def honest(case: Case, states: States | None = None) -> Moves:
    """A team that does everything right at once. What misbehaves takes the place of one of its roles."""
    states = states or States.of(case)
    right = [*changing(states.came, states.right, form_of(case))]
    return {
        DIAGNOSE_MARK: [*looking(case), plan(case)],
        REPLAN_MARK: [plan(case)],
        COMMAND_MARK: [Answer({"command": case.test, "missing": [], "reason": "It is what the project names."})],
        REPRODUCE_MARK: showing(case),
        AGAIN_MARK: [reproduction(case)],
        CODE_MARK: [*looking(case), *right, change("It is mended.", cause=case.cause)],
        CRITICISE_MARK: [critique()],
        REFINE_MARK: [change("There is nothing to refine.")],
    }
