"""Which runtime runs a text that a model wrote: the jail where the kernel can hold it, else monty, else none.

Nothing here falls back to running such a text in this process. `antiphon doctor` shows what was found.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from antiphon.engine import UsageError
from antiphon.engine.script.runtime import Runtime

JAIL: Final = "jail"
MONTY: Final = "monty"
RUNTIMES: Final = (JAIL, MONTY)
"""By name, the preferred one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a runtime can be used here.

    Attributes:
        name: of the runtime.
        runtime: it; None where it cannot be used.
        reason: why not, in one sentence; "" where it can.
        advice: what to do about that, or None.
    """

    name: str
    runtime: Runtime | None = None
    reason: str = ""
    advice: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be used here."""
        return self.runtime is not None


class RuntimeUnusable(UsageError):
    """No runtime that was asked for works here, so that the text is not run at all."""

    def __init__(self, tried: tuple[Standing, ...]) -> None:
        self.tried = tried
        advice = "; ".join(dict.fromkeys(one.advice for one in tried if one.advice)) or "antiphon doctor"
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in tried)
        super().__init__(f"no runtime here can confine the script ({reasons})", advice=advice)


def standing(name: str) -> Standing:
    """Whether the runtime of that name can be used here, found out by asking it.

    Raises:
        UsageError: there is no runtime of that name.
    """
    check_name(name)
    try:
        return Standing(name=name, runtime=_jail() if name == JAIL else _monty())
    except UsageError as error:
        return Standing(name=name, reason=error.message, advice=error.advice)


def choose_runtime(name: str | None = None) -> Runtime:
    """The runtime of that name, or the best that works here.

    Raises:
        RuntimeUnusable: it cannot be used here, or none can.
        UsageError: there is no runtime of that name.
    """
    tried: list[Standing] = []
    for one in RUNTIMES if name is None else (name,):
        found = standing(one)
        if found.runtime is not None:
            return found.runtime
        tried.append(found)
    raise RuntimeUnusable(tuple(tried))


def check_name(name: str) -> None:
    """Raise `UsageError` for what is no runtime's name."""
    if name not in RUNTIMES:
        close = difflib.get_close_matches(name, RUNTIMES, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(RUNTIMES)}"
        raise UsageError(f"there is no runtime {name[:64]!r}", advice=meant)


def _jail() -> Runtime:
    from antiphon.subagents.jail import choose_jail

    return choose_jail()


def _monty() -> Runtime:
    from antiphon.engine.script.monty import MontyRuntime

    return MontyRuntime()
