"""The audit with models beside the analysers: models report, other framings refute, nothing is hidden or deleted."""

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import Any

from antiphon.engine import Failed, Outcome
from antiphon.subagents.records import Finding
from antiphon.workflows.audit.models.agents import BACKWARDS
from antiphon.workflows.audit.models.dividing import Asking, Division
from antiphon.workflows.audit.models.judging import METHOD, disagree, reported, vote
from antiphon.workflows.audit.models.sweeps import MOST, STATE, Means, Sweeping, affords
from antiphon.workflows.audit.models.words import ESCALATED, FRAMINGS, NEED, STANCES, audit_task, refute_task
from antiphon.workflows.audit.second_look import rounds
from antiphon.workflows.audit.surveyor import Cut
from antiphon.workflows.script import agent, budget, claims, parallel, phase, put, quorum, synthesize
from antiphon.workflows.synthesis import Synthesis

manifest = {
    "name": "audit",
    "description": "Analysers and models over a source tree, every model's finding attacked, and nothing hidden.",
    "phases": ["survey", "analyse", "audit", "refute", "second look", "synthesis"],
    "limits": {"agent_calls": 20_000, "tool_calls": 100_000},
    "scope": {
        "read": ["**"],
        "tools": [
            "ruff",
            "bandit",
            "vulture",
            "detect-secrets",
            "mypy",
            "zizmor",
            "shellcheck",
            "eslint",
            "semgrep",
            "gitleaks",
            "clippy",
        ],
    },
    "verify": [
        "every finding is looked at again by a check of another lineage, where there is one",
        "every finding of a model is attacked from three stances that are not its own",
    ],
    "roles": [
        "surveyor",
        "divider",
        "auditor",
        "verifier",
        "second-look",
        "sarif",
        "ruff-security",
        "ruff-correctness",
        "ruff-async",
        "ruff-performance",
        "ruff-complexity",
        "ruff-dead-code",
        "bandit-security",
        "vulture-dead-code",
        "detect-secrets-secrets",
        "mypy-types",
        "zizmor-security",
        "shellcheck-correctness",
        "eslint-security",
        "eslint-correctness",
        "eslint-complexity",
        "semgrep-security",
        "gitleaks-secrets",
        "clippy-correctness",
    ],
}
MOST_KNOWN = 100


async def main(
    path: str,
    lenses: list[str] | None = None,
    exclude: list[str] | None = None,
    sarif: list[str] | None = None,
    sandbox: str | None = None,
    execute: bool = False,
    baseline: str = "",
    since: str = "",
    commit: str = "",
    fail_on: str = "",
    reuse: bool = False,
    configuration: str = "",
    models: list[str] | None = None,
    prices: list[str] | None = None,
    rates: list[str] | None = None,
    budget: str = "",
    max_agents: int = 0,
    deadline_seconds: float = 0.0,
    sweeps: int = 0,
    roles: str = "",
    project_roles: bool = False,
) -> Synthesis:
    """Audit the tree at `path`. What the other parameters ask for is in the roles and limits already: see `Asked`."""
    phase("survey")
    cut = await agent(f"Survey {path} and cut it into shards", role="surveyor", output=Cut)
    division = await agent("Cut the code into prompts", role="divider", output=Division)
    phase("analyse")
    await parallel(
        agent(
            f"Look for {shard.check} in {len(shard.units)} files",
            role=shard.role,
            covers=shard.units,
            label=shard.check,
        )
        for shard in cut.shards
    )
    phase("audit")
    sweeping = Sweeping(sweeps or MOST)
    while division.asking and sweeping.end is None:
        sweeping = await one_sweep(division, sweeping)
    put(STATE, sweeping.to_json())
    phase("refute")
    await parallel(attacked(finding, division) for finding in reported(claims()))
    phase("second look")
    await parallel(
        agent(
            f"Look again at {len(part.findings)} findings in {len(part.units)} files",
            role="second-look",
            covers=part.units,
            context=[{"findings": [finding.to_json() for finding in part.findings]}],
        )
        for part in rounds(findings())
    )
    phase("synthesis")
    planned = {unit: (*checks, *division.planned.get(unit, ())) for unit, checks in cut.planned.items()}
    merged: Synthesis = synthesize(planned=planned)
    return merged


async def one_sweep(division: Division, sweeping: Sweeping) -> Sweeping:
    """Every auditor once, from the framing whose turn it is."""
    number = len(sweeping.done)
    framing = list(FRAMINGS)[number % len(FRAMINGS)]
    asking = division.mixed if number % 2 else division.asking
    known = reported(claims())
    before = used()
    outcomes = await parallel(audited(one, framing, number, known) for one in asking)
    after = sweeping.after(
        framing,
        [finding.key for finding in reported(claims(of=outcomes))],
        calls=len(asking),
        failed=[how(outcome) for outcome in outcomes.failed()],
    )
    due = len(reported(claims())) * len(STANCES) + len(rounds(findings()))
    enough = affords(used().less(before), left(), calls=len(asking), due=due)
    return after if enough else after.out_of_budget()


def findings() -> list[Finding]:
    """Every finding so far, of analysers and models."""
    return [claim for claim in claims() if isinstance(claim, Finding)]


def used() -> Means:
    """What the audit has used so far."""
    return Means(Decimal(budget.used("usd")), int(budget.used("agent_calls")))


def left() -> Means:
    """What it may still use."""
    usd, agents = budget.remaining("usd"), budget.remaining("agent_calls")
    return Means(None if usd is None else Decimal(usd), None if agents is None else int(agents))


def audited(one: Asking, framing: str, number: int, known: Sequence[Finding]) -> Awaitable[Any]:
    """One auditor: the files of one prompt, through one lens. From the second sweep on it is told what is known."""
    said = [f"{each.key.path}:{each.line} {each.rule}" for each in known if each.key.path in one.units]
    frame = {"lens": one.lens, "framing": framing, "order": BACKWARDS if number % 2 else "forwards"}
    more = {"known findings": sorted(said)[:MOST_KNOWN], "and more": max(0, len(said) - MOST_KNOWN)} if said else {}
    return agent(
        audit_task(one.lens, framing),
        role="auditor",
        output="findings",
        covers=one.units,
        context=[{**frame, **more}],
        label=f"auditor/{one.lens}",
    )


async def attacked(finding: Finding, division: Division) -> None:
    """Every stance once; where they come to no common answer, or the role says so, a stronger model besides."""
    tally = await quorum([refuting(finding, stance) for stance in STANCES], need=NEED, vote=vote)
    stronger = {division.stronger.get("auditor", "")}
    if disagree(tally.votes, tally.decided):
        stronger.add(division.stronger.get("verifier", ""))
    for model in sorted(stronger - {""}):
        await parallel([refuting(finding, ESCALATED, model)])


def refuting(finding: Finding, stance: str, model: str | None = None) -> Awaitable[Any]:
    """One verifier: the claim and the code around it, and nothing of the conversation that it came from."""
    claim = {
        "file": finding.key.path,
        "line": finding.line,
        "end_line": finding.end_line,
        "symbol": finding.key.symbol,
        "rule": finding.key.rule,
        "severity": finding.severity,
        "says": finding.text,
    }
    return agent(
        refute_task(stance),
        role="verifier",
        output="verdict",
        about=finding,
        context=[{"claim": claim, "framing": stance, "method": METHOD.format(stance)}],
        model=model,
        label=f"verifier/{stance}",
    )


def how(outcome: Outcome[object]) -> str:
    """How a call without an answer ended: what failed, where that is known."""
    if isinstance(outcome, Failed):
        return outcome.infrastructure or outcome.category
    return outcome.kind
