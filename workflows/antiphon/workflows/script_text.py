"""A script's text as a guest runs it: line for line what was written, without the imports of what it has anyway."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from antiphon.engine import UsageError
from antiphon.workflows.runtimes import TRUSTED
from antiphon.workflows.syntax.scopes import SCRIPT

# fmt: off
GIVEN: Final = frozenset({
    "CallFailed", "Critic", "Outcome", "Outcomes", "Tally", "agent", "approve", "branch", "budget", "choose",
    "claims", "fail", "get", "log", "now", "parallel", "phase", "pipeline", "put", "quorum", "race", "random",
    "replan", "step", "synthesize", "workflow",
})
# fmt: on
"""The names of the script API that a guest has."""
_HOST: Final = "antiphon"
_PACKAGE, _, _MODULE = SCRIPT.rpartition(".")


def with_names(source: str) -> str:
    """The script for whoever reads it as a tree: names of the API that it uses without import are imported at its end.

    So line numbers stay, and what is found in trusted files is found here too.
    """
    return f"{source}\nfrom {SCRIPT} import {', '.join(sorted(GIVEN))}\n"


def guest_text(source: str, tree: ast.Module, file: str) -> str:
    """The script without its imports of the API: what each one named otherwise is assigned, and every line stays.

    Args:
        source: the script.
        tree: its syntax tree.
        file: its name, for messages.

    Raises:
        UsageError: it imports something of antiphon that exists only in a trusted file.
    """
    text = source.encode()
    starts = list(accumulate((len(line) for line in text.splitlines(keepends=True)), initial=0))
    edits = [*_imports(tree, file), *_asides(tree)]
    for node, before, instead in sorted(edits, key=lambda edit: (edit[0].lineno, edit[0].col_offset), reverse=True):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        lines = text[begin:end].count(b"\n")
        same = f"({instead}{chr(10) * lines})" if lines else instead
        text = text[:begin] + (before + same).encode() + text[end:]
    return text.decode()


_Edit = tuple[ast.stmt | ast.expr, str, str]
"""A part of the text, what is said in its place, and the expression that takes as many lines as it did."""


def _imports(tree: ast.Module, file: str) -> Iterator[_Edit]:
    """Each import of antiphon."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module == SCRIPT:
            assigned = [_assigned(alias, node, file) for alias in node.names if alias.name != "*"]
            yield node, "".join(f"{one}; " for one in assigned if one), "None"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            _check_foreign(node, file)


def _asides(tree: ast.Module) -> Iterator[_Edit]:
    """What a file does only when it is run by itself is nothing a run does; guests call themselves main, too."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")])):
                yield node.test, "", "False"
            case _:
                pass


def _check_foreign(node: ast.Import | ast.ImportFrom, file: str) -> None:
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    foreign = next((name for name in modules if name.partition(".")[0] == _HOST), None)
    if foreign is not None:
        what = f"import {foreign}" if isinstance(node, ast.Import) else f"from {foreign} import …"
        raise UsageError(
            f"{file}:{node.lineno}: a confined script has no `{what}`",
            advice=f"from {SCRIPT} import agent, parallel, …; or run a file that you trust with --runtime {TRUSTED}",
        )


def _assigned(alias: ast.alias, node: ast.ImportFrom, file: str) -> str:
    """The assignment that an imported name stands for; "" for none. Raises `UsageError` for what no guest has."""
    if alias.name not in GIVEN:
        what = {"function_agent": "roles come from .antiphon/roles", "step_function": "steps are the host's"}
        reason = f": {what[alias.name]}" if alias.name in what else ""
        raise UsageError(
            f"{file}:{alias.lineno or node.lineno}: a confined script has no {alias.name}{reason}",
            advice=f"leave it out; or run a file that you trust with --runtime {TRUSTED}",
        )
    return f"{alias.asname} = {alias.name}" if alias.asname and alias.asname != alias.name else ""
