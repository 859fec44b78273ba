"""Which model answers which role, and the one client behind each: `--model M`, `--model ROLE=M`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

import anyio

from antiphon.engine import UsageError
from antiphon.subagents.model.catalogue import capabilities, lineage_of, provider_of
from antiphon.subagents.model.contract import Model, ModelClient, Price
from antiphon.subagents.model.naming import taken_apart
from antiphon.subagents.model.providers import check_provider

ROLE = re.compile(r"^([A-Za-z][A-Za-z0-9_-]*)=(.+)$", re.DOTALL)
CLOSING_SECONDS = 10.0


@dataclass(slots=True)
class Models:
    """The models of one run. Clients are made on first use, shared, and closed together.

    ::

        async with Models.of(["ollama/llama3", "verifier=anthropic/claude-sonnet-4-5"]) as models:
            model = models.model_for("verifier", None)

    Attributes:
        default: the model of every role that has none of its own; None for none.
        roles: models by role. prices: what the user says models cost, by name.
        clients: ready clients by a model's name, or by a prefix of names that ends in ``/`` or ``:``.
    """

    default: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    clients: Mapping[str, ModelClient] = field(default_factory=dict[str, ModelClient])
    _made: dict[str, ModelClient] = field(default_factory=dict[str, ModelClient], repr=False)
    _models: dict[str, Model] = field(default_factory=dict[str, Model], repr=False)

    @classmethod
    def of(
        cls,
        specs: Sequence[str] = (),
        *,
        prices: Mapping[str, Price] | None = None,
        clients: Mapping[str, ModelClient] | None = None,
    ) -> Models:
        """The models that were typed, each as ``M`` for all roles or ``ROLE=M`` for one; the later one wins.

        Raises:
            UsageError: a name cannot be read.
        """
        default: str | None = None
        roles: dict[str, str] = {}
        for spec in specs:
            hit = ROLE.match(spec)
            taken_apart(hit[2] if hit else spec)
            if hit:
                roles[hit[1]] = hit[2]
            else:
                default = spec
        return cls(default, roles, dict(prices or {}), dict(clients or {}))

    def model_for(self, role: str, named: str | None = None) -> Model:
        """The model that answers `role`: the one named by the call, else the role's own, else the one for all.

        Raises:
            UsageError: there is none, or its name cannot be read.
        """
        name = named or self.roles.get(role) or self.default
        if name is None:
            advice = f"name one: --model MODEL, or --model {role}=MODEL; ollama/llama3 and file:DIR need no key"
            raise UsageError(f"no model answers the role {role!r}", advice=advice)
        if name not in self._models:
            self._models[name] = self._model(name)
        return self._models[name]

    def has(self, role: str) -> bool:
        """Whether a model answers this role without a call naming one."""
        return role in self.roles or self.default is not None

    async def close(self) -> None:
        """Close every client made here; clients that were handed in stay their owner's."""
        made, self._made = self._made, {}
        self._models.clear()
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            async with anyio.create_task_group() as closing:
                for client in made.values():
                    closing.start_soon(client.close)

    async def __aenter__(self) -> Models:
        """The models themselves."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Close every client."""
        await self.close()

    def _model(self, name: str) -> Model:
        can = capabilities(name)
        if price := self._said_price(name):
            can = replace(can, price=price)
        return Model(
            name=name, client=self._client(name), can=can, provider=provider_of(name), lineage=lineage_of(name)
        )

    def _said_price(self, name: str) -> Price | None:
        """What the user says it costs: by the whole name, or by the name without its address."""
        return self.prices.get(name) or self.prices.get(taken_apart(name).full)

    def _client(self, name: str) -> ModelClient:
        if name in self.clients:
            return self.clients[name]
        prefixes = [key for key in self.clients if key.endswith(("/", ":")) and name.startswith(key)]
        if prefixes:
            return self.clients[max(prefixes, key=len)]
        parts = taken_apart(name)
        provider = parts.provider
        kind = provider if provider in {"file", "compatible"} else "litellm"
        if kind == "litellm":
            check_provider(parts)
        key = name if kind == "file" else kind
        if key not in self._made:
            self._made[key] = _new_client(kind, name)
        return self._made[key]


def _new_client(kind: str, name: str) -> ModelClient:
    # Imported here, so that who never asks a model pays for none of them.
    if kind == "file":
        from antiphon.subagents.model.file_client import FileClient

        return FileClient(taken_apart(name).name)
    if kind == "compatible":
        from antiphon.subagents.model.compatible import CompatibleClient

        return CompatibleClient()
    from antiphon.subagents.model.litellm_client import LitellmClient

    return LitellmClient()
