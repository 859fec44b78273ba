"""Which scripts run in this process, and which are confined.

What a person wrote runs in this process, as any Python file that they start; what a model wrote is confined. A script
that `antiphon plan` made says so in its first line, and stays confined unless somebody trusts it in so many words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from antiphon.engine import UsageError
from antiphon.engine.script.runtime import Runtime
from antiphon.subagents.runtimes import JAIL, MONTY, RUNTIMES, RuntimeUnusable, Standing, choose_runtime, standing

TRUSTED: Final = "trusted"
NAMES: Final = (*RUNTIMES, TRUSTED)
"""What ``--runtime`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeAsked:
    """What was said of how scripts are run.

    Attributes:
        name: ``jail``, ``monty`` or ``trusted``; "" where nothing was said.
        trust: whether a person trusts what a model wrote.
    """

    name: str = ""
    trust: bool = False

    @property
    def kept(self) -> str:
        """What a run writes down of it, to go on with: that no more is trusted then than a person said."""
        return self.name if self.name in RUNTIMES or self.trust else ""

    def within(self, runtime: str) -> RuntimeAsked:
        """What holds for workflows nested in one that runs in `runtime`: nothing confined starts anything else."""
        return self if runtime == TRUSTED else RuntimeAsked(name=runtime)

    def runtime_of(self, source: str, file: str) -> Runtime | None:
        """What a script is run in; None for this process.

        Raises:
            UsageError: a planned script would run in this process, and nobody trusts it.
            RuntimeUnusable: it is to be confined, and nothing here can.
        """
        if self.name in RUNTIMES:
            return choose_runtime(self.name)
        from antiphon.workflows.approval.planned import planned_of

        made = planned_of(source)
        if made is None or (self.name == TRUSTED and self.trust):
            return None
        if self.name == TRUSTED:
            raise UsageError(
                f"{file} was written by a model (plan {made.name}), and --runtime trusted would run it unconfined",
                advice="leave --runtime out, which confines it; or read it, and add --trust",
            )
        return choose_runtime()


__all__ = [
    "JAIL",
    "MONTY",
    "NAMES",
    "RUNTIMES",
    "TRUSTED",
    "RuntimeAsked",
    "RuntimeUnusable",
    "Standing",
    "choose_runtime",
    "standing",
]
