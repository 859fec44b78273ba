"""`[tool.antiphon]` of pyproject.toml, or antiphon.toml: of the current folder, or the nearest above that has one."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from antiphon.engine.errors import UsageError
from antiphon.workflows.cli.untrusted import mapping

if TYPE_CHECKING:
    from antiphon.subagents.tools.mcp import McpServer
    from antiphon.workflows.policy import ToolsAsked

BACKENDS: Final = ("asyncio", "trio")
_KEYS: Final = ("runs_dir", "concurrency", "processes", "backend", "model", "models", "prices", "tools", "mcp", "audit")
_AUDIT_KEYS: Final = ("fail_on", "lens", "exclude", "baseline", "reuse", "sandbox", "sarif")


class ConfigurationError(UsageError):
    """A configuration file that cannot be read, or says something that is not known.

    Attributes:
        file: the file.
        problem: what is wrong with it.
    """

    def __init__(self, file: Path, problem: str, known: Sequence[str] = _KEYS) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}", advice=f"the settings are {', '.join(known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfiguration:
    """What holds for `antiphon audit`: the table `audit` inside that of antiphon.

    Attributes:
        fail_on: the least severity that makes the command fail; None to never fail for what was found.
        lens: the lenses to look with; None for all.
        exclude: patterns of what is left out, as in ignore files.
        baseline: a SARIF file or a run to compare with, none that is elsewhere; None for none.
        reuse: whether results of earlier runs are taken for what did not change.
        sandbox: the sandbox to ask for, never "none"; None for the best there is.
        sarif: logs of other tools to take in, from the folder of the file.
    """

    fail_on: str | None = None
    lens: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    baseline: str | None = None
    reuse: bool = False
    sandbox: str | None = None
    sarif: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What holds unless the command line says otherwise.

    Attributes:
        runs_dir: where runs live; None for `.antiphon/runs` in the current folder.
        concurrency: provider attempts in flight at once; None for the engine's own.
        processes: child processes at once; None for the engine's own.
        backend: the event loop.
        models: which models answer: ``M``, and ``ROLE=M`` for roles. prices: what models cost, by name.
        tools: what tools may do, and what they require; None where nothing is said of that.
        mcp: the MCP servers that it describes, by name; none is started for that.
        audit: what holds for audits.
        file: the file that says so; None if there is none.
    """

    runs_dir: Path | None = None
    concurrency: int | None = None
    processes: int | None = None
    backend: str = "asyncio"
    models: tuple[str, ...] = ()
    prices: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: ToolsAsked | None = None
    mcp: Mapping[str, McpServer] = field(default_factory=dict[str, Any])
    audit: AuditConfiguration = field(default_factory=AuditConfiguration)
    file: Path | None = field(default=None, compare=False)

    def with_options(
        self, *, runs_dir: Path | None, concurrency: int | None, processes: int | None, backend: str | None
    ) -> Configuration:
        """The same, with what the command line gave in its place."""
        return Configuration(
            runs_dir=self.runs_dir if runs_dir is None else runs_dir,
            concurrency=self.concurrency if concurrency is None else concurrency,
            processes=self.processes if processes is None else processes,
            backend=self.backend if backend is None else backend,
            models=self.models,
            prices=self.prices,
            tools=self.tools,
            mcp=self.mcp,
            audit=self.audit,
            file=self.file,
        )


def configuration(folder: Path | None = None) -> Configuration:
    """The configuration that holds in a folder, the current one by default.

    Raises:
        ConfigurationError: a file cannot be read, has an unknown key, or a value of the wrong type.
    """
    start = (folder or Path.cwd()).absolute()
    for place in (start, *start.parents):
        for file, table in ((place / "antiphon.toml", ()), (place / "pyproject.toml", ("tool", "antiphon"))):
            try:
                found = _table(file, table)
                if found is not None:
                    return _read(file, found)
            except RecursionError:  # of the parser, or of a message that quotes the value
                raise ConfigurationError(file, "it is nested too deeply") from None
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
    _check_keys(file, table, _KEYS)
    models, prices = _models(file, table)
    return Configuration(
        runs_dir=_folder(file, table.get("runs_dir")),
        concurrency=_number(file, "concurrency", table.get("concurrency")),
        processes=_number(file, "processes", table.get("processes")),
        backend=_backend(file, table.get("backend", "asyncio")),
        models=models,
        prices=prices,
        tools=_tools(file, table),
        mcp=_mcp(file, table.get("mcp")),
        audit=_audit(file, table.get("audit", {})),
        file=file,
    )


def _models(file: Path, table: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    if not any(name in table for name in ("model", "models", "prices")):
        return (), {}
    from antiphon.workflows.cli.model_options import Unsuitable, configured

    try:
        return configured(file.parent, table)
    except Unsuitable as error:
        raise ConfigurationError(file, str(error)) from None


def _tools(file: Path, table: Mapping[str, Any]) -> ToolsAsked | None:
    if "tools" not in table:
        return None
    from antiphon.workflows.cli.model_options import Unsuitable
    from antiphon.workflows.cli.policy_options import configured_tools

    try:
        return configured_tools(file, table["tools"])
    except Unsuitable as error:
        raise ConfigurationError(file, str(error)) from None


def _mcp(file: Path, value: object) -> Mapping[str, McpServer]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(file, f"mcp must be a table of servers, not {value!r}")
    from antiphon.subagents.tools.mcp.configuration import KEYS, ServerUnsuitable, read_servers

    try:
        return read_servers(mapping(cast("object", value)))
    except ServerUnsuitable as error:
        raise ConfigurationError(file, str(error), KEYS) from None


def _check_keys(file: Path, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in table:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigurationError(file, f"there is no setting {name!r}{meant}", known)


def _audit(file: Path, value: object) -> AuditConfiguration:
    if not isinstance(value, dict):
        raise ConfigurationError(file, f"audit must be a table, not {value!r}", _AUDIT_KEYS)
    table = mapping(cast("object", value))
    _check_keys(file, table, _AUDIT_KEYS)
    reuse = table.get("reuse", False)
    if not isinstance(reuse, bool):
        raise ConfigurationError(file, f"audit.reuse must be true or false, not {reuse!r}", _AUDIT_KEYS)
    return AuditConfiguration(
        fail_on=_severity(file, table.get("fail_on")),
        lens=_texts(file, "lens", table["lens"]) if "lens" in table else None,
        exclude=_texts(file, "exclude", table.get("exclude", [])),
        baseline=_baseline(file, _text(file, "baseline", table.get("baseline"))),
        reuse=reuse,
        sandbox=_sandbox(file, _text(file, "sandbox", table.get("sandbox"))),
        sarif=tuple(_within(file, "sarif", name) for name in _texts(file, "sarif", table.get("sarif", []))),
    )


def _severity(file: Path, value: object) -> str | None:
    if value is None:
        return None
    from antiphon.subagents.records.claims import Severity

    known: tuple[str, ...] = get_args(Severity)
    if isinstance(value, str) and value in known:
        return value
    raise ConfigurationError(file, f"audit.fail_on must be one of {', '.join(known)}, not {value!r}", _AUDIT_KEYS)


def _text(file: Path, name: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value and "\0" not in value):
        return value
    raise ConfigurationError(file, f"audit.{name} must be text, not {value!r}", _AUDIT_KEYS)


def _texts(file: Path, name: str, value: object) -> tuple[str, ...]:
    """A list of texts; a single text is a list of one."""
    given = [value] if isinstance(value, str) else cast("list[object]", value) if isinstance(value, list) else None
    if given is None or not all(isinstance(entry, str) and entry and "\0" not in entry for entry in given):
        raise ConfigurationError(file, f"audit.{name} must be a list of texts, not {value!r}", _AUDIT_KEYS)
    return tuple(str(entry) for entry in given)


def _baseline(file: Path, value: str | None) -> str | None:
    """A file beside the configuration, or else the name of a run."""
    if value is None:
        return None
    beside = _within(file, "baseline", value)
    if os.path.isfile(beside) or os.path.basename(value) != value:
        return str(beside)
    if os.path.lexists(value):  # in the current folder, where the name of a run is looked for as well
        _check_within(file, "baseline", value, Path(value))
    return value


def _sandbox(file: Path, value: str | None) -> str | None:
    """The file may come with the tree that is audited, which must not decide that it is not confined."""
    if value == "none":
        problem = "only the command line can switch the sandbox off: --sandbox none"
        raise ConfigurationError(file, f"audit.sandbox: {problem}", _AUDIT_KEYS)
    return value


def _beside(file: Path, setting: str, name: str) -> Path:
    """Relative to the file that says it, so that it means the same from every folder below."""
    try:
        return file.parent / Path(name).expanduser()
    except RuntimeError:
        raise ConfigurationError(file, f"{setting} {name[:200]!r}: there is no such home folder") from None


def _within(file: Path, setting: str, name: str) -> Path:
    """The same, for what is read: the file may come with the audited tree, and must not show what is elsewhere."""
    place = _beside(file, f"audit.{setting}", name)
    _check_within(file, setting, name, place)
    return place


def _check_within(file: Path, setting: str, name: str, place: Path) -> None:
    if not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(file.parent)):
        problem = f"audit.{setting} {name[:200]!r} leads out of {file.parent}"
        raise ConfigurationError(file, f"{problem}; only the command line can: --{setting} FILE", _AUDIT_KEYS)


def _folder(file: Path, value: object) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigurationError(file, f"runs_dir must be a path, not {value!r}")
    return _beside(file, "runs_dir", value)


def _number(file: Path, name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ConfigurationError(file, f"{name} must be a whole number of at least 1, not {value!r}")


def _backend(file: Path, value: object) -> str:
    if value not in BACKENDS:
        raise ConfigurationError(file, f"backend must be one of {', '.join(BACKENDS)}, not {value!r}")
    return str(value)
