"""Binds an audit to its models: who answers, with what roles, and what that is going to cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from antiphon.engine import Limits, UsageError
from antiphon.subagents.answers import Recording
from antiphon.subagents.function import Role
from antiphon.subagents.model.contract import ModelClient, Price
from antiphon.subagents.model.prices_of_user import parse_price
from antiphon.subagents.model.rates import Rates, read_rates
from antiphon.subagents.model.registry import Models
from antiphon.subagents.prompt.retrieval import Retrieval
from antiphon.subagents.records import Actor
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.roles.library import Roles
from antiphon.workflows.audit.models import judging, sweeps, workflow
from antiphon.workflows.audit.models.agents import AROUND_TOKENS, CodeAgent, Make, code_around, files_covered
from antiphon.workflows.audit.models.bounds import bounds
from antiphon.workflows.audit.models.dividing import AUDITOR, VERIFIER, Divider, Room, about_tokens, audited, divide
from antiphon.workflows.audit.models.projection import Asks, Projection, project
from antiphon.workflows.audit.models.words import DEFAULT_LENSES, LENSES
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import Survey
from antiphon.workflows.loading import Loaded
from antiphon.workflows.synthesis import Synthesis

if TYPE_CHECKING:
    from antiphon.workflows.audit.launch import Asked

_PROMPT_AND_ANSWER_TOKENS: Final = 8_000
"""What a model's window must hold besides the code."""
_BESIDES: Final = 2
"""Subagents of every audit with models: the surveyor and the divider."""
_OWN_ROLES: Final = (
    "The tree's own files for the roles auditor and verifier were not used, since what is audited does not say how; "
    "--project-roles lets them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The models of one audit.

    Attributes:
        models: who answers; closed when the audit is over. roles: the model agents and the divider, by name.
        limits: what the person lets the run use. projection: what it is likely to use.
        actors: by check, such as "auditor/security": who does it. notes: what the report must say of them.
    """

    models: Models
    roles: Mapping[str, Role]
    limits: Limits
    projection: Projection
    actors: Mapping[str, Actor]
    notes: tuple[str, ...] = ()

    @property
    def script(self) -> Path:
        """The workflow of an audit with models."""
        return Path(workflow.__file__)

    def bounded(self, loaded: Loaded) -> Loaded:
        """The workflow within what the person lets it use."""
        limits = loaded.manifest.limits.narrowed_by(self.limits)
        return replace(loaded, manifest=loaded.manifest.model_copy(update={"limits": limits}))

    def told(self, state: Mapping[str, object], found: Synthesis) -> tuple[str, ...]:
        """What the report says of the models' work.

        Args:
            state: the run's own.
            found: what the run came to.
        """
        claims, verdicts = list(found.claims.values()), list(found.verdicts.values())
        judged = judging.sentences(claims, verdicts)
        escalated = judging.escalations(claims, verdicts, dict(self.projection.models))
        return (*sweeps.sentences(state.get(sweeps.STATE)), *judged, *escalated, *self.notes)


def team(
    asked: Asked,
    survey: Survey,
    *,
    analysers: int,
    clients: Mapping[str, ModelClient] | None = None,
    make: Make | None = None,
) -> Team:
    """Bind an audit to its models.

    Args:
        asked: by the person.
        survey: what there is to look at.
        analysers: how many subagents there will be that ask no model.
        clients: ready clients of models, by name or prefix.
        make: makes a model agent; by default one that asks its model.

    Raises:
        UsageError: a lens that models have no question for, a role without a model, or limits that cannot be read.
    """
    library, notes = _library(asked, survey.root)
    prices: dict[str, Price] = dict(parse_price(text) for text in asked.prices)
    models = Models.of(asked.models, prices=prices, clients=clients)
    _check_roles(models)
    auditor, verifier = _definition(library, models, AUDITOR), _definition(library, models, VERIFIER)
    asks = {role.name: Asks(role, models.model_for(role.name, role.model)) for role in (auditor, verifier)}
    made = make or _asking(models, read_rates(asked.rates))
    room = _room(Room(), asks[AUDITOR].model.can.window)
    lenses = _lenses(asked.lenses)
    sources = Sources.of(survey)
    stronger = {role.name: role.escalate for role in (auditor, verifier) if role.escalate}
    asking = divide(survey, lenses, room)
    sizes = {file.unit: about_tokens(file) for file in audited(survey)}
    prompts = [sum(sizes[unit] for unit in one.units) for one in asking]
    agents: dict[str, Role] = {
        AUDITOR: CodeAgent(auditor, sources, made, files_covered, sizes),
        VERIFIER: CodeAgent(verifier, sources, made, code_around, sizes, AROUND_TOKENS),
        "divider": Divider(survey, lenses, room, stronger),
    }
    projection = project(
        prompts,
        files=len({unit for one in asking for unit in one.units}),
        sweeps=asked.sweeps or sweeps.MOST,
        analysers=analysers,
        auditor=asks[AUDITOR],
        verifier=asks[VERIFIER],
        stronger=[Asks(asks[role].definition, models.model_for(role, name)) for role, name in stronger.items()],
    )
    limits = bounds(asked.budget, asked.max_agents, asked.deadline_seconds)
    _check(asked, limits, projection)
    actors = {f"{AUDITOR}/{lens}": Actor(tool=AUDITOR, version=asks[AUDITOR].model.name, lens=lens) for lens in lenses}
    return Team(models=models, roles=agents, limits=limits, projection=projection, actors=actors, notes=notes)


def _check_roles(models: Models) -> None:
    """A role that is mistyped would leave the real one to another model, unnoticed."""
    for name in models.roles:
        if name not in (AUDITOR, VERIFIER):
            advice = f"--model {AUDITOR}=MODEL, --model {VERIFIER}=MODEL, or --model MODEL for both"
            raise UsageError(f"an audit asks no model in the role {name!r}", advice=advice)


def _definition(library: Roles, models: Models, name: str) -> RoleDefinition:
    """A role of the library; what the person named goes before its own model.

    It is given no tools here: all that it may look at is in its prompt.
    """
    found = library.role(name)
    own = None if models.has(name) else found.model
    return found.model_copy(update={"model": own, "tools": ()})


def _asking(models: Models, rates: Mapping[str, Rates]) -> Make:
    from antiphon.subagents.loop.agent import ModelAgent
    from antiphon.subagents.model.sending import Sender

    sender = Sender(rates=rates)

    def make(definition: RoleDefinition, retrieval: Retrieval, recording: Recording) -> Role:
        return ModelAgent(definition, models, sender, retrieval=retrieval, after=recording)

    return make


def _library(asked: Asked, root: Path) -> tuple[Roles, tuple[str, ...]]:
    """The project's roles; the built-in ones where the project is what is audited: it must not silence its auditors."""
    folder = Path(asked.roles).resolve() if asked.roles else None
    here = Roles(folder)
    if asked.project_roles or folder is None or not (folder.is_relative_to(root) or root.is_relative_to(folder)):
        return here, ()
    sources = {entry.name: entry.source for entry in here.listed()}
    said = any(sources[name] != "built in" for name in (AUDITOR, VERIFIER))
    return Roles(None), (_OWN_ROLES,) if said else ()


def _room(room: Room, window: int | None) -> Room:
    """No more than the model's window holds."""
    if window is None:
        return room
    holds = max(1, window - _PROMPT_AND_ANSWER_TOKENS)
    return replace(room, shard=min(room.shard, holds), file=min(room.file, holds))


def _lenses(asked: Sequence[str]) -> tuple[str, ...]:
    return tuple(lens for lens in LENSES if lens in (asked or DEFAULT_LENSES))


def _check(asked: Asked, limits: Limits, projection: Projection) -> None:
    """Refuse at once what could only end with nothing looked at by any model."""
    least = _BESIDES + projection.analysers + projection.prompts
    if limits.agent_calls is not None and limits.agent_calls < least:
        raise UsageError(
            f"--max-agents {limits.agent_calls} counts all subagents, and one sweep takes {least}: "
            f"{projection.analysers} analysers', {projection.prompts} auditors', and {_BESIDES} that cut the work up",
            advice=f"--max-agents {least + 3 * projection.prompts}, or fewer lenses: --lens security",
        )
    if limits.usd is not None and projection.unpriced:
        raise UsageError(
            f"a budget in usd cannot be kept: the price of {projection.unpriced[0]} is not known",
            advice=f"--price {projection.unpriced[0]}=IN/OUT, in usd per million tokens",
        )
