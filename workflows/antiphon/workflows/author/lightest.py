"""The script for a task that one agent call does: written here, as there is nothing in it for a model to get wrong."""

from __future__ import annotations

from typing import Any, Final

from antiphon.subagents.roles.library import built_in

_MOST_TASK: Final = 20_000
_DEFAULT_ROLE: Final = "researcher"
_LOOKING: Final = ("read", "list", "glob", "grep", "symbols", "references", "docs", "git_diff", "git_log", "git_blame")
_OUTPUT: Final = """{
    "type": "object",
    "properties": {
        "answer": {"type": "string", "maxLength": 20000},
        "evidence": {
            "type": "array",
            "maxItems": 60,
            "items": {
                "type": "object",
                "properties": {"file": {"type": "string"}, "line": {"type": "integer"}, "quote": {"type": "string"}},
                "required": ["file", "quote"],
            },
        },
        "not_looked_at": {"type": "array", "maxItems": 60, "items": {"type": "string"}},
    },
    "required": ["answer", "evidence"],
}"""


def one_agent(name: str, task: str, role: str) -> str:
    """A workflow of one agent call.

    Args:
        name: of the workflow.
        task: what the agent is asked, so that it can be read alone.
        role: who is asked; one that is not built in, or that only writes, is replaced by a researcher.
    """
    who = role if role in built_in() else _DEFAULT_ROLE
    said = " ".join(task.split())[:_MOST_TASK]
    looking = ", ".join(f'"{tool}"' for tool in _LOOKING)
    return (
        "from antiphon.workflows.script import agent\n\n"
        "manifest = {\n"
        f'    "name": "{name}",\n'
        '    "description": "One agent call: nothing heavier is needed for this task.",\n'
        '    "limits": {"usd": "2", "agent_calls": 2, "wall_seconds": 3600},\n'
        f'    "scope": {{"read": ["**"], "write": [], "tools": [{looking}], "network": []}},\n'
        f'    "roles": ["{who}"],\n'
        "}\n\n"
        f"TASK = {said!r}\n"
        f"ANSWER = {_OUTPUT}\n\n\n"
        "async def main() -> dict:\n"
        f'    return await agent(TASK, role="{who}", workspace="read", output=ANSWER)\n'
    )


def one_agent_tests(role: str) -> list[dict[str, Any]]:
    """Its tests: an answer gets through, and a failure is one."""
    who = role if role in built_in() else _DEFAULT_ROLE
    answer: dict[str, Any] = {"answer": "marker-7", "evidence": []}
    return [
        {"name": "its answer is the result", "answers": [{"name": who, "value": answer}], "calls": {who: 1},
         "contains": ["marker-7"]},
        {"name": "its failure is the run's", "answers": [{"name": who, "fails": "no"}], "outcome": "failed"},
    ]  # fmt: skip
