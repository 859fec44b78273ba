"""No sandbox: the command may do what the user may. It has limits and its own environment, and dies with antiphon."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.sandbox import orders
from antiphon.subagents.sandbox.contract import Job, Launch, Refused
from antiphon.subagents.sandbox.leash import task_limit

BANNER: Final = (
    "no sandbox is usable here: analysers that only parse run unconfined, and nothing that executes code of the tree"
    " runs; `antiphon doctor` says what to install"
)
"""What whoever runs commands without a sandbox has to show."""


@dataclass(frozen=True, slots=True)
class Unconfined:
    """Runs commands without confining them.

    Attributes:
        consented: the user asked for it in so many words; only then may a command execute code of what it reads.
    """

    consented: bool = False

    @property
    def name(self) -> str:
        """As typed after `--sandbox`."""
        return "none"

    @property
    def confines(self) -> bool:
        """It does not."""
        return False

    def find(self, program: str, search: str) -> str | None:
        """Where PATH has it."""
        return shutil.which(program, path=search)

    @contextmanager
    def prepare(self, job: Job) -> Generator[Launch]:
        """The launcher, which becomes the program; where there is no Linux, the program itself."""
        if job.confinement.executes and not self.consented:
            raise Refused(
                "it executes code of what it looks at, and there is no sandbox",
                "install bubblewrap, or type --sandbox none to let that code do all that you may do",
            )
        if sys.platform != "linux" or not sys.executable:
            yield Launch(argv=(job.program, *job.arguments), env=job.env, cwd=job.cwd, reports=False)
            return
        limits = job.confinement.limits.resources() | task_limit(job.confinement.limits)
        given: orders.Orders = {
            "report": job.report,
            "alive": job.alive,
            "parent": os.getpid(),
            "limits": limits,
            "leash": job.leash,
            "privileges": True,
        }
        with orders.written(given) as descriptor:
            argv = orders.command(descriptor, job.program, job.arguments)
            yield Launch(argv=argv, env=job.env, cwd=job.cwd, inherit=(descriptor, *job.inherited))
