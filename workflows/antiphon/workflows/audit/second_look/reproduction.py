"""Runs reproductions: an interpreter of its own for each, alone, with little time and memory."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.engine.amount import Amount
from antiphon.subagents.process import Completed, Unavailable, run_command
from antiphon.subagents.program import ProgramContext
from antiphon.subagents.records import CommandRun, Stance, Verdict
from antiphon.subagents.sandbox.confinement import Confinement, ProcessLimits
from antiphon.subagents.sandbox.contract import Sandbox
from antiphon.workflows.audit.second_look.actors import REPRODUCTION, second_look
from antiphon.workflows.audit.second_look.experiments import Experiment

METHOD = "reproduction"
MOST_RUN = 16
"""Programs that one call runs. Equal ones are run once; what is beyond is said of each finding."""

_PROCESS = Amount(tool_calls=1)
_TIMEOUT_SECONDS = 10.0
_OUTPUT_BYTES = 8192
_CONFINEMENT = Confinement(
    executes=False,  # no code of what is looked at: the programs are ours, with values of its literals in them
    # one process, and room for the two or three of which a sandbox consists
    limits=ProcessLimits(cpu_seconds=5, address_space_bytes=512 * 1024 * 1024, file_bytes=0, processes=4),
)
_STANCES: dict[str, Stance] = {"shown": "confirm", "absent": "refute"}
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where reproductions run.

    Attributes:
        sandbox: what confines them besides the limits on time, memory and output; None: only those do.
    """

    sandbox: Sandbox | None = None

    async def run(self, wanted: Sequence[Experiment], ctx: ProgramContext) -> list[Verdict]:
        """Run experiments, each as one attempt, and say of their findings what came of it."""
        seen: dict[tuple[str, ...], Completed | Unavailable | None] = {}
        said: list[Verdict] = []
        for experiment in wanted:
            if not experiment.program:
                said.append(_verdict(experiment, "cannot_tell", experiment.reason))
                continue
            argv = (sys.executable, "-I", "-S", "-B", *experiment.options, "-c", experiment.program)
            if argv not in seen:
                seen[argv] = await self._once(argv, ctx) if len(seen) < MOST_RUN else None
            said.append(_judged(experiment, argv, seen[argv]))
        return said

    async def _once(self, argv: tuple[str, ...], ctx: ProgramContext) -> Completed | Unavailable:
        async with ctx.attempt(_PROCESS, sort="process", name="reproduction") as attempt:
            ended = await run_command(
                argv,
                timeout_seconds=_TIMEOUT_SECONDS,
                output_limit=_OUTPUT_BYTES,
                advice="install Python",
                sandbox=self.sandbox,
                confinement=_CONFINEMENT,
            )
            attempt.settle(_PROCESS)
        return ended


def _judged(experiment: Experiment, argv: tuple[str, ...], ended: Completed | Unavailable | None) -> Verdict:
    if ended is None:
        return _verdict(experiment, "cannot_tell", f"one call runs no more than {MOST_RUN} reproductions")
    if isinstance(ended, Unavailable):
        return _verdict(experiment, "cannot_tell", f"the reproduction could not be started: {ended.reason}")
    if ended.timed_out or ended.truncated or ended.excess is not None or ended.exit is None:
        return _verdict(experiment, "cannot_tell", "the reproduction did not end within its limits")
    word, _, rest = ended.stdout.decode("utf-8", "replace").strip().partition(" ")
    run = CommandRun(kind="command", argv=argv, exit=ended.exit, sha256=hashlib.sha256(ended.stdout).hexdigest())
    if ended.exit != 0 or word not in _STANCES:
        return _verdict(experiment, "cannot_tell", f"the reproduction shows nothing: {rest or word}", run)
    return _verdict(experiment, _STANCES[word], f"reproduced from the literals here: {rest}", run)


def _verdict(experiment: Experiment, stance: Stance, reason: str, run: CommandRun | None = None) -> Verdict:
    span = experiment.code.evidence(experiment.at)
    return Verdict(
        record="verdict",
        of=experiment.finding.id,
        stance=stance,
        actor=second_look(REPRODUCTION),
        method=METHOD,
        reason=reason[:_LONGEST_REASON],
        evidence=tuple(piece for piece in (span, run) if piece is not None),
    )
