"""What a report says of the run, besides what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from antiphon.subagents.records import Actor
from antiphon.tracing.log import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where a report's findings come from.

    Attributes:
        target: what was audited, as the person named it.
        run: the run's id, or "" for none.
        antiphon: our version.
        analysers: by check, such as "ruff/security": who did it.
        imported: by tool: the version of what has a run in a SARIF file that was given, also where it found nothing.
        lenses: the lenses that were asked for; empty for all.
        not_run: by tool or check: why it did not take part.
        isolation: the sandbox that the analysers ran in, "none" for none.
        banner: what a person must know of it, "" for nothing.
        configuration: the configuration file that was used, "" for none.
        excluded: the patterns by which the person left files out.
        outcomes: how many calls ended how. reused: how many of them were taken from earlier runs.
        left_out: by reason, how many entries of the tree were not looked at on purpose.
        notes: sentences that belong on the first page: limits that were hit, an interrupted run.
    """

    target: str
    run: str = ""
    antiphon: str = ""
    analysers: Mapping[str, Actor] = field(default_factory=dict[str, Actor])
    imported: Mapping[str, str] = field(default_factory=dict[str, str])
    lenses: tuple[str, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict[str, str])
    isolation: str = "none"
    banner: str = ""
    configuration: str = ""
    excluded: tuple[str, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    reused: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()

    @property
    def tools(self) -> dict[str, str]:
        """Versions by tool, in order of names."""
        return {actor.tool: actor.version for _, actor in sorted(self.analysers.items())}

    def to_json(self) -> dict[str, Json]:
        """All of it."""
        return {
            "target": self.target,
            "run": self.run,
            "antiphon": self.antiphon,
            "analysers": {check: actor.model_dump(mode="json") for check, actor in sorted(self.analysers.items())},
            "lenses": list(self.lenses),
            "not_run": dict(sorted(self.not_run.items())),
            "isolation": self.isolation,
            "banner": self.banner,
            "configuration": self.configuration,
            "excluded": list(self.excluded),
            "outcomes": dict(sorted(self.outcomes.items())),
            "reused": self.reused,
            "left_out": dict(sorted(self.left_out.items())),
            "notes": list(self.notes),
        }
