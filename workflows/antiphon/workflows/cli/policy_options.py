"""`--allow`, `--ask` and `--deny`: what tools may do, on the command line and in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from antiphon.workflows.cli.model_options import Unsuitable

if TYPE_CHECKING:
    from antiphon.subagents.tools.policy import Rule
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.policy import ToolsAsked

F = TypeVar("F", bound=Callable[..., Any])
_SETTINGS: Final = ("ask", "deny", "after")
_OF_SERVER: Final = "__"
_ANSWERED: Final = ("main", "*")


def policy_options(function: F) -> F:
    """What tools may do without asking, after a person's yes, or not at all."""
    for option in (
        click.option("--deny", multiple=True, metavar="TOOL[:PATHS]", help="Never call this tool (on these paths)."),
        ask_option,
        allow_option,
    ):
        function = option(function)
    return function


ask_option = click.option(
    "--ask", multiple=True, metavar="TOOL[:PATHS]", help="Ask a person before this tool is called: --ask 'git_*'."
)
allow_option = click.option(
    "--allow", multiple=True, metavar="TOOL[:PATHS]", help="Call this tool without asking. All three can be repeated."
)
"""For `resume`, whose own `--deny` answers a question too; see `denied_tools`."""


def denied_tools(deny: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `resume --deny` was given: places of questions to say no to, and tools to deny.

    A place begins with ``main``, as every path of a run does; ``*`` is every open question.
    """
    answers = tuple(one for one in deny if one in _ANSWERED or one.startswith(("main/", "main#")))
    return answers, tuple(one for one in deny if one not in answers)


def tools_asked(
    held: Configuration | None, allow: Sequence[str], ask: Sequence[str], deny: Sequence[str]
) -> ToolsAsked:
    """What was asked of the run's tools: by the configuration, and by what was typed.

    Args:
        held: the configuration, or None where it does not hold.
        allow: as typed after `--allow`.
        ask: as typed after `--ask`.
        deny: as typed after `--deny`.

    Raises:
        UsageError: one of them names no tool, or none that there is; an MCP server's are not known yet.
    """
    from antiphon.subagents.tools.policy import read_rule
    from antiphon.workflows.policy import ToolsAsked

    typed = [
        *(read_rule("auto", text) for text in allow),
        *(read_rule("ask", text) for text in ask),
        *(read_rule("deny", text) for text in deny),
    ]
    for rule in typed:
        _check_known(rule)
    if held is None or held.tools is None:
        return ToolsAsked(rules=tuple(typed))
    return ToolsAsked(rules=(*held.tools.rules, *typed), after=held.tools.after)


def _check_known(rule: Rule) -> None:
    """Refuse a rule about no tool: whoever mistyped it would believe that it holds."""
    import difflib
    from fnmatch import fnmatchcase

    from antiphon.engine import UsageError
    from antiphon.subagents.tools.choosing import REACHING
    from antiphon.workflows.toolset import toolset

    known = (*toolset(Path.cwd()), *REACHING)
    if _OF_SERVER in rule.tool or any(fnmatchcase(name, rule.tool) for name in known):
        return
    close = difflib.get_close_matches(rule.tool, known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"{rule.source}: there is no such tool", advice=f"{meant}there are {', '.join(sorted(known))}")


# --- the configuration ---------------------------------------------------------------------------------------------


def configured_tools(file: Path, table: object) -> ToolsAsked:
    """The table ``tools`` of a configuration file: ``run = "ask"``, ``edit = {deny = ["secrets/**"]}``.

    The file may come with somebody's tree. So it can ask and deny, and require; only the person can allow.

    Raises:
        Unsuitable: one of them cannot be taken.
    """
    from antiphon.workflows.policy import ToolsAsked

    rules: list[Rule] = []
    after: dict[str, tuple[str, ...]] = {}
    for name, said in _table("tools", table).items():
        if said in ("ask", "deny"):
            rules.append(_rule(file, name, cast("str", said), ()))
            continue
        if isinstance(said, str):
            raise Unsuitable(_unknown_mode(name, said))
        for setting, value in _table(f"tools.{name[:60]}", said).items():
            listed = _list(name, setting, value)
            if setting == "after":
                after[name] = listed
            else:
                rules.append(_rule(file, name, setting, listed))
    return ToolsAsked(rules=tuple(rules), after=after)


def _rule(file: Path, name: str, mode: str, paths: tuple[str, ...]) -> Rule:
    from dataclasses import replace

    from antiphon.engine.errors import UsageError
    from antiphon.subagents.tools.policy import MODES, read_rule

    said = f"{name}:{','.join(paths)}" if paths else name
    try:
        rule = read_rule(MODES[mode], said)
    except UsageError as error:
        raise Unsuitable(f"tools.{name[:60]}: {error.message.partition(' ')[2]}") from None
    return replace(rule, source=f"tools.{name} in {file.name}")


def _unknown_mode(name: str, said: str) -> str:
    if said in ("auto", "allow"):
        return f"tools.{name[:60]}: a file can ask and deny, and only the command line can allow: --allow {name[:60]}"
    return f"tools.{name[:60]} must be 'ask' or 'deny', or a table of {', '.join(_SETTINGS)}, not {said!r:.100}"


def _list(name: str, setting: str, value: object) -> tuple[str, ...]:
    if setting not in _SETTINGS:
        raise Unsuitable(f"tools.{name[:60]} has no {setting[:60]!r} (there are {', '.join(_SETTINGS)})")
    given = cast("list[object]", value) if isinstance(value, list) else []
    listed = tuple(text for text in given if isinstance(text, str) and text and "," not in text)
    if not listed or len(listed) != len(given):
        raise Unsuitable(f"tools.{name[:60]}.{setting} must be a list of texts, not {value!r:.100}")
    return listed


def _table(setting: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unsuitable(f"{setting} must be a table, not {value!r:.100}")
    return cast("dict[str, Any]", value)
