"""Typed output: a pydantic model crosses the boundary; what does not fit is Failed(schema), with the text kept.

antiphon run examples/typed_output.py --arg 'words=["tide","moss","?"]'
"""

from pydantic import BaseModel, Field

from antiphon.workflows.script import CallContext, agent, function_agent, parallel

manifest = {"name": "typed-output", "roles": ["measurer"]}


class Measured(BaseModel):
    """What a measurer gives."""

    word: str
    letters: int = Field(ge=1)


@function_agent("measurer")
async def measurer(task: str, ctx: CallContext) -> dict[str, object]:
    """Returns plain JSON, as a model or a program would."""
    return {"word": task, "letters": sum(character.isalnum() for character in task)}


async def main(words: tuple[str, ...] = ("tide", "moss")) -> dict[str, object]:
    """The script gets instances of the model."""
    found = await parallel(agent(word, role="measurer", output=Measured) for word in words)
    longest = max(found.succeeded(), key=lambda measured: measured.letters)
    return {"longest": longest.word, "failed": [outcome.reason for outcome in found.failed()]}
