"""Asynchronous code: tasks that nobody keeps, and calls that stop the event loop."""

from __future__ import annotations

import ast

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.scopes import FUNCTIONS

_IN_THREADS = frozenset({"run_sync", "to_thread", "run_in_executor", "submit", "from_thread"})
_GROUPS = frozenset({"TaskGroup", "create_task_group", "open_nursery"})


def dropped_task(case: Case) -> Answer:
    """ruff:RUF006: whether anything keeps the task from being collected half done."""

    def judge(node: ast.Call) -> Answer | None:
        name = str(getattr(node.func, "attr", getattr(node.func, "id", "")))
        if name not in {"create_task", "ensure_future"}:
            return None
        if isinstance(node.func, ast.Attribute) and _is_group(case.code, node.func.value):
            return refute("a task group keeps its tasks")
        outer = case.code.parent(node)
        if isinstance(outer, ast.Expr):
            return confirm("nothing keeps the task, and the loop itself holds it only weakly")
        if isinstance(outer, ast.Assign) and isinstance(outer.targets[0], ast.Name):
            return _kept(case.code, outer.targets[0])
        return unsure("what becomes of the task is not seen here")

    return at_place(case, judge, ast.Call)


def _is_group(code: Code, holder: ast.expr) -> bool:
    if not isinstance(holder, ast.Name):
        return False
    for outer in code.around(holder):
        for item in outer.items if isinstance(outer, ast.AsyncWith | ast.With) else ():
            named = item.optional_vars
            called = item.context_expr
            if isinstance(named, ast.Name) and named.id == holder.id and isinstance(called, ast.Call):
                return code.callee(called).rpartition(".")[2] in _GROUPS
    return False


def _kept(code: Code, target: ast.Name) -> Answer:
    scope = code.scope(target)
    if target.id in scope.uses:
        return unsure("what becomes of the task is not seen here")
    if code.function(target) is None:
        return refute("a name of the module keeps the task as long as the program runs")
    return confirm("only a local name that is never used keeps the task, and it ends with the function")


def blocking(case: Case) -> Answer:
    """flake8-async's blocking calls: whether the event loop is what waits."""

    def judge(node: ast.Call) -> Answer | None:
        name = case.code.callee(node) or str(getattr(node.func, "attr", ""))
        around = _runs_in(case.code, node)
        if around == "thread":
            return refute("it runs in a worker thread, and the event loop goes on")
        if around != "coroutine":
            return unsure("who calls this function is not seen here")
        if name == "time.sleep" and node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0:
            return unsure("sleeping for no time hardly waits")
        return confirm(f"{name or 'the call'} is made in a coroutine itself, and everything else waits for it")

    return at_place(case, judge, ast.Call)


def _runs_in(code: Code, node: ast.AST) -> str:
    """Where a call runs: "coroutine", "thread", or "" where that is not seen."""
    for outer in code.around(node):
        if isinstance(outer, ast.Lambda):
            return "thread" if _is_sent_to_thread(code, outer) else ""
        if isinstance(outer, ast.AsyncFunctionDef):
            return "coroutine"
        if isinstance(outer, FUNCTIONS):
            uses = code.scope(outer).uses.get(outer.name, [])
            return "thread" if uses and all(_is_sent_to_thread(code, use) for use in uses) else ""
    return ""


def _is_sent_to_thread(code: Code, function: ast.expr) -> bool:
    outer = code.parent(function)
    if not isinstance(outer, ast.Call) or function is outer.func:
        return False
    return bool({*code.callee(outer).split("."), str(getattr(outer.func, "attr", ""))} & _IN_THREADS)
