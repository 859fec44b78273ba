"""What a conversation that was given up raises: the diagnosis as data, which ends up in the log."""

from __future__ import annotations

import json

from antiphon.engine import AgentFailure
from antiphon.subagents.loop.anomaly import Diagnosis


class GaveUp(AgentFailure):
    """A model agent went wrong, and nothing helped.

    Attributes:
        diagnosis: what was seen, what it most likely means, and what recovers from it.
        raw: the same as JSON; kept with the call's outcome.
    """

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        self.raw = json.dumps(diagnosis.to_json(), ensure_ascii=False)
        super().__init__(str(diagnosis))
