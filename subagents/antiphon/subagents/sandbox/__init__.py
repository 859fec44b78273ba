"""What confines the commands that antiphon runs. `choose` picks a backend that works here; `run_command` uses it.

A `Confinement` says what one command may reach. Four backends make that true: bubblewrap, Landlock, a container, and
`none`, which confines nothing and says so. docs/sandbox.md tells what each of them keeps out and what it does not.
"""

from antiphon.subagents.sandbox.bare import BANNER, Unconfined
from antiphon.subagents.sandbox.bubblewrap import Bubblewrap
from antiphon.subagents.sandbox.confinement import Confinement, ProcessLimits
from antiphon.subagents.sandbox.container import Container
from antiphon.subagents.sandbox.contract import Job, Launch, Refused, Sandbox
from antiphon.subagents.sandbox.landlock import Landlock
from antiphon.subagents.sandbox.probing import BACKENDS, CHOICES, Probe, SandboxUnusable, choose, probe

__all__ = [
    "BACKENDS",
    "BANNER",
    "CHOICES",
    "Bubblewrap",
    "Confinement",
    "Container",
    "Job",
    "Landlock",
    "Launch",
    "Probe",
    "ProcessLimits",
    "Refused",
    "Sandbox",
    "SandboxUnusable",
    "Unconfined",
    "choose",
    "probe",
]
