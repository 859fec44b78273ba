"""The audit: what there is to look at, who looks at it, and how their output is read."""

from antiphon.workflows.audit.analysers import Analyser, Chosen, analysers
from antiphon.workflows.audit.presence import NotRun
from antiphon.workflows.audit.shards import Check, Plan, Shard, plan
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import File, Omission, PathMissing, Survey, survey
from antiphon.workflows.audit.table import LENSES, TABLE, Entry

__all__ = [
    "LENSES",
    "TABLE",
    "Analyser",
    "Check",
    "Chosen",
    "Entry",
    "File",
    "NotRun",
    "Omission",
    "PathMissing",
    "Plan",
    "Shard",
    "Sources",
    "Survey",
    "analysers",
    "plan",
    "survey",
]
