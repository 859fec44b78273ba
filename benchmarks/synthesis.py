"""What the synthesis costs: 10,000 claims from 500 branches that each drew from one universe, and verdicts on some.

``uv run python benchmarks/synthesis.py`` prints a table; each row is a process of its own. Beside the synthesis, in the
same process and in turns with it, runs a plain reference: hash every record once, and group them in dicts by key. Read
the ratio where the machine is busy. ``exact`` leaves suggestions out; ``near copies`` is the worst case of suggestions,
passages of which every two resemble each other.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import cast

from antiphon.subagents.records import (
    SEVERITIES,
    Actor,
    Claim,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Passage,
    Record,
    UrlQuote,
    Verdict,
)
from antiphon.workflows.synthesis import Synthesis, synthesize

TURNS = 5
ACTORS = [Actor(tool="agent", model=f"model-{n % 5}", framing=f"framing {n % 7}") for n in range(35)]
TOOLS = [Actor(tool=tool, version="1", lineage=tool) for tool in ("ruff", "bandit", "pylint", "semgrep")]
WORDS = [f"word{n}" for n in range(400)]


def _sentence(draw: random.Random, number: int) -> str:
    """About sixteen words; one in four sentences is a near copy of another."""
    base = random.Random(number // 2 if number % 4 == 1 else number * 7919)
    words = base.sample(WORDS, 16)
    if number % 4 == 1:
        words[draw.randrange(16)] = f"other{number}"
    return " ".join(words)


def finding(number: int, actor: Actor, branch: str, ordinal: int, draw: random.Random) -> Finding:
    """What one tool says of one of the universe's places."""
    return Finding(
        record="claim",
        sort="finding",
        branch=branch,
        ordinal=ordinal,
        key=FindingKey(path=f"src/{number % 60}.py", rule=f"rule:{number % 23}", symbol=f"f{number % 11}"),
        rule=f"R{number % 23}",
        title=f"rule {number % 23} in words",
        text=f"rule {number % 23} is broken here, in {number}",
        severity=SEVERITIES[(number + draw.randrange(2)) % 5],
        severity_by=actor.tool,
        actor=actor,
        line=1 + number % 300,
    )


def fact(number: int, actor: Actor, branch: str, ordinal: int, draw: random.Random) -> Fact:
    """What one source says of one attribute; one in ten says something else."""
    return Fact(
        record="claim",
        sort="fact",
        branch=branch,
        ordinal=ordinal,
        key=FactKey(subject=f"subject {number % 300}", attribute=f"attribute {number % 3}"),
        value=number % 5 if draw.random() < 0.9 else -1,
        text=_sentence(draw, number % 900),
        actor=actor,
        evidence=(UrlQuote(kind="url", url=f"https://example.org/{draw.randrange(200)}", quote="as it says"),),
    )


def passage(number: int, actor: Actor, branch: str, ordinal: int, draw: random.Random) -> Passage:
    """Something said in words."""
    text = _sentence(draw, number)
    return Passage(record="claim", sort="text", branch=branch, ordinal=ordinal, text=text, actor=actor)


def universe(claims: int, branches: int, seed: int = 4) -> list[Record]:
    """So many claims from so many branches: half findings, three tenths facts, the rest passages; and verdicts."""
    draw = random.Random(seed)
    records: list[Record] = []
    for number in range(claims):
        branch, kind = f"main/1/{number % branches}/0", number % 10
        make = finding if kind < 5 else fact if kind < 8 else passage
        actor = draw.choice(TOOLS if make is finding else ACTORS)
        claim: Claim = make(draw.randrange(2_000), actor, branch, number // branches, draw)
        records.append(claim)
        if number % 10 == 0:
            stance = draw.choice(["confirm", "refute", "cannot_tell"])
            content = {"record": "verdict", "of": claim.id, "stance": stance, "method": "look", "branch": branch}
            records.append(Verdict.model_validate({**content, "actor": draw.choice(ACTORS)}))
    draw.shuffle(records)
    return records


def near_copies(claims: int, branches: int) -> list[Record]:
    """Passages of sixty words, of which every two have at least 56 in common."""
    draw = random.Random(4)
    records: list[Record] = []
    for number in range(claims):
        words = [f"w{n}" for n in range(60)]
        words[draw.randrange(60)], words[draw.randrange(60)] = f"x{number}", f"y{number}"
        branch = f"main/1/{number % branches}/0"
        records.append(Passage(record="claim", sort="text", branch=branch, text=" ".join(words), actor=ACTORS[0]))
    return records


def reference(records: Sequence[Record]) -> int:
    """The least that any synthesis does: hash every record once, and group the claims by key."""
    merged = {record.id: record for record in records}
    groups: defaultdict[object, list[str]] = defaultdict(list)
    for id, record in merged.items():
        groups[record.key if isinstance(record, Finding | Fact) else id].append(id)
    return len(groups)


CASES: dict[str, tuple[Callable[[int, int], list[Record]], bool]] = {
    "exact": (universe, False),
    "with suggestions": (universe, True),
    "near copies": (near_copies, True),
}


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one go."""
    gc.collect()
    begun = time.process_time()
    work()
    return time.process_time() - begun


def run_case(name: str, claims: int, branches: int) -> dict[str, float]:
    """The figures of one row."""
    make, suggest = CASES[name]
    records = make(claims, branches)
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as `antiphon run` sets it

    def ours() -> Synthesis:
        return synthesize(records, {}, suggest=suggest)

    turns = [(seconds(ours), seconds(lambda: reference(records))) for _ in range(TURNS)]
    synthesis = ours()
    mine, plain = (statistics.median(column) for column in zip(*turns, strict=True))
    written = seconds(lambda: json.dumps(synthesis.to_json()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tracemalloc.start()
    ours()
    held = tracemalloc.get_traced_memory()[1] / 2**20
    return {
        "seconds": mine,
        "ratio": mine / plain,
        "json": written,
        "peak": peak,
        "traced": held,
        "conflicts": len(synthesis.conflicts),
        "links": len(synthesis.suggested),
    }


def child(name: str, claims: int, branches: int) -> dict[str, float]:
    """Run one row in a process of its own."""
    words = [sys.executable, __file__, "--case", name, "--claims", str(claims), "--branches", str(branches)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return cast("dict[str, float]", json.loads(done.stdout))


def main() -> None:
    """Parse the command line; a row when asked for one, else the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=10_000)
    parser.add_argument("--branches", type=int, default=500)
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(run_case(given.case, given.claims, given.branches)))
        return
    print(f"{given.claims:,} claims from {given.branches:,} branches")
    print(f"{'':18} {'s':>6} {'ratio':>6} {'JSON s':>7} {'peak MB':>8} {'own MB':>7} {'conflicts':>10} {'links':>6}")
    for name in CASES:
        f = child(name, given.claims, given.branches)
        cost = f"{f['seconds']:6.2f} {f['ratio']:6.1f} {f['json']:7.2f} {f['peak']:8.0f} {f['traced']:7.0f}"
        print(f"{name:18} {cost} {f['conflicts']:10.0f} {f['links']:6.0f}", flush=True)


if __name__ == "__main__":
    main()
