"""What verdicts of models come to: votes, disagreement, and what is asked of a stronger model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

from antiphon.subagents.records import Finding, Record, Verdict
from antiphon.workflows.audit.models.dividing import AUDITOR, VERIFIER
from antiphon.workflows.audit.models.words import ESCALATED, NEED
from antiphon.workflows.report.document import many

Decided = Literal["upheld", "refuted", "open"]
_VOTES: Final = {"confirm": True, "refute": False}
METHOD: Final = "verifier: {}"


def vote(verdict: Any) -> bool | None:
    """A verifier's answer as a vote that the claim stands; who cannot tell abstains."""
    said: Mapping[str, object] = cast("Mapping[str, object]", verdict) if isinstance(verdict, Mapping) else {}
    return _VOTES.get(str(said.get("position")))


def disagree(votes: Sequence[bool | None], decided: str) -> bool:
    """Whether verifiers came to no common answer: some said yes and some no, or not enough said anything."""
    return decided == "undecided" or {True, False} <= set(votes)


def reported(records: Iterable[Record], known: frozenset[str] = frozenset()) -> list[Finding]:
    """The findings of models among some records, in order, without those that are known by their ids."""
    return [
        record
        for record in records
        if isinstance(record, Finding)
        and record.actor.model
        and record.actor.tool == AUDITOR
        and record.id not in known
    ]


def decided(stances: Iterable[str]) -> Decided:
    """What the first verdicts on one claim come to: enough votes to one side alone, or nothing."""
    counts = Counter(stances)
    confirmed, refuted = counts["confirm"] >= NEED, counts["refute"] >= NEED
    if confirmed == refuted:
        return "open"
    return "upheld" if confirmed else "refuted"


def sentences(claims: Iterable[Record], verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """What a report says of the verifiers' work."""
    findings = {finding.id: finding for finding in reported(claims)}
    first: defaultdict[str, list[str]] = defaultdict(list)
    escalated: defaultdict[str, list[Verdict]] = defaultdict(list)
    alike = 0
    for verdict in verdicts:
        finding = findings.get(verdict.of)
        if finding is None or verdict.actor.tool != VERIFIER:
            continue
        alike += verdict.actor.model == finding.actor.model
        if verdict.method == METHOD.format(ESCALATED):
            escalated[verdict.of].append(verdict)
        else:
            first[verdict.of].append(verdict.stance)
    if not findings:
        return ()
    return tuple(_told(findings, first, escalated, alike=alike))


def escalations(claims: Iterable[Record], verdicts: Iterable[Verdict], models: Mapping[str, str]) -> tuple[str, ...]:
    """What a report says of answers that a stronger model gave because the first one gave up.

    Args:
        claims: all of the run.
        verdicts: all of the run.
        models: who answers first, by role.
    """
    said = [(one.actor.tool, one.actor.version) for one in reported(claims)]
    said += [(one.actor.tool, one.actor.version) for one in verdicts if one.method != METHOD.format(ESCALATED)]
    counts = Counter((role, model) for role, model in said if models.get(role, model) != model)
    return tuple(
        f"By {model}, because the first model gave up: {many(count, 'answer')} of the role {role}."
        for (role, model), count in sorted(counts.items())
    )


def _told(
    findings: Mapping[str, Finding],
    first: Mapping[str, Sequence[str]],
    escalated: Mapping[str, Sequence[Verdict]],
    *,
    alike: int,
) -> Iterable[str]:
    counts = Counter(decided(first.get(id, ())) for id in findings)
    unheard = sum(id not in first and id not in escalated for id in findings)
    yield (
        f"Models reported {many(len(findings), 'finding')}, each attacked by verifiers who saw the claim and its code "
        "alone: "
        f"{counts['upheld']} upheld by at least {NEED}, {counts['refuted']} refuted by at least {NEED}, "
        f"{counts['open']} left open" + (f", {unheard} of them because no verifier answered" if unheard else "") + "."
    )
    if escalated:
        models = sorted({verdict.actor.version for said in escalated.values() for verdict in said})
        yield f"Escalated to {', '.join(models)}: {many(len(escalated), 'finding')}."
    if alike:
        yield (
            f"By the model family that made the claim, from another framing: {many(alike, 'verdict')}, which count as "
            "verdicts, and as no second voice (--model verifier=MODEL asks another)."
        )
