"""The full language: generators, context managers, counters, walrus, regular expressions, an asynchronous source."""

import itertools
import re
from collections import Counter, defaultdict
from contextlib import contextmanager
from functools import partial, reduce

from antiphon.workflows.script import agent, log, now, parallel, phase, random

manifest = {"name": "generators", "phases": ["batches", "stream"], "roles": ["worker"]}

WORDS = ["b1", "a2", "c3", "a4", "b5"]


def batches(items, size):
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


@contextmanager
def told(title):
    log(f"{title} begins")
    try:
        yield title
    finally:
        log(f"{title} ends")


class Source:
    def __init__(self, words):
        self.words = list(words)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.words:
            raise StopAsyncIteration
        return agent(self.words.pop(0), role="worker")


async def main(words: list[str] = WORDS):
    counts, grouped = Counter(word[0] for word in words), defaultdict(list)
    for word in words:
        grouped[re.sub(r"\d", "", word)].append(word)
    out = []
    for number, batch in enumerate(batches(sorted(words), 2)):
        phase("batches")
        with told(f"batch {number}"):
            answers = await parallel(map(partial(agent, role="worker"), batch))
            out.append(answers.succeeded())
    phase("stream")
    streamed = await parallel(Source(words), concurrency=2)
    del out[1:2]
    return {
        "counts": dict(sorted(counts.items())),
        "grouped": {**grouped},
        "out": out,
        "streamed": streamed.succeeded(),
        "longest": reduce(lambda a, b: a if len(a) >= len(b) else b, words),
        "random": 0 <= random() < 1,
        "year": now().year > 2000,
    }
