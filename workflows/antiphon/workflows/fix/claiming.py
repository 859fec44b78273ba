"""A try as records: its patch is a claim for each run of lines, and tests and critic give verdicts on it."""

from __future__ import annotations

import difflib
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from antiphon.subagents.records import Actor, Stance, Verdict, capped
from antiphon.subagents.records.claims import Patch, PatchKey, numbered
from antiphon.subagents.records.evidence import CommandRun, Evidence, TestRun
from antiphon.workflows.fix.results import Ran

_MOST_CLAIMS: Final = 200
_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_TESTS: Final = Actor(tool="tests", lineage="tests")


class Told(BaseModel):
    """What there is to say of a try.

    Attributes:
        name: of the try. cause: what it takes the bug to be. author, critic: the models; "" where not known.
        tests: of its state. new: the cases that show the bug. passed: whether tests and checks have nothing against it.
        reasons: what speaks against it. failing: the cases that should pass and do not.
        musts: of the critic; None where none could read it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    cause: str = ""
    author: str = ""
    critic: str = ""
    tests: Ran = Ran()
    new: tuple[str, ...] = ()
    passed: bool = False
    reasons: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    musts: tuple[str, ...] | None = None


File = tuple[str, bytes | None, bytes | None]


def records_of(files: Sequence[File], base: str, told: Told) -> tuple[list[Patch], list[Verdict]]:
    """The claims of a try, and the verdicts on them.

    Args:
        files: path, content in the base and content now; None where it is not there.
        base: what all tries of the run began as.
        told: what there is to say.
    """
    actor = _author(told)
    evidence = _command(told)
    found = (
        Patch(
            record="claim", sort="patch", text=capped(told.cause or f"the patch of {told.name}"), actor=actor,
            key=key, replacement=capped(lines, 20_000), evidence=evidence,
        )
        for path, before, after in files
        for key, lines in _runs(base, path, before, after)
    )  # fmt: skip
    claims = numbered(claim for claim, _ in zip(found, range(_MOST_CLAIMS), strict=False))
    ids = tuple(claim.id for claim in claims)
    return claims, [verdict for id in ids for verdict in _verdicts(id, ids, told)]


def _author(told: Told) -> Actor:
    model = told.author or "a model"
    return Actor(
        tool="coder",
        version=told.author,
        lens=told.name,
        lineage=f"{model}/implementation",
        model=model,
        framing=told.name,
    )


def _command(told: Told) -> tuple[Evidence, ...]:
    if told.tests.exit is None:
        return ()
    return (
        CommandRun(
            kind="command", argv=_argv(told.tests.command), exit=told.tests.exit, sha256=told.tests.sha256 or _NOTHING
        ),
    )


def _argv(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError:  # a quote that is not closed: a shell would say so too
        return ("/bin/sh", "-c", command)


def _runs(base: str, path: str, before: bytes | None, after: bytes | None) -> Iterator[tuple[PatchKey, str]]:
    """Every run of lines of a file that is another now, with what it became."""
    old = (before or b"").decode("utf-8", "backslashreplace").split("\n")
    new = (after or b"").decode("utf-8", "backslashreplace").split("\n")
    for tag, start, end, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            key = PatchKey(base=base, path=path, start_line=start + 1, end_line=end)
            yield key, "".join(f"{line}\n" for line in new[first:last])


def _verdicts(id: str, ids: tuple[str, ...], told: Told) -> Iterator[Verdict]:
    """Verdicts on one claim: what tests say of all of the try together, and what the critic does."""
    names = told.new or ((told.tests.command,) if told.tests.command else ())
    digest = told.tests.sha256 or _NOTHING
    passed = {name: told.passed or (bool(told.new) and name not in told.failing) for name in names[:20]}
    ran = tuple(
        TestRun(kind="test", name=name, passed=good, sha256=digest, patches=ids) for name, good in passed.items()
    )
    tested: Stance = "confirm" if told.passed else "refute"
    why = "; ".join(told.reasons) or "the new test passes, and nothing that passed before fails"
    yield Verdict(
        record="verdict",
        of=id,
        stance=tested,
        actor=_TESTS,
        method="tests and checks",
        reason=capped(why),
        evidence=ran,
    )
    judged: Stance = "cannot_tell" if told.musts is None else "refute" if told.musts else "confirm"
    said = "; ".join(told.musts or ()) or ("no critic could read it" if told.musts is None else "nothing must change")
    critic = Actor(
        tool="critic",
        version=told.critic,
        lineage=f"{told.critic or 'a model'}/critique",
        model=told.critic or "a model",
        framing="critique",
    )
    yield Verdict(record="verdict", of=id, stance=judged, actor=critic, method="critic", reason=capped(said))
