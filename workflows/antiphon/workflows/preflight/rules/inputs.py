"""Tasks that speak of what the subagent cannot see."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from antiphon.subagents.ignore_patterns import Patterns
from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.texts import Text, Words, words_of
from antiphon.workflows.syntax.scopes import Scope

RULE: Final = "unreachable-input"
_PLACEHOLDER: Final = re.compile(r"(?<![{$\\])\{([A-Za-z_]\w{0,60})\}(?!\})")
_PERCENT: Final = re.compile(r"(?<![%\w])%(?:\((\w{1,60})\))?s(?!\w)")
_FILE: Final = re.compile(
    r"(?<![\w/.:@-])(?:(?:[\w.-]+/)+[\w-]+\.[A-Za-z]\w{0,5}"
    r"|[\w-]{2,60}\.(?:py|md|txt|json|yaml|yml|toml|csv|rst|js|ts|go|rs|java|ini|cfg|html|xml|sql|pdf))(?![\w/-])"
)
_EARLIER: Final = re.compile(
    r"\b(?:(?:the|your|all|these|those)\s+)?(?:above|previous|earlier|preceding|prior)\s+"
    r"(?:(?:agent|step|phase|round|stage|worker|auditor|reviewer|researcher|planner)(?:'s|s'|s)?\s+)?"
    r"(?:findings?|results?|plans?|answers?|outputs?|analys[ei]s|summar(?:y|ies)|reports?|drafts?|claims?|facts|list|"
    r"steps?|notes|conclusions?|evidence)\b"
    r"|\b(?:findings?|results?|plan|answers?|outputs?|analysis|summar(?:y|ies)|reports?|drafts?|claims?|list)\s+"
    r"(?:(?:listed|found|mentioned|described|given|shown|stated)\s+)?(?:above|(?:from|of)\s+(?:the\s+)?(?:previous|earlier|preceding|prior|first|last)\s+\w+)\b",
    re.IGNORECASE,
)
_SHORTEST_NAME: Final = 4
_MOST_HOLES: Final = 100
_SEEING: Final = ("context", "about", "workspace")


def unreachable_inputs(reading: Reading) -> Iterator[Finding]:
    """Every task with a hole in it, or that names what its subagent is not given."""
    for site in reading.sites:
        task = site.argument({"agent": "task", "choose": "question"}.get(site.name, ""))
        if task is None:
            continue
        words = words_of(reading, task)
        found = list(_unfilled(reading, site, words)) or list(_filled_wrongly(reading, site, task))
        if site.name == "agent" and not found and not site.spread:
            found += _out_of_scope(reading, site, words)
            if not found and not _sees_more(reading, site):
                found += _nowhere(reading, site, words)
            if not found and not _sees_more(reading, site, files=_has_work(reading, site)):
                found += _earlier(reading, site, words)
            if not found and not _sees_more(reading, site):
                found += _unmentioned(reading, site, words)
        yield from found


# --- holes --------------------------------------------------------------------------------------------------------


def _unfilled(reading: Reading, site: Site, words: Words) -> Iterator[Finding]:
    for text in words.constants:
        if text.filled:
            continue
        holes = list(islice(_PLACEHOLDER.finditer(text.text), _MOST_HOLES))
        for hole in holes:
            visible = _is_visible(reading, site, hole[1])
            if visible or not _is_meant(text, hole, alone=len(holes) == 1):
                yield _hole(reading, site, text, hole, visible=visible)
                return
        if (percent := _PERCENT.search(text.text)) and not words.open:
            yield _hole(reading, site, text, percent, visible=False)
            return


def _filled_wrongly(reading: Reading, site: Site, task: ast.expr) -> Iterator[Finding]:
    """`TASK.format(name=...)` of a text that has other placeholders too."""
    for call in (one for one in reading.came_from(task, strictly=True) if isinstance(one, ast.Call)):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr == "format") or call.args:
            continue
        text, given = reading.examined.text(call.func.value), {keyword.arg for keyword in call.keywords}
        missing = [hole for hole in _PLACEHOLDER.finditer(text or "") if hole[1] not in given]
        if missing and None not in given:
            yield reading.finding(
                RULE, call, "error",
                f"the text has {missing[0][0]!r}, and format() is given no {missing[0][1]}: it raises KeyError",
                f"write format(..., {missing[0][1]}=...), or {{{missing[0][0]}}} where the braces are meant",
            )  # fmt: skip
            return


def _is_visible(reading: Reading, site: Site, name: str) -> bool:
    """Whether a name could have been filled in: a parameter, a variable, what a loop goes over."""
    scope: Scope | None = reading.script.scopes[site.node]
    while scope is not None:
        if name in scope.bindings:
            return True
        scope = scope.around
    return False


def _is_meant(text: Text, hole: re.Match[str], *, alone: bool) -> bool:
    """Whether braces may well be meant as they stand: part of a path, of code, or of a form to answer in."""
    before, after = text.text[max(hole.start() - 1, 0) : hole.start()], text.text[hole.end() : hole.end() + 1]
    return before in tuple("/`\"'<:") or after in tuple("/`\"'>:") or not alone


def _hole(reading: Reading, site: Site, text: Text, hole: re.Match[str], *, visible: bool) -> Finding:
    plain = "the text has no f before it, and nothing fills it" if visible else "nothing fills it"
    remedy = (
        f'write f"...{hole[0]}..."' if visible else f"fill it: TASK.format({hole[1] or 'value'}=...), or an f-string"
    )
    return reading.finding(
        RULE, site.node, "error" if visible else "warning",
        f"the subagent reads {hole[0]!r} as it stands here: {plain}, so it is not told which one is meant", remedy,
    )  # fmt: skip


# --- files --------------------------------------------------------------------------------------------------------


def _files(words: Words) -> Iterator[str]:
    for text in words.constants:
        for found in _FILE.finditer(text.text):
            if not text.is_joined(found.end(), found.start()):
                yield found[0].removeprefix("./")


def _out_of_scope(reading: Reading, site: Site, words: Words) -> Iterator[Finding]:
    """A file that the manifest does not let anybody read, and that nobody hands over."""
    manifest = reading.examined.manifest
    if manifest is None or "read" not in manifest.scope.model_fields_set or _has(reading, site, "context"):
        return
    scope = manifest.scope
    patterns = (*scope.read, *scope.write)
    for file in [*_files(words), *_given_files(reading, site)]:
        if not _means(patterns, file):
            allowed = ", ".join(scope.read) or "nothing"
            yield reading.finding(
                RULE, site.node, "warning",
                f"the task names {file!r}, and the manifest's scope lets subagents read {allowed} alone",
                f'add {file!r} to "read" in the scope, or hand its text over: context=[text]',
            )  # fmt: skip
            return


def _given_files(reading: Reading, site: Site) -> Iterator[str]:
    """The files that parameters of main name by what is known of their values, and that the task names."""
    main, task = reading.examined.main, site.argument("task")
    if main is None or task is None:
        return
    before = reading.came_from(task, strictly=True)
    plain = [*main.args.posonlyargs, *main.args.args]
    defaults = dict(zip((one.arg for one in reversed(plain)), reversed(main.args.defaults), strict=False))
    for one in plain:
        known = reading.examined.arguments.get(one.arg, reading.examined.text(defaults.get(one.arg)))
        if one in before and isinstance(known, str) and _FILE.fullmatch(known):
            yield known.removeprefix("./")


def _means(patterns: tuple[str, ...], file: str) -> bool:
    return any(one in ("**", "*", "/**", "/*") for one in patterns) or Patterns.of(patterns).means(file)


def _nowhere(reading: Reading, site: Site, words: Words) -> Iterator[Finding]:
    """A file by name, for a model that has no tree to read it in."""
    if reading.definition(site) is None or site.argument("covers") is not None:
        return
    for file in _files(words):
        yield reading.finding(
            RULE, site.node, "warning",
            f"the task names {file!r}, and the call has neither workspace nor context:"
            f" {reading.examined.role(site)!r} has no files to look in",
            'workspace="read" lets it read the project; context=[text] hands over the text',
        )  # fmt: skip
        return


# --- what it is not given -----------------------------------------------------------------------------------------


def _has(reading: Reading, site: Site, name: str) -> bool:
    given = site.argument(name)
    if given is None or (isinstance(given, ast.Constant) and given.value is None):
        return False
    return not (isinstance(given, ast.List | ast.Tuple) and not given.elts)


def _has_work(reading: Reading, site: Site) -> bool:
    """Whether a call works where another may have left something."""
    workspace = site.argument("workspace")
    if workspace is None:
        return False
    name = reading.text(workspace)
    others = [one.argument("workspace") for one in reading.sites if one.name == "agent" and one.node is not site.node]
    return name is None or any(other is not None and reading.text(other) in (name, None) for other in others)


def _sees_more(reading: Reading, site: Site, *, files: bool = True) -> bool:
    """Whether a call sees anything beside its task: frames, a record, and (`files`) a tree."""
    seeing = _SEEING if files else ("context", "about")
    if any(_has(reading, site, name) for name in seeing) or reading.is_own_role(site):
        return True
    return any(
        _has(reading, around, "context") and any(site.node is one.node for one in reading.within(around.node))
        for around in reading.sites
        if around.name in ("parallel", "pipeline", "race", "quorum", "branch")
    )


def _earlier(reading: Reading, site: Site, words: Words) -> Iterator[Finding]:
    """A task that speaks of what another call found, and is not given it."""
    found = _EARLIER.search(words.said)
    if words.open or found is None:
        return
    first = next((one for one in reading.sites if one.name == "agent" and one.line < site.line), None)
    whose = f" (line {first.line} has an answer)" if first is not None else ""
    yield reading.finding(
        RULE, site.node, "warning",
        f"the task speaks of {found[0]!r}, and the call is given nothing of it{whose}: a subagent sees no other's work",
        "hand it over: context=[what was found], or put it into the task",
    )  # fmt: skip


def _unmentioned(reading: Reading, site: Site, words: Words) -> Iterator[Finding]:
    """A task of fixed words that names a parameter of the function around, whose value it is not given."""
    function = reading.function_around(site.node)
    if words.open or not isinstance(function, ast.AsyncFunctionDef) or not words.constants:
        return
    for one in [*function.args.args, *function.args.kwonlyargs]:
        name = one.arg.replace("_", " ")
        if len(name) < _SHORTEST_NAME or not re.search(
            rf"\b(?:the|this|these|given|each)\s+{re.escape(name)}\b", words.said, re.I
        ):
            continue
        if any((reading.script.inner[function], one.arg) in reading.came_from(value) for value in _given(site)):
            continue
        yield reading.finding(
            RULE, site.node, "warning",
            f"the task speaks of {name!r}, and the call is not given the parameter {one.arg}: its words never change",
            f'put it into the task (f"... {{{one.arg}}}"), or hand it over: context=[{one.arg}]',
        )  # fmt: skip
        return


def _given(site: Site) -> list[ast.expr]:
    return [*site.node.args, *(keyword.value for keyword in site.node.keywords)]
