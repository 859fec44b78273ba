"""What a person asks of a run that changes code, whatever it is to do: part of its arguments, so that it can resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import TypeAdapter, ValidationError

from antiphon.engine import Limits, UsageError
from antiphon.workflows.audit.models.bounds import bounds
from antiphon.workflows.crafting.quality import Quality
from antiphon.workflows.model_roles import ModelsAsked

if TYPE_CHECKING:
    from antiphon.subagents.model.contract import ModelClient


@dataclass(frozen=True, slots=True, kw_only=True)
class CraftAsked:
    """What `fix` and `build` are both asked.

    Attributes:
        path: the project's folder, absolute. test: the command that runs its tests; "" for the one that is found.
        quality: the bar that work must reach.
        models, prices, rates: who answers, as typed after `--model`, `--price`, `--rate`.
        budget: the most that may be used, such as "5usd". max_agents: subagents at most; 0 for no limit.
        deadline_seconds: of one attempt at the run; 0 for none.
        sandbox: what commands run in; "" for the best there is. roles: the project whose role files hold, or "".
        allow, ask, deny: rules for tools, as typed.
    """

    path: str
    test: str = ""
    quality: Quality = "clean"
    models: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    budget: str = ""
    max_agents: int = 0
    deadline_seconds: float = 0.0
    sandbox: str = ""
    roles: str = ""
    allow: tuple[str, ...] = field(default=())
    ask: tuple[str, ...] = field(default=())
    deny: tuple[str, ...] = field(default=())

    def arguments(self) -> dict[str, Any]:
        """As `main` takes them; what was not asked for is left out."""
        given: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in given.items() if value}

    def limits(self) -> Limits:
        """What the person lets the run use. Raises `TopUpError` for a budget that cannot be read."""
        return bounds(self.budget, self.max_agents, self.deadline_seconds)

    def models_asked(self, clients: Mapping[str, ModelClient] | None = None) -> ModelsAsked:
        """Who answers, as a run takes it.

        Args:
            clients: ready clients of models, by name or prefix, for doubles.
        """
        prices = dict(text.rsplit("=", 1) for text in self.prices if "=" in text)
        return ModelsAsked(
            specs=self.models,
            prices={name.strip(): price.strip() for name, price in prices.items()},
            rates=self.rates,
            folder=Path(self.roles) if self.roles else None,
            clients=dict(clients or {}),
        )

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """The same, read back from a run that may come from anybody.

        Raises:
            UsageError: the arguments are not such.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(arguments))
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise UsageError(f"these are not the arguments of such a run: {problem}") from None
