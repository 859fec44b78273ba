"""What a model is asked for under a name (findings, verdict, facts), and how that becomes records with evidence."""

from antiphon.subagents.answers.quotes import Content, Located, Lookup, locate
from antiphon.subagents.answers.recording import Recording
from antiphon.subagents.answers.shapes import SCHEMAS, SHAPES, Facts, Findings, Judgement, Quoted, Reported, Stated
from antiphon.subagents.answers.speaking import Answering, framed, speaker

__all__ = [
    "SCHEMAS",
    "SHAPES",
    "Answering",
    "Content",
    "Facts",
    "Findings",
    "Judgement",
    "Located",
    "Lookup",
    "Quoted",
    "Recording",
    "Reported",
    "Stated",
    "framed",
    "locate",
    "speaker",
]
