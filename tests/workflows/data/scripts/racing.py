"""The first answer wins, and the rest is cancelled; an `until` cuts off what is no longer needed."""

from antiphon.workflows.script import CallFailed, agent, parallel, race

manifest = {"name": "racing", "roles": ["worker", "quick", "slow", "broken"]}


async def tidy(task):
    try:
        return await agent(task, role="slow")
    finally:
        pass


def enough(outcomes):
    return sum(outcome.ok for outcome in outcomes) >= 2


async def main():
    first = await race([tidy("never"), agent("first after 2", role="quick"), agent("also never", role="slow")])
    some = await parallel(
        [agent("one", role="worker"), agent("two after 4", role="quick"), tidy("three"), tidy("four")], until=enough
    )
    try:
        await race([agent("a", role="broken"), agent("b", role="broken")])
        lost = ""
    except CallFailed as error:
        lost = str(error)
    return {"first": first, "some": some.succeeded(), "kinds": [outcome.kind for outcome in some], "lost": lost}
