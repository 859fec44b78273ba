"""The record that a call is about is shown to its model: what is claimed and where, and nothing of who claimed it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.engine import Call, CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.model.contract import Capabilities, Completion, Model, Request
from antiphon.subagents.prompt import opening
from antiphon.subagents.records import (
    Actor,
    Claim,
    Fact,
    FactKey,
    FileSpan,
    Finding,
    FindingKey,
    Passage,
    Patch,
    PatchKey,
    UrlQuote,
)
from antiphon.subagents.roles.definition import RoleDefinition

pytestmark = pytest.mark.anyio
BY = Actor(tool="auditor", lens="security")
FINDING = Finding(
    record="claim",
    sort="finding",
    key=FindingKey(path="app.py", rule="shell", symbol="run"),
    rule="shell",
    title="shell",
    text="A shell runs what it is given.",
    severity="high",
    severity_by="auditor",
    line=5,
    end_line=6,
    confidence="high",
    actor=BY,
    evidence=(FileSpan(kind="file_span", path="app.py", start_line=5, end_line=6, sha256="a" * 64),),
)
FACT = Fact(
    record="claim",
    sort="fact",
    key=FactKey(subject="herons", attribute="stand", qualifiers=(("when", "day"),)),
    value=[1, "still"],
    text="Herons stand still.",
    actor=BY,
    evidence=(UrlQuote(kind="url", url="https://example.org/h", quote="they stand"),),
)
PATCH = Patch(
    record="claim",
    sort="patch",
    key=PatchKey(base="b", path="app.py", start_line=2, end_line=3),
    replacement="x = 1\n",
    text="Sets x.",
    actor=BY,
)
PASSAGE = Passage(record="claim", sort="text", text="It rains.", actor=BY)
SHOWN: list[tuple[Claim, dict[str, Any]]] = [
    (
        FINDING,
        {
            "file": "app.py",
            "line": 5,
            "end_line": 6,
            "symbol": "run",
            "rule": "shell",
            "severity": "high",
            "says": "A shell runs what it is given.",
            "rests_on": [{"file": "app.py", "lines": [5, 6]}],
        },
    ),
    (
        FACT,
        {
            "subject": "herons",
            "attribute": "stand",
            "qualifiers": {"when": "day"},
            "value": [1, "still"],
            "says": "Herons stand still.",
            "rests_on": [{"url": "https://example.org/h", "quote": "they stand"}],
        },
    ),
    (
        PATCH,
        {"file": "app.py", "lines": [2, 3], "replacement": "x = 1\n", "says": "Sets x.", "rests_on": []},
    ),
    (PASSAGE, {"says": "It rains.", "rests_on": []}),
]


class Nobody:
    """A client that must not be asked."""

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        raise AssertionError(f"asked {request.model}")

    async def close(self) -> None:
        """See `ModelClient`."""


MODEL = Model(name="test/none", client=Nobody(), can=Capabilities(), provider="test", lineage="test")


class ClaimsAndOpens:
    """Records a claim for one role, and begins the conversation of any other; keeps the id, and what was asked."""

    def __init__(self, claim: Claim) -> None:
        self.claim, self.id, self.asked = claim, "", ""

    async def __call__(self, call: Call, ctx: CallContext) -> object:
        if call.name == "auditor":
            ctx.records.add(self.claim)
            self.id = self.claim.recorded_by(ctx.path).id
            return None
        found = await opening(ctx, RoleDefinition(name="verifier", instructions="Refute."), MODEL, mode="tool")
        self.asked = found.messages[-1].text
        return None


async def asked(claim: Claim, *, about: str = "", frame: dict[str, Any] | None = None) -> tuple[str, str]:
    """The id of the claim, and how its verifier is asked."""
    performer = ClaimsAndOpens(claim)

    async def script() -> None:
        await agent("look", role="auditor")
        await agent("refute it", role="verifier", about=about or performer.id, context=[frame] if frame else [])

    ran = await memory_run(script, performers={"agent": AnsweringCalls(performer)})
    assert ran.result.kind == "completed", ran.result
    return performer.id, performer.asked


@pytest.mark.parametrize(("claim", "shown"), SHOWN, ids=[claim.sort for claim, _ in SHOWN])
async def test_what_is_claimed_is_shown_and_not_by_whom(claim: Claim, shown: dict[str, Any]) -> None:
    name, text = await asked(claim)
    _, about, *_ = text.split("\n")
    assert json.loads(about) == {"id": name, **shown}
    assert "auditor" not in text


async def test_a_script_that_shows_it_itself_is_let_be() -> None:
    name, text = await asked(FINDING, frame={"claim": {"file": "app.py"}})
    assert text.split("\n")[1] == name


async def test_of_a_record_that_the_run_does_not_have_the_id_is_shown() -> None:
    _, text = await asked(FINDING, about="c" * 64)
    assert text.split("\n")[1] == "c" * 64
