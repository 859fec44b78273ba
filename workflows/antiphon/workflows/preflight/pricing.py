"""What one call of a role may come to: the turns and tokens that its file allows, at the price of who answers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from antiphon.engine import UsageError
from antiphon.engine.amount import NANO
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.workflows.preflight.model import NEVER, ONCE, UNKNOWN, Bound

if TYPE_CHECKING:
    from antiphon.subagents.model.contract import Capabilities
    from antiphon.subagents.model.registry import Models

TURNS_WITH_TOOLS: Final = 4
"""Requests that a call with tools is expected to take; one without takes one."""
PROMPT_TOKENS: Final = 1_500
"""Expected tokens of a first prompt: instructions, frames, task, schema."""
TURN_TOKENS: Final = 1_000
"""Expected tokens that each further turn adds to the prompt."""
ANSWER_TOKENS: Final = 400
"""Expected tokens of an answer."""
TURN_SECONDS: Final = 8.0
"""Expected seconds of one turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What something comes to, by dimension; see `Cost`."""

    calls: Bound = NEVER
    model_calls: Bound = NEVER
    tokens: Bound = NEVER
    usd: Bound = NEVER
    seconds: Bound = NEVER


NO_COST: Final = Figures()
NOBODY_KNOWS: Final = Figures(calls=UNKNOWN, model_calls=UNKNOWN, tokens=UNKNOWN, usd=UNKNOWN, seconds=UNKNOWN)


@dataclass(frozen=True, slots=True)
class Role:
    """One role, as far as it is known what asking it costs.

    Attributes:
        figures: of one call. priced: whether its price is known, or it costs nothing.
    """

    figures: Figures
    priced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """Knows what one call of each role may come to.

    Attributes:
        definitions: of the roles that a role file describes. functions: those that the script defines itself, with
            what each is expected to cost, and whether it may cost more.
        models: who answers; None where nobody said. named: by the manifest, by role.
    """

    definitions: Mapping[str, RoleDefinition] = field(default_factory=dict[str, RoleDefinition])
    functions: Mapping[str, Figures] = field(default_factory=dict[str, Figures])
    models: Models | None = None
    named: Mapping[str, str] = field(default_factory=dict[str, str])

    def roles(self) -> Iterator[str]:
        """Every role that is known."""
        yield from dict.fromkeys((*self.functions, *self.definitions))

    def role(self, name: str, model: str = "") -> Role:
        """One call of a role.

        Args:
            name: the role's.
            model: which model the call names; "" for the role's own.
        """
        if name in self.functions:
            return Role(self.functions[name])
        definition = self.definitions.get(name)
        if definition is None:
            return Role(Figures(calls=ONCE, model_calls=UNKNOWN, tokens=UNKNOWN, usd=UNKNOWN, seconds=UNKNOWN), False)
        can = self._can(name, model, self.named.get(name) or definition.model)
        if definition.escalate is None:
            return _capped(definition, _call(definition, can))
        stronger = _call(definition, self._can(name, definition.escalate, None))
        return _capped(definition, _besides(_call(definition, can), stronger))

    def answering(self, name: str) -> str | None:
        """The model that answers a role; None where nobody said which."""
        asked = None if self.models is None else self.models.roles.get(name) or self.models.default
        definition = self.definitions.get(name)
        return asked or self.named.get(name) or (definition.model if definition is not None else None)

    def _can(self, role: str, named: str, own: str | None) -> Capabilities | None:
        """What is known of the model that answers: named by the call, by a person, or by the role's own file."""
        from antiphon.subagents.model.catalogue import capabilities

        asked = None if self.models is None else self.models.roles.get(role) or self.models.default
        name = named or asked or own
        if name is None:
            return None
        try:
            return capabilities(name) if self.models is None else self.models.model_for(role, name).can
        except (UsageError, OSError):
            return None


def _call(definition: RoleDefinition, can: Capabilities | None) -> Role:
    """One conversation: as it usually goes, and with every turn that it may take."""
    most = definition.limits
    turns = min(TURNS_WITH_TOOLS if definition.tools else 1, most.turns)
    read = sum(PROMPT_TOKENS + TURN_TOKENS * turn for turn in range(turns))
    written = min(ANSWER_TOKENS, most.max_tokens) * turns
    window = None if can is None else can.window
    tokens = Bound(expected=read + written, worst=None if window is None else most.turns * (window + most.max_tokens))
    usd, priced = _usd(definition, can, turns)
    figures = Figures(
        calls=ONCE,
        model_calls=Bound(expected=turns, worst=most.turns),
        tokens=tokens,
        usd=usd,
        seconds=Bound(expected=TURN_SECONDS * turns, worst=None),
    )
    return Role(figures, priced)


def _usd(definition: RoleDefinition, can: Capabilities | None, turns: int) -> tuple[Bound, bool]:
    """Money of one conversation, and whether the price is known."""
    from antiphon.subagents.model.contract import Usage
    from antiphon.subagents.model.price import cost, reachable

    if can is None or can.price is None:
        return UNKNOWN, False
    price, most = can.price, definition.limits
    written = min(ANSWER_TOKENS, most.max_tokens)
    usual = sum(cost(price, Usage(input=PROMPT_TOKENS + TURN_TOKENS * turn, output=written)) for turn in range(turns))
    if can.window is None:
        free = all(rates.dearest_input == rates.dearest_output == 0 for rates in reachable(price, 1 << 40))
        return Bound(expected=usual / NANO, worst=0 if free else None), True
    dearest = max(rates.most(can.window, most.max_tokens) for rates in reachable(price, can.window))
    return Bound(expected=usual / NANO, worst=most.turns * dearest / NANO), True


def _besides(one: Role, stronger: Role) -> Role:
    """A conversation, and one with a stronger model where the first gives up."""
    rarely = {
        name: Bound(expected=0, worst=getattr(stronger.figures, name).worst)
        for name in ("model_calls", "tokens", "usd", "seconds")
    }
    summed = {name: getattr(one.figures, name) + bound for name, bound in rarely.items()}
    return Role(Figures(calls=ONCE, **summed), one.priced and stronger.priced)


def _capped(definition: RoleDefinition, role: Role) -> Role:
    """Within the budget of the role's own file."""
    budget = definition.limits.budget
    if budget is None:
        return role
    most = {name: float(value) for name, value in budget.to_json().items()}
    return Role(within(role.figures, most), role.priced)


TOKEN_LIMITS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""The classes of tokens; only all of them together limit tokens."""


def ceilings(limits: Mapping[str, float | None]) -> dict[str, tuple[float, str]]:
    """What limits come to for the dimensions of a cost: the most, and the limit's name.

    Args:
        limits: by name; None for one that is computed, which bounds by a number that nobody knows here.
    """
    found: dict[str, tuple[float, str]] = {}
    for dimension, name in (
        ("calls", "agent_calls"),
        ("model_calls", "model_calls"),
        ("usd", "usd"),
        ("seconds", "wall_seconds"),
    ):
        amount = limits.get(name)
        if amount is not None:
            found[dimension] = amount, name
    classes = [amount for name in TOKEN_LIMITS if (amount := limits.get(name)) is not None]
    if len(classes) == len(TOKEN_LIMITS):
        found["tokens"] = sum(classes), "tokens"
    return found


def within(figures: Figures, limits: Mapping[str, float | None]) -> Figures:
    """Figures, held to limits."""
    capped = {name: getattr(figures, name).capped(most) for name, (most, _) in ceilings(limits).items()}
    return Figures(**{name: capped.get(name, getattr(figures, name)) for name in Figures.__dataclass_fields__})
