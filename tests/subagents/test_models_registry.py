"""Which model answers which role, whose client it has, and that clients are shared and closed together."""

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.model import Completion, Models, Price, Request
from antiphon.subagents.model.compatible import CompatibleClient
from antiphon.subagents.model.file_client import FileClient
from antiphon.subagents.model.litellm_client import LitellmClient
from antiphon.subagents.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Closes:
    """A client that says whether it was closed."""

    closed = False

    async def complete(self, request: Request) -> Completion:
        raise AssertionError("it is not asked")

    async def close(self) -> None:
        self.closed = True


def test_the_call_names_a_model_before_the_role_and_the_role_before_all() -> None:
    models = Models.of(["ollama/a", "verifier=ollama/b", "ollama/c"])
    assert models.model_for("worker", None).name == "ollama/c"
    assert models.model_for("verifier", None).name == "ollama/b"
    assert models.model_for("verifier", "ollama/d").name == "ollama/d"


def test_a_name_may_hold_an_equals_sign() -> None:
    name = "openai/m@http://127.0.0.1:1/v1#window=10"
    models = Models.of([name, f"judge={name}1"])
    assert (models.model_for("x").name, models.model_for("judge").can.window) == (name, 101)


def test_without_a_model_the_next_command_is_named() -> None:
    models = Models.of(["judge=ollama/b"])
    assert models.has("judge")
    assert not models.has("worker")
    with pytest.raises(UsageError, match="no model answers the role 'worker'") as raised:
        models.model_for("worker", None)
    assert raised.value.advice
    assert "--model worker=MODEL" in raised.value.advice


@pytest.mark.parametrize("spec", ["antropic/claude-sonnet-4-5", "gpt-nobody-knows"])
def test_an_unknown_provider_is_found_before_anything_is_sent(spec: str) -> None:
    with pytest.raises(UsageError, match="provider") as raised:
        Models.of([spec]).model_for("worker")
    assert raised.value.advice
    assert "anthropic" in raised.value.advice or "openai/gpt-nobody-knows" in raised.value.advice


def test_a_name_that_cannot_be_read_is_found_at_once() -> None:
    with pytest.raises(UsageError):
        Models.of(["judge=openai/m@http://x y"])


def test_the_kind_of_name_decides_the_client_and_clients_are_shared() -> None:
    models = Models.of()
    one, other = models.model_for("w", "openai/gpt-4o"), models.model_for("w", "ollama/llama3")
    assert isinstance(one.client, LitellmClient)
    assert one.client is other.client
    assert isinstance(models.model_for("w", "compatible/m@http://127.0.0.1:1/v1").client, CompatibleClient)
    assert isinstance(models.model_for("w", "file:/tmp/a").client, FileClient)
    assert models.model_for("w", "file:/tmp/a").client is not models.model_for("w", "file:/tmp/b").client
    assert models.model_for("w", "openai/gpt-4o") is one


def test_what_a_model_is_is_known_with_it() -> None:
    model = Models.of(["anthropic/claude-sonnet-4-5"]).model_for("worker")
    assert (model.provider, model.lineage, model.can.tools) == ("anthropic", "claude", True)


def test_a_price_of_the_users_stands_for_the_name_with_and_without_its_address() -> None:
    mine = Price(input="0.1", output="0.2")
    models = Models.of(prices={"openai/m": mine, "openai/gpt-4o": mine})
    assert models.model_for("w", "openai/m@http://127.0.0.1:1/v1").can.price == mine
    assert models.model_for("w", "openai/gpt-4o").can.price == mine
    assert models.model_for("w", "openai/gpt-4o-mini").can.price != mine


def test_ready_clients_stand_for_a_name_or_for_the_longest_prefix() -> None:
    short, long, exact = ScriptedModel([]), ScriptedModel([]), ScriptedModel([])
    models = Models.of(clients={"test/": short, "test/big/": long, "test/big/one": exact})
    found = [models.model_for("w", name).client for name in ("test/a", "test/big/a", "test/big/one")]
    assert found == [short, long, exact]


async def test_clients_made_here_are_closed_and_those_handed_in_are_not() -> None:
    handed = Closes()
    async with Models.of(clients={"test/": handed}) as models:
        assert models.model_for("w", "test/a").client is handed
        made = models.model_for("w", "compatible/m@http://127.0.0.1:1/v1")
    assert not handed.closed
    with pytest.raises(UsageError, match="closed"):
        await made.client.complete(Request(model=made.name, messages=()))
    assert models.model_for("w", made.name).client is not made.client
