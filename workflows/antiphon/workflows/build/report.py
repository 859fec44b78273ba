"""The report of a build: what was asked, what became of each subtask, what is missing. As Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from antiphon.engine import RunResult
from antiphon.workflows.report.untrusted import code

if TYPE_CHECKING:
    from antiphon.workflows.build.launch import Asked

PATCH: Final = "patches/integration.patch"
_SAID_CHARACTERS: Final = 1_500


def about(asked: Asked, run: str, result: RunResult) -> dict[str, Any]:
    """What a report says of the run itself."""
    return {
        "run": run,
        "antiphon": version("antiphon"),
        "task": asked.task,
        "project": asked.path,
        "kind": result.kind,
        "reason": result.reason,
        "spent": result.spent.to_json(),
        "options": {"quality": asked.quality, "depth": asked.depth, "rounds": asked.rounds, "test": asked.test},
    }


def json_report(facts: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """All of it as JSON."""
    return json.dumps({"about": facts, **state, "patch": PATCH}, indent=2, ensure_ascii=False) + "\n"


def markdown(facts: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """All of it for a person. What models and tools said is shown as text, whatever it is."""
    return "\n".join(_document(facts, state)) + "\n"


def inline(text: str) -> str:
    """What a model or a tool said, on one line, as text that does nothing."""
    return code(" ".join(text.split()), _SAID_CHARACTERS)


def counts(state: Mapping[str, Any]) -> tuple[int, int]:
    """How many subtasks are integrated, and how many there are."""
    subtasks: Sequence[Mapping[str, Any]] = state.get("subtasks", ())
    return sum(one["status"] == "integrated" for one in subtasks), len(subtasks)


def suite_line(suite: Mapping[str, Any] | None) -> str:
    """How the last run of all tests ended."""
    if suite is None or not suite["command"]:
        why = suite["trouble"] if suite else "nothing was integrated"
        return f"no suite of tests was run: {why or 'no way to run one is known'}"
    told = ", ".join(f"{count} {state}" for state, count in sorted(suite["counts"].items())) or "no case was named"
    return f"{'passed' if suite['passed'] else 'not passed'} ({told}): {suite['command']}"


def _document(facts: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[str]:
    done, planned = counts(state)
    yield f"# Build {facts['run']}"
    yield from ("", inline(str(facts["task"])), "")
    yield f"- {done} of {planned} subtasks are integrated; the run is *{facts['kind']}*"
    yield f"- tests of the whole: {inline(suite_line(state.get('suite')))}"
    project = code(str(facts["project"]))
    yield f"- the change: {code(PATCH)}; `antiphon apply {facts['run']} integration` puts it into {project}"
    yield from _list("What is missing", state.get("gaps", ()))
    yield from ("", "## Subtasks", "")
    for one in state.get("subtasks", ()):
        yield from _subtask(one)
    yield from _list("Assumed by the planner", state.get("assumptions", ()))
    yield from _list("Left out by the planner", state.get("left_out", ()))
    yield from _list("On the way to the plan", state.get("notes", ()))
    yield from ("", "## Checkpoints", "")
    yield from (f"{number}. {code(tree)}" for number, tree in enumerate(state.get("checkpoints", ())))
    yield from ("", f"Made by antiphon {facts['antiphon']}.")


def _list(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield from ("", f"## {title}", "")
        yield from (f"- {inline(one)}" for one in entries)


def _subtask(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {one['id']}: {one['status']}"
    yield from ("", inline(one["goal"]), "")
    if one.get("reason"):
        yield f"- why: {inline(one['reason'])}"
    yield f"- owns: {', '.join(code(pattern) for pattern in one['owns'])}"
    if one["needs"]:
        yield f"- needs: {', '.join(one['needs'])}"
    yield f"- criterion: {_criterion(one)}"
    if files := one.get("files"):
        named = [f"{code(file['path'])} ({file['kind']})" for file in files]
        yield f"- files: {', '.join(named)}"
    for number, problem in enumerate(one.get("tried", ()), 1):
        yield f"- not accepted at first ({number}): {inline(problem)}"
    for remark in one.get("remarks", ()):
        yield f"- remark of the reviewer: {inline(remark)}"
    if cost := one.get("cost"):
        yield f"- cost: {cost['usd']} usd, {cost['agent_calls']} subagents, rounds: {one['rounds']}"
    yield ""


def _criterion(one: Mapping[str, Any]) -> str:
    said = one["criterion"]
    named = [code(said["command"])] if said["command"] else []
    named += [f"tests {', '.join(code(test) for test in said['tests'])}"] if said["tests"] else []
    named += ["written first by a tester"] if said["promise"] else []
    run = one.get("result")
    ended = "not run" if run is None else "met" if run["passed"] else f"not met (exit {run['exit']})"
    return f"{'; '.join(named)}: {ended}"
