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
from dataclasses import dataclass, field
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
from antiphon.workflows.runtimes import TRUSTED, RuntimeAsked
from antiphon.workflows.steps import StepFunction
from antiphon.workflows.working import STEPS

MAX_BYTES = 1_000_000
_ASKED = RuntimeAsked()
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
        runtime: what it is run in: ``trusted`` is this process; anywhere else nothing of it was executed here.
    """

    manifest: Manifest
    main: Callable[..., Awaitable[Any]]
    parameters: Parameters
    roles: Mapping[str, Role]
    steps: Mapping[str, StepFunction]
    path: Path
    source: str
    builtin: str = ""
    runtime: str = TRUSTED

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """sha256 of the file's text."""
        return hashlib.sha256(self.source.encode()).hexdigest()


def load(
    path: Path,
    *,
    roles: Mapping[str, Role] | None = None,
    steps: Mapping[str, StepFunction] | None = None,
    builtin: str = "",
    library: Roles | None = None,
    runtime: RuntimeAsked = _ASKED,
) -> Loaded:
    """Read a workflow file, check it, and only then execute it; one that is to be confined is not executed here.

    Args:
        path: the file.
        roles: roles it may use besides the function agents it defines.
        steps: steps it may declare besides those it defines, and those of `working.STEPS`.
        builtin: the name of a workflow that ships with antiphon.
        library: the model roles that its manifest may declare; by default those of the current folder's project.
        runtime: what was said of where it runs; by default in this process, unless a model wrote it.

    Raises:
        UsageError: it cannot be read, its manifest or habits are wrong, or importing it fails.
    """
    return load_source(
        read_text(path), path, roles=roles, steps=steps, builtin=builtin, library=library, runtime=runtime
    )


def load_source(
    source: str,
    path: Path,
    *,
    kept_in: Path | None = None,
    roles: Mapping[str, Role] | None = None,
    steps: Mapping[str, StepFunction] | None = None,
    builtin: str = "",
    library: Roles | None = None,
    runtime: RuntimeAsked = _ASKED,
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
        runtime: see `load`.

    Raises:
        UsageError: its manifest or habits are wrong, importing it fails, or nothing here can confine it.
    """
    shown = kept_in or path
    manifest = read_manifest(source, str(shown))
    main = _confined(source, path, shown, runtime) or _signed_off(source, shown) or _trusted(source, shown)
    found = {**main.roles, **(roles or {})}
    known = {**STEPS, **(steps or {}), **main.steps}
    _check_steps(shown, manifest, known)
    _check_roles(shown, manifest, found, library)
    _check_models(shown, manifest)
    return Loaded(
        manifest=manifest,
        main=main.call,
        parameters=main.parameters,
        roles=found,
        steps={name: known[name] for name in {*main.steps, *manifest.steps}},
        path=Path(os.path.abspath(path)),
        source=source,
        builtin=builtin,
        runtime=main.runtime,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Main:
    """What a file has besides its manifest: see `Loaded`."""

    call: Callable[..., Awaitable[Any]]
    parameters: Parameters
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    steps: Mapping[str, StepFunction] = field(default_factory=dict[str, StepFunction])
    runtime: str = TRUSTED


def _trusted(source: str, shown: Path) -> _Main:
    """Execute the file; what it defines for itself."""
    check_habits(source, str(shown))
    module = _import(source, shown)
    things = vars(module).values()
    return _Main(
        call=module.main,
        parameters=parameters_of(module.main),
        roles={thing.name: thing for thing in things if _is_role(thing)},
        steps={thing.name: thing for thing in things if isinstance(thing, StepFunction)},
    )


def _signed_off(source: str, shown: Path) -> _Main | None:
    """A script that a model wrote and a person trusts: it is executed when the run begins, and not to be asked about.

    None for any other.
    """
    from antiphon.workflows.approval.planned import planned_of

    if planned_of(source) is None:
        return None
    from antiphon.workflows import script
    from antiphon.workflows.confined import read_confined
    from antiphon.workflows.script_text import with_names

    check_habits(with_names(source), str(shown))

    async def main(**given: Any) -> Any:
        module = _import(source, shown, {name: getattr(script, name) for name in script.__all__})
        return await module.main(**parameters_of(module.main).validate(given))

    return _Main(call=main, parameters=read_confined(source, str(shown)).parameters)


def _confined(source: str, path: Path, shown: Path, asked: RuntimeAsked) -> _Main | None:
    """What can be told of a file without executing it; None for one that is trusted."""
    runtime = asked.runtime_of(source, str(shown))
    if runtime is None:
        return None
    from antiphon.workflows.confined import check_confined, main_of, read_confined

    check_confined(source, str(shown), runtime.name)
    written = read_confined(source, str(shown))
    return _Main(call=main_of(written, path, runtime), parameters=written.parameters, runtime=runtime.name)


def read_text(path: Path) -> str:
    """The text of a workflow file, of bounded size. Raises `UsageError` where it cannot be read."""
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


def _import(source: str, path: Path, names: Mapping[str, object] | None = None) -> ModuleType:
    """Execute exactly the text that was checked: no file is read again, and no ``__pycache__`` is believed or left.

    `names` are there without being imported.
    """
    name = f"_antiphon_workflow_{next(_numbers)}_{path.stem}"
    file = os.path.abspath(path)
    module = ModuleType(name)
    module.__file__ = file
    vars(module).update(names or {})
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
