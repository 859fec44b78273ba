"""Named outputs: what a model said becomes records with evidence, and nothing that it said is dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError, validate

from antiphon.engine import CallContext, Failed, Outcome
from antiphon.engine.result import Recorded
from antiphon.engine.script.api import agent, branch
from antiphon.engine.testing import memory_run
from antiphon.subagents.agents import Agents
from antiphon.subagents.answers import SCHEMAS, Content, Judgement, Recording, locate
from antiphon.subagents.function import function_agent
from antiphon.subagents.model.contract import Model
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.records import (
    Actor,
    Coverage,
    Fact,
    FileSpan,
    Finding,
    FindingKey,
    Malformed,
    Record,
    Resolution,
    Verdict,
    file_span,
    read_records,
)
from antiphon.subagents.testing import FunctionModel, model
from antiphon.workflows.synthesis import synthesize

pytestmark = pytest.mark.anyio

CODE = (
    b"import os\n\n\ndef run(command):\n    return os.system(command)\n\n\ndef other():\n    return os.system('ls')\n"
)
MODEL = model(FunctionModel(lambda request: ""), "test/small")


@dataclass(frozen=True)
class Page:
    """A file in memory."""

    name: str
    data: bytes
    encoding: str = "utf-8"

    @property
    def lines(self) -> Sequence[bytes]:
        """Its lines."""
        return self.data.splitlines(keepends=True)

    def symbol(self, line: int) -> str:
        """As if it were one function."""
        return "run" if line >= 4 else ""

    def evidence(self, start_line: int, end_line: int) -> FileSpan | None:
        """Its lines as evidence."""
        lines = self.lines[start_line - 1 : end_line]
        return file_span(self.name, lines, start_line) if lines else None


def look_up(pages: Mapping[str, Page], name: str) -> Content | None:
    return pages.get(name)


def said(**changes: object) -> dict[str, Any]:
    """A finding as a model reports it."""
    usual = {
        "file": "app.py",
        "line": 5,
        "quote": "return os.system(command)",
        "rule": "Shell injection!",
        "cwe": 78,
        "severity": "high",
        "message": "A shell runs\nwhat it is given.",
        "why": "command comes from outside.",
    }
    return usual | changes


async def recorded(
    value: object,
    *,
    role: str = "auditor",
    output: str = "findings",
    about: str | None = None,
    covers: Sequence[str] = ("app.py",),
    context: Sequence[Any] = ({"lens": "security", "framing": "outsider"},),
    pages: Mapping[str, Page] | None = None,
    by: Model = MODEL,
) -> list[Record]:
    """The records of a call whose model says this."""
    there = {"app.py": Page("app.py", CODE)} if pages is None else pages
    recording = Recording(partial(look_up, there))

    @function_agent(role)
    async def answers(task: str, ctx: CallContext) -> Any:
        recording(value, ctx, by)
        return value

    async def main() -> object:
        return await agent("look", role=role, output=output, about=about, covers=covers, context=context)

    ran = await memory_run(main, performers={"agent": Agents({role: answers}, SCHEMAS)})
    assert ran.result.kind == "completed", ran.result
    return read(ran.run.records)


def read(found: Sequence[Recorded]) -> list[Record]:
    """What one call recorded."""
    return read_records([item.record for item in found], found[0].path) if found else []


def only(records: Sequence[Record], kind: type[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


# --- findings ---------------------------------------------------------------------------------------------------------


async def test_a_finding_rests_on_the_lines_that_it_quotes() -> None:
    records = await recorded({"findings": [said(line=4)]})
    (finding,) = only(records, Finding)
    assert (finding.key.rule, finding.key.symbol, finding.rule) == ("CWE-78", "run", "shell-injection")
    assert (finding.line, finding.end_line) == (5, 5), "where the words are, and not where the model counts them"
    assert finding.evidence == (file_span("app.py", [b"    return os.system(command)\n"], 5),)
    assert finding.text == "A shell runs what it is given. command comes from outside."
    assert not only(records, Resolution)
    assert [(record.unit, record.check, record.state) for record in only(records, Coverage)] == [
        ("app.py", "auditor/security", "done")
    ]


async def test_a_quote_that_is_not_there_is_told_and_the_finding_kept() -> None:
    records = await recorded({"findings": [said(quote="exec(command)"), said()]})
    unfound, found = only(records, Finding)
    (resolution,) = only(records, Resolution)
    assert (resolution.state, resolution.reason) == ("false", "the quoted words are not in the file")
    assert unfound.line == found.line == 5
    view = synthesize(records, {})
    assert {conflict.kind for conflict in view.conflicts} >= {"evidence_unresolved"}
    assert set(view.claims) == {unfound.id, found.id}


@pytest.mark.parametrize("name", ["other.py", "../app.py", "/etc/passwd", "app.py\0", ""])
async def test_a_finding_in_a_file_that_was_not_given_is_malformed_and_counted(name: str) -> None:
    records = await recorded({"findings": [said(file=name), said()]})
    (malformed,) = only(records, Malformed)
    assert "not given" in malformed.reason
    assert malformed.units == ("app.py",)
    assert len(only(records, Finding)) == 1


async def test_equal_findings_of_one_answer_stay_two() -> None:
    first, second = only(await recorded({"findings": [said(), said()]}), Finding)
    assert (first.ordinal, second.ordinal) == (0, 1)
    assert first.id != second.id


async def test_a_file_that_is_not_as_it_was_is_a_gap() -> None:
    records = await recorded({"findings": [said()]}, pages={})
    (finding,), (resolution,), (coverage,) = (only(records, kind) for kind in (Finding, Resolution, Coverage))
    assert (resolution.state, coverage.state) == ("unchecked", "failed")
    assert finding.line is None


async def test_what_a_model_could_not_judge_is_not_taken_for_clean() -> None:
    value = {
        "findings": [],
        "not_judged": [{"file": "app.py", "reason": "callers\nelsewhere"}, {"file": "x", "reason": ""}],
    }
    (coverage,) = only(await recorded(value), Coverage)
    assert (coverage.state, coverage.reason) == ("partial", "it could not judge all of it: callers elsewhere")


async def test_a_call_that_covers_nothing_may_speak_of_any_file() -> None:
    records = await recorded({"findings": [said(file="b.py"), said()]}, covers=())
    assert [finding.key.path for finding in only(records, Finding)] == ["b.py", "app.py"]
    assert [(one.state, one.reason) for one in only(records, Resolution)] == [
        ("unchecked", "the file could not be read")
    ]


async def test_a_rule_without_a_weakness_has_a_key_of_its_own() -> None:
    (finding,) = only(await recorded({"findings": [said(cwe=None, rule="  ÉTRANGE / Rule  ")]}), Finding)
    assert (finding.key.rule, finding.title) == ("model:trange-rule", "trange rule")
    (unnamed,) = only(await recorded({"findings": [said(cwe=None, rule="!!!", message="", why="")]}), Finding)
    assert (unnamed.key.rule, unnamed.text) == ("model:unnamed", "unnamed")


# --- quotes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "near", "place"),
    [
        ("return os.system(command)", 5, (5, 5)),
        ("os.system", 5, (5, 5)),
        ("os.system", 9, (9, 9)),
        ("os.system", 7, (5, 5)),
        ("def run(command):\n    return os.system(command)", 1, (4, 5)),
        ("  def run(command):\n\treturn   os.system(command)\n", 1, (4, 5)),
        ("   4| def run(command):\n   5|     return os.system(command)", 1, (4, 5)),
        ("\n\nimport os\n\n", 3, (1, 1)),
        ("run(command):\n    return", 4, (4, 5)),
    ],
)
async def test_words_are_found_where_they_are(quote: str, near: int, place: tuple[int, int]) -> None:
    found = locate("app.py", near, quote, Page("app.py", CODE))
    assert not found.problem
    assert (found.evidence.start_line, found.evidence.end_line) == place


@pytest.mark.parametrize(
    "quote",
    [
        "os.system(comand)",
        "",
        "   \n ",
        "):",
        "def run(command):\n    pass",
        "import os\ndef run(command):",
        "x" * 5_000,
    ],
)
async def test_words_that_are_not_there_are_not_found(quote: str) -> None:
    found = locate("app.py", 7, quote, Page("app.py", CODE))
    assert found.problem
    assert not found.unchecked
    assert found.evidence.start_line == 7


async def test_what_is_too_short_to_name_a_place_counts_only_where_it_is_claimed() -> None:
    assert not locate("app.py", 4, "):", Page("app.py", CODE)).problem
    assert locate("app.py", 5, "):", Page("app.py", CODE)).problem


WORDS = st.text(alphabet=st.sampled_from("ab (){}|:1 \t\x0b\x1b\u2028é\ud800"), max_size=12)
FILES = st.lists(WORDS, min_size=1, max_size=12)


@given(FILES, st.integers(0, 11), st.integers(1, 4), st.integers(1, 20))
def test_whatever_lines_are_quoted_they_are_found(lines: list[str], start: int, length: int, near: int) -> None:
    page = Page("a", "\n".join(lines).encode("utf-8", "surrogatepass"))
    quoted = [page.lines[place].decode("utf-8", "replace").rstrip("\n") for place in range(len(page.lines))]
    quote = "\n".join(quoted[start : start + length])
    bare = "".join(quote.split())
    found = locate("a", near, quote, page)
    numbered = any(re.match(r"\s*\d+\s*[|:]", line) for line in quoted)  # a quote that looks numbered is taken for it
    if len(bare) >= 4 and not numbered:
        assert not found.problem
    if not found.problem:
        span = found.evidence
        there = quoted[span.start_line - 1 : span.end_line]
        shown = [legible(line) for line in there]  # as the model saw them: a control character is written out
        assert numbered or bare in "".join("".join(there).split()) or bare in "".join("".join(shown).split())


@given(FILES, WORDS, st.integers(1, 20))
def test_whatever_is_said_to_be_quoted_is_answered(lines: list[str], quote: str, near: int) -> None:
    page = Page("a", "\r".join(lines).encode("utf-8", "surrogatepass"))
    found = locate("a", near, quote, page)
    assert found.problem or found.evidence == page.evidence(found.evidence.start_line, found.evidence.end_line)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def claimed(actor: Actor | None = None) -> Finding:
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path="app.py", rule="CWE-78", symbol="run"),
        rule="shell-injection",
        title="shell injection",
        text="so",
        severity="high",
        severity_by="auditor",
        actor=actor or Actor(tool="auditor", model="small", lineage="small/auditor", framing="auditor/security"),
    )


async def judged(position: str, **more: Any) -> list[Record]:
    claim = claimed()
    value = {"position": position, "reason": "it is", "quotes": more.pop("quotes", [])}
    usual: dict[str, Any] = {"role": "verifier", "output": "verdict", "about": claim.id, "covers": ()}
    return [claim, *await recorded(value, **(usual | more))]


async def test_a_verdict_is_about_the_record_that_the_call_names() -> None:
    frame = {"framing": "elsewhere", "method": "verifier: elsewhere"}
    quotes = [{"file": "app.py", "line": 5, "quote": "os.system(command)"}, {"file": "b.py", "line": 1, "quote": "x"}]
    claim, verdict, resolution = await judged("refute", context=[frame], quotes=quotes)
    assert isinstance(verdict, Verdict)
    assert isinstance(resolution, Resolution)
    assert (verdict.of, verdict.stance, verdict.method) == (claim.id, "refute", "verifier: elsewhere")
    assert verdict.actor.framing == "verifier/elsewhere"
    assert [piece.path for piece in verdict.evidence if isinstance(piece, FileSpan)] == ["app.py", "b.py"]
    assert (resolution.index, resolution.state) == (1, "unchecked")


async def test_a_verdict_of_another_role_counts_and_one_of_the_same_does_not() -> None:
    family = model(FunctionModel(lambda request: ""), "small")
    claim, verdict = await judged("confirm", by=family)
    view = synthesize([claim, verdict], {})
    assert view.status[claim.id] == "confirmed"
    claim, own = await judged("confirm", by=family, role="auditor")
    assert isinstance(own, Verdict)
    assert own.actor.lineage == "small/auditor"
    view = synthesize([claim, own], {})
    assert view.status[claim.id] == "unverified"
    assert view.inadmissible == (own.id,)


async def test_two_framings_of_one_model_are_one_voice() -> None:
    family = model(FunctionModel(lambda request: ""), "small")
    claim, first = await judged("refute", by=family, context=[{"framing": "elsewhere"}])
    _, second = await judged("refute", by=family, context=[{"framing": "misread"}])
    view = synthesize([claim, first, second], {})
    (conflict,) = [conflict for conflict in view.conflicts if conflict.kind == "existence"]
    assert {len(side.groups) for side in conflict.positions} == {1}


async def test_a_verdict_on_nothing_fails() -> None:
    recording = Recording()

    @function_agent("verifier", output=SCHEMAS["verdict"])
    async def verifier(task: str, ctx: CallContext) -> Any:
        value = {"position": "confirm", "reason": ""}
        recording(value, ctx, MODEL)
        return value

    async def main() -> object:
        return await branch("judge", agent("judge", role="verifier"))

    ran = await memory_run(main, performers={"agent": Agents({"verifier": verifier})})
    outcome: Outcome[Any] = ran.value
    assert isinstance(outcome, Failed)
    assert "about=claim" in outcome.reason


# --- facts, and other outputs -----------------------------------------------------------------------------------------


async def test_a_fact_keeps_its_source() -> None:
    page = {"subject": "it", "attribute": "is", "value": [1, {"a": None}], "source": "https://example.org/a"}
    file = {
        "subject": "it",
        "attribute": "calls",
        "value": "a shell",
        "source": "app.py",
        "quote": "os.system",
        "line": 5,
    }
    bare = {"subject": "it", "attribute": "rests", "value": 1, "qualifiers": {"b": "2", "a": "1"}}
    value = {"facts": [{**page, "quote": "so it is"}, file, bare]}
    records = await recorded(value, role="researcher", output="facts", covers=())
    one, two, three = only(records, Fact)
    assert (one.evidence[0].kind, one.evidence[0].quote) == ("url", "so it is")
    assert (two.evidence[0].kind, two.evidence[0].start_line) == ("file_span", 5)
    assert three.key.qualifiers == (("a", "1"), ("b", "2"))
    assert three.evidence == ()
    assert not only(records, Resolution)


async def test_other_outputs_make_no_records() -> None:
    recording = Recording()

    @function_agent("worker")
    async def worker(task: str, ctx: CallContext) -> Any:
        recording({"findings": []}, ctx, MODEL)
        return {"findings": []}

    async def main() -> object:
        return await agent("work")

    ran = await memory_run(main, performers={"agent": Agents({"worker": worker})})
    assert ran.value == {"findings": []}
    assert not ran.run.records


async def test_a_class_is_asked_for_as_its_schema_is() -> None:
    recording = Recording()

    @function_agent("verifier", output=Judgement)
    async def verifier(task: str, ctx: CallContext) -> Any:
        value = Judgement(position="confirm", reason="so")
        recording(value, ctx, MODEL)
        return value

    async def main() -> object:
        return await agent("judge", role="verifier", about="a" * 64)

    ran = await memory_run(main, performers={"agent": Agents({"verifier": verifier})})
    (verdict,) = read(ran.run.records)
    assert isinstance(verdict, Verdict)
    assert verdict.stance == "confirm"


def test_the_schemas_say_what_is_required_and_nothing_of_ours() -> None:
    validate({"findings": [said()]}, SCHEMAS["findings"])
    validate({"position": "cannot_tell", "reason": "", "more": 1}, SCHEMAS["verdict"])
    with pytest.raises(ValidationError):
        validate({"findings": [said(severity="bad")]}, SCHEMAS["findings"])
    assert "Attributes" not in repr(SCHEMAS)
