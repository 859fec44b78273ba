"""`[tool.antiphon]` of pyproject.toml, or antiphon.toml: of the current folder, or the nearest above that has one."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from antiphon.engine.errors import UsageError
from antiphon.workflows.cli.untrusted import mapping

BACKENDS: Final = ("asyncio", "trio")
_KEYS: Final = ("runs_dir", "concurrency", "processes", "backend")


class ConfigurationError(UsageError):
    """A configuration file that cannot be read, or says something that is not known.

    Attributes:
        file: the file.
        problem: what is wrong with it.
    """

    def __init__(self, file: Path, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}", advice=f"the settings are {', '.join(_KEYS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What holds unless the command line says otherwise.

    Attributes:
        runs_dir: where runs live; None for `.antiphon/runs` in the current folder.
        concurrency: provider attempts in flight at once; None for the engine's own.
        processes: child processes at once; None for the engine's own.
        backend: the event loop.
    """

    runs_dir: Path | None = None
    concurrency: int | None = None
    processes: int | None = None
    backend: str = "asyncio"

    def with_options(
        self, *, runs_dir: Path | None, concurrency: int | None, processes: int | None, backend: str | None
    ) -> Configuration:
        """The same, with what the command line gave in its place."""
        return Configuration(
            runs_dir=self.runs_dir if runs_dir is None else runs_dir,
            concurrency=self.concurrency if concurrency is None else concurrency,
            processes=self.processes if processes is None else processes,
            backend=self.backend if backend is None else backend,
        )


def configuration(folder: Path | None = None) -> Configuration:
    """The configuration that holds in a folder, the current one by default.

    Raises:
        ConfigurationError: a file cannot be read, has an unknown key, or a value of the wrong type.
    """
    start = (folder or Path.cwd()).absolute()
    for place in (start, *start.parents):
        for file, table in ((place / "antiphon.toml", ()), (place / "pyproject.toml", ("tool", "antiphon"))):
            found = _table(file, table)
            if found is not None:
                return _read(file, found)
    return Configuration()


def _table(file: Path, names: tuple[str, ...]) -> Mapping[str, Any] | None:
    try:
        if not file.is_file():
            return None
        found: Any = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(file, f"it cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOML that is none, or text that is not UTF-8
        raise ConfigurationError(file, f"it is not TOML: {error}") from None
    for name in names:
        found = mapping(found).get(name)
    if found is None:
        return None
    if not mapping(found) and found != {}:
        raise ConfigurationError(file, f"{'.'.join(names)} is not a table")
    return mapping(found)


def _read(file: Path, table: Mapping[str, Any]) -> Configuration:
    for name in table:
        if name not in _KEYS:
            close = difflib.get_close_matches(name, _KEYS, n=1)
            raise ConfigurationError(
                file, f"there is no setting {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
            )
    return Configuration(
        runs_dir=_folder(file, table.get("runs_dir")),
        concurrency=_number(file, "concurrency", table.get("concurrency")),
        processes=_number(file, "processes", table.get("processes")),
        backend=_backend(file, table.get("backend", "asyncio")),
    )


def _folder(file: Path, value: object) -> Path | None:
    """Relative to the file that says it, so that it means the same from every folder below."""
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigurationError(file, f"runs_dir must be a path, not {value!r}")
    return file.parent / Path(value).expanduser()


def _number(file: Path, name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ConfigurationError(file, f"{name} must be a whole number of at least 1, not {value!r}")


def _backend(file: Path, value: object) -> str:
    if value not in BACKENDS:
        raise ConfigurationError(file, f"backend must be one of {', '.join(BACKENDS)}, not {value!r}")
    return str(value)
