"""The agent loop: `move` decides (pure), `drive` performs; `state` is what recorded `turns` come to.

Beside them `calling` performs tools by what `toolbox` says of them, `fitting` keeps requests within window and budget,
`anomaly` tells conversations that go wrong, `actions` reads a recorded conversation, and `agent` is the subagent that
all this makes: `ModelAgent`.
"""

from antiphon.subagents.loop.actions import Action, actions
from antiphon.subagents.loop.agent import ModelAgent
from antiphon.subagents.loop.anomaly import Diagnosis
from antiphon.subagents.loop.drive import After, Judge
from antiphon.subagents.loop.giving_up import GaveUp
from antiphon.subagents.loop.move import CallModel, CallTools, Finish, GiveUp, Move, next_move
from antiphon.subagents.loop.state import State, Terms
from antiphon.subagents.loop.turns import Turn, UnreadableTurn, turn_of

__all__ = [
    "Action",
    "After",
    "CallModel",
    "CallTools",
    "Diagnosis",
    "Finish",
    "GaveUp",
    "GiveUp",
    "Judge",
    "ModelAgent",
    "Move",
    "State",
    "Terms",
    "Turn",
    "UnreadableTurn",
    "actions",
    "next_move",
    "turn_of",
]
