"""What an approval is of: exactly one text, with what it may touch, what it may use, and what it is given."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antiphon.tracing import Json
from antiphon.workflows.runtimes import TRUSTED
from antiphon.workflows.values import plain

if TYPE_CHECKING:
    from antiphon.workflows.loading import Loaded
    from antiphon.workflows.manifest import Manifest
    from antiphon.workflows.parameters import Parameters

HASH_DIGITS: Final = 32
"""Of the hash that a person is shown and types. Fewer, and whoever writes two scripts could give both the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a person approves.

    Attributes:
        file: the script, as an absolute path; tells which earlier version it is compared with. Not part of the hash.
        source: its text.
        manifest: what it declares, as JSON: scope, limits, roles, steps, models among it.
        granted: what the person gives it beyond that, or holds it to: rules for tools, whether it is confined.
        arguments: what main is given.
    """

    file: str
    source: str
    manifest: Mapping[str, Any]
    granted: Mapping[str, Json] = field(default_factory=dict[str, Json])
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @property
    def script_sha256(self) -> str:
        """sha256 of the text alone, in hex: as `Loaded.digest`."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def digest(self) -> str:
        """sha256 of all of it, in hex."""
        parts: list[Any] = [
            "antiphon approval 1",
            self.source,
            dict(self.manifest),
            dict(self.granted),
            sha256_of(dict(self.arguments)),
        ]
        return sha256_of(parts)

    @property
    def hash(self) -> str:
        """What a person is shown, and gives to ``--approve``."""
        return self.digest[:HASH_DIGITS]

    def is_meant(self, typed: str) -> bool:
        """Whether ``--approve`` was given this hash: at least as many digits as are shown."""
        given = typed.strip().lower()
        return len(given) >= HASH_DIGITS and self.digest.startswith(given)


def subject_of(loaded: Loaded, arguments: Mapping[str, Any], granted: Mapping[str, Json] | None = None) -> Subject:
    """What running a loaded workflow with these arguments would be.

    Args:
        loaded: the workflow.
        arguments: for main, validated.
        granted: what the person gives it besides; nothing by default.
    """
    return Subject(
        file=str(loaded.path),
        source=loaded.source,
        manifest=declared_of(loaded.manifest),
        granted=granted_of(granted, confined=loaded.runtime != TRUSTED),
        arguments=given_of(loaded.parameters, arguments),
    )


def subject_of_text(
    source: str, path: Path, pairs: Sequence[str], granted: Mapping[str, Json] | None = None, *, confined: bool
) -> Subject:
    """What running a text would be; nothing of it is executed, wherever it will run.

    Args:
        source: the text.
        path: its file.
        pairs: arguments for main as they are typed, ``name=value``.
        granted: what the person gives it besides.
        confined: whether it will be confined.

    Raises:
        UsageError: it cannot be read so, as no confined script could be; or an argument does not fit.
    """
    from antiphon.workflows.confined import read_confined
    from antiphon.workflows.manifest import read_manifest

    manifest = read_manifest(source, str(path))
    parameters = read_confined(source, str(path)).parameters
    return Subject(
        file=os.path.abspath(path),
        source=source,
        manifest=declared_of(manifest),
        granted=granted_of(granted, confined=confined),
        arguments=given_of(parameters, parameters.from_text(pairs)),
    )


def declared_of(manifest: Manifest) -> dict[str, Any]:
    """What a manifest declares, as JSON, without the parts of the scope that it says nothing of: they are not empty."""
    scope = {name: list(getattr(manifest.scope, name)) for name in sorted(manifest.scope.model_fields_set)}
    return {**manifest.to_json(), "scope": scope}


def granted_of(granted: Mapping[str, Json] | None, *, confined: bool) -> dict[str, Json]:
    """What a script is given besides what it declares; what says nothing is left out."""
    given: dict[str, Json] = {"confined": confined, **(granted or {})}
    return {name: value for name, value in given.items() if value not in ({}, [], None, "")}


def given_of(parameters: Parameters, arguments: Mapping[str, Any]) -> dict[str, Json]:
    """The arguments that are not main's defaults, as JSON: a default is part of the text."""
    defaults = {one.name: plain(one.default) for one in parameters.each if not one.required}
    written = {name: plain(value) for name, value in arguments.items()}
    return {name: value for name, value in written.items() if name not in defaults or value != defaults[name]}


def sha256_of(value: Any) -> str:
    """sha256 of a JSON value written in one way, in hex."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
