"""A workflow file on its way to being run: read, checked, imported; in this order."""

from __future__ import annotations

import difflib
import hashlib
import io
import itertools
import linecache
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from antiphon.engine import UsageError
from antiphon.engine.perform import describe_error
from antiphon.subagents.function import Role
from antiphon.subagents.roles.library import Roles
from antiphon.workflows.habits import check_habits
from antiphon.workflows.manifest import Manifest, read_manifest
from antiphon.workflows.parameters import Parameters, parameters_of
from antiphon.workflows.steps import StepFunction
from antiphon.workflows.working import STEPS

MAX_BYTES = 1_000_000
_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A workflow that can be run.

    Attributes:
        manifest: what it declares.
        main: its ``async def main``.
        parameters: main's typed parameters.
        roles: function agents found in the file, by name.
        steps: the steps it may call, by name: those in the file, and what its manifest names of others.
        path: the file, absolute.
        source: its text.
        builtin: the name of a workflow that ships with antiphon, or "".
    """

    manifest: Manifest
    main: Callable[..., Awaitable[Any]]
    parameters: Parameters
    roles: Mapping[str, Role]
    steps: Mapping[str, StepFunction]
    path: Path
    source: str
    builtin: str = ""

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """sha256 of the file's text."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def declares(self, sort: str, name: str) -> bool:
        """Whether the manifest declares this role or step. Approvals need no declaration."""
        declared = {"agent": self.manifest.roles, "step": self.manifest.steps}.get(sort)
        return declared is None or name in declared


def load(
    path: Path,
    *,
    roles: Mapping[str, Role] | None = None,
    steps: Mapping[str, StepFunction] | None = None,
    builtin: str = "",
    library: Roles | None = None,
) -> Loaded:
    """Read a workflow file, check it, and only then execute it.

    Args:
        path: the file.
        roles: roles it may use besides the function agents it defines.
        steps: steps it may declare besides those it defines, and those of `working.STEPS`.
        builtin: the name of a workflow that ships with antiphon.
        library: the model roles that its manifest may declare; by default those of the current folder's project.

    Raises:
        UsageError: it cannot be read, its manifest or habits are wrong, or importing it fails.
    """
    return load_source(_read(path), path, roles=roles, steps=steps, builtin=builtin, library=library)


def load_source(
    source: str,
    path: Path,
    *,
    kept_in: Path | None = None,
    roles: Mapping[str, Role] | None = None,
    steps: Mapping[str, StepFunction] | None = None,
    builtin: str = "",
    library: Roles | None = None,
) -> Loaded:
    """Check a workflow's text and execute it: this text, whatever any file says by now.

    Args:
        source: the text.
        path: the file it belongs to, which nested workflows are relative to.
        kept_in: the file that the text was read from, where that is another.
        roles: see `load`.
        steps: see `load`.
        builtin: see `load`.
        library: see `load`.

    Raises:
        UsageError: its manifest or habits are wrong, or importing it fails.
    """
    shown = kept_in or path
    manifest = read_manifest(source, str(shown))
    check_habits(source, str(shown))
    module = _import(source, shown)
    things = vars(module).values()
    found = {thing.name: thing for thing in things if _is_role(thing)} | dict(roles or {})
    own = {thing.name: thing for thing in things if isinstance(thing, StepFunction)}
    known = {**STEPS, **(steps or {}), **own}
    _check_steps(shown, manifest, known)
    _check_roles(shown, manifest, found, library)
    _check_models(shown, manifest)
    return Loaded(
        manifest=manifest,
        main=module.main,
        parameters=parameters_of(module.main),
        roles=found,
        steps={name: known[name] for name in {*own, *manifest.steps}},
        path=Path(os.path.abspath(path)),
        source=source,
        builtin=builtin,
    )


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and a workflow is a file", advice="antiphon run FILE.py")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {path}: {reason}", advice="antiphon run FILE.py") from None
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path} is too large: a workflow has at most {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error}") from None


def _import(source: str, path: Path) -> ModuleType:
    """Execute exactly the text that was checked: no file is read again, and no ``__pycache__`` is believed or left."""
    name = f"_antiphon_workflow_{next(_numbers)}_{path.stem}"
    file = os.path.abspath(path)
    module = ModuleType(name)
    module.__file__ = file
    # Fingerprints of functions and tracebacks show this text too, although the file may change meanwhile.
    linecache.cache[file] = (len(source), None, io.StringIO(source, newline=None).readlines(), file)
    sys.modules[name] = module
    try:
        exec(compile(source, file, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{path} cannot be imported: {describe_error(error)}") from error
    return module


def _is_role(thing: object) -> bool:
    return not isinstance(thing, type) and all(hasattr(thing, name) for name in ("floor", "output", "version", "name"))


def _check_steps(path: Path, manifest: Manifest, steps: Mapping[str, StepFunction]) -> None:
    """Every step that the manifest declares must exist, before anything starts."""
    for name in manifest.steps:
        if name not in steps:
            raise _undefined(path, f"step {name!r}", steps, f"define it with @step_function({name!r})")


def _check_roles(path: Path, manifest: Manifest, roles: Mapping[str, Role], library: Roles | None) -> None:
    """Every role that it declares must exist: in the file, or as a model role whose own file can be used."""
    for name in manifest.roles:
        if name in roles:
            continue
        library = library or Roles.here()
        if name not in library:
            close = difflib.get_close_matches(name, [*roles, *library.names()], n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            fix = f"{meant}define it with @function_agent({name!r}), or write .antiphon/roles/{name}.md"
            raise _undefined(path, f"role {name!r}", roles, fix)
        library.role(name)


def _check_models(path: Path, manifest: Manifest) -> None:
    """A model for a role that is not declared would never be asked, and nobody would notice."""
    for name in manifest.models:
        if name not in manifest.roles:
            close = difflib.get_close_matches(name, manifest.roles, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"declare it: add {name!r} to roles"
            problem = f"the manifest's models name the role {name!r}, and its roles do not"
            raise UsageError(f"{path}: {problem}", advice=meant)


def _undefined(path: Path, what: str, defined: Mapping[str, object], fix: str) -> UsageError:
    listing = ", ".join(sorted(defined)) or "none"
    problem = f"the manifest declares {what}, which the file does not define (it defines: {listing})"
    return UsageError(f"{path}: {problem}", advice=fix)
