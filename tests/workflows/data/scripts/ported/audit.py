"""The audit that ships, as a confined script: the same calls of the same roles, which the host supplies.

What it has of its own are its main and `rounds`; the analysers, the second look and the synthesis are the host's.
"""

from antiphon.workflows.script import agent, claims, parallel, phase, synthesize

manifest = {
    "name": "audit",
    "description": "Analysers over shards of a source tree, a second look at what they say, and nothing hidden.",
    "phases": ["survey", "analyse", "second look", "synthesis"],
    "limits": {"agent_calls": 20_000, "tool_calls": 100_000},
    "scope": {"read": ["**"], "tools": ["ruff", "bandit", "vulture", "detect-secrets"]},
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

MOST_FILES = 25
MOST_FINDINGS = 500


def rounds(findings):
    """Cut findings into calls of the second look; a file is never divided."""
    files = {}
    for finding in findings:
        files.setdefault(finding.key.path, {})[finding.id] = finding
    cut, units, taken = [], [], []
    for unit in sorted(files):
        found = files[unit]
        if units and (len(units) >= MOST_FILES or len(taken) + len(found) > MOST_FINDINGS):
            cut.append((units, taken))
            units, taken = [], []
        units.append(unit)
        taken = taken + [found[name] for name in sorted(found)]
    return [*cut, (units, taken)] if units else cut


async def main(path: str):
    phase("survey")
    cut = await agent(f"Survey {path} and cut it into shards", role="surveyor")
    phase("analyse")
    await parallel(
        agent(
            f"Look for {shard['check']} in {len(shard['units'])} files",
            role=shard["role"],
            covers=shard["units"],
            label=shard["check"],
        )
        for shard in cut["shards"]
    )
    phase("second look")
    found = [claim for claim in claims() if claim.sort == "finding"]
    await parallel(
        agent(
            f"Look again at {len(taken)} findings in {len(units)} files",
            role="second-look",
            covers=units,
            context=[{"findings": [finding.to_json() for finding in taken]}],
        )
        for units, taken in rounds(found)
    )
    phase("synthesis")
    return synthesize(planned=cut["planned"])
