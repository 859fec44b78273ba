"""Tokens sent to models: a call tree, against one transcript that holds everything.

``uv run python benchmarks/context.py [--steps 10 100 500] [--json]``. No model is asked: a double answers, and what
would be sent is counted. The work is the same in every row: half of the steps look at a piece of real code (of this
project) and answer, half try to refute one of those answers with the same code before them, and a last one puts all
together.

Held constant: instructions, tasks, answers, frames, their wording, and one request a step without tools. What differs
is only who sees what:

- *call tree*: antiphon itself. The script runs in the engine, and each request is composed and sent as in any run: the
  role's instructions, the frames from the root to the call, its task. The requests that are counted are those that
  the client got.
- *one transcript*: the same tasks and answers, one after the other in a single conversation, which is sent again at
  every step, as where one model does all of the work itself.
- *orchestrator*: a model hands out the same tasks to workers, ten at a time, and reads their answers. The workers'
  requests are those of the call tree; its own transcript holds the tasks that it wrote and the answers it got.

*Fresh* leaves out what a provider would take from its prompt cache: the longest beginning, of at least 1,024 tokens,
that was sent before. That is the best case for everybody: nothing expires, and in the call tree the first sibling has
run ahead. *Weighted* counts cached tokens as a tenth. All of it is done with a short frame at the root, which is below
what providers cache, and with a long one. Not counted: output. It is the same in all three, but that an orchestrator
also has to write each task.

The ratios are of this shape of work. They grow with steps, and with the length of tasks and answers against that of
instructions and frames; a script that gives every call all that was found before would make them 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.loop.agent import ModelAgent
from antiphon.subagents.model.contract import Message, Model, Request
from antiphon.subagents.model.registry import Models
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.prompt import compose
from antiphon.subagents.prompt.words import stretches
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing import FunctionModel, performers_of
from antiphon.subagents.testing import model as double

if TYPE_CHECKING:
    import tiktoken

ROOT: Final = Path(__file__).resolve().parent.parent
STEPS: Final = (10, 100, 500)
BATCH: Final = 10
CACHED_FROM: Final = 1_024
CACHED_PRICE: Final = 0.1
WINDOW: Final = 200_000
ENCODING: Final = "o200k_base"
_ENCODING_FILE: Final = "fb374d419588a4632f3f557e76b4b70aebbca790"

SHORT: Final = (ROOT / "AGENTS.md").read_text()
LONG: Final = "\n".join((SHORT, (ROOT / "docs" / "architecture.md").read_text()))
FINDING: Final = "Report what is wrong in the piece of code that you are given, and nothing that you cannot point at."
REFUTING: Final = "Assume the finding is wrong, and look for what shows it. Say so where you find nothing."
WORKER: Final = RoleDefinition(name="worker", instructions="You look at code, exactly and soberly. Answer in prose.")


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work: what it is asked, what it answers, and the frame of the phase that it belongs to."""

    phase: str
    task: str
    answer: str


@dataclass(frozen=True, slots=True)
class Row:
    """What one way of working sends.

    Attributes:
        way: which. requests: how many. sent: tokens, all of them. fresh: without those that a cache would hold.
        longest: of the longest request.
    """

    way: str
    requests: int
    sent: int
    fresh: int
    longest: int

    @property
    def weighted(self) -> float:
        """Tokens, with cached ones as a tenth."""
        return self.fresh + (self.sent - self.fresh) * CACHED_PRICE


Conversation = Sequence[Message]


def pieces() -> Iterator[tuple[str, str]]:
    """Real code, in stretches: path and text."""
    for path in sorted(path for floor in ("engine", "subagents", "tracing") for path in (ROOT / floor).rglob("*.py")):
        for stretch in stretches(path.read_bytes()):
            yield path.relative_to(ROOT).as_posix(), stretch.content.decode()


def sentences() -> Iterator[str]:
    """Prose of the length of an answer: about 500 characters, from this project's documents."""
    words = " ".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))).split()
    for start in range(0, len(words) - 80, 80):
        yield " ".join(words[start : start + 80])


def steps_of(count: int) -> list[Step]:
    """So many steps: the first half finds, the second half refutes."""
    answers = cycle(sentences())
    found = [
        Step(FINDING, f"What is wrong in this part of {path}?\n\n{code}", next(answers))
        for path, code in islice(cycle(pieces()), count // 2)
    ]
    refuted = [Step(REFUTING, f"Refute this finding: {one.answer}\n\n{one.task}", next(answers)) for one in found]
    return [*found, *refuted]


def synthesis_of(steps: Sequence[Step]) -> str:
    """The task of the last call: it needs all answers."""
    return "Put this together:\n" + json.dumps([step.answer for step in steps])


class Only(Models):
    """One model for everybody."""

    def __init__(self, only: Model) -> None:
        super().__init__(only.name)
        self._only = only

    def model_for(self, role: str, named: str | None = None) -> Model:
        """See `Models.model_for`."""
        return self._only


async def call_tree(steps: Sequence[Step], goal: str) -> list[Conversation]:
    """Run the script in the engine; what the client was sent."""
    answers = {step.task: step.answer for step in steps}
    model = FunctionModel(lambda request: answers.get(request.messages[-1].text, "All together."))

    def phase(title: str) -> Any:
        return parallel([agent(step.task) for step in steps if step.phase == title])

    async def inside() -> object:
        found = await branch("find", phase(FINDING), context=[FINDING])
        refuted = await branch("refute", phase(REFUTING), context=[REFUTING])
        last = await agent(synthesis_of(steps))
        return [found.kind, refuted.kind, last]

    async def script() -> object:
        return (await branch("audit", inside(), context=[goal])).kind

    worker = ModelAgent(WORKER, Only(double(model, schema=True, tools=True, caching=True)), Sender())
    ran = await memory_run(script, performers=performers_of(worker))
    assert ran.value == "succeeded", ran.result.reason
    assert len(model.requests) == len(steps) + 1
    return [request.messages for request in in_order(model.requests, steps)]


def in_order(requests: Iterable[Request], steps: Sequence[Step]) -> list[Request]:
    """In the order of the steps: siblings are sent in any."""
    place = {step.task: number for number, step in enumerate(steps)}
    return sorted(requests, key=lambda request: place.get(request.messages[-1].text, len(steps)))


def one_transcript(steps: Sequence[Step], goal: str) -> Iterator[Conversation]:
    """Everything in one conversation, from the same messages."""
    said = list(compose(instructions=WORKER.instructions, frames=[goal], task="")[:-1])
    phase = ""
    for step in steps:
        if step.phase != phase:
            phase = step.phase
            said.append(compose(instructions="", frames=[phase], task="")[1])
        said.append(Message(role="user", text=step.task))
        yield tuple(said)
        said.append(Message(role="assistant", text=step.answer))
    yield (*said, Message(role="user", text="Put this together."))


def orchestrator(steps: Sequence[Step], goal: str) -> Iterator[Conversation]:
    """The transcript of a model that hands out the tasks, ten at a time; without its workers'."""
    said = list(compose(instructions=WORKER.instructions, frames=[goal, FINDING, REFUTING], task="Lead the work."))
    for start in range(0, len(steps), BATCH):
        yield tuple(said)
        batch = steps[start : start + BATCH]
        said.append(Message(role="assistant", text="\n".join(json.dumps({"task": step.task}) for step in batch)))
        said.extend(Message(role="tool", text=step.answer) for step in batch)
    yield tuple(said)


def counted(way: str, conversations: Iterable[Conversation], tokens: Callable[[str], int]) -> Row:
    """Count what was sent, and what of it no cache would have held."""
    seen: set[str] = set()
    requests = sent = fresh = longest = 0
    for conversation in conversations:
        total = held = 0
        chain = hashlib.sha256()
        beginnings: list[str] = []
        for message in conversation:
            total += tokens(message.text)
            chain.update(f"{message.role} {len(message.text)} {message.text}".encode())
            beginnings.append(chain.hexdigest())
            if beginnings[-1] in seen:
                held = total
        seen.update(beginnings)
        requests, sent, longest = requests + 1, sent + total, max(longest, total)
        fresh += total - (held if held >= CACHED_FROM else 0)
    return Row(way, requests, sent, fresh, longest)


def added(way: str, *rows: Row) -> Row:
    """Several as one."""
    return Row(
        way,
        sum(row.requests for row in rows),
        sum(row.sent for row in rows),
        sum(row.fresh for row in rows),
        max(row.longest for row in rows),
    )


def measure_of_tokens() -> tuple[str, Callable[[str], int]]:
    """How tokens are counted, and what does it: tiktoken with the encoding in litellm, else a quarter of the bytes."""
    spec = importlib.util.find_spec("litellm")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "litellm_core_utils" / "tokenizers"
        if (folder / _ENCODING_FILE).is_file():
            os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
            import tiktoken

            return f"tiktoken {ENCODING}", _tiktoken_count(tiktoken.get_encoding(ENCODING))
    return "bytes / 4", _quarter


def _tiktoken_count(encoding: tiktoken.Encoding) -> Callable[[str], int]:
    @cache
    def count(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    return count


def _quarter(text: str) -> int:
    return -(-len(text.encode()) // 4)


def rows_of(count: int, goal: str, tokens: Callable[[str], int]) -> list[Row]:
    """All ways, at one number of steps and with one frame at the root."""
    steps = steps_of(count)
    sent = anyio.run(call_tree, steps, goal)
    tree = counted("call tree", sent, tokens)
    workers = counted("workers", sent[:-1], tokens)
    one = counted("one transcript", one_transcript(steps, goal), tokens)
    leading = counted("orchestrator", orchestrator(steps, goal), tokens)
    return [tree, one, added("orchestrator", leading, workers)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Tokens sent: a call tree against one transcript.")
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    measure, tokens = measure_of_tokens()
    found = {goal: {count: rows_of(count, goal, tokens) for count in asked.steps} for goal in (SHORT, LONG)}
    if asked.json:
        sys.stdout.write(json.dumps({"tokens": measure, "by_root_frame": _data(found, tokens)}) + "\n")
        return
    print(f"tokens by {measure}; ratios are to the call tree at the same number of steps")
    for goal, by_count in found.items():
        print(f"\nThe frame at the root has {tokens(goal):,} tokens.\n")
        print("| steps | way | requests | sent | ratio | fresh | ratio | weighted | ratio | longest request |")
        print("|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")
        for count, rows in by_count.items():
            for row in rows:
                _print(count, row, rows[0])


def _print(count: int, row: Row, tree: Row) -> None:
    beyond = " (too long for a window of 200,000)" if row.longest > WINDOW else ""
    print(
        f"| {count} | {row.way} | {row.requests:,} | {row.sent:,} | {row.sent / tree.sent:.1f} | {row.fresh:,} |"
        f" {row.fresh / tree.fresh:.1f} | {row.weighted:,.0f} | {row.weighted / tree.weighted:.1f} |"
        f" {row.longest:,}{beyond} |"
    )


def _data(found: dict[str, dict[int, list[Row]]], tokens: Callable[[str], int]) -> dict[int, object]:
    return {
        tokens(goal): {
            count: [{**asdict(row), "weighted": row.weighted} for row in rows] for count, rows in by_count.items()
        }
        for goal, by_count in found.items()
    }


if __name__ == "__main__":
    main()
