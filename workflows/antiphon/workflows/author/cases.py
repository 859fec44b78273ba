"""The small tests of a script: it is run in the real runtime, with answers that the test gives, and nothing else.

No model is asked, no file is touched, nothing is kept: the log is in memory. A simulated agent makes the records that a
model's answer of that type would make, so that `claims()` and `synthesize()` have something to go on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import anyio

from antiphon.engine import (
    AgentFailure,
    Call,
    CallContext,
    Limits,
    Performer,
    Prepared,
    Run,
    RunResult,
    Settings,
    output_type,
)
from antiphon.engine.approval import Approvals
from antiphon.engine.errors import UsageError, leading
from antiphon.subagents.answers import SCHEMAS
from antiphon.subagents.answers.recording import Recording
from antiphon.subagents.model.contract import Capabilities, Completion, Model, Request
from antiphon.tracing import Json, MemoryLog
from antiphon.workflows.author.shapes import Case, Simulated
from antiphon.workflows.hosting import Hosted, host_functions
from antiphon.workflows.loading import Loaded
from antiphon.workflows.model_roles import ModelRoles
from antiphon.workflows.scripts import Scripts
from antiphon.workflows.values import plain

MOST_SECONDS: Final = 40.0
"""Of one test, on the clock."""
MOST_CALLS: Final = 2_000
"""Agent calls of one test, whatever the manifest allows."""
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one test went. name: of the test. problem: what was not as it says, "" if all was."""

    name: str
    problem: str = ""

    def to_json(self) -> dict[str, Json]:
        """As it is kept beside the attempt."""
        return {"name": self.name, "passed": not self.problem, "problem": self.problem}


class _Nobody:
    """The client of the model that simulated records name; nothing ever asks it."""

    async def complete(self, request: Request) -> Completion:
        raise UsageError("a simulated model is not asked")

    async def close(self) -> None:
        """Nothing to let go of."""


_SIMULATED: Final = Model(
    name="simulated", client=_Nobody(), can=Capabilities(), provider="simulated", lineage="simulated"
)


@dataclass(slots=True)
class SimulatedCalls:
    """Answers agents or steps with what a test says.

    Attributes:
        answers: the test's. asked: how often each name was asked. unanswered: what no answer fits, once each.
    """

    answers: Sequence[Simulated]
    asked: Counter[str] = field(default_factory=Counter[str])
    unanswered: list[str] = field(default_factory=list[str])

    def prepare(self, call: Call) -> Prepared:
        """What the call declares; there is nothing else to see."""
        declared = call.output
        if isinstance(declared, str):
            if declared not in SCHEMAS:
                raise UsageError(f"there is no output {declared!r}; there are {', '.join(SCHEMAS)}")
            declared = SCHEMAS[declared]
        return Prepared(visible={}, output=output_type(declared))

    async def perform(self, call: Call, context: CallContext) -> object:
        """The first answer that fits."""
        self.asked[call.name] += 1
        text = call.task if isinstance(call.task, str) else json.dumps(call.task, ensure_ascii=False)
        for answer in self.answers:
            if answer.name == call.name and answer.contains in text:
                if answer.fails:
                    raise AgentFailure(answer.fails)
                value = context.output.decode(json.dumps(answer.value))
                Recording()(value, context, _SIMULATED)
                return value
        missing = f"{call.sort} {call.name!r} asked {text[:_SHOWN]!r}"
        if missing not in self.unanswered:
            self.unanswered.append(missing)
        raise AgentFailure(f"the test gives no answer for {missing}")


async def ran(loaded: Loaded, case: Case) -> Ran:
    """Run one test of a script.

    Args:
        loaded: the script, confined.
        case: what it is given, and what must come of it.
    """
    name = case.name[:_SHOWN] or "a test without a name"
    try:
        arguments = loaded.parameters.validate(case.arguments)
    except UsageError as error:
        return Ran(name=name, problem=f"its arguments do not fit: {error.message}")
    calls = SimulatedCalls(case.answers)
    with anyio.move_on_after(MOST_SECONDS):
        result = await _performed(loaded, arguments, calls)
        return Ran(name=name, problem=_problem(case, result, calls))
    return Ran(name=name, problem=f"it was not over after {MOST_SECONDS:g} s")


async def _performed(loaded: Loaded, arguments: Mapping[str, Any], calls: SimulatedCalls) -> RunResult:
    held = loaded.manifest.limits.narrowed_by(Limits(agent_calls=MOST_CALLS))
    performers: dict[str, Performer] = {"agent": calls, "step": calls, "approval": Approvals()}
    scripts = Scripts(loaded.path.parent, ours=False)  # a nested workflow is none of this test's
    run = Run(
        MemoryLog(),
        run_id="a-test",
        limits=held.model_copy(update={"usd": None}),  # nothing that is simulated costs money
        performers=performers,
        host=host_functions(),
        settings=Settings(answers={"*": True}, spans=False),
    )
    workflow = Hosted(loaded, scripts, performers, ModelRoles())
    try:
        return await run.execute(lambda: loaded.main(**arguments), workflow=workflow)
    except ExceptionGroup as group:
        raise leading(group) from None


def _problem(case: Case, result: RunResult, calls: SimulatedCalls) -> str:
    """What was not as the test says; "" if all was."""
    if calls.unanswered:
        return f"it gives no answer for {'; '.join(calls.unanswered[:3])}"
    ended = "replan" if result.pause == "replan" else result.kind
    if ended != case.outcome:
        reason = f": {result.reason}" if result.reason else ""
        return f"the run must end {case.outcome}, and ended {ended}{reason}"
    wrong = [
        f"{name} must be called {count} times, and was called {calls.asked[name]} times"
        for name, count in case.calls.items()
        if calls.asked[name] != count
    ]
    text = _text(result)
    wrong += [f"the result must contain {part!r}, and does not: {text[:_SHOWN]}" for part in case.contains
              if part not in text and _in_json(part) not in text]  # fmt: skip
    return "; ".join(wrong[:5])


def _in_json(part: str) -> str:
    """How a text with quotes or ends of lines stands in JSON."""
    return json.dumps(part, ensure_ascii=False)[1:-1]


def _text(result: RunResult) -> str:
    """The result as JSON, in which a text may be looked for as it is."""
    outcome = result.outcome
    if outcome is None or outcome.kind not in ("succeeded", "degraded"):
        return result.reason
    return json.dumps(cast("Any", plain(outcome.value)), ensure_ascii=False)
