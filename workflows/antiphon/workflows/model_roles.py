"""The model roles of one run: which files say what they are, which model answers each, and what all of them share."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from antiphon.engine import UsageError
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.roles.library import Roles
from antiphon.subagents.tools.mcp.asked import check_named, expanded
from antiphon.subagents.tools.mcp.naming import is_mcp_name
from antiphon.subagents.tools.policy import Policy, Scope
from antiphon.tracing import Json
from antiphon.workflows.policy import ToolsAsked, policy_of

if TYPE_CHECKING:
    from antiphon.subagents.function import Role
    from antiphon.subagents.loop.drive import After
    from antiphon.subagents.model.contract import Model, ModelClient
    from antiphon.subagents.model.registry import Models
    from antiphon.subagents.model.sending import Sender
    from antiphon.subagents.tools.contract import Tool
    from antiphon.workflows.manifest import Manifest

EVENT: Final = "models"
"""The event that says with which models a resumed run goes on, where they are others than before."""
EVERYTHING: Final = ("**",)
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsAsked:
    """The models that a person asks a run's roles to be answered by. Part of the run's opened facts.

    Attributes:
        specs: each ``M`` for every role, or ``ROLE=M`` for one; of two for the same, the later one holds.
        prices: by a model's name: ``"IN/OUT"`` in usd per million tokens, or a table (`model.prices_of_user`).
        rates: what providers allow, each ``PROVIDER=500rpm,200000tpm,32`` (`model.rates`).
        folder: the project whose role files are read; None for that of the current folder. Not recorded here: a run's
            opened facts say it, also where no model is asked for.
        clients: ready clients by name or prefix, for tests and doubles; not recorded.
    """

    specs: tuple[str, ...] = ()
    prices: Mapping[str, Json] = field(default_factory=dict[str, Json])
    rates: tuple[str, ...] = ()
    folder: Path | None = None
    clients: Mapping[str, ModelClient] = field(default_factory=dict[str, "ModelClient"], compare=False)

    def then(self, later: ModelsAsked) -> ModelsAsked:
        """These, with what was asked later in their place."""
        specs = {_for(spec): spec for spec in (*self.specs, *later.specs)}
        return ModelsAsked(
            specs=tuple(specs.values()),
            prices={**self.prices, **later.prices},
            rates=tuple(dict.fromkeys((*self.rates, *later.rates))),
            folder=later.folder or self.folder,
            clients={**self.clients, **later.clients},
        )

    def to_json(self) -> dict[str, Json]:
        """As it is in the log; empty where nothing was asked."""
        said: dict[str, Json] = {}
        if self.specs:
            said["specs"] = list[Json](self.specs)
        if self.prices:
            said["prices"] = dict(self.prices)
        if self.rates:
            said["rates"] = list[Json](self.rates)
        return said

    @classmethod
    def of(cls, said: object) -> ModelsAsked:
        """The same, read back from a log that may come from anybody: what is not of the right type is not there."""
        found = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        prices = found.get("prices")
        return cls(
            specs=_texts(found.get("specs")),
            rates=_texts(found.get("rates")),
            prices=cast("dict[str, Json]", prices) if isinstance(prices, dict) else {},
        )


def _texts(said: object) -> tuple[str, ...]:
    given = cast("list[object]", said) if isinstance(said, list) else []
    return tuple(text for text in given[:_MOST] if isinstance(text, str))


def _readable(manifest: Manifest) -> Sequence[str]:
    """What a workflow may read: everything, where it says nothing of that."""
    return manifest.scope.read if "read" in manifest.scope.model_fields_set else EVERYTHING


def _for(spec: str) -> str:
    """What a spec is for: a role's name, or "" for every role."""
    from antiphon.subagents.model.registry import ROLE

    hit = ROLE.match(spec)
    return hit[1] if hit else ""


class ModelRoles:
    """Makes the model agents of one run, which share its models and what they send requests with.

    Nothing of a model is imported before the first role is asked for. An async context manager: leaving it closes
    every client, also after an error or Ctrl-C.

    Args:
        asked: by the person.
        tools: what roles may name; by default every tool that a run has, for the project's folder.
        project: the folder that workspaces are made of; by default that of the role files.
        tests: the command line that runs its tests; "" for what is found.
        held: what a person and the project ask of tools.
        servers: names of the MCP servers whose tools `connect` will bring.
        changed: whether a resumed run goes on with other models than before, which is then recorded.
        library: the roles that there are; by default those of the folder that was asked for.
    """

    def __init__(
        self,
        asked: ModelsAsked | None = None,
        *,
        tools: Mapping[str, Tool] | None = None,
        project: Path | None = None,
        tests: str = "",
        held: ToolsAsked | None = None,
        servers: Sequence[str] = (),
        changed: bool = False,
        library: Roles | None = None,
    ) -> None:
        self.asked, self.changed = asked or ModelsAsked(), changed
        self.library = library or (Roles(self.asked.folder) if self.asked.folder else Roles.here())
        self.project = project or self.library.folder or Path.cwd()
        self._tests, self._held, self._servers = tests, held or ToolsAsked(), tuple(servers)
        self._tools = None if tools is None else dict(tools)
        self._connected: dict[str, Tool] = {}
        self._models: Models | None = None
        self._sender: Sender | None = None

    @property
    def models(self) -> Models:
        """The run's models. Raises `UsageError` when what was asked cannot be read."""
        if self._models is None:
            self._models = models_of(self.asked)
        return self._models

    @property
    def tools(self) -> dict[str, Tool]:
        """What roles may name."""
        if self._tools is None:
            from antiphon.workflows.toolset import toolset

            self._tools = toolset(self.project, tests=self._tests)
        return {**self._tools, **self._connected}

    def connect(self, tools: Mapping[str, Tool]) -> None:
        """Take the tools of the run's MCP servers, once those are there."""
        self._connected = dict(tools)

    @property
    def sender(self) -> Sender:
        """What the run's requests are sent with."""
        if self._sender is None:
            from antiphon.subagents.model.rates import read_rates
            from antiphon.subagents.model.sending import Sender

            self._sender = Sender(rates=read_rates(self.asked.rates))
        return self._sender

    def said(self) -> list[str]:
        """A line for each provider that is asked, for a person; see `Sender.said`."""
        return self._sender.said() if self._sender is not None else []

    def agents(self, manifest: Manifest, defined: Mapping[str, Role], around: Sequence[Scope] = ()) -> dict[str, Role]:
        """The model agents of a workflow: a role that its manifest declares and its file does not define.

        Args:
            manifest: what the workflow declares.
            defined: the roles that its file defines.
            around: what the workflows around it say that their calls may touch.

        Raises:
            UsageError: a role's file is bad, or it names a tool that there is not.
        """
        names = [name for name in manifest.roles if name not in defined]
        policy = policy_of(manifest, self._held)
        for scope in around:
            policy = policy.within(scope)
        return {name: self._of_workflow(name, manifest, policy) for name in names}

    def _of_workflow(self, name: str, manifest: Manifest, policy: Policy) -> Role:
        # Built-in roles cannot know what servers there are: whoever names one means it for all, if the scope lets them.
        more = [name for name, tool in self._connected.items() if policy.offers(tool)]
        return self.agent(name, model=manifest.models.get(name), scope=_readable(manifest), policy=policy, more=more)

    def agent(
        self,
        name: str,
        *,
        model: str | None = None,
        scope: Sequence[str] = EVERYTHING,
        after: After | None = None,
        policy: Policy | None = None,
        more: Sequence[str] = (),
    ) -> Role:
        """The model agent of a role.

        Args:
            name: the role's.
            model: which the workflow would have answer; the person's own choice goes before it.
            scope: patterns of files that its rule for passages may look in, below the project's folder.
            after: what makes records of its values; by default those of the named outputs.
            policy: what its tools may do; by default what the person and the project ask of them.
            more: tools that it may call besides those that its file names.
        """
        from antiphon.subagents.answers.recording import Recording
        from antiphon.subagents.loop.agent import ModelAgent
        from antiphon.subagents.prompt.retrieval import Retrieval

        definition = self.definition(name, model)
        recording = after or Recording(framing=definition.framing)
        root = self.library.folder or Path.cwd()
        retrieval = Retrieval(root, scope=scope) if definition.retrieve else None
        named = expanded((*definition.tools, *more), self.tools)
        return ModelAgent(
            definition.model_copy(update={"tools": named}),
            self.models,
            self.sender,
            tools=self.tools,
            retrieval=retrieval,
            after=recording,
            policy=policy or Policy(rules=self._held.rules, after=self._held.after),
        )

    def definition(self, name: str, model: str | None = None) -> RoleDefinition:
        """What a role says, its model being the one that answers where the person names none.

        Raises:
            UsageError: there is no such role, its file is bad, or it names a tool that there is not.
        """
        definition = self.library.role(name)
        check_named(definition.tools, self._servers, f"{definition.source}: role {name!r}")
        for tool in definition.tools:
            if tool not in self.tools and not is_mcp_name(tool):
                known = ", ".join(sorted(self.tools)) or "none"
                raise UsageError(
                    f"{definition.source}: role {name!r} names the tool {tool!r}, and the tools are: {known}",
                    advice=f"take it out of tools: there, or write .antiphon/roles/{name}.md, which goes before it",
                )
        return definition.model_copy(update={"model": model}) if model else definition

    async def close(self) -> None:
        """Close the clients of all models."""
        if self._models is not None:
            await self._models.close()

    async def __aenter__(self) -> ModelRoles:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()


def models_of(asked: ModelsAsked) -> Models:
    """The models that a person asked for. Raises `UsageError` for a name or a price that cannot be read."""
    from antiphon.subagents.model.prices_of_user import read_prices
    from antiphon.subagents.model.registry import Models

    return Models.of(asked.specs, prices=read_prices(asked.prices), clients=asked.clients)


def check_answered(manifest: Manifest, source: str, defined: Mapping[str, Role], roles: ModelRoles, file: str) -> None:
    """Refuse a workflow whose model roles nothing answers, before anything of it is performed.

    A script that names models in its calls may do without any other.

    Raises:
        UsageError: no model answers a role; a role's file is bad; or money is limited and a model's price is not known.
    """
    for name in manifest.roles:
        if name in defined:
            continue
        own = roles.definition(name, manifest.models.get(name)).model
        if own or roles.models.has(name):
            _check_priced(manifest, roles.models.model_for(name, None if roles.models.has(name) else own))
        elif not _names_models(source):
            raise UsageError(
                f"no model answers the role {name!r}, which {file} does not define itself",
                advice=f"antiphon run {file} --model MODEL (ollama/NAME and file:DIR need no key)",
            )


def _check_priced(manifest: Manifest, model: Model) -> None:
    from antiphon.subagents.model.price import Unpriced

    if manifest.limits.usd is not None and model.can.price is None:
        raise Unpriced(model.name)


def _names_models(source: str) -> bool:
    return any(isinstance(part, ast.keyword) and part.arg == "model" for part in ast.walk(ast.parse(source)))
