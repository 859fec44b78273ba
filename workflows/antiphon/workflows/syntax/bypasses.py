"""Code that works around the run: raw asyncio, sleeping in place, and handlers that swallow cancellation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.syntax.kinds import Found, Kinds
from antiphon.workflows.syntax.scopes import Script


def bypasses(kinds: Kinds) -> Iterator[Found]:
    """Every place where a script works around the run."""
    for check in (_asyncio, _sleeps, _excepts):
        yield from check(kinds)


# --- asyncio, sleep -----------------------------------------------------------------------------------------------

_INSTEAD: Final = {
    "gather": "await parallel([...])",
    "wait": "await parallel([...]), or race([...]) for the first",
    "as_completed": "await pipeline(items, stage), which has no barrier",
    "create_task": "await parallel([...]); nothing runs outside of its branch",
    "ensure_future": "await parallel([...]); nothing runs outside of its branch",
    "TaskGroup": "await parallel([...])",
    "wait_for": 'limits={"wall_seconds": ...} on the call',
    "timeout": 'limits={"wall_seconds": ...} on the call',
    "timeout_at": 'limits={"wall_seconds": ...} on the call',
    "Semaphore": "concurrency= on the fan-out",
    "BoundedSemaphore": "concurrency= on the fan-out",
    "sleep": "anyio.sleep, if it has to wait at all",
    "to_thread": "a step, which is recorded and replays",
    "run": "nothing: `antiphon run FILE` runs main",
    "CancelledError": "nothing: cancellation is the run's own and is not caught; `finally` cleans up",
    "Queue": "await pipeline(items, stage, ...)",
}
_GENERAL: Final = "parallel, pipeline, race and branch, which stop, count and resume; anyio for the rest"


def _asyncio(kinds: Kinds) -> Iterator[Found]:
    script = kinds.script
    for node in script.nodes:
        match node:
            case ast.Import() | ast.ImportFrom() if _imports_asyncio(script, node):
                yield node, "raw asyncio starts what the run cannot stop, count or resume", f"use {_GENERAL}"
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                module, _, name = script.origin(node).partition(".")
                if module == "asyncio" and name in _INSTEAD:
                    yield node, f"asyncio.{name} works around the run", f"use {_INSTEAD[name]}"
            case _:
                pass


def _imports_asyncio(script: Script, node: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import brings asyncio in for the script itself, and not only for its ``__main__``."""
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and (node.module or "").partition(".")[0] == "asyncio"
    names = [one.asname or "asyncio" for one in node.names if one.name.partition(".")[0] == "asyncio"]
    scope = script.scopes[node]
    return any((scope, name) in script.uses or name not in script.aside for name in names)


def _sleeps(kinds: Kinds) -> Iterator[Found]:
    for node in kinds.script.nodes:
        if not isinstance(node, ast.Call) or kinds.script.origin(node.func) != "time.sleep":
            continue
        if isinstance(kinds.script.function(node), ast.AsyncFunctionDef):
            yield node, "time.sleep holds up every branch of the run", "await anyio.sleep(seconds)"


# --- except -------------------------------------------------------------------------------------------------------


def _excepts(kinds: Kinds) -> Iterator[Found]:
    for node in kinds.script.nodes:
        match node:
            case ast.ExceptHandler() if not _raises_again(node):
                what = "a bare except" if node.type is None else "except BaseException"
                if node.type is None or _has_base_exception(kinds, node.type):
                    yield node, f"{what} swallows the run's cancellation", "except Exception, or except CallFailed"
            case ast.Call() if kinds.script.origin(node.func) == "contextlib.suppress":
                if any(_has_base_exception(kinds, one) for one in node.args):
                    yield node, "suppress(BaseException) swallows the run's cancellation", "suppress(Exception)"
            case _:
                pass


def _raises_again(handler: ast.ExceptHandler) -> bool:
    match handler.body[-1]:
        case ast.Raise(exc=None):
            return True
        case ast.Raise(exc=ast.Name(id=name)):
            return name == handler.name
        case _:
            return False


def _has_base_exception(kinds: Kinds, caught: ast.expr) -> bool:
    classes = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(kinds.script.origin(one) == "builtins.BaseException" for one in classes)
