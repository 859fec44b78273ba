"""For those who test subagents: models that answer from memory, recorded answers, a provider on this machine.

What lives here works without a key and without a network, and is public: the tests of antiphon use nothing else.

- `ScriptedModel` and `FunctionModel` answer from a list or from a function; `model` makes a `Model` around either.
- `Cassette` records what a real model answered and plays it back.
- `LoopbackServer` speaks a provider's protocol on a loopback port, faults included (extra `testing`).
- `forbid_real_requests` makes sure that nothing else is asked.
- `CollectingContext` and `performers_of` are for function and program agents.
"""

from antiphon.subagents.model.guard import RealRequestForbidden, check_allowed, forbid_real_requests
from antiphon.subagents.testing.agents import WORKER, GivenModels, model_agents
from antiphon.subagents.testing.cassette import Cassette, CassetteMiss
from antiphon.subagents.testing.context import (
    CollectedAttempt,
    CollectedRecords,
    CollectingContext,
    performers_of,
)
from antiphon.subagents.testing.doubles import (
    FREE,
    Answer,
    FunctionModel,
    Good,
    OutOfAnswers,
    ScriptedModel,
    completed,
    counted,
    model,
    uncounted,
)
from antiphon.subagents.testing.faults import PASSING, Fault, Faults
from antiphon.subagents.testing.served import (
    Asked,
    Served,
    answered,
    broken,
    cut,
    failed,
    malformed,
    misreported,
    out_of_quota,
    overloaded,
    rate_limited,
    refused,
    slow,
    too_long,
    unauthenticated,
)
from antiphon.subagents.testing.server import LoopbackServer
from antiphon.subagents.testing.tally import Billed, Tally, total

__all__ = [
    "FREE",
    "PASSING",
    "WORKER",
    "Answer",
    "Asked",
    "Billed",
    "Cassette",
    "CassetteMiss",
    "CollectedAttempt",
    "CollectedRecords",
    "CollectingContext",
    "Fault",
    "Faults",
    "FunctionModel",
    "GivenModels",
    "Good",
    "LoopbackServer",
    "OutOfAnswers",
    "RealRequestForbidden",
    "ScriptedModel",
    "Served",
    "Tally",
    "answered",
    "broken",
    "check_allowed",
    "completed",
    "counted",
    "cut",
    "failed",
    "forbid_real_requests",
    "malformed",
    "misreported",
    "model",
    "model_agents",
    "out_of_quota",
    "overloaded",
    "performers_of",
    "rate_limited",
    "refused",
    "slow",
    "too_long",
    "total",
    "unauthenticated",
    "uncounted",
]
