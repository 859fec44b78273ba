"""How a report says who holds something, and how sure that is. The same words in Markdown, HTML and `antiphon why`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from antiphon.subagents.records import AUTHOR, Actor, Claim, Fact, Finding, Passage, Patch, Stance, Verdict
from antiphon.workflows.report.document import Line, Piece, Said, many, name_of, names
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.secrets import is_about_secret, shown_text
from antiphon.workflows.synthesis import Cluster, ConflictKind, Position, Site, Synthesis

_STANCES: dict[Stance, str] = {"confirm": "confirmed", "refute": "refuted", "cannot_tell": "left open"}
KINDS: Final[dict[ConflictKind, str]] = {
    "severity": "how bad it is",
    "value": "what the value is",
    "existence": "whether it is there",
    "stance": "whether it holds",
    "identity": "whether two are the same",
    "patch_textual": "what becomes of the same lines",
    "patch_semantic": "whether patches work together",
}
"""What a disagreement is on. Gaps, and evidence that is gone, have sections of their own."""

_SHOWN_REASONS = 2
_SHOWN_CHARACTERS = 160


def place(cluster: Cluster) -> Said:
    """Where it is: the file, and the first line that stands, if one is known."""
    line = cluster.standing[0].start_line
    return Said(f"{cluster.key.path}:{line}" if line else cluster.key.path)


def rules_of(clusters: Iterable[Cluster]) -> Said:
    """The names that the tools give the rule of some clusters."""
    return Said("/".join(sorted({rule for cluster in clusters for rule in cluster.rules})))


def text_of(cluster: Cluster, synthesis: Synthesis) -> Said:
    """What is said, without what is secret."""
    if any(is_about_secret(synthesis.claims[id]) for id in cluster.claims):
        return Said(cluster.title)
    return Said(cluster.text)


def support(cluster: Cluster) -> Line:
    """Who says it, and what it is worth that several do: what counts is independent groups and not tools."""
    tools = names(cluster.tools)
    groups = len(cluster.groups) or len(cluster.lineages)
    if len(cluster.tools) < 2:
        return (*tools, " alone")
    return (*tools, " (one lineage, so one opinion)" if groups < 2 else f" ({groups} independent groups)")


def who(actor: Actor) -> Piece:
    """Whose words something is."""
    return "the code's author" if actor == AUTHOR else name_of(" ".join(filter(None, (actor.tool, actor.lens))))


def opinions(site: Site, synthesis: Synthesis) -> Line:
    """What each source says of the severity. Ours is said to be ours, and for whose finding."""
    said: list[Line] = [
        (*_source(opinion.by, site, synthesis), f": {' and '.join(opinion.severities)}") for opinion in site.opinions
    ]
    return joined(said)


def joined(lines: Iterable[Line], between: str = "; ") -> Line:
    """Lines one after the other."""
    return tuple(piece for place, line in enumerate(lines) for piece in ((between,) if place else ()) + line)


def _source(by: str, site: Site, synthesis: Synthesis) -> Line:
    found = (synthesis.finding(id) for id in site.claims)
    tools = sorted({claim.actor.tool for claim in found if claim.severity_by == by} - {by})
    return (name_of(by), "'s table for ", *names(tools)) if tools else (name_of(by),)


def certainty(cluster: Cluster, material: Material) -> Line:
    """How sure it is, and by what check: `confirmed by precondition of antiphon second-look: …`."""
    reasons = reasons_of(material.checks_of(cluster))[:_SHOWN_REASONS]
    if reasons and str(reasons[0][0]).startswith(cluster.status):
        return joined(reasons)
    return (cluster.status, *((": ", *joined(reasons)) if reasons else ()))


def reasons_of(verdicts: Sequence[Verdict]) -> list[Line]:
    """The verdicts in words; equal ones are counted."""
    counts: Counter[tuple[Stance, str, Actor, str]] = Counter((v.stance, v.method, v.actor, v.reason) for v in verdicts)
    return [_reason(*reason, number) for reason, number in counts.items()]


def _reason(stance: Stance, method: str, actor: Actor, reason: str, number: int) -> Line:
    why: Line = (": ", Said(reason, _SHOWN_CHARACTERS)) if reason else ()
    times = f" ({number} times)" if number > 1 else ""
    return (f"{_STANCES[stance]} by ", name_of(method), " of ", who(actor), times, *why)


def holders(position: Position, material: Material) -> Line:
    """Who holds a side of a conflict; of verdicts also by what check, as one actor may have several."""
    verdicts = material.synthesis.verdicts
    found = {(actor, verdicts[id].method if id in verdicts else "") for id, actor in material.actors(position.records)}
    if not found:
        return (many(len(position.records), "record"),)
    ordered = sorted(found, key=lambda one: (one[0].tool, one[0].lens, one[1]))
    people: dict[Line, None] = {_holder(actor, method): None for actor, method in ordered}
    return joined(people, " and ")


def _holder(actor: Actor, method: str) -> Line:
    return (who(actor),) if not method or actor == AUTHOR else (name_of(method), " of ", who(actor))


def subject(claim: Claim) -> Line:
    """What a claim is about, in a few words."""
    match claim:
        case Finding():
            where = f"{claim.key.path}:{claim.line}" if claim.line else claim.key.path
            return (Said(where), " ", Said(claim.rule, 80))
        case Fact():
            narrowed = ", ".join(f"{name}={value}" for name, value in claim.key.qualifiers)
            return (Said(f"{claim.key.subject}: {claim.key.attribute}" + (f" ({narrowed})" if narrowed else "")),)
        case Patch():
            return ("patch of ", Said(f"{claim.key.path}:{claim.key.start_line}-{claim.key.end_line}"))
        case Passage():
            return (Said(shown_text(claim), _SHOWN_CHARACTERS),)
