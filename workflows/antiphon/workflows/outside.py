"""What a call may not do because its manifest does not declare it: a role, a step, a model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from antiphon.engine import Call
from antiphon.engine.call import Critic
from antiphon.engine.denial import Outside
from antiphon.workflows.manifest import Manifest
from antiphon.workflows.model_roles import ModelRoles

_LISTED = 8


def outside_manifest(manifest: Manifest, models: ModelRoles, call: Call, *, strict: bool) -> Outside | None:
    """Why a call is outside of what a manifest declares; None if it is not.

    Args:
        manifest: of the workflow that makes it.
        models: what the person asked for, which is always allowed.
        call: what is asked for.
        strict: whether a manifest that names no models allows none besides the person's and the roles' own.
    """
    if call.sort == "step":
        return None if call.name in manifest.steps else _undeclared("step", call.name, "steps", manifest.steps)
    if call.sort != "agent":
        return None
    for role in _roles(call):
        if role not in manifest.roles:
            return _undeclared("role", role, "roles", manifest.roles)
    named = list(_models(call))
    if not named or not (strict or "models" in manifest.model_fields_set):
        return None
    allowed = {*manifest.models.values(), *_asked(models), *_own(manifest, models)}
    found = next((model for model in named if model not in allowed), None)
    return None if found is None else _undeclared("model", found, "models", sorted(allowed))


def _roles(call: Call) -> Iterator[str]:
    yield call.name
    if isinstance(call.until, Critic):
        yield call.until.role


def _models(call: Call) -> Iterator[str]:
    if (model := call.setting("model")) is not None:
        yield model
    if isinstance(call.until, Critic) and call.until.model is not None:
        yield call.until.model


def _asked(models: ModelRoles) -> Iterator[str]:
    """The models that the person named, each for a role or for all."""
    from antiphon.subagents.model.registry import ROLE

    for spec in models.asked.specs:
        hit = ROLE.match(spec)
        yield hit[2] if hit else spec


def _own(manifest: Manifest, models: ModelRoles) -> Iterator[str]:
    """The models that the files of the declared roles name."""
    for role in manifest.roles:
        if role in models.library and (own := models.library.role(role).model) is not None:
            yield own


def _undeclared(sort: str, name: str, field: str, declared: Iterable[str]) -> Outside:
    known = list(declared)
    close = difflib.get_close_matches(name[:100], known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    listed = ", ".join(known[:_LISTED]) + (", ..." if len(known) > _LISTED else "")
    reason = f"{sort} {name[:100]!r} is not in the manifest's {field} ({listed or 'it has none'})"
    return Outside(f"{sort} {name[:100]!r}", field, f"{reason}; {meant}{_remedy(sort, field)}")


def _remedy(sort: str, field: str) -> str:
    if sort == "model":
        return f'declare it in the manifest: "{field}": {{ROLE: MODEL}}'
    return f"declare it in the manifest's {field}"
