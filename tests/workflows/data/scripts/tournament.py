"""A tournament: pairs are judged, winners go on, until one is left. Recursion in place of a loop."""

from antiphon.workflows.script import choose, parallel, phase

manifest = {"name": "tournament", "phases": ["rounds"], "roles": ["judge"]}

ENTRIES = ["ant", "bee", "cat", "dog", "elk"]


async def duel(pair):
    if len(pair) == 1:
        return pair[0]
    return await choose("Which of the two is better?", pair)


async def champion(entries, depth=0):
    if len(entries) == 1:
        return {"winner": entries[0], "rounds": depth}
    pairs = [entries[n : n + 2] for n in range(0, len(entries), 2)]
    winners = await parallel([duel(pair) for pair in pairs])
    return await champion(winners.succeeded(), depth + 1)


async def main(entries: list[str] = ENTRIES):
    phase("rounds")
    return await champion(entries)
