"""The analysers of an audit, as program agents over the files of one survey."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from antiphon.subagents.program import Program, ProgramAgent, ask_version
from antiphon.workflows.audit import bandit, ruff
from antiphon.workflows.audit.shards import Check
from antiphon.workflows.audit.sources import Sources

RUFF_SHARD_FILES = 4
BANDIT_SHARD_FILES = 16


@dataclass(frozen=True, slots=True)
class Analyser:
    """A check and the agent that does it. The agent's name is the check's with "-" for "/"."""

    check: Check
    agent: ProgramAgent


async def analysers(
    sources: Sources, *, environment: Callable[[], Mapping[str, str]] | None = None
) -> tuple[Analyser, ...]:
    """Every analyser, with the version that its program says it has.

    Raises:
        InfrastructureError: one is not installed; the message says what to type.
    """
    found = await ask_version([ruff.command(), "--version"], advice=ruff.ADVICE)
    programs: list[Program] = [ruff.Ruff(lens, sources, found) for lens in ruff.LENSES]
    programs.append(bandit.Bandit(sources, await bandit_version()))
    return tuple(_analyser(program, environment) for program in programs)


async def bandit_version() -> str:
    """The version of the bandit installed beside this Python."""
    # Its own --version also names the Python on a second line; the first is "__main__.py 1.9.4".
    return await ask_version([*bandit.COMMAND, "--version"], advice=bandit.ADVICE)


def _analyser(program: Program, environment: Callable[[], Mapping[str, str]] | None) -> Analyser:
    name = program.check.replace("/", "-")
    agent = ProgramAgent(name=name, program=program)
    if environment is not None:
        agent = ProgramAgent(name=name, program=program, environment=environment)
    if isinstance(program, bandit.Bandit):  # it reads no stubs
        return Analyser(Check(program.check, frozenset({"python"}), BANDIT_SHARD_FILES), agent)
    return Analyser(Check(program.check, frozenset({"python", "stub"}), RUFF_SHARD_FILES), agent)
