"""An account in words, for a person at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from antiphon.subagents.records import (
    AUTHOR,
    Claim,
    Coverage,
    Fact,
    Finding,
    Link,
    Malformed,
    Patch,
    Record,
    Resolution,
    Verdict,
)
from antiphon.workflows.cli.words import amount, duration, said
from antiphon.workflows.report.document import Item, Line, Said, Strong, first_of, many, name_of
from antiphon.workflows.report.phrases import holders, joined, place, subject, support, text_of, who
from antiphon.workflows.report.secrets import shown_text
from antiphon.workflows.synthesis import Cluster, Conflict
from antiphon.workflows.why.account import Account, Told, clusters_by_id
from antiphon.workflows.why.lookup import Found
from antiphon.workflows.why.reading import RecordedCall, RecordedRun

_SHOWN = 10
_LONG = 600


def items(account: Account) -> Iterator[Item]:
    """The account, as entries."""
    run = account.run
    if run.damage:
        yield Item((Strong("damaged: "), Said(run.damage), " What follows is what could be read."))
    if run.cleaned:
        yield Item(("this run was cleaned: what follows is what its report.json holds, and the calls are gone",))
    if run.unreadable:
        yield Item((Strong(many(run.unreadable, "record")), " of this run cannot be read by this version"))
    yield _heading(account)
    if isinstance(account.cluster, Cluster):
        yield Item(("said by ", *support(account.cluster)))
    yield from _some((_told(told, account, True) for told in account.records), "record")
    if account.judged:
        yield Item(("it is about",), tuple(_told(told, account, False) for told in account.judged))
    if account.mates:
        found = [_told(told, account, False) for told in account.mates]
        yield Item(("others say the same",), tuple(_some(found, "claim")))
    if account.conflicts:
        found = [_conflict(conflict, account) for conflict in account.conflicts]
        yield Item(("disagreements",), tuple(_some(found, "conflict")))
    if account.links:
        yield Item(("links",), tuple(_some((_link(id, link) for id, link in account.links), "link")))
    if account.topic is not None:
        told = f": {many(len(account.topic.claims), 'claim')}" + (", suggested only" if account.topic.suggested else "")
        yield Item(("topic ", Said(account.topic.title), told, " ", Said(account.topic.id[:12])))


def one_line(run: RecordedRun, found: Found) -> Item:
    """What something is, in one line that begins with its id."""
    view = run.synthesis
    start: Line = (Said(found.id[:12]), "  ")
    cluster = clusters_by_id(run).get(found.id)
    if isinstance(cluster, Cluster):
        words: Line = (f"{cluster.severity} {cluster.status} ", place(cluster), " ", Said(cluster.key.rule, 80), " ")
        return Item((*start, *words, Said(text_of(cluster, view).text, 80)))
    if cluster is not None:
        return Item((*start, f"{cluster.status} ", *subject(view.claims[cluster.claims[0]])))
    claim = view.claims.get(found.id)
    return Item((*start, *(subject(claim) if claim else (found.sort,))))


def _some(found: Iterable[Item], what: str) -> Iterator[Item]:
    for item in first_of(list(found), _SHOWN, what):
        yield Item(("(--json has all)",)) if item.line[0] == "…" else item


def _heading(account: Account) -> Item:
    cluster, found = account.cluster, account.found
    if isinstance(cluster, Cluster):
        key = cluster.key
        inside: Line = (" in ", Said(key.symbol)) if key.symbol else ()
        aside = f", {cluster.aside} of {len(cluster.claims)} set aside by the code's author" if cluster.aside else ""
        line: Line = (Strong(cluster.severity), " ", Said(key.rule), " ", Said(cluster.title), " at ", Said(key.path))
        return Item((*line, *inside, f": {cluster.status}{aside}; cluster ", Said(cluster.id[:12])))
    if cluster is not None:
        return Item((f"cluster of {many(len(cluster.claims), 'claim')}: {cluster.status} ", Said(cluster.id[:12])))
    return Item((Strong(found.sort), " ", Said(found.id[:12])))


def _told(told: Told, account: Account, whole: bool) -> Item:
    """A record: what it says, on what evidence, who judges it, and where it comes from."""
    below = [Item(("evidence ", *piece.words)) for piece in told.evidence]
    below += [_verdict(verdict, told, account) for verdict in told.verdicts]
    below += _context(told, account.run) if whole else _origin(told)
    status = f" ({told.status})" if told.status else ""
    return Item((*_says(told.record), status, "; ", told.record.record, " ", Said(told.id[:12])), tuple(below))


def _verdict(told: Told, above: Told, account: Account) -> Item:
    """A verdict on what stands above, with the verdicts on itself, and evidence that was not told there."""
    known = [piece.evidence for piece in above.evidence]
    below = [Item(("evidence ", *piece.words)) for piece in told.evidence if piece.evidence not in known]
    below += [_verdict(other, told, account) for other in told.verdicts]
    standing = "" if told.status in ("unverified", "") else f" ({told.status})"
    where: Line = (", from ", Said(told.record.branch)) if told.record.branch else ()
    return Item((*_says(told.record), standing, "; verdict ", Said(told.id[:12]), *where), tuple(below))


def _says(record: Record) -> Line:
    match record:
        case Finding():
            place = f" at line {record.line}" if record.line else ""
            how = f"{record.severity} by "
            return (*_actor(record), f"{place}: ", Said(shown_text(record)), "; ", how, name_of(record.severity_by))
        case Fact():
            return (*_actor(record), ": ", *subject(record), " is ", Said(json.dumps(record.value), 200))
        case Patch():
            return (*_actor(record), ": ", *subject(record), " becomes ", Said(record.replacement, 200))
        case Verdict():
            reason: Line = (": ", Said(record.reason)) if record.reason else ()
            stance = {"confirm": "confirms", "refute": "refutes", "cannot_tell": "cannot tell"}[record.stance]
            return (who(record.actor), f" {stance} (", name_of(record.method), ")", *reason)
        case Link():
            return (who(record.actor), " says ", *_link("", record).line)
        case Resolution():
            return (
                who(record.actor),
                f" looked evidence {record.index} up again: {record.state} ",
                Said(record.reason),
            )
        case Coverage():
            return (name_of(record.check), " on ", Said(record.unit), f": {record.state} ", Said(record.reason))
        case Malformed():
            return (who(record.actor), " gave output that could not be read: ", Said(record.reason))
        case _:
            return (*_actor(record), ": ", Said(shown_text(record), _LONG))


def _actor(record: Claim) -> Line:
    """Who says it: the tool with version, view and lineage; of a model also which and how it was set to work."""
    actor = record.actor
    if actor == AUTHOR:
        return (who(actor),)
    parts = [("", actor.version), ("lineage ", actor.lineage), ("model ", actor.model), ("framing ", actor.framing)]
    more = [(f", {word}", name_of(text)) for word, text in parts if text]
    sure: Line = (f", confidence {record.confidence}",) if record.confidence else ()
    return (who(actor), *joined(more, ""), *sure)


def _link(id: str, link: Link) -> Item:
    words = link.relation.replace("_", " ")
    reason: Line = (": ", Said(link.reason)) if link.reason else ()
    named: Line = ("; link ", Said(id[:12]), " by ", who(link.actor)) if id else ()
    return Item((Said(link.a[:12]), f" {words} ", Said(link.b[:12]), *reason, *named))


def _conflict(conflict: Conflict, account: Account) -> Item:
    sides = joined((*holders(position, account.material), ": ", Said(position.says)) for position in conflict.positions)
    reason: Line = (" (", Said(conflict.reason), ")") if conflict.reason else ()
    return Item((f"{conflict.kind.replace('_', ' ')}: ", *sides, *reason, "; conflict ", Said(conflict.id[:12])))


def _context(told: Told, run: RecordedRun) -> list[Item]:
    """Where a record comes from: the call, what it was given, the branches around it, and what it cost."""
    call = told.call
    if call is None:
        return [Item(("the log does not tell which call it comes from",))] if not told.record.branch else []
    return [
        Item(("from call ", Said(call.path), " ", *_name(call), f": {said(call.kind)}", *_reason(call), *_cost(call))),
        Item(("inside ", *_around(call, run))),
        *_given(told, call),
        *_reused(call),
    ]


def _origin(told: Told) -> list[Item]:
    return [Item(("from ", Said(told.record.branch)))] if told.record.branch else []


def _name(call: RecordedCall) -> Line:
    label: Line = (" ", Said(call.label, 100)) if call.label and call.label != call.name else ()
    return (call.sort if call.sort in ("agent", "step", "approval") else "call", " ", name_of(call.name), *label)


def _reason(call: RecordedCall) -> Line:
    return (" (", Said(call.reason), ")") if call.reason else ()


def _cost(call: RecordedCall) -> Line:
    took = f" in {duration(call.seconds)}" if call.seconds is not None else ""
    return (f"{took}, cost {amount(call.spent)}",)


def _around(call: RecordedCall, run: RecordedRun) -> Line:
    words: list[Line] = [("workflow ", name_of(run.workflow))] if run.workflow else []
    for branch in run.around(call.path)[1:]:
        words.append((Said(branch.path), f" {branch.construct}" if branch.construct.isalpha() else ""))
    phase: list[Line] = [("phase ", name_of(call.phase))] if call.phase else []
    covers: list[Line] = [(f"answering for {many(len(call.covers), 'unit')}",)] if call.covers else []
    return joined([*words[:1], *phase, *words[1:], *covers], ", ")


def _given(told: Told, call: RecordedCall) -> list[Item]:
    """What the call was given: its task, and the frames from the root to itself."""
    given = told.given
    if given is None:
        return [Item(("the log does not hold what it was given; all of that has the hash ", Said(call.hash[:12])))]
    task = given.task if isinstance(given.task, str) else json.dumps(given.task)
    shown = [Item(("task ", Said(task, _LONG)))]
    if given.frames is None:
        return [*shown, Item(("its frames are not in the log",))]
    if not given.frames:
        return [*shown, Item(("no frames: it saw only its task",))]
    frames = [Item((Said(json.dumps(frame), _LONG),)) for frame in given.frames]
    return [*shown, Item((many(len(frames), "frame"),), tuple(_some(frames, "frame")))]


def _reused(call: RecordedCall) -> list[Item]:
    return [Item(("taken by a resume from ", Said(call.source)))] if call.source else []
