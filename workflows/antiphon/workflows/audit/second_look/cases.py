"""What a check is given, and what it may answer."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from antiphon.subagents.records import Finding, Stance
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.origins import Tracer
from antiphon.workflows.audit.second_look.words import Words

_Syntax = TypeVar("_Syntax", bound=ast.AST)
_MOST_PLACES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check says of a finding.

    Attributes:
        stance: see `Verdict`. reason: in words. at: the syntax it was read from.
    """

    stance: Stance
    reason: str
    at: ast.AST | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One finding, and what a check may look at.

    Attributes:
        finding: what is said. code: the file it is said of. tracer: follows values in it.
        words: what the whole tree mentions; None where nobody counted.
    """

    finding: Finding
    code: Code
    tracer: Tracer
    words: Words | None = None


Check = Callable[[Case], Answer]


def confirm(reason: str, at: ast.AST | None = None) -> Answer:
    """What the rule presupposes is so."""
    return Answer("confirm", reason, at)


def refute(reason: str, at: ast.AST | None = None) -> Answer:
    """What the rule presupposes is not so."""
    return Answer("refute", reason, at)


def unsure(reason: str, at: ast.AST | None = None) -> Answer:
    """It cannot be told from the enclosing function."""
    return Answer("cannot_tell", reason, at)


def at_place(case: Case, judge: Callable[[_Syntax], Answer | None], *kinds: type[_Syntax]) -> Answer:
    """Judge the syntax that a finding means. Where it may mean several, they must all be judged alike.

    Args:
        case: the finding and its file.
        judge: its answer for one place; None if the rule cannot mean this one.
        kinds: of syntax that the rule is about.
    """
    places = case.code.at(case.finding, *kinds)
    if len(places) > _MOST_PLACES:
        return unsure("there is too much on this line to say which is meant")
    judged = [(place, judge(place)) for place in places]
    answers = [replace(a, at=a.at if a.at is not None else place) for place, a in judged if a is not None]
    if not answers:
        return unsure("what the rule is about was not found at this place")
    if len({answer.stance for answer in answers}) > 1:
        return unsure("several things here may be meant, and they differ")
    return answers[0]
