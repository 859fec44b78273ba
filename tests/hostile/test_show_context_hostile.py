"""Whatever a log says a call saw, it is printed without an escape, given as JSON, or refused in one sentence."""

import io
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import UsageError
from antiphon.workflows.cli.seen import SeenCall, SeenRun, context_json, context_of, found
from antiphon.workflows.cli.seen_sent import sent_at
from antiphon.workflows.cli.seen_text import print_calls, print_context, print_sent
from antiphon.workflows.cli.terminal import Paper

texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["\x1b[2J", "\x9b1m", "\r", "\u202e", "\ud800", "prompt", "model", "tools", "text", "schema", "tool"]
    ),
)
KEYS = (
    "turn messages role digest cached tools offered schema retrieved path lines sha256 score text calls id name"
    " arguments finish rationale model usage sent shortened max_tokens results failed problem raw anomaly tightened"
    " from to why mode input description parameters value blob frame"
)
keys = st.sampled_from(KEYS.split())
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 10**6), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(keys, texts), inner, max_size=5)),
    max_leaves=20,
)
objects = st.dictionaries(st.one_of(keys, texts), values, max_size=6)


def sound(turn: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A turn that is nearly what antiphon writes: each of its parts may be anything instead."""
    return st.fixed_dictionaries({"turn": st.just(turn)}, optional=more)


message = st.fixed_dictionaries(
    {"role": texts, "digest": st.sampled_from(["d3", "d3", "d3", "d3", "d3", "d3", "d1"]), "cached": values}
)
call = st.fixed_dictionaries({"id": texts, "name": texts, "arguments": texts})
usage = st.fixed_dictionaries(
    {name: st.integers(0, 9) for name in ("input", "cached", "cache_write", "output", "reasoning")}
)
sent = st.fixed_dictionaries(
    {
        "messages": st.integers(0, 9),
        "shortened": st.lists(st.integers(-3, 9), max_size=3),
        "max_tokens": st.integers(0, 9),
    }
)
tool = st.fixed_dictionaries({"name": texts, "description": texts, "parameters": objects})
prompts = st.fixed_dictionaries(
    {
        "turn": st.just("prompt"),
        "model": texts,
        "mode": st.sampled_from(["schema", "tool", "text", "text", 3]),
        "messages": st.one_of(
            st.lists(message, min_size=1, max_size=3), st.lists(message, min_size=1, max_size=2), values
        ),
        "tools": st.lists(texts, max_size=2),
        "offered": st.sampled_from(["d1", "d2", "d2", 4]),
    },
    optional={"role": values, "retrieved": st.one_of(st.lists(objects, max_size=2), values)},
)
answers = st.fixed_dictionaries(
    {
        "turn": st.just("model"),
        "text": texts,
        "calls": st.lists(call, max_size=2),
        "finish": st.sampled_from(["stop", "length", "tool_calls", "refused"]),
        "rationale": texts,
        "model": texts,
        "usage": st.one_of(usage, st.none()),
        "sent": st.one_of(sent, sent, values),
    }
)
others = st.one_of(
    sound("tools", results=values),
    sound("repair", problem=texts, raw=texts),
    sound("missing", text=values),
    sound("notice", anomaly=texts, text=texts, tightened=values),
    values,
)
offers = st.fixed_dictionaries(
    {"tools": st.one_of(st.lists(tool, max_size=2), values), "schema": st.one_of(st.none(), objects, values)}
)
offered = st.fixed_dictionaries({"value": offers})
fields = st.one_of(st.fixed_dictionaries({"value": values}), offered, objects)


@settings(deadline=None, max_examples=60)
@given(
    prompts,
    st.tuples(answers, st.lists(st.one_of(answers, others), max_size=3)).map(lambda given: [given[0], *given[1]]),
    st.fixed_dictionaries({"d1": fields, "d2": offered, "d3": st.fixed_dictionaries({"value": texts})}),
    st.tuples(objects, objects),
)
def test_any_log_is_shown_safely(
    prompt: Any, turns: list[Any], frames: dict[str, Any], about: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    started = {"call": "agent", "task": "t", "frames": ["d1"], **about[0]}
    turn_fields: list[Mapping[str, Any]] = [{"value": turn} for turn in (prompt, *turns)]
    one = SeenCall("main/0", started=started, ended=about[1], turns=turn_fields)
    run = SeenRun(Path("nowhere"), calls={"main/0": one}, places={"main/0"}, frames=frames)
    out = io.StringIO()
    paper = Paper(out)
    seen = context_of(run, one)
    print_context(paper, run, seen)
    print_calls(paper, run, "main", found(run, "main"))
    json.dumps(context_json(run, seen))
    for number in range(1, 4):
        try:
            request = sent_at(seen, number)
        except UsageError:
            continue  # in one sentence, which the command line prints
        print_sent(paper, run, seen, request)
        json.dumps(request.to_json())
    written = out.getvalue()
    commands = {one for one in written if not one.isprintable() and one != "\n"}
    assert {one for one in commands if unicodedata.category(one) != "Zs"} == set()
