"""The host's side of a confined script: what it asks for is done by the engine's own constructs, in its branches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from antiphon.engine.branch import current_branch
from antiphon.engine.errors import leading
from antiphon.engine.script.confined.served import Served
from antiphon.engine.script.confined.session import Session
from antiphon.engine.script.runtime import GuestLimits, Program, Runtime
from antiphon.tracing.log import Json

__all__ = ["Served", "Session", "run_confined"]


async def run_confined(
    runtime: Runtime, *, source: str, file: str, arguments: Mapping[str, Json], limits: GuestLimits | None = None
) -> Any:
    """Run a script in the current branch, confined; what its `main` returned.

    Args:
        runtime: what runs it.
        source: its text, without imports of the script API.
        file: what tracebacks call it.
        arguments: what `main` is given.
        limits: what the guest may use.

    Raises:
        CallFailed: a call that it awaited and did not catch; the same outcome as in a trusted file.
        UsageError: it handed the script API what does not fit.
        ScriptRaised: it raised an exception of its own.
        GuestDied: it was ended before its end.
    """
    here = current_branch()
    limits = limits or GuestLimits()
    root = Served(here)
    program = Program(
        source=source,
        file=file,
        token=root.token,
        arguments=arguments,
        seed=f"{here.run.seed}:{here.path}",
        now=here.last_at,
    )
    version = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    try:
        async with runtime.guest(program, limits) as guest:
            return await Session(guest, limits, version).run(root)
    except ExceptionGroup as group:  # of a runtime that has tasks of its own
        raise leading(group) from None
    raise AssertionError("unreachable")
