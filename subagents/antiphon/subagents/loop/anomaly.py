"""Conversations that go wrong, told from their turns alone: first a notice that tightens limits, then an end.

Nothing here is a judgement about content: the same call with the same result again, turns without anything new, answers
that do not end, tools that always fail, tokens far above what was projected. Each names what it most likely means, and
what recovers from it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from antiphon.subagents.loop.turns import ModelTurn, Result, ToolsTurn
from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.tracing import Json

Anomaly = Literal["repeated_call", "no_progress", "failing_tools", "runaway_output", "cost"]
Cause = Literal["wrong_reasoning", "bad_plan", "environment", "infeasible"]
Recovery = Literal["checkpoint", "replan", "change_environment", "report_infeasible"]

RECOVERY: Final[Mapping[Cause, Recovery]] = {
    "wrong_reasoning": "checkpoint",
    "bad_plan": "replan",
    "environment": "change_environment",
    "infeasible": "report_infeasible",
}
_ADVICE: Final[Mapping[Recovery, str]] = {
    "checkpoint": "go back to the turn named by `checkpoint` and go on from there with another instruction",
    "replan": "plan the work anew: other steps, or smaller ones",
    "change_environment": "change what the tools run on (files, programs, access), then run it again",
    "report_infeasible": "report that it cannot be done as asked, or give it more",
}

NOT_CALLED: Final = "not called: "
"""What the result of a tool begins with that was never called: unknown, withdrawn, or with arguments of no use."""
GIANT_CHARACTERS: Final = 400_000
TURNS_AFTER_NOTICE: Final = 4


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From how many on something is odd (a notice), and from how many on it is over."""

    notice: int
    end: int


THRESHOLDS: Final[Mapping[Anomaly, Thresholds]] = {
    "repeated_call": Thresholds(3, 5),
    "no_progress": Thresholds(6, 9),
    "failing_tools": Thresholds(8, 11),
    "runaway_output": Thresholds(2, 4),
    "cost": Thresholds(4, 10),
}
"""Repeated call: how often. No progress, runaway output: turns in a row. Failing tools: results in a row. Cost: times
what was projected: every turn that the role may take, at the size of its first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why a conversation was given up, as data.

    Attributes:
        anomaly: what was seen; ``criterion`` and ``limits`` besides the anomalies.
        cause: what that most likely means. recovery: what helps. evidence: one sentence with figures.
        checkpoint: the last turn (from 0, as in the log) before things went wrong; None where there is none.
    """

    anomaly: str
    cause: Cause
    evidence: str
    checkpoint: int | None = None

    @property
    def recovery(self) -> Recovery:
        """What helps."""
        return RECOVERY[self.cause]

    def to_json(self) -> dict[str, Json]:
        """What the log keeps."""
        return {
            "anomaly": self.anomaly,
            "diagnosis": self.cause,
            "recovery": self.recovery,
            "advice": _ADVICE[self.recovery],
            "checkpoint": self.checkpoint,
            "evidence": self.evidence,
        }

    def __str__(self) -> str:
        return f"{self.evidence}: {self.cause.replace('_', ' ')}; {_ADVICE[self.recovery]}"


@dataclass(frozen=True, slots=True)
class Watch:
    """What the anomalies are told from.

    Attributes:
        seen: digests of calls with their results, and of answers.
        repeats: how often each call with the same result came since the last new thing; failed: whether it failed.
        stale: turns in a row without anything new. failing: failed results in a row.
        running: answers in a row that did not end. tokens: of all requests and answers.
        good: the last turn that brought something new.
    """

    seen: frozenset[str] = frozenset()
    repeats: Counter[tuple[str, bool]] = field(default_factory=Counter[tuple[str, bool]])
    stale: int = 0
    failing: int = 0
    running: int = 0
    tokens: int = 0
    good: int = 0

    def after_model(self, turn: ModelTurn, number: int, *, calls: bool) -> Watch:
        """After an answer; one that calls tools is judged with their results."""
        said = turn.completion
        running = self.running + 1 if said.finish == "length" or _size(said) > GIANT_CHARACTERS else 0
        tokens = self.tokens + _tokens(turn)
        if calls:
            return replace(self, running=running, tokens=tokens)
        digest = _digest("said", said.text, *(call.arguments for call in said.calls))
        if digest in self.seen:
            return replace(self, running=running, tokens=tokens, stale=self.stale + 1)
        seen = self.seen | {digest}
        return Watch(seen=seen, failing=self.failing, running=running, tokens=tokens, good=number)

    def after_tools(self, turn: ToolsTurn, calls: Mapping[str, ToolCall], number: int) -> Watch:
        """After the results of tools."""
        failing = self.failing
        for one in turn.results:
            if not one.text.startswith(NOT_CALLED):
                failing = failing + 1 if one.failed else 0
        made = Counter((_call_digest(one, calls.get(one.id)), one.failed) for one in turn.results)
        fresh = {digest for digest, _ in made}.difference(self.seen)
        if not fresh:
            return replace(self, failing=failing, stale=self.stale + 1, repeats=self.repeats + made)
        seen = self.seen | fresh
        return Watch(seen=seen, repeats=made, failing=failing, running=self.running, tokens=self.tokens, good=number)

    def counts(self, projected: int) -> dict[Anomaly, int]:
        """How far each anomaly has come; to be compared with `THRESHOLDS`.

        Args:
            projected: tokens that the conversation was thought to take at most; 0 for not known.
        """
        return {
            "repeated_call": max(self.repeats.values(), default=0),
            "failing_tools": self.failing,
            "runaway_output": self.running,
            "no_progress": self.stale,
            "cost": self.tokens // projected if projected else 0,
        }

    def diagnosis(self, anomaly: Anomaly, projected: int) -> Diagnosis:
        """What an anomaly means here."""
        count = self.counts(projected)[anomaly]
        match anomaly:
            case "repeated_call":
                evidence = f"the same tool was called {count} times with the same arguments and the same result"
                failed = any(failed for (_, failed), times in self.repeats.items() if times == count)
                return self._found(anomaly, "environment" if failed else "wrong_reasoning", evidence)
            case "no_progress":
                return self._found(anomaly, "bad_plan", f"{count} turns brought nothing new")
            case "failing_tools":
                return self._found(anomaly, "environment", f"{count} tool calls in a row failed")
            case "runaway_output":
                return self._found(anomaly, "wrong_reasoning", f"{count} answers in a row did not come to an end")
            case "cost":
                evidence = f"{self.tokens} tokens are {count} times what was projected ({projected})"
                return self._found(anomaly, "infeasible", evidence)

    def _found(self, anomaly: Anomaly, cause: Cause, evidence: str) -> Diagnosis:
        checkpoint = self.good if RECOVERY[cause] == "checkpoint" else None
        return Diagnosis(anomaly=anomaly, cause=cause, evidence=evidence, checkpoint=checkpoint)


def reached(watch: Watch, projected: int, *, end: bool) -> list[Anomaly]:
    """The anomalies that have come to their end, or to their notice, the first that counts first."""
    thresholds = {anomaly: each.end if end else each.notice for anomaly, each in THRESHOLDS.items()}
    return [anomaly for anomaly, count in watch.counts(projected).items() if count >= thresholds[anomaly]]


def _tokens(turn: ModelTurn) -> int:
    usage = turn.completion.usage
    if usage is None:
        return turn.bound + turn.max_tokens
    return usage.input + usage.cached + usage.cache_write + usage.output + usage.reasoning


def _size(said: Completion) -> int:
    return len(said.text) + sum(len(call.arguments) for call in said.calls)


def _call_digest(result: Result, call: ToolCall | None) -> str:
    return _digest("called", result.name, _canonical(call.arguments if call else ""), result.text, str(result.failed))


def _canonical(arguments: str) -> str:
    """The same arguments in another order or spacing are the same."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
