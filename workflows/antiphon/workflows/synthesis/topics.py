"""What links say belongs together, for display, and where links contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from antiphon.subagents.records import Link, Passage, Record, capped
from antiphon.workflows.synthesis.cluster_model import (
    AnyCluster,
    Cluster,
    FactCluster,
    PassageCluster,
    PatchCluster,
    Status,
)
from antiphon.workflows.synthesis.conflict_model import Conflict, Topic
from antiphon.workflows.synthesis.groups import Voices, positions
from antiphon.workflows.synthesis.keys import subject_id
from antiphon.workflows.synthesis.sets import DisjointSets
from antiphon.workflows.synthesis.suggestions import SUGGESTION

_Pair = tuple[str, str]
_TITLE = 120


class Ends:
    """Which two things each link is about: the clusters of claims, and any other record itself."""

    def __init__(self, links: Mapping[str, Link], records: Mapping[str, Record], cluster_of: Mapping[str, str]) -> None:
        self.records = records
        self.by_pair: defaultdict[_Pair, list[str]] = defaultdict(list)
        for id, link in links.items():
            if link.a != link.b and link.a in records and link.b in records:
                a, b = (cluster_of.get(end, end) for end in (link.a, link.b))
                self.by_pair[min(a, b), max(a, b)].append(id)

    def different(self, links: Mapping[str, Link]) -> set[_Pair]:
        """The pairs that somebody calls different."""
        return {pair for pair, ids in self.by_pair.items() if any(links[id].relation == "different" for id in ids)}


def identity_conflicts(ends: Ends, links: Mapping[str, Link], voices: Voices) -> Iterator[Conflict]:
    """Pairs that one says are the same, by a link or by an exact key, and another says are different."""
    for (a, b), ids in sorted(ends.by_pair.items()):
        different = [id for id in ids if links[id].relation == "different"]
        same = [id for id in ids if links[id].relation == "same_as" and links[id].actor != SUGGESTION]
        if a == b:
            same += sorted({end for id in different for end in (links[id].a, links[id].b)})
        if same and different:
            roots = {id: voices.roots(id) for id in (*same, *different)}
            sides = positions({"they are the same": same, "they are different": different}, roots)
            how = "their key is the same" if a == b else "links say both"
            yield Conflict(subject_id("identity", a, b), "identity", a, sides, how)


def topics_of(
    clusters: Sequence[AnyCluster], ends: Ends, links: Mapping[str, Link], status: Mapping[str, Status]
) -> dict[str, Topic]:
    """Topics by the ids of the clusters in them; a cluster that is alone has none.

    Args:
        clusters: all of them, in the order in which they are shown.
        ends: what the links are about.
        links: suggested ones too. A link that is refuted holds nothing, and neither do links between two clusters that
            somebody calls different.
        status: of the links.
    """
    holding = _holding(ends, links, status)
    joined: DisjointSets[str] = DisjointSets()
    known = {cluster.id for cluster in clusters}
    for pair in holding:
        if known.issuperset(pair):
            joined.join(*pair)
    members: defaultdict[str, list[AnyCluster]] = defaultdict(list)
    for cluster in clusters:
        members[joined.find(cluster.id)].append(cluster)
    held: defaultdict[str, list[str]] = defaultdict(list)
    for (a, _), ids in holding.items():
        held[joined.find(a)] += ids
    together = {root: found for root, found in members.items() if len(found) > 1}
    topics = {root: _topic(found, held[root], links, ends.records) for root, found in together.items()}
    return {cluster.id: topics[root] for root, found in together.items() for cluster in found}


def _holding(ends: Ends, links: Mapping[str, Link], status: Mapping[str, Status]) -> dict[_Pair, list[str]]:
    holding: dict[_Pair, list[str]] = {}
    different = ends.different(links)
    for pair, ids in ends.by_pair.items():
        same = [id for id in ids if links[id].relation == "same_as" and status[id] != "refuted"]
        if same and pair[0] != pair[1] and pair not in different:
            holding[pair] = same
    return holding


def _topic(
    clusters: Sequence[AnyCluster], ids: Iterable[str], links: Mapping[str, Link], records: Mapping[str, Record]
) -> Topic:
    claims = tuple(sorted(id for cluster in clusters for id in cluster.claims))
    held_by = tuple(sorted(ids))
    return Topic(
        id=claims[0],
        title=capped(_title(clusters[0], records), _TITLE),
        claims=claims,
        links=held_by,
        suggested=all(links[id].actor == SUGGESTION for id in held_by),
    )


def _title(cluster: AnyCluster, records: Mapping[str, Record]) -> str:
    match cluster:
        case Cluster():
            return cluster.title
        case FactCluster():
            return f"{cluster.key.attribute} of {cluster.key.subject}"
        case PatchCluster():
            return f"{cluster.key.path}, line {cluster.key.start_line}"
        case PassageCluster():
            passage = records[cluster.id]
            return passage.text if isinstance(passage, Passage) else ""
