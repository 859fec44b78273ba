"""A fan-out of many leaves, and one of as many coroutines."""

from antiphon.workflows.script import agent, parallel

manifest = {"name": "wide", "roles": ["worker"]}


async def shouted(number):
    return (await agent(f"coroutine {number}", role="worker")).upper()


async def main(width: int = 20, deep: bool = True):
    leaves = await parallel(agent(f"leaf {number}", role="worker") for number in range(width))
    inner = await parallel([shouted(number) for number in range(width)]) if deep else []
    return [len(leaves.succeeded()), len([outcome for outcome in inner if outcome.ok])]
