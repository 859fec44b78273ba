"""What holds a part of a script back: limits of the run, of a fan-out, of a branch around it."""

from __future__ import annotations

import ast
from typing import Final

from antiphon.workflows.preflight.examined import Site
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.syntax.kinds import FANOUTS

_AROUND: Final = FANOUTS | {"branch", "workflow"}


def run_limits(reading: Reading) -> str:
    """The limits of the manifest that bound how much a run does, in words; ``""`` where there are none."""
    manifest = reading.examined.manifest
    if manifest is None:
        return "limits"  # what cannot be read is a finding already, and may have set some
    return ", ".join(name for name in manifest.limits.to_json() if name != "depth")


def is_limited(reading: Reading, site: Site) -> bool:
    """Whether a fan-out or branch around a call has limits of its own."""
    around = (one for one in reading.sites if one.name in _AROUND and one.node is not site.node)
    return any(
        one.argument("limits") is not None and any(inner.node is site.node for inner in reading.within(one.node))
        for one in around
    )


def has_own_limit(site: Site) -> bool:
    """Whether a fan-out itself says how far it goes."""
    given = [site.argument(name) for name in ("limits", "until")]
    return any(one is not None and not (isinstance(one, ast.Constant) and one.value is None) for one in given)
