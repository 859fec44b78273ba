"""Everything that is said of a script before it runs, put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from antiphon.engine import UsageError
from antiphon.engine.errors import ManifestError
from antiphon.subagents.roles.library import Roles
from antiphon.subagents.tools.policy import Scope
from antiphon.tracing import Json
from antiphon.workflows.habits import habits_of
from antiphon.workflows.manifest import Manifest, manifest_of
from antiphon.workflows.preflight.bounds import bounded
from antiphon.workflows.preflight.cost import cost_of
from antiphon.workflows.preflight.examined import Examined
from antiphon.workflows.preflight.known import Around, around
from antiphon.workflows.preflight.model import SEVERITIES, Cost, Finding, Need, Outline, Portability, Preflight
from antiphon.workflows.preflight.names import line_of_manifest, names, no_import
from antiphon.workflows.preflight.outline import outline_of
from antiphon.workflows.preflight.pricing import Pricing
from antiphon.workflows.preflight.scope import beyond
from antiphon.workflows.syntax.kinds import Kinds
from antiphon.workflows.syntax.portable import RunsIn
from antiphon.workflows.syntax.scopes import finds_api_as_globals, read_script
from antiphon.workflows.syntax.source import parse

if TYPE_CHECKING:
    from antiphon.subagents.model.registry import Models
    from antiphon.workflows.model_roles import ModelsAsked

T = TypeVar("T")
MOST_FINDINGS: Final = 500
MOST_PLACES: Final = 120_000
"""Places in a script's syntax tree, up to which it is looked at; about twelve thousand lines."""
PLANNED: Final = "# antiphon: planned "
"""With what a script begins that a model wrote: it runs confined."""
_TOO_LARGE: Final = "the script does too much for its outline to be worked out"


def preflight(
    source: str,
    file: str,
    *,
    granted: Scope | None = None,
    arguments: Mapping[str, Json] | None = None,
    models: ModelsAsked | None = None,
    needed: Sequence[Need] = (),
) -> Preflight:
    """Look at a script without executing anything of it. What is wrong with it is a finding, never an exception.

    Args:
        source: its text.
        file: its name, for messages.
        granted: what it may touch at most; None where nobody said.
        arguments: what main will be given, as far as that is known; for the others, their defaults.
        models: which models a person asked for.
        needed: what the task needs, by whoever reviewed it without seeing the script.
    """
    digest = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()
    looking = _Looking(source, file)
    kinds = looking.at("syntax", lambda: Kinds(read_script(parse(source, file))))
    if kinds is None:
        return _unread(looking, digest)
    if kinds.script.size > MOST_PLACES:
        looking.too_large()
        return _unread(looking, digest, looking.at("manifest", lambda: manifest_of(kinds.script, file)))
    portability = looking.at("dialect", lambda: _portability(looking, kinds)) or Portability(portable=False)
    examined = _examined(looking, kinds, Asked(granted, dict(arguments or {}), models, tuple(needed)))
    return Preflight(
        file=file,
        digest=digest,
        manifest=examined.manifest,
        outline=examined.outline,
        cost=looking.cost,
        findings=looking.sorted(),
        portability=portability,
    )


def _unread(looking: _Looking, digest: str, manifest: Manifest | None = None) -> Preflight:
    """Of a script that could not be looked at: nothing is claimed of what it does."""
    return Preflight(
        file=looking.file,
        digest=digest,
        manifest=manifest,
        outline=Outline(complete=False),
        cost=cost_of(Outline(complete=False), manifest, Pricing()),
        findings=looking.sorted(),
        portability=Portability(portable=False),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What preflight was asked to look at a script with; see `preflight`."""

    granted: Scope | None
    arguments: Mapping[str, Json]
    models: ModelsAsked | None
    needed: tuple[Need, ...]


@dataclass(slots=True)
class _Looking:
    """Collects findings. Whatever a look at the script raises becomes one."""

    source: str
    file: str
    cost: Cost = field(default_factory=Cost)
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def planned(self) -> bool:
        """Whether a model wrote it."""
        return self.source.startswith(PLANNED)

    def at(self, what: str, look: Callable[[], T]) -> T | None:
        """What a look gives, or None and a finding."""
        try:
            return look()
        except ManifestError as error:
            self._add(what, error.line or 1, error.problem, error.advice or "mend this, and check it again")
        except UsageError as error:
            self._add(what, 1, str(error), error.advice or "mend this, and check it again")
        except (RecursionError, MemoryError):
            self._add("too-large", 1, f"{_TOO_LARGE} ({what})", "split it, or nest it less deeply")
        except Exception as error:  # a fault of preflight's own must not let a script pass
            fault = f"{type(error).__name__}: {error}"[:300]
            self._add("not-checked", 1, f"it could not be checked ({what}): {fault}", "write it in a plainer way")
        return None

    def all(self, what: str, look: Callable[[], Iterable[Finding]]) -> None:
        """Take all findings of one look."""
        self.findings += self.at(what, lambda: list(look())) or []

    def too_large(self) -> None:
        """Say that there is too much in it."""
        self._add("too-large", 1, _TOO_LARGE, "write it shorter, or split it into workflows that call each other")

    def _add(self, rule: str, line: int, reason: str, remedy: str) -> None:
        self.findings.append(Finding(rule=rule, line=line, severity="error", reason=reason, remedy=remedy))

    def sorted(self) -> tuple[Finding, ...]:
        """Every finding once, by line; of two of one rule on one line the worse."""
        kept: dict[tuple[str, int, str], Finding] = {}
        for one in sorted(self.findings, key=lambda finding: SEVERITIES.index(finding.severity)):
            key = one.rule, one.line, "" if one.rule in _ONCE_A_LINE else one.reason
            kept.setdefault(key, one)
        found = sorted(kept.values(), key=lambda finding: finding.order)
        if len(found) <= MOST_FINDINGS:
            return tuple(found)
        worst = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))[:MOST_FINDINGS]
        return tuple(sorted(worst, key=lambda finding: finding.order))


_ONCE_A_LINE: Final = frozenset({"unbounded-loop", "unbounded-fan-out", "unbounded-recursion"})
"""Said by the outline and by the structural rules, each in its own words."""


# --- looking ------------------------------------------------------------------------------------------------------


def _examined(looking: _Looking, kinds: Kinds, asked: Asked) -> Examined:
    """Everything is looked at; the findings are in `looking`, and what it may cost."""
    manifest = looking.at("manifest", lambda: manifest_of(kinds.script, looking.file))
    looking.all("habits", lambda: _habits(kinds))
    examined = Examined(
        file=looking.file,
        source=looking.source,
        script=kinds.script,
        kinds=kinds,
        manifest=manifest,
        arguments=asked.arguments,
        granted=asked.granted,
        needs=asked.needed,
    )
    line = line_of_manifest(examined)
    library = _library(asked.models)
    found = looking.at("roles", lambda: around(kinds, manifest, library, line, planned=looking.planned)) or Around()
    looking.findings += found.findings
    outline, unbounded = _outline(looking, kinds, manifest, found, asked)
    looking.findings += unbounded
    examined = replace(
        examined,
        roles=found.definitions,
        functions=frozenset(found.functions),
        steps=found.steps,
        outline=outline,
    )
    _cost(looking, examined, found, asked)
    looking.all("names", lambda: [*names(examined), *no_import(examined)])
    if manifest is not None and asked.granted is not None:
        granted = asked.granted
        looking.all("scope", lambda: beyond(manifest, granted, line))
    looking.all("structure", lambda: _structure(examined))
    return examined


def _library(models: ModelsAsked | None) -> Roles:
    return Roles(models.folder) if models is not None and models.folder else Roles.here()


def _habits(kinds: Kinds) -> Iterator[Finding]:
    for habit in habits_of(kinds):
        yield Finding(rule="habit", line=habit.line, severity="error", reason=habit.problem, remedy=habit.fix)


def _outline(
    looking: _Looking, kinds: Kinds, manifest: Manifest | None, found: Around, asked: Asked
) -> tuple[Outline, tuple[Finding, ...]]:
    outline = looking.at("outline", lambda: outline_of(kinds, asked.arguments)) or Outline(complete=False)
    if not outline.complete:
        looking.too_large()
    functions = frozenset(found.functions)
    return looking.at("bounds", lambda: bounded(outline, manifest, functions)) or (outline, ())


def _cost(looking: _Looking, examined: Examined, found: Around, asked: Asked) -> None:
    models = looking.at("models", lambda: _models(asked.models))
    named = {} if examined.manifest is None else examined.manifest.models
    pricing = Pricing(definitions=found.definitions, functions=found.functions, models=models, named=named)
    cost = looking.at("cost", lambda: cost_of(examined.outline, examined.manifest, pricing))
    if cost is not None:
        looking.cost = cost
    if examined.manifest is not None and examined.manifest.limits.usd is not None:
        line = line_of_manifest(examined)
        looking.all("cost", lambda: _unpriced(looking.cost, pricing, line))


def _models(asked: ModelsAsked | None) -> Models | None:
    if asked is None or not asked.specs:
        return None
    from antiphon.workflows.model_roles import models_of

    return models_of(asked)


def _unpriced(cost: Cost, pricing: Pricing, line: int) -> Iterator[Finding]:
    """A model of which nobody knows the price is not asked under a limit on usd."""
    for role in cost.unpriced:
        model = pricing.answering(role)
        if model:
            reason = f"a limit on usd holds, and the price of {model[:60]}, which answers {role[:60]}, is not known"
            remedy = f"--price {model[:60]}=IN/OUT, in usd per million tokens"
            yield Finding(rule="unpriced-model", line=line, severity="error", reason=reason, remedy=remedy)


def _structure(examined: Examined) -> Iterator[Finding]:
    # Imported here, because these rules import `examined` from this package.
    from antiphon.workflows.preflight.rules import RULES

    for rule in RULES:
        yield from rule(examined)


def _portability(looking: _Looking, kinds: Kinds) -> Portability:
    """Where it can run. What only a trusted file has refuses a script that a model wrote: it runs confined."""
    from antiphon.workflows.syntax.dialect import dialect

    places: dict[RunsIn, list[Finding]] = {"jail": [], "nowhere": [], "anywhere": []}
    for one in dialect(kinds.script):
        said = Finding(
            rule="dialect", line=one.line, column=one.column, severity="note", reason=one.what, remedy=one.instead
        )
        places[one.runs_in].append(said)
    confined = looking.planned or finds_api_as_globals(kinds.script)
    looking.findings += places["anywhere"]
    looking.findings += [replace(one, severity="error") for one in places["nowhere"] if confined]
    portable = not places["jail"] and not places["nowhere"]
    return Portability(portable=portable, needs_jail=tuple(places["jail"]), trusted_only=tuple(places["nowhere"]))
