"""The first of many that share a prefix goes ahead, and however it ends, the others follow."""

from collections.abc import Callable

import anyio
import pytest

from antiphon.engine import InfrastructureError, Limits, Run, Settings
from antiphon.engine.retry import RetryPolicy
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import Turnstile, memory_run
from antiphon.subagents.loop.agent import ModelAgent
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Request, Usage
from antiphon.subagents.model.registry import Models
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.prompt import Warm, WarmModels, prefix_of, warmed
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing import FREE, performers_of

pytestmark = pytest.mark.anyio


class Gated:
    """A client whose answers a test lets through, by the text of the task."""

    def __init__(self, failing: str = "") -> None:
        self.turnstile = Turnstile()
        self.closed = False
        self._failing = failing

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        task = request.messages[-1].text
        await self.turnstile.go_through(task)
        if task == self._failing:
            raise InfrastructureError("network", "gone")
        return Completion(text=task, usage=Usage(input=1, output=1))

    async def close(self) -> None:
        """See `ModelClient`."""
        self.closed = True


def request(task: str, *, frame: str = "shared", cached: bool = True) -> Request:
    """A first request of a conversation."""
    system = Message(role="system", text="be")
    return Request(
        model="test/m",
        messages=(system, Message(role="user", text=frame, cached=cached), Message(role="user", text=task)),
    )


def model(client: Gated, *, caching: bool = True, most_wait_seconds: float | None = None) -> Model:
    """A model of that client, its first requests going ahead."""
    bare = Model(
        name="test/m",
        client=client,
        can=Capabilities(schema=True, tools=True, caching=caching, price=FREE),
        provider="test",
        lineage="test",
    )
    return warmed(bare, Warm(most_wait_seconds))


async def until(ready: Callable[[], bool]) -> None:
    """Let the others work until something is so."""
    while not ready():
        await anyio.lowlevel.checkpoint()


async def settled() -> None:
    """Let everybody who can go on do so."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


async def test_exactly_one_is_in_flight_until_it_answers() -> None:
    client = Gated()
    asked = model(client)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(asked.client.complete, request(f"{number}"))
        await client.turnstile.wait_for(1)
        await settled()
        [first] = client.turnstile.arrived
        client.turnstile.let(first)
        await client.turnstile.wait_for(20)
        client.turnstile.open()
    assert len(client.turnstile.passed) == 20
    assert client.turnstile.most_inside >= 19


async def test_a_first_that_fails_lets_the_others_go() -> None:
    client = Gated(failing="0")
    asked = model(client)
    failures: list[InfrastructureError] = []

    async def ask(task: str) -> None:
        try:
            await asked.client.complete(request(task))
        except InfrastructureError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "0")
        await client.turnstile.wait_for(1)
        for number in range(1, 5):
            tasks.start_soon(ask, f"{number}")
        await settled()
        assert client.turnstile.arrived == ["0"]
        client.turnstile.let("0")
        await client.turnstile.wait_for(5)
        client.turnstile.open()
    assert len(failures) == 1


async def test_a_first_that_is_cancelled_lets_the_others_go() -> None:
    client = Gated()
    asked = model(client)
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:

            async def beside() -> None:
                await client.turnstile.wait_for(1)
                tasks.start_soon(asked.client.complete, request("2"))
                await settled()
                assert client.turnstile.arrived == ["1"]
                first.cancel()

            tasks.start_soon(beside)
            await asked.client.complete(request("1"))
        await client.turnstile.wait_for(2)
        client.turnstile.open()
    assert client.turnstile.passed == ["2"]


async def test_one_that_waits_may_be_cancelled_and_the_rest_follow() -> None:
    client = Gated()
    asked = model(client)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked.client.complete, request("1"))
        await client.turnstile.wait_for(1)
        with anyio.CancelScope() as waiting:
            waiting.cancel()
            await asked.client.complete(request("2"))
        client.turnstile.let("1", "3")
        await asked.client.complete(request("3"))
    assert client.turnstile.passed == ["1", "3"]


async def test_other_prefixes_and_requests_without_a_marker_do_not_wait() -> None:
    client = Gated()
    asked = model(client)
    others = [request("other", frame="else"), request("bare", cached=False), request("bare too", cached=False)]
    async with anyio.create_task_group() as tasks:
        for one in (request("first"), *others):
            tasks.start_soon(asked.client.complete, one)
        await client.turnstile.wait_for(4)
        client.turnstile.open()
    assert len(client.turnstile.passed) == 4


async def test_nobody_waits_longer_than_was_said() -> None:
    client = Gated()
    asked = model(client, most_wait_seconds=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked.client.complete, request("hangs"))
        tasks.start_soon(asked.client.complete, request("goes on"))
        await client.turnstile.wait_for(2)
        client.turnstile.open()
    assert len(client.turnstile.passed) == 2


async def test_a_model_whose_provider_caches_nothing_is_left_as_it_is() -> None:
    client = Gated()
    assert model(client, caching=False).client is client
    await model(client).client.close()
    assert client.closed


async def test_all_models_of_a_run_can_be_warm() -> None:
    client = Gated()
    names = ["anthropic/claude-sonnet-4-5", "openai/gpt-4o"]
    models = WarmModels.of(names[:1], clients=dict.fromkeys(names, client))
    assert models.model_for("any", names[1]).client is client  # takes no markers
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(models.model_for(f"role {number}").client.complete, request(f"{number}"))
        await client.turnstile.wait_for(1)
        await settled()
        assert len(client.turnstile.arrived) == 1
        client.turnstile.open()
    assert len(client.turnstile.passed) == 5


def test_the_prefix_is_what_siblings_share() -> None:
    assert prefix_of(request("a")) == prefix_of(request("b")) != prefix_of(request("a", frame="else"))
    assert prefix_of(request("a", cached=False)) == ""
    first = request("a")
    marked = Message(role="user", text="a", cached=True)
    assert prefix_of(Request(model="test/m", messages=(*first.messages[:-1], marked))) == prefix_of(first)
    other = Request(model="test/other", messages=first.messages)
    assert prefix_of(other) != prefix_of(first)


class Only(Models):
    """One model for everybody."""

    def __init__(self, only: Model) -> None:
        super().__init__(only.name)
        self._only = only

    def model_for(self, role: str, named: str | None = None) -> Model:
        """See `Models.model_for`."""
        return self._only


@pytest.mark.parametrize("permits", [1, 3, 64])
@pytest.mark.parametrize("failing", ["", "task 0"])
async def test_a_fan_out_of_agents_sends_one_request_until_the_first_is_over(permits: int, failing: str) -> None:
    """With any number of permits and a budget that is just enough: the first has both before it goes ahead."""
    client = Gated(failing)
    worker = RoleDefinition(name="worker", instructions="Work.")
    reader = ModelAgent(worker, Only(model(client)), Sender(policy=RetryPolicy(attempts=1)))

    async def main() -> object:
        found = await parallel([agent(f"task {n}") for n in range(8)], context=["shared"])
        return [outcome.value if outcome.ok else outcome.kind for outcome in found]

    async def beside(_: Run) -> None:
        await client.turnstile.wait_for(1)
        await settled()
        assert len(client.turnstile.arrived) == 1
        client.turnstile.open()

    ran = await memory_run(
        main,
        performers=performers_of(reader),
        limits=Limits(model_calls=8),
        settings=Settings(attempts=permits),
        beside=beside,
    )
    expected = ["failed" if f"task {n}" == failing else f"task {n}" for n in range(8)]
    assert ran.value == expected
    assert len(client.turnstile.arrived) == 8


@pytest.mark.parametrize("warm", [True, False])
async def test_a_role_says_that_its_first_request_goes_ahead(warm: bool) -> None:
    client = Gated()
    can = Capabilities(schema=True, tools=True, caching=True, price=FREE)
    bare = Model(name="test/m", client=client, can=can, provider="test", lineage="test")
    worker = ModelAgent(RoleDefinition(name="worker", instructions="Work.", warm=warm), Only(bare), Sender())

    async def main() -> object:
        found = await parallel([agent(f"task {n}") for n in range(5)], context=["shared"])
        return [outcome.value for outcome in found]

    async def beside(_: Run) -> None:
        await client.turnstile.wait_for(1 if warm else 2)  # the start is ramped, so not all of them at once
        await settled()
        assert (len(client.turnstile.arrived) == 1) is warm
        client.turnstile.open()

    ran = await memory_run(main, performers=performers_of(worker), beside=beside)
    assert ran.value == [f"task {n}" for n in range(5)]
