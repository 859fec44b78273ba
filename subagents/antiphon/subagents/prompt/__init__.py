"""What a model is told: frames from the root to the leaf, passages chosen by rule, the task; and all of it in the log.

`opening` begins a conversation (or finds how it began), `shortened` makes one fit that has outgrown its model, `Warm`
lets the first of many siblings go ahead so that the others find the provider's cache filled. docs/context.md has the
rules.
"""

from antiphon.subagents.prompt.compose import LAYOUT, compose
from antiphon.subagents.prompt.delimiting import enclosed, legible, written
from antiphon.subagents.prompt.opening import Opening, opening
from antiphon.subagents.prompt.overflow import Shortened, as_sent, digested, estimated_tokens, shortened
from antiphon.subagents.prompt.passage import Passage
from antiphon.subagents.prompt.recording import PromptLost, Said, is_prompt, messages_of, recorded, restored, said_in
from antiphon.subagents.prompt.retrieval import Caps, Retrieval
from antiphon.subagents.prompt.warm import Warm, WarmClient, WarmModels, prefix_of, warmed

__all__ = [
    "LAYOUT",
    "Caps",
    "Opening",
    "Passage",
    "PromptLost",
    "Retrieval",
    "Said",
    "Shortened",
    "Warm",
    "WarmClient",
    "WarmModels",
    "as_sent",
    "compose",
    "digested",
    "enclosed",
    "estimated_tokens",
    "is_prompt",
    "legible",
    "messages_of",
    "opening",
    "prefix_of",
    "recorded",
    "restored",
    "said_in",
    "shortened",
    "warmed",
    "written",
]
