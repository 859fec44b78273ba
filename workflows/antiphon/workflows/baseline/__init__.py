"""Comparing an audit with an earlier one: SARIF result matching, and what comes of it."""

from antiphon.workflows.baseline.comparison import Change, Comparison, Looked, Unseen, compare
from antiphon.workflows.baseline.matching import Match, match
from antiphon.workflows.baseline.naming import Named, find_baseline, load_baseline
from antiphon.workflows.baseline.reading import BaselineError, SarifLog, read_sarif
from antiphon.workflows.baseline.sightings import STATES, Region, Sighting, State
from antiphon.workflows.baseline.writing import with_states

__all__ = [
    "STATES",
    "BaselineError",
    "Change",
    "Comparison",
    "Looked",
    "Match",
    "Named",
    "Region",
    "SarifLog",
    "Sighting",
    "State",
    "Unseen",
    "compare",
    "find_baseline",
    "load_baseline",
    "match",
    "read_sarif",
    "with_states",
]
