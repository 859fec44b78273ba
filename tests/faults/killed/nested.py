"""The nested workflow of the kill suite."""

import os

from antiphon.workflows.script import Amount, CallContext, agent, function_agent, parallel

manifest = {"name": "inner", "roles": ["worker"]}


@function_agent("worker", floor=Amount(model_calls=1), version="1")
async def worker(task: str, ctx: CallContext) -> str:
    """Costs one model call."""
    async with ctx.attempt(name="fake") as attempt:
        handle = os.open(os.environ["EXECUTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{ctx.path}\n".encode())
        os.close(handle)
        attempt.settle()
    return task


async def main(words: list[str]) -> list[str]:
    """Every word, by an agent."""
    return (await parallel(agent(word, role="worker") for word in words)).succeeded()
