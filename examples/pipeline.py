"""Pipeline: every item goes through every stage with no barrier between; a fast item does not wait for a slow one.

antiphon run examples/pipeline.py
"""

from antiphon.workflows.script import CallContext, Outcomes, agent, function_agent, pipeline

manifest = {"name": "pipeline", "roles": ["drafter", "critic"]}


@function_agent("drafter", output=str)
async def drafter(task: str, ctx: CallContext) -> str:
    """Writes a draft."""
    return f"draft of {task}"


@function_agent("critic", output=str)
async def critic(task: str, ctx: CallContext) -> str:
    """Improves it."""
    return f"{task}, improved"


def draft(topic: str) -> object:
    """A stage takes one value and returns a call, or a value."""
    return agent(topic, role="drafter")


def improve(text: str) -> object:
    """The next stage takes what the one before gave."""
    return agent(text, role="critic")


async def main(topics: tuple[str, ...] = ("tides", "moss")) -> list[str]:
    """Values in the order of the items."""
    done: Outcomes[str] = await pipeline(topics, draft, improve, str.capitalize)
    return done.succeeded()
