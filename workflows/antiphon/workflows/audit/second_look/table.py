"""Which check looks at which rule. A rule that is not here gets no verdict, and stays unverified."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.workflows.audit.second_look.cases import Check
from antiphon.workflows.audit.second_look.checks import (
    assertions,
    asynchronous,
    commands,
    crypto,
    data,
    defaults,
    names,
    passwords,
    statements,
)

_BLOCKING = tuple(f"flake8-async:ASYNC{number}" for number in (210, 212, 220, 221, 222, 230, 240, 250, 251))
_DEAD = ("vulture:unused-function", "vulture:unused-class", "vulture:unused-method", "vulture:unused-property")

CHECKS: Mapping[str, Check] = {
    "bandit:B101": assertions.asserted,
    "bandit:B102": commands.evaluated,
    "bandit:B104": commands.bound,
    "bandit:B105": passwords.in_source,
    "bandit:B106": passwords.in_source,
    "bandit:B107": passwords.in_source,
    "bandit:B108": commands.temporary,
    "bandit:B110": statements.swallowed,
    "bandit:B112": statements.swallowed,
    "bandit:B113": crypto.no_timeout,
    "bandit:B201": data.debugging,
    "bandit:B301": data.unpickled,
    "bandit:B303": crypto.weak_hash,
    "bandit:B307": commands.evaluated,
    "bandit:B310": crypto.opened_url,
    "bandit:B311": crypto.weak_random,
    "bandit:B324": crypto.weak_hash,
    "bandit:B501": crypto.not_verified,
    "bandit:B506": data.yaml_loaded,
    "bandit:B704": data.marked_up,
    "bandit:B602": commands.shell,
    "bandit:B603": commands.process,
    "bandit:B604": commands.shell,
    "bandit:B605": commands.shell,
    "bandit:B606": commands.process,
    "bandit:B608": commands.query,
    "bandit:B609": commands.shell,
    "detect-secrets:Base64 High Entropy String": passwords.varied,
    "detect-secrets:Basic Auth Credentials": passwords.credentials,
    "detect-secrets:Hex High Entropy String": passwords.varied,
    "flake8-bugbear:B006": defaults.mutable_default,
    "flake8-bugbear:B007": statements.unused_variable,
    "flake8-bugbear:B008": defaults.called_default,
    "flake8-bugbear:B011": assertions.asserted_false,
    "flake8-bugbear:B015": statements.no_use,
    "flake8-bugbear:B018": statements.no_use,
    "flake8-bugbear:B023": defaults.loop_closure,
    "flake8-bugbear:B904": statements.no_cause,
    "flake8-bugbear:B905": statements.zipped,
    "perflint:PERF401": statements.comprehended,
    "pyflakes:F401": names.unused_import,
    "pyflakes:F821": names.undefined,
    "pyflakes:F841": names.unused_local,
    "ruff:RUF006": asynchronous.dropped_task,
    **dict.fromkeys(_BLOCKING, asynchronous.blocking),
    **dict.fromkeys(_DEAD, names.dead),
}
"""By canonical rule."""

READS_THE_TREE = frozenset({"pyflakes:F401", *_DEAD})
"""Rules whose checks ask what the whole tree mentions."""
