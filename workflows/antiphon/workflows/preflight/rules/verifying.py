"""Who verifies: calls that come to a verdict on what others claimed, and what they are shown of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.targets import ANSWER, Spot
from antiphon.workflows.preflight.rules.texts import words_of

UNVERIFIED: Final = "unverified-claims"
SHOWN: Final = "verifier-shown-conclusion"
_REFUTING: Final = "refutation"
_JUDGING: Final = frozenset({"refutation", "critique", "review", "judgement", "adjudication", "testing"})
_CLAIMING: Final = frozenset({"findings", "facts"})
_ATTACK: Final = re.compile(
    r"\b(?:refut\w*|disprov\w*|falsif\w*|disput\w*|challeng\w*|attack\w*|counter-?\w*|contradict\w*|whether|wrong|"
    r"independent\w*|false|doubt\w*|sceptic\w*|skeptic\w*|unless|if|reproduce\w*|adversar\w*|against)\b"
    r"|\b(?:is|are|does|was|were|can)\b[^.?]{0,200}\?",
    re.IGNORECASE,
)


_LABELLED: Final = re.compile(
    r"\b(?:claim|statement|assertion|hypothes[ie]s|allegation|candidate|proposed|alleged)\w*", re.IGNORECASE
)
"""Words that call what is judged a claim, and not a fact."""


def is_verifier(reading: Reading, site: Site) -> bool:
    """Whether a call plainly comes to a verdict: by what it judges, by its output, or by what its role is for."""
    if site.name != "agent":
        return False
    if _is_given(site.argument("about")) or reading.examined.output(site) == "verdict":
        return True
    definition = reading.definition(site)
    return definition is not None and definition.framing == _REFUTING


def verifiers(reading: Reading) -> list[Site]:
    """All calls that plainly come to a verdict."""
    return [site for site in reading.sites if is_verifier(reading, site)]


def _is_given(node: ast.expr | None) -> bool:
    return node is not None and not (isinstance(node, ast.Constant) and node.value is None)


# --- claims that nobody verifies ----------------------------------------------------------------------------------


def unverified_claims(reading: Reading) -> Iterator[Finding]:
    """Claims that reach the answer although nothing was asked to judge them."""
    manifest = reading.examined.manifest
    promised = manifest.verify if manifest is not None else ()
    claiming = [site for site in reading.sites if _claims(reading, site)]
    if promised and not claiming:
        claiming = [site for site in _answering(reading) if not is_verifier(reading, site)]
    if not claiming or any(_checks(reading, site) for site in _unknown_checks(reading)):
        return
    judging = [site for site in reading.sites if _judges(reading, site)]
    left = [site for site in claiming if not any(_is_judged_by(reading, site, one) for one in judging)]
    if left and (promised or len(left) == len(claiming) or _reaches_answer(reading, left[0])):
        yield _unverified(reading, left[0], promised, anything=bool(judging))


def _claims(reading: Reading, site: Site) -> bool:
    return site.name == "agent" and reading.examined.output(site) in _CLAIMING


def _answering(reading: Reading) -> list[Site]:
    before = reading.came_from(ANSWER)
    return [site for site in reading.sites if site.name == "agent" and site.node in before]


def _reaches_answer(reading: Reading, site: Site) -> bool:
    return site.node in reading.came_from(ANSWER)


def _judges(reading: Reading, site: Site) -> bool:
    """Whether a call may well be a check: a verdict, a vote, a step, a role whose work is to look at others'."""
    if site.name in ("step", "choose", "approve", "quorum", "workflow"):
        return True
    definition = reading.definition(site)
    known = definition is not None and definition.framing in _JUDGING
    unknown = definition is None and not _claims(reading, site)
    return site.name == "agent" and (
        known or unknown or is_verifier(reading, site) or site.argument("until") is not None
    )


def _is_judged_by(reading: Reading, claiming: Site, judging: Site) -> bool:
    """Whether what one call claims gets to another that may judge it."""
    if claiming.node is judging.node:
        return judging.argument("until") is not None
    if judging.name == "quorum" and any(claiming.node is one.node for one in reading.within(judging.node)):
        return True
    return any(_is_about(reading, claiming, given) for given in _given(judging))


def _is_about(reading: Reading, claiming: Site, given: ast.expr) -> bool:
    before = reading.came_from(given)
    if claiming.node in before:
        return True
    return any(
        _takes_all(reading, site, claiming) for site in reading.sites if site.name == "claims" and site.node in before
    )


def _takes_all(reading: Reading, site: Site, claiming: Site) -> bool:
    """Whether `claims(...)` has the claims of a call among its own: of all, or of what that call's values came to."""
    of = site.argument("of")
    return not _is_given(of) or (of is not None and claiming.node in reading.came_from(of))


def _given(site: Site) -> list[ast.expr]:
    return [*site.node.args, *(keyword.value for keyword in site.node.keywords)]


def _unknown_checks(reading: Reading) -> list[ast.Await]:
    """What is awaited from other files: it may verify, and nobody can see it here."""
    return [node for node in reading.script.nodes if isinstance(node, ast.Await)]


def _checks(reading: Reading, awaited: ast.Await) -> bool:
    call = awaited.value
    if not isinstance(call, ast.Call) or reading.examined.site(call) or reading.calls.function(call) is not None:
        return False
    return bool(reading.script.origin(call.func)) and not reading.is_inside_role(awaited)


def _unverified(reading: Reading, site: Site, promised: Sequence[str], *, anything: bool) -> Finding:
    role = reading.examined.role(site) or "a subagent"
    what = f"what {role!r} claims on line {site.line} reaches the answer"
    if promised:
        other = ", and the calls that judge are given other claims" if anything else ", and no call judges anything"
        reason = f"{what}, the manifest promises to verify {promised[0]!r}{other}"
    else:
        reason = f"{what} as it was claimed: no call judges it"
    remedy = (
        'for each of claims(of=...), ask a role that did not make it: agent("Try to refute ...", role="verifier",'
        ' about=claim, output="verdict")'
    )
    return reading.finding(UNVERIFIED, site.node, "error" if promised and not anything else "warning", reason, remedy)


# --- verifiers that are told the answer ---------------------------------------------------------------------------


def shown_conclusions(reading: Reading) -> Iterator[Finding]:
    """Verifiers that are told what the worker concluded, see what it saw of others, or work in its tree."""
    for site in verifiers(reading):
        workers = [one for one in reading.sites if one.name == "agent" and not is_verifier(reading, one)]
        found = (
            _told(reading, site, workers) or _same_frames(reading, site, workers) or _same_tree(reading, site, workers)
        )
        if found is not None:
            yield found


def _told(reading: Reading, site: Site, workers: Sequence[Site]) -> Finding | None:
    """A worker's own words in the verifier's task, with nothing around them that doubts them."""
    task, context = site.argument("task"), site.argument("context")
    words = words_of(reading, task)
    if not words.constants or _ATTACK.search(words.said):
        return None
    in_task = _first(reading, task, workers)
    in_frames = _first(reading, context, workers) if not _is_given(site.argument("about")) else None
    worker = in_task or in_frames
    if worker is None or (_LABELLED.search(words.said) and _has_evidence(reading, site, workers)):
        return None
    where = "task" if in_task else "context"
    return reading.finding(
        SHOWN,
        site.node,
        "warning",
        f"the verifier's {where} gives it what {reading.examined.role(worker)!r} concluded on line {worker.line}, and"
        f" {words.said.strip()[:60]!r} asks it to agree rather than to refute",
        "ask it to refute one claim (about=claim), and give it the evidence, not the worker's words:"
        ' agent("Try to refute the claim", about=claim, context=[source])',
    )


def _has_evidence(reading: Reading, site: Site, workers: Sequence[Site]) -> bool:
    """Whether the verifier is given something beside the worker's words: the source, or the project's files."""
    context, workspace = site.argument("context"), site.argument("workspace")
    if _is_given(workspace):
        return True
    empty = isinstance(context, ast.List | ast.Tuple) and not context.elts
    return _is_given(context) and not empty and _first(reading, context, workers) is None


def _first(reading: Reading, given: ast.expr | None, workers: Sequence[Site]) -> Site | None:
    if given is None:
        return None
    before = reading.came_from(given, strictly=True)
    return next((one for one in workers if one.node in before), None)


def _same_frames(reading: Reading, site: Site, workers: Sequence[Site]) -> Finding | None:
    """Frames that a model wrote, and that worker and verifier both see: what is wrong in them misleads both."""
    context = site.argument("context")
    if context is None:
        return None
    written = {one.node: one for one in workers if one.node in reading.came_from(context, strictly=True)}
    for worker in workers:
        theirs = worker.argument("context")
        if theirs is None:
            continue
        shared = reading.came_from(theirs, strictly=True)
        both = next((one for node, one in written.items() if node in shared), None)
        if both is not None:
            return reading.finding(
                SHOWN,
                site.node,
                "warning",
                f"the verifier sees the same frames as {reading.examined.role(worker)!r} on line {worker.line}: what"
                f" line {both.line} wrote into them and is wrong misleads both",
                "give the verifier the claim and the sources, and none of what models wrote for the worker",
            )
    return None


def _same_tree(reading: Reading, site: Site, workers: Sequence[Site]) -> Finding | None:
    """The worker's own workspace: whatever it left there counts as given."""
    workspace = site.argument("workspace")
    if not _is_given(workspace) or workspace is None or reading.examined.text(workspace) == "read":
        return None
    for worker in workers:
        theirs = worker.argument("workspace")
        if theirs is not None and worker.node is not site.node and _is_same(reading, workspace, theirs):
            return reading.finding(
                SHOWN,
                site.node,
                "warning",
                f"the verifier works in {reading.shown(workspace)}, the workspace that"
                f" {reading.examined.role(worker)!r} on line {worker.line} wrote to, and sees what was left there",
                'workspace="read", with the patch as context (step("diff", ...)); or step("restore", ...) into another',
            )
    return None


def _is_same(reading: Reading, one: ast.expr, other: ast.expr) -> bool:
    """Whether two workspaces are plainly one: the same text, or the same name in the same function."""
    text = reading.examined.text(one)
    if text is not None:
        return text == reading.examined.text(other)
    if reading.function_around(one) is not reading.function_around(other):
        return False
    return ast.dump(one) == ast.dump(other) and _cells(reading, one) == _cells(reading, other)


def _cells(reading: Reading, node: ast.expr) -> set[Spot | None]:
    return {reading.edges.cell(name) for name in ast.walk(node) if isinstance(name, ast.Name)}
