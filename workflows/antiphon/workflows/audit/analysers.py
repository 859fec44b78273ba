"""The analysers of an audit: the tools of the table that are here, as program agents over the files of one survey."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from antiphon.engine.errors import UsageError
from antiphon.subagents.program import ProgramAgent
from antiphon.subagents.sandbox import Sandbox
from antiphon.workflows.audit.presence import NotRun, Present, look_for
from antiphon.workflows.audit.shards import WHOLE, Check
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import Language
from antiphon.workflows.audit.table import LENSES, TABLE, Entry
from antiphon.workflows.audit.tool import Tool


@dataclass(frozen=True, slots=True)
class Analyser:
    """A check and the agent that does it. The agent's name is the check's with "-" for "/".

    Attributes:
        table: changes with everything of ours that decides what the tool's output becomes; part of a call's key.
        executes: the tool executes code of the tree it reads.
    """

    check: Check
    agent: ProgramAgent
    table: str = ""
    executes: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who looks at a tree, and who does not.

    Attributes:
        analysers: those that will. not_run: tools of the table that will not, though the tree has something for
            them, and why. unserved: lenses that were asked for and that nobody here has for this tree.
    """

    analysers: tuple[Analyser, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    unserved: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each tool that cannot be asked to pass over its author's comments."""
        tools = {analyser.agent.program.actor.tool for analyser in self.analysers}
        return tuple(
            f"What {entry.honouring.method!r} comments silence is not known to {entry.tool}: it cannot be asked to "
            "pass over them."
            for entry in TABLE
            if entry.tool in tools and entry.honouring is not None and entry.honouring.ignoring is None
        )


async def analysers(
    sources: Sources,
    *,
    lenses: Collection[str] = (),
    exclude: Collection[str] = (),
    executing: bool = False,
    sandbox: Sandbox | None = None,
    environment: Callable[[], Mapping[str, str]] | None = None,
) -> Chosen:
    """Every analyser that is here and has something to look at, with the version that its program says it has.

    A tool that is missing, too old or broken is named in what comes back, and is no error.

    Args:
        sources: the audited files.
        lenses: only these views; none for all.
        exclude: tools not to run.
        executing: also run tools that execute code of the tree.
        sandbox: what confines the tools' commands; None for nothing.
        environment: asked for more environment variables inside each attempt, such as TRACEPARENT.

    Raises:
        UsageError: there is no such lens, or no such tool.
    """
    wanted = tuple(lens for lens in LENSES if not lenses or lens in lenses)
    _known("lens", lenses, LENSES)
    _known("tool", exclude, [entry.tool for entry in TABLE])
    entries = [entry for entry in TABLE if set(wanted) & set(entry.lenses) and _reads_any(entry, sources)]
    refused = [_refusal(entry, exclude, executing=executing) for entry in entries]
    asked = [entry for entry, reason in zip(entries, refused, strict=True) if reason is None]
    found = await look_for(asked, sources.root, sandbox)
    chosen = tuple(
        _analyser(one, Tool(one.entry, lens, sources, one.argv, one.version, one.needs), sandbox, environment)
        for one in found
        if isinstance(one, Present)
        for lens in one.entry.lenses
        if lens in wanted
    )
    not_run = [reason for reason in refused if reason] + [one for one in found if isinstance(one, NotRun)]
    served = {analyser.agent.program.actor.lens for analyser in chosen}
    return Chosen(chosen, tuple(not_run), tuple(lens for lens in wanted if lens not in served))


def _reads_any(entry: Entry, sources: Sources) -> bool:
    return bool(entry.languages & frozenset(sources.languages))


def _refusal(entry: Entry, exclude: Collection[str], *, executing: bool) -> NotRun | None:
    if entry.tool in exclude:
        return NotRun(entry.tool, tuple(entry.lenses), "it was excluded")
    if entry.executes and not executing:
        reason = "it executes code of the tree, and that was not asked for"
        return NotRun(entry.tool, tuple(entry.lenses), reason, entry.advice)
    return None


def _known(sort: str, given: Collection[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"there is no {sort} {name!r}", advice=f"one of: {', '.join(known)}")


def _analyser(
    found: Present, tool: Tool, sandbox: Sandbox | None, environment: Callable[[], Mapping[str, str]] | None
) -> Analyser:
    entry = found.entry
    agent = ProgramAgent(
        name=tool.check.replace("/", "-"),
        program=tool,
        environment=partial(_variables, tool.variables, environment),
        sandbox=sandbox,
    )
    check = Check(tool.check, frozenset[Language](entry.languages), WHOLE if entry.whole else entry.shard)
    return Analyser(check, agent, tool.table, entry.executes)


def _variables(fixed: Mapping[str, str], more: Callable[[], Mapping[str, str]] | None) -> Mapping[str, str]:
    return {**fixed, **(more() if more else {})}
