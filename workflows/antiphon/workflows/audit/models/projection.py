"""What an audit with models is going to cost, said before it starts: calls, tokens and usd, low, likely and high.

A projection and not a promise: what is promised is the budget. *Low* is one sweep in which nobody finds anything.
*Likely* takes two sweeps, three findings for every ten thousand tokens of code and answers of usual length. *High*
takes every sweep, ten times as many findings, answers as long as the role allows, and one repair of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from antiphon.engine.amount import NANO
from antiphon.subagents.model.contract import Model, Usage
from antiphon.subagents.model.price import cost
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.workflows.audit.models.words import STANCES
from antiphon.workflows.report.document import many

Level = Literal["low", "likely", "high"]
LEVELS: Final[tuple[Level, ...]] = ("low", "likely", "high")
FINDINGS_PER_10K: Final[dict[Level, int]] = {"low": 0, "likely": 3, "high": 30}
_SWEEPS: Final[dict[Level, int]] = {"low": 1, "likely": 2, "high": 1_000}
_PROMPT_TOKENS: Final = 1_500
"""Instructions, framing, task and schema around the code."""
_AROUND_TOKENS: Final = 2_500
"""The code around a claim."""
_AUDITED_TOKENS: Final = 150
_FINDING_TOKENS: Final = 250
_VERDICT_TOKENS: Final = 300


@dataclass(frozen=True, slots=True)
class Figures:
    """One level of a projection.

    Attributes:
        calls: requests to models. input_tokens, output_tokens: of all of them. usd: None where a price is not known.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Projection:
    """What is likely to be used.

    Attributes:
        low, likely, high: see the module. files, prompts: how many files models will look at, in how many prompts.
        sweeps: at most. analysers: subagents that ask no model.
        models: who answers, by role. unpriced: models whose price nobody knows.
    """

    low: Figures
    likely: Figures
    high: Figures
    files: int
    prompts: int
    sweeps: int
    analysers: int
    models: tuple[tuple[str, str], ...]
    unpriced: tuple[str, ...] = ()

    def at(self, level: Level) -> Figures:
        """One level."""
        return {"low": self.low, "likely": self.likely, "high": self.high}[level]

    def lines(self) -> list[str]:
        """The projection as a person reads it."""
        answering = ", ".join(f"{role} {model}" for role, model in self.models)
        cut = f"{many(self.files, 'file')} in {many(self.prompts, 'prompt')} a sweep"
        head = f"{cut}, {many(self.sweeps, 'sweep')} at most; {answering}"
        figures = [f"{level:7} {_told(self.at(level))}" for level in LEVELS]
        beside = f"besides, {many(self.analysers, 'subagent')} of analysers, which ask no model"
        missing = [f"the price of {name} is not known (--price {name}=IN/OUT)" for name in self.unpriced]
        return [head, *figures, beside, *missing]


@dataclass(frozen=True, slots=True)
class Asks:
    """Who answers one role, and how long its answers may be.

    Attributes:
        definition: the role. model: that answers it.
    """

    definition: RoleDefinition
    model: Model


def project(
    prompts: Sequence[int],
    *,
    files: int,
    sweeps: int,
    analysers: int,
    auditor: Asks,
    verifier: Asks,
    stronger: Sequence[Asks] = (),
) -> Projection:
    """Project the cost of an audit.

    Args:
        prompts: of one sweep: about how many tokens of code each holds.
        files: how many files they are of.
        sweeps: at most.
        analysers: subagents that ask no model.
        auditor: who audits.
        verifier: who attacks what was found.
        stronger: who weighs in besides; each is taken to weigh every finding.
    """
    low, likely, high = (
        _figures(level, prompts, min(_SWEEPS[level], sweeps), auditor, verifier, stronger) for level in LEVELS
    )
    roles = (auditor, verifier, *stronger)
    unpriced = sorted({asks.model.name for asks in roles if asks.model.can.price is None})
    return Projection(
        low=low,
        likely=likely,
        high=high,
        files=files,
        prompts=len(prompts),
        sweeps=sweeps,
        analysers=analysers,
        models=tuple((asks.definition.name, asks.model.name) for asks in (auditor, verifier)),
        unpriced=tuple(unpriced),
    )


def _figures(
    level: Level, prompts: Sequence[int], rounds: int, auditor: Asks, verifier: Asks, stronger: Sequence[Asks]
) -> Figures:
    findings = -(-sum(prompts) * FINDINGS_PER_10K[level] // 10_000)
    read = [size + _PROMPT_TOKENS for size in prompts] * rounds
    attack = [_PROMPT_TOKENS + _AROUND_TOKENS] * findings
    parts = [
        _part(auditor, read, _AUDITED_TOKENS, findings * _FINDING_TOKENS, level),
        _part(verifier, attack * len(STANCES), _VERDICT_TOKENS, 0, level),
        *(_part(one, attack, _VERDICT_TOKENS, 0, level) for one in stronger),
    ]
    known = [part.usd for part in parts if part.usd is not None]
    return Figures(
        calls=sum(part.calls for part in parts),
        input_tokens=sum(part.input_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        usd=sum(known, Decimal(0)) if len(known) == len(parts) else None,
    )


def _part(asks: Asks, inputs: Sequence[int], each: int, more: int, level: Level) -> Figures:
    """What one role comes to.

    Args:
        asks: who answers.
        inputs: tokens of each prompt.
        each: tokens of an answer that says nothing.
        more: tokens of all that the answers say besides, together.
        level: at the high one, answers are as long as they may be, and each is repaired once.
    """
    tries = 2 if level == "high" else 1
    calls = len(inputs) * tries
    output = asks.definition.limits.max_tokens * calls if level == "high" else each * len(inputs) + more
    answer = -(-output // max(calls, 1))
    usd = None
    if asks.model.can.price is not None:
        price = asks.model.can.price
        nano = sum(cost(price, Usage(input=size, output=answer)) for size in inputs) * tries
        usd = Decimal(nano) / NANO
    return Figures(calls, sum(inputs) * tries, output, usd if inputs else Decimal(0))


def _told(figures: Figures) -> str:
    usd = "usd not known" if figures.usd is None else f"{figures.usd:,.4f} usd"
    tokens = f"{figures.input_tokens:,} tokens in, {figures.output_tokens:,} out"
    return f"{figures.calls:>6,} model calls, {tokens}, {usd}"
