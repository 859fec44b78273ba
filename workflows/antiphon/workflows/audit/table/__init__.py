"""The analysers as data: one short entry for each tool, and what we know of their rules."""

from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring
from antiphon.workflows.audit.table.listing import LENSES, TABLE, entry_of, role_names
from antiphon.workflows.audit.table.rules import Rule, known_rules, rule_of

__all__ = [
    "LENSES",
    "TABLE",
    "Asks",
    "Entry",
    "Honouring",
    "Rule",
    "entry_of",
    "known_rules",
    "role_names",
    "rule_of",
]
