"""`antiphon fix`: a bug report, a test that shows it, and tries at mending it, judged by tests, checks and a critic.

- `workflow.py` is the script: diagnose, reproduce, fix, judge, synthesis; `reproducing.py` and `trying.py` its parts.
- `deciding.py` says what a try does next, as a pure state machine that always ends; `judging.py` what a state of the
  code is worth, `guarding.py` what nobody may touch to make tests pass, `concluding.py` what tries come to together.
- `shapes.py` is what each role is asked for, `words.py` the words it is asked with.
- `launch.py` binds it to a project and to what a person asked for; `report.py` writes what came of it.
"""

from antiphon.workflows.fix.launch import Asked, Fix, prepare
from antiphon.workflows.fix.results import FixResult, TryResult

__all__ = ["Asked", "Fix", "FixResult", "TryResult", "prepare"]
