"""What a harness adds: the same small tasks as one bare call, one free tool loop, and a verifying workflow.

``uv run python benchmarks/harness.py`` plays back the cassette that ships beside it, which a *script* recorded and no
model: its figures show what the harness costs, and nothing of any model's quality. With a model of your own they show
both: ``--model ollama/llama3``, ``--model file:DIR``, ``--model openai/… --budget 0.50``; ``--record FILE`` keeps its
answers, and ``--cassette FILE`` plays them back.

Columns: how many runs of how many completed; quality, the mean and the worst over all repeats (harmonic mean of
precision and recall); model calls, tokens and usd per task.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import anyio
from pydantic import BaseModel

from antiphon.engine import Amount, Limits
from antiphon.engine.amount import Dimension
from antiphon.engine.script.api import agent, parallel, phase
from antiphon.engine.testing import memory_run
from antiphon.subagents.model.contract import Completion, Model, Price, Request, ToolCall
from antiphon.subagents.model.prices_of_user import read_prices
from antiphon.subagents.model.registry import Models
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import Answer, Cassette, FunctionModel, GivenModels, Good, model, model_agents
from antiphon.subagents.tools import FunctionTool, function_tool
from antiphon.tracing import Json
from antiphon.tracing.errors import AntiphonError

SHIPPED = Path(__file__).with_name("harness.cassette.jsonl")
SCRIPTED = "scripted/no-model"
NOMINAL = Price(input="0.000001", output="0.000004")
NOTE = (
    "NOTE: a script answered here, and no model: these figures show what the harness costs (calls, tokens, usd at a\n"
    "nominal 1 usd in and 4 usd out per million tokens), and nothing of any model's quality. Name one: --model M"
)


# --- what is asked ---------------------------------------------------------------------------------------------------

QUESTION = (
    "Name every setting that makes the service less safe than its comment says it should be. "
    "Write each as FILE:SETTING, such as web.conf:timeout."
)


class Items(BaseModel):
    """What is found, each as ``FILE:SETTING``."""

    items: list[str]


class Judged(BaseModel):
    """What a verifier says of one claim."""

    holds: bool
    reason: str


@dataclass(frozen=True)
class Task:
    """One task: files, and what is to be found in them."""

    name: str
    files: Mapping[str, str]
    answer: frozenset[str]

    @property
    def whole(self) -> str:
        """All files as one text."""
        return "\n".join(shown(name, text) for name, text in self.files.items())

    def quality(self, items: list[str]) -> float:
        """How right an answer is: the harmonic mean of precision and recall, from 0 to 1."""
        given = {item.strip() for item in items}
        right = len(given & self.answer)
        return 2 * right / (len(given) + len(self.answer)) if given or self.answer else 1.0


def shown(name: str, text: str) -> str:
    """A file as every way of asking shows it."""
    return f"=== {name} ===\n{text}"


TASKS = (
    Task(
        "shop",
        {
            "web.conf": "# certificates must be checked\nverify_tls = off\n# seconds\ntimeout = 30\n",
            "db.conf": "# only for development\ndebug = off\n# connections\npool = 8\n",
            "mail.conf": "# only for development\ndebug = on\n# certificates must be checked\nverify_tls = on\n",
            "jobs.conf": "# attempts\nretries = 3\n# must stay within the office\nbind = 127.0.0.1\n",
        },
        frozenset({"web.conf:verify_tls", "mail.conf:debug"}),
    ),
    Task(
        "office",
        {
            "print.conf": "# must stay within the office\nbind = 0.0.0.0\n# pages\nlimit = 40\n",
            "scan.conf": "# certificates must be checked\nverify_tls = on\n# only for development\ndebug = off\n",
            "door.conf": "# must stay within the office\nbind = 127.0.0.1\n# must be checked\nverify_tls = off\n",
            "phone.conf": "# lines\nlines = 12\n# only for development\ndebug = off\n",
        },
        frozenset({"print.conf:bind", "door.conf:verify_tls"}),
    ),
)

TOOLS = ("list_files", "read_file")
LIMITS = AgentLimits(turns=8, tool_calls=20, max_tokens=1000)
ROLES = (
    RoleDefinition(name="answerer", instructions="Answer from the files you are given.", limits=LIMITS),
    RoleDefinition(name="explorer", instructions="Look at the files, then answer.", tools=TOOLS, limits=LIMITS),
    RoleDefinition(name="finder", instructions="Look at the one file you are given.", limits=LIMITS),
    RoleDefinition(
        name="verifier", instructions="Try to refute the claim. It holds only if you cannot.", limits=LIMITS
    ),
    RoleDefinition(name="synthesizer", instructions="Hand back what was found and verified.", limits=LIMITS),
)

Shape = Callable[[Task], Awaitable[Items]]


def tools_of(task: Task) -> tuple[FunctionTool, ...]:
    """The tools of the free loop, over one task's files."""

    @function_tool(version=task.name)
    async def list_files() -> list[str]:
        """The names of all files."""
        return list(task.files)

    @function_tool(version=task.name)
    async def read_file(name: str) -> str:
        """One file."""
        return shown(name, task.files[name])

    return list_files, read_file


async def one_call(task: Task) -> Items:
    """One bare call: everything in one prompt."""
    return await agent(f"{QUESTION}\n\n{task.whole}", role="answerer", output=Items)


async def tool_loop(task: Task) -> Items:
    """One free loop: the model looks at what it wants."""
    return await agent(QUESTION, role="explorer", output=Items)


async def workflow(task: Task) -> Items:
    """Fan out over the files, verify each claim, synthesize."""
    phase("find")
    found = await parallel(
        agent(f"{QUESTION}\n\n{shown(name, text)}", role="finder", output=Items) for name, text in task.files.items()
    )
    claims = sorted(set(chain.from_iterable(one.items for one in found.succeeded())))
    phase("verify")
    judged = await parallel(
        agent(
            f"Somebody says that {claim} makes the service less safe than its comment says. Does that hold?\n\n"
            + "\n".join(shown(name, text) for name, text in task.files.items() if claim.startswith(f"{name}:")),
            role="verifier",
            output=Judged,
        )
        for claim in claims
    )
    kept = [claim for claim, one in zip(claims, judged, strict=True) if one.ok and one.value.holds]
    phase("synthesize")
    return await agent(f"Hand these back, each once: {', '.join(kept) or 'nothing'}.", role="synthesizer", output=Items)


SHAPES: Mapping[str, Shape] = {"one bare call": one_call, "one free tool loop": tool_loop, "the workflow": workflow}


# --- a scripted model -------------------------------------------------------------------------------------------------

_UNSAFE = {"verify_tls": "off", "debug": "on", "bind": "0.0.0.0"}


def scripted(request: Request) -> Good:
    """Answers by a rule written for these very files. It is no model, so it shows no quality."""
    text = "\n".join(message.text for message in request.messages if message.role != "assistant")
    if "read_file" in [tool.name for tool in request.tools] and "===" not in text:
        return _looks(text)
    unsafe = _unsafe_in(text)
    if "Somebody says" in text:
        claim = text.split("Somebody says that ")[1].split(" makes")[0]
        return Answer({"holds": claim in unsafe, "reason": "as the file says"})
    if "Hand these back" in text:
        listed = text.split("each once: ")[1].split(".\n")[0].rstrip(".")
        unsafe = [item for item in listed.split(", ") if ":" in item]
    return Answer({"items": list[Json](unsafe)})


def _looks(text: str) -> Completion:
    names = sorted(set(re.findall(r"\w+\.conf", text.replace("web.conf:timeout", ""))))
    if not names:
        return Completion(calls=(ToolCall("list", "list_files", "{}"),))
    return Completion(calls=tuple(ToolCall(name, "read_file", json.dumps({"name": name})) for name in names))


def _unsafe_in(text: str) -> list[str]:
    found: list[str] = []
    for name, body in re.findall(r"=== (\S+) ===\n((?:(?!===).*\n?)*)", text):
        settings = re.findall(r"^(\w+) = (\S+)$", body, re.MULTILINE)
        found += [f"{name}:{setting}" for setting, value in settings if _UNSAFE.get(setting) == value]
    return found


# --- asking it --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """One task in one shape, once."""

    completed: bool
    quality: float
    spent: Amount


async def tried(shape: Shape, task: Task, answering: Model, limits: Limits) -> Tried:
    """Run one shape on one task, in memory."""
    items: list[str] = []

    async def main() -> None:
        items.extend((await shape(task)).items)

    models = GivenModels(default=answering.name, given={answering.name: answering})
    performers = model_agents(models, *ROLES, tools=tools_of(task))
    ran = await memory_run(main, performers=performers, limits=limits)
    completed = ran.result.kind == "completed"
    if not completed:
        print(f"{task.name}: {ran.result.kind}: {ran.result.reason}", file=sys.stderr)
    return Tried(completed, task.quality(items), ran.result.spent)


async def rows(answering: Model, limits: Limits, repeats: int) -> list[list[str]]:
    """A row for each shape."""
    table: list[list[str]] = []
    for name, shape in SHAPES.items():
        each = [await tried(shape, task, answering, limits) for _ in range(repeats) for task in TASKS]
        table.append([name, *figures(each)])
    return table


def figures(each: Sequence[Tried]) -> Iterator[str]:
    """The columns of one row."""
    spent = Amount.total(one.spent for one in each)

    def mean(*kinds: Dimension) -> float:
        return sum(map(spent.count, kinds)) / len(each)

    yield f"{sum(one.completed for one in each)}/{len(each)}"
    yield f"{statistics.mean(one.quality for one in each):.2f}"
    yield f"{min(one.quality for one in each):.2f}"
    yield f"{mean('model_calls'):.1f}"
    yield f"{mean('input_tokens', 'cached_input_tokens', 'cache_write_tokens'):,.0f}"
    yield f"{mean('output_tokens', 'reasoning_tokens'):,.0f}"
    yield f"{spent.usd / len(each):.6f}"


HEAD = ["shape", "completed", "quality", "worst", "calls", "tokens in", "tokens out", "usd"]


def printed(table: Iterable[Sequence[str]]) -> None:
    """A Markdown table."""
    print(f"| {' | '.join(HEAD)} |")
    print(f"|---|{'--:|' * (len(HEAD) - 1)}")
    for row in table:
        print(f"| {' | '.join(row)} |")


@contextmanager
def answering(options: argparse.Namespace) -> Generator[tuple[Model, Models]]:
    """The model that is asked, and the models to close; told on standard error where it is none."""
    models = Models.of(
        [options.model] if options.model else [],
        prices=read_prices({options.model: options.price}) if options.model and options.price else {},
    )
    no_model = model(FunctionModel(scripted), SCRIPTED, price=NOMINAL)
    one = models.model_for("answerer") if options.model else no_model
    if options.record:
        one = replace(one, client=Cassette(options.record, "record", client=one.client))
    elif options.cassette or not (options.model or options.scripted):
        one = replace(one, client=Cassette(options.cassette or SHIPPED))
    yield one, models


async def main(options: argparse.Namespace) -> None:
    """Ask, and print."""
    limits = Limits.parse({"usd": options.budget}) if options.budget else Limits()
    with answering(options) as (one, models):
        async with models:
            table = await rows(one, limits, options.repeats)
            if options.record:
                await one.client.close()
    print(f"{one.name}, {len(TASKS)} tasks, {options.repeats} repeats\n")
    printed(table)
    if one.name == SCRIPTED:
        print(f"\n{NOTE}")


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="as after `antiphon run --model`; without, the shipped cassette answers")
    parser.add_argument("--price", help="of the model, IN/OUT in usd per million tokens")
    parser.add_argument("--budget", help="usd for each run; none by default")
    parser.add_argument("--repeats", type=int, default=2, help="of every task in every shape")
    parser.add_argument("--cassette", type=Path, help="play this one back, as the model named")
    parser.add_argument("--record", type=Path, help="keep what is answered in this cassette")
    parser.add_argument("--scripted", action="store_true", help="ask the script that made the shipped cassette")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        anyio.run(main, parsed())
    except AntiphonError as error:
        sys.exit(f"{error}\n{error.advice or ''}")
