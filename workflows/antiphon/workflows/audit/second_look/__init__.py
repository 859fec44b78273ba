"""The second look: findings looked at again, by checks of another lineage than the tools that made them.

`agreement` compares analysers, `table` says which check of ours looks up what a rule presupposes, `experiments` makes
minimal reproductions out of literals. Each ends as a verdict; a finding that nobody can judge stays unverified, and no
verdict removes a finding. `SecondLooker` is the role, `rounds` cuts findings into its calls.
"""

from antiphon.workflows.audit.second_look.agreement import agreements
from antiphon.workflows.audit.second_look.experiments import BUILDERS, Experiment, experiments
from antiphon.workflows.audit.second_look.looker import FRAME, Looked, SecondLooker
from antiphon.workflows.audit.second_look.looking import look
from antiphon.workflows.audit.second_look.reproduction import Laboratory
from antiphon.workflows.audit.second_look.rounds import Round, rounds
from antiphon.workflows.audit.second_look.table import CHECKS
from antiphon.workflows.audit.second_look.words import Words

__all__ = [
    "BUILDERS",
    "CHECKS",
    "FRAME",
    "Experiment",
    "Laboratory",
    "Looked",
    "Round",
    "SecondLooker",
    "Words",
    "agreements",
    "experiments",
    "look",
    "rounds",
]
