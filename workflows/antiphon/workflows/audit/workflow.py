"""The audit, as an ordinary workflow: survey, let every check look at every shard, look again, hide nothing."""

from antiphon.subagents.records import Finding
from antiphon.workflows.audit.second_look import rounds
from antiphon.workflows.audit.surveyor import Cut
from antiphon.workflows.script import agent, claims, parallel, phase, synthesize
from antiphon.workflows.synthesis import Synthesis

manifest = {
    "name": "audit",
    "description": "Analysers over shards of a source tree, a second look at what they say, and nothing hidden.",
    "phases": ["survey", "analyse", "second look", "synthesis"],
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
    "verify": ["every finding is looked at again by a check of another lineage, where there is one"],
    "roles": [
        "surveyor",
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
) -> Synthesis:
    """Audit the tree at `path`. What the other parameters ask of the analysers is in the roles already: see `Asked`."""
    phase("survey")
    cut = await agent(f"Survey {path} and cut it into shards", role="surveyor", output=Cut)
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
    phase("second look")
    found = [claim for claim in claims() if isinstance(claim, Finding)]
    await parallel(
        agent(
            f"Look again at {len(part.findings)} findings in {len(part.units)} files",
            role="second-look",
            covers=part.units,
            context=[{"findings": [finding.to_json() for finding in part.findings]}],
        )
        for part in rounds(found)
    )
    phase("synthesis")
    merged: Synthesis = synthesize(planned=cut.planned)
    return merged
