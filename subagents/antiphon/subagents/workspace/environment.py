"""What commands in a workspace find of the project's surroundings: its programs, its packages, its way to run tests.

All of it is the project's own folder, never its copy in a workspace: there the ignored files are missing. Nothing here
executes anything. A project may be hostile: its links are not followed, and of its environments only real folders in
their usual places are granted.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from antiphon.subagents.sandbox.exposure import SYSTEM, is_below
from antiphon.subagents.workspace.detecting import Suite, framework_of, suites_in
from antiphon.subagents.workspace.virtual import VirtualEnvironment, virtual_environment

ROOT: Final = "{root}"
"""Stands for the workspace's folder in variables."""
_SYSTEM_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# By what a project has in its folder: the programs it is worked on with.
_CHAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "package.json": ("node", "npm", "npx", "yarn", "pnpm"),
    "Cargo.toml": ("cargo", "rustc", "rustdoc", "rustfmt"),
    "go.mod": ("go", "gofmt"),
    "Makefile": ("make",),
}
_ALWAYS: Final = ("python3", "git", "make")
_FIXED: Final = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",  # what a test printed is there when it is killed
    "PYTHONIOENCODING": "utf-8",
    "CI": "1",  # no colours, no questions, no watching
    "NO_COLOR": "1",
    "CARGO_NET_OFFLINE": "true",
    "CARGO_TERM_COLOR": "never",
    "GOPROXY": "off",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "npm_config_update_notifier": "false",
    "npm_config_offline": "true",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What commands in the workspaces of one project have besides the system's programs.

    Attributes:
        project: the project's folder, absolute and real.
        search: folders that go before the system's in PATH.
        variables: of every command; `ROOT` in a value stands for the workspace.
        programs: programs outside of the system's folders that commands may start.
        read: folders of the project that commands may read besides the workspace.
        modules: the folder of packages that node programs import; "" for none.
        site_packages: folders of the Python packages that the project's code imports, best first.
        python: the interpreter that the project's code runs on, as a command names it.
        suites: the ways to run the project's tests that were found, best first.
        tests: the command line that runs them, where a person named one; it goes before what was found.
        notes: what was found and is not used, and why, for a person.
    """

    project: Path
    search: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    programs: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    modules: str = ""
    site_packages: tuple[str, ...] = ()
    python: str = "python3"
    suites: tuple[Suite, ...] = ()
    tests: str = ""
    notes: tuple[str, ...] = ()

    @property
    def suite(self) -> Suite | None:
        """The way to run the tests that is taken when nobody names one; None where none was found."""
        if self.tests:
            return Suite(("/bin/sh", "-c", self.tests), framework_of(self.tests), "it was named for this run")
        return self.suites[0] if self.suites else None

    def variables_in(self, root: str) -> dict[str, str]:
        """The variables of a command in a workspace, PATH among them; HOME and TMPDIR are the sandbox's own."""
        given = {name: value.replace(ROOT, root) for name, value in self.variables.items()}
        return {"PATH": os.pathsep.join((*self.search, *_SYSTEM_PATH)), **given}

    def suites_of(self, root: Path) -> tuple[Suite, ...]:
        """The ways to run tests that a tree has, such as a workspace in which the first tests were just written.

        Blocks: call it in a worker thread.
        """
        return self.suites or suites_in(root, self.site_packages)


def environment_of(project: Path) -> Environment:
    """The environment of a project. Blocks: call it in a worker thread.

    Args:
        project: its folder. What is not there or cannot be read is left out.
    """
    root = Path(os.path.realpath(project))
    venv, notes = virtual_environment(root)
    modules = _modules(root)
    programs = tuple(_programs(root, venv))
    search = (
        *((venv.scripts,) if venv else ()),
        *((os.path.join(modules, ".bin"),) if modules else ()),
        *dict.fromkeys(os.path.dirname(program) for program in programs),
    )
    site_packages = venv.site_packages if venv else _own_packages()
    return Environment(
        project=root,
        search=search,
        variables={**_FIXED, **_python_variables(venv), **_chain_variables(root)},
        programs=programs,
        read=tuple(filter(None, (venv.folder if venv else "", modules, *_chain_folders(root)))),
        modules=modules,
        site_packages=site_packages,
        # Without an environment of the project: one of which it is known that commands can start it.
        python="python" if venv else os.path.abspath(sys.executable),
        suites=suites_in(root, site_packages),
        notes=notes,
    )


def _modules(root: Path) -> str:
    folder = str(root / "node_modules")
    return folder if os.path.isdir(folder) and os.path.realpath(folder) == folder else ""


def _python_variables(venv: VirtualEnvironment | None) -> dict[str, str]:
    """The workspace goes before what is installed: an editable install leads to the user's own tree."""
    edited = venv.editable if venv else ()
    path = os.pathsep.join(dict.fromkeys((ROOT, f"{ROOT}/src", *(f"{ROOT}/{folder}" for folder in edited))))
    return {"PYTHONPATH": path, **({"VIRTUAL_ENV": venv.folder} if venv else {})}


def _own_packages() -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for path in sys.path if os.path.basename(path) == "site-packages"))


def _programs(root: Path, venv: VirtualEnvironment | None) -> Iterator[str]:
    """The programs outside of the system's folders that the project is worked on with."""
    if venv:
        yield venv.interpreter
    wanted = [*_ALWAYS, *(name for file, names in _CHAINS.items() if (root / file).is_file() for name in names)]
    for name in wanted:
        found = shutil.which(name)
        if found is None or not os.path.isabs(found) or is_below(os.path.realpath(found), str(root)):
            continue
        if name == "python3":  # a shim of a version manager runs nothing by itself
            continue
        path = os.path.normpath(found)
        if not any(is_below(path, folder) for folder in SYSTEM):
            yield path
    if not venv:
        yield os.path.abspath(sys.executable)


def _chain_folders(root: Path) -> Iterator[str]:
    """What programs of Rust and Go read of their installations: toolchains, and packages fetched before."""
    if (root / "Cargo.toml").is_file():
        for path in (_rustup(), os.path.join(_cargo(), "registry"), os.path.join(_cargo(), "git")):
            if os.path.isdir(path):
                yield os.path.realpath(path)
    if (root / "go.mod").is_file():
        fetched = os.path.expanduser("~/go/pkg/mod")
        if os.path.isdir(fetched):
            yield os.path.realpath(fetched)


def _chain_variables(root: Path) -> dict[str, str]:
    if (root / "Cargo.toml").is_file():
        return {"RUSTUP_HOME": _rustup(), "CARGO_HOME": _cargo()}
    return {"GOMODCACHE": os.path.expanduser("~/go/pkg/mod")} if (root / "go.mod").is_file() else {}


def _rustup() -> str:
    return os.path.realpath(os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup"))


def _cargo() -> str:
    return os.path.realpath(os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo"))


__all__ = ["ROOT", "Environment", "Suite", "environment_of"]
