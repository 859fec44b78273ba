"""Promise 3 for conversations: SIGKILL at thirty instants, and no finished turn is asked of the model again."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.journal import read_journal
from antiphon.subagents.model.contract import Completion, Price, ToolCall
from antiphon.subagents.model.price import cost
from antiphon.subagents.testing import Answer, Asked, Good, LoopbackServer, Served, slow
from antiphon.tracing import Event, read_log, verify_log

pytestmark = pytest.mark.long

ZYGOTE = Path(__file__).parent / "killed" / "model_zygote.py"
PRICE = Price(input="0.000001", output="0.000004")
AGENTS, PAGES = 8, 2
EVENTS, REQUESTS = 150, AGENTS * (PAGES + 1)
VALUE = [n * 7 + PAGES for n in range(AGENTS)]
KILLS, KILLS_A_RUN = 30, 6


class Zygote:
    """The process that forks the children which are killed."""

    def __init__(self) -> None:
        command = [sys.executable, str(ZYGOTE)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._words, self._codes = self._process.stdin, self._process.stdout

    def run(self, backend: str, directory: Path, model: str, kill_at: int = 0) -> int:
        """One child: its exit code, -9 when it was killed before it ended."""
        self._words.write(f"{backend} {directory} {model} {kill_at}\n".encode())
        return int(self._codes.readline())

    def kill(self) -> None:
        """Kill the child that runs."""
        self._words.write(b"kill\n")

    def close(self) -> None:
        """End it."""
        self._words.close()
        self._codes.close()
        self._process.wait(10)


class Provider:
    """A model that leafs through a document; at the request whose number is `deadly` it has its client killed."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote, self.deadly = zygote, 0

    def __call__(self, asked: Asked) -> Good | Served:
        answer = reading(asked)
        if asked.number != self.deadly:
            return answer
        self.zygote.kill()
        return slow(answer, 60)


def reading(asked: Asked) -> Good:
    """The next page, or after the last one the answer."""
    document, page = document_of(asked), turn_of(asked) + 1
    if page <= PAGES:
        return Completion(calls=(ToolCall(f"p{page}", "look_up", json.dumps({"document": document, "page": page})),))
    found = [hit[1] for message in asked.request.messages for hit in re.finditer(r"has (\d+) lines", message.text)]
    return Answer({"lines": int(found[-1])})


def document_of(asked: Asked) -> int:
    """What a conversation is about."""
    return next(int(hit[1]) for one in asked.request.messages if (hit := re.search(r"document (\d+)\?", one.text)))


def turn_of(asked: Asked) -> int:
    """How many answers a conversation has had already."""
    return sum(message.role == "assistant" for message in asked.request.messages)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


def model_of(server: LoopbackServer, form: str) -> str:
    return server.model.replace("openai/", f"{form}/", 1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("form", ["openai", "compatible"])
def test_killed_at_any_instant_no_finished_turn_is_asked_again(
    zygote: Zygote, backend: str, form: str, tmp_path: Path
) -> None:
    """A share of the thirty kills; by events recorded and, in between, by requests that are in flight."""
    rng = random.Random(f"kill {backend} {form}")
    kills = number = 0
    while kills < KILLS // 4 + 1:
        number += 1
        provider = Provider(zygote)
        with LoopbackServer(provider) as server:
            directory = tmp_path / str(number)
            directory.mkdir()
            kills += killed_until_done(zygote, server, provider, (backend, directory, form), rng)


def killed_until_done(
    zygote: Zygote, server: LoopbackServer, provider: Provider, how: tuple[str, Path, str], rng: random.Random
) -> int:
    """One run, killed until it ends by itself: how often."""
    backend, directory, form = how
    mine = 0
    while True:
        sent, done = len(server.tally.asked), finished_turns(directory)
        spared = mine >= KILLS_A_RUN
        kill_at = rng.randrange(1, EVENTS) if not spared and mine % 2 else 0
        provider.deadly = sent + rng.randrange(1, REQUESTS) if not spared and not mine % 2 else 0
        code = zygote.run(backend, directory, model_of(server, form), kill_at)
        check_turns(server.tally.asked[sent:], done)
        check_log(directory, server)
        if code != -signal.SIGKILL:
            assert code == 0
            assert json.loads((directory / "value.json").read_text()) == VALUE
            return mine
        mine += 1


def finished_turns(directory: Path) -> Counter[int]:
    """How many answers of each conversation are in the log; a conversation that ended has all of them."""
    found: Counter[int] = Counter()
    for event in events_of(directory):
        value: Any = event.data.get("value")
        if event.kind == "turn" and value["turn"] == "model":
            found[int(event.path.split("/")[2])] += 1
        if event.kind == "call.ended" and event.data["kind"] == "succeeded":
            found[int(event.path.split("/")[2])] = PAGES + 1
    return found


def check_turns(asked: list[Asked], done: Counter[int]) -> None:
    """Each conversation goes on right after its last finished turn, and asks for every later one once."""
    turns: dict[int, list[int]] = {}
    for one in asked:
        turns.setdefault(document_of(one), []).append(turn_of(one))
    for document, numbers in turns.items():
        assert numbers == list(range(done[document], done[document] + len(numbers))), (document, numbers, done)
        assert numbers[-1] <= PAGES


def check_log(directory: Path, server: LoopbackServer) -> None:
    """The log is whole, and has at least what the provider billed; what was in flight is charged as estimated."""
    events = events_of(directory)
    if not events:
        return
    assert verify_log(directory).ok
    spent = read_journal(events).spent.count("usd")
    # A request that is still being answered is billed later, and an attempt is in the log before it is sent.
    assert sum(cost(PRICE, one.usage) for one in list(server.tally.billed)) <= spent


def events_of(directory: Path) -> list[Event]:
    return list(read_log(directory)) if (directory / "run.db").exists() else []


def test_the_run_that_is_killed_takes_as_many_turns_as_it_should(zygote: Zygote, tmp_path: Path) -> None:
    """A kill suite over a run that does nothing would prove nothing."""
    with LoopbackServer(Provider(zygote)) as server:
        assert zygote.run("asyncio", tmp_path, model_of(server, "compatible")) == 0
    assert json.loads((tmp_path / "value.json").read_text()) == VALUE
    assert len(server.tally.asked) == REQUESTS
    assert finished_turns(tmp_path) == dict.fromkeys(range(AGENTS), PAGES + 1)
    assert len(events_of(tmp_path)) >= EVENTS
