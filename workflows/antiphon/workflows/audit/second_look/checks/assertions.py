"""Assertions: bandit:B101 warns that ``-O`` removes them."""

from __future__ import annotations

import ast

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code

_EFFECTS = frozenset(
    {
        "acquire", "add", "append", "close", "commit", "connect", "create", "delete", "execute", "flush", "insert",
        "lock", "mkdir", "next", "open", "pop", "popitem", "popleft", "push", "put", "read", "readline", "recv",
        "register", "release", "remove", "rename", "run", "save", "send", "setdefault", "start", "unlink", "update",
        "wait", "write",
    }
)  # fmt: skip


def asserted(case: Case) -> Answer:
    """Whether something is lost when the assertion is removed."""

    def judge(node: ast.Assert) -> Answer:
        if case.code.is_test:
            return refute("in test code the assertion is the test, and tests are not run with -O")
        if _never_runs(case.code, node):
            return refute("it is below `if TYPE_CHECKING`, which never runs")
        effect = _effect(node.test)
        if effect:
            return confirm(f"with -O the effect of {effect} goes with the assertion")
        return _of_value(case.code, node)

    return at_place(case, judge, ast.Assert)


def _of_value(code: Code, node: ast.Assert) -> Answer:
    function = code.function(node)
    names = {part.id for part in ast.walk(node.test) if isinstance(part, ast.Name)}
    if function is None:
        return unsure("what it holds is not an argument, and may be so by construction")
    given = names & set(code.scope(node).parameters) - {"self", "cls"}
    if not given and _fails_anyway(code, node):
        return refute("it only narrows the type of what was computed here; without it the next use fails all the same")
    private = function.name.startswith("_") and not function.name.startswith("__")
    if not given or private:
        return unsure("whether callers can bring about what it rules out is not seen here")
    if _narrows(node.test):
        return unsure("it may only narrow a type that the declaration leaves wide")
    return confirm(f"it checks the argument {', '.join(sorted(given))}, and with -O nothing does")


_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Assert)
_PERHAPS = (ast.BoolOp, ast.IfExp, ast.Compare, ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


def _fails_anyway(code: Code, node: ast.Assert) -> bool:
    """Whether it is ``x is not None``, and what surely runs next with x reads an attribute or element of it."""
    match node.test:
        case ast.Compare(left=ast.Name(id=name), ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            pass
        case _:
            return False
    for statement in code.after(node):
        uses = [part for part in ast.walk(statement) if isinstance(part, ast.Name) and part.id == name]
        if uses:
            first = min(uses, key=lambda use: (use.lineno, use.col_offset))
            return _dereferenced(code, first, statement)
        if not isinstance(statement, _SIMPLE):
            return False
    return False


def _dereferenced(code: Code, use: ast.Name, statement: ast.stmt) -> bool:
    """Whether a statement surely reads an attribute or element of a name, or calls it."""
    if not isinstance(statement, (*_SIMPLE, ast.Return)):
        return False
    for outer in code.around(use):
        if outer is statement:
            break
        if isinstance(outer, _PERHAPS):
            return False
    match code.parent(use):
        case ast.Attribute(value=held) | ast.Subscript(value=held) | ast.Call(func=held):
            return held is use
        case _:
            return False


def _never_runs(code: Code, node: ast.AST) -> bool:
    inner = node
    for outer in code.around(node):
        if isinstance(outer, ast.If) and inner in outer.body and is_type_checking(outer.test):
            return True
        inner = outer
    return False


def is_type_checking(test: ast.expr) -> bool:
    """Whether a condition is that a type checker reads the file."""
    last = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return last == "TYPE_CHECKING"


def _effect(test: ast.expr) -> str | None:
    for node in ast.walk(test):
        if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            return "what it assigns or waits for"
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _EFFECTS and not (name in {"update", "add"} and not node.args):
                return f"{name}()"
    return None


def _narrows(test: ast.expr) -> bool:
    """Whether it is about a type and nothing else: ``x is not None``, ``isinstance(x, T)``, and these with ``and``."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_narrows(value) for value in values)
        case ast.Compare(left=ast.Name() | ast.Attribute(), ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
        case ast.Call(func=ast.Name(id=name), args=[ast.Name() | ast.Attribute(), *_]):
            return name in {"isinstance", "issubclass", "callable"}
        case _:
            return False


def asserted_false(case: Case) -> Answer:
    """flake8-bugbear:B011: whether the program would go on after ``assert False`` under ``-O``."""

    def judge(node: ast.Assert) -> Answer:
        if case.code.is_test:
            return refute("tests are not run with -O, so the assertion is never removed")
        return confirm("nothing else ends this path, so with -O the program goes on after it")

    return at_place(case, judge, ast.Assert)
