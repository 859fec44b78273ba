"""Exceptions that vanish, loops, and expressions without a use."""

from __future__ import annotations

import ast

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code, excepts
from antiphon.workflows.audit.second_look.scopes import FUNCTIONS

_CLEANS_UP = frozenset(
    {
        "close", "aclose", "unlink", "rmtree", "remove", "terminate", "kill", "shutdown", "disconnect", "release",
        "cleanup", "stop", "cancel", "rmdir", "quit",
    }
)  # fmt: skip
_SIZED = (ast.Tuple, ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_WIDE = frozenset({"Exception", "BaseException"})


def swallowed(case: Case) -> Answer:
    """bandit:B110, B112: whether an error that matters can vanish."""

    def judge(node: ast.ExceptHandler) -> Answer | None:
        tried = case.code.parent(node)
        if not isinstance(tried, ast.Try):
            return None
        if not _is_wide(node):
            return refute("only the errors that it names are dropped, and they are narrow")
        if _missing_afterwards(case.code, tried):
            return confirm("after an error the name bound in the attempt is used, and is not there", node)
        if all(_cleans_up(case.code, statement) for statement in tried.body):
            return refute("the attempt only cleans up, where nobody could do anything about an error", node)
        if node.type is None or not _catches_exception(node):
            return confirm("it drops every error: interrupts and exits too", node)
        return unsure("whether the error matters to what follows is not seen here", node)

    return at_place(case, judge, ast.ExceptHandler)


def _is_wide(node: ast.ExceptHandler) -> bool:
    if node.type is None:
        return True
    return any(isinstance(part, ast.Name) and part.id in _WIDE for part in ast.walk(node.type))


def _catches_exception(node: ast.ExceptHandler) -> bool:
    names = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"BaseException"}
    return "BaseException" not in names


def _cleans_up(code: Code, statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return False
    return (code.callee(value) or str(getattr(value.func, "attr", ""))).rpartition(".")[2] in _CLEANS_UP


def _missing_afterwards(code: Code, tried: ast.Try) -> bool:
    """Whether a name that only the attempt binds is used after it."""
    if code.function(tried) is None:
        return False
    scope = code.scope(tried)
    inside = {id(part) for part in ast.walk(tried)}
    stores = [n for n in ast.walk(tried) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    for name in {store.id for store in stores} - set(scope.parameters):
        elsewhere = [n for n in scope.own if isinstance(n, ast.Name) and n.id == name and id(n) not in inside]
        bound = any(not isinstance(n.ctx, ast.Load) for n in elsewhere)
        later = [n for n in elsewhere if n.lineno > (tried.end_lineno or 0)]
        in_body = all(any(store in ast.walk(s) for s in tried.body) for store in stores if store.id == name)
        if later and not bound and in_body and _no_loop(code, tried):
            return True
    return False


def _no_loop(code: Code, tried: ast.Try) -> bool:
    """Whether the attempt is made once, and nothing declares its names as another scope's."""
    loop = code.enclosing(tried, ast.For, ast.AsyncFor, ast.While, *FUNCTIONS)
    return isinstance(loop, FUNCTIONS)


def no_cause(case: Case) -> Answer:
    """flake8-bugbear:B904: whether a new exception is raised while another is dealt with, and does not say so."""

    def judge(node: ast.Raise) -> Answer | None:
        handler = case.code.enclosing(node, ast.ExceptHandler, *FUNCTIONS)
        if not isinstance(handler, ast.ExceptHandler):
            return refute("it is in a function made there, which runs later")
        if node.cause is not None or node.exc is None:
            return refute("it names its cause, or raises the same exception again")
        if isinstance(node.exc, ast.Name) and node.exc.id == handler.name:
            return refute("it raises the same exception again")
        return confirm("a new exception is raised in the handler, and does not say that the caught one is its cause")

    return at_place(case, judge, ast.Raise)


def unused_variable(case: Case) -> Answer:
    """flake8-bugbear:B007: whether the loop's variable is used after the loop, or by name."""

    def judge(node: ast.Name) -> Answer | None:
        if isinstance(node.ctx, ast.Load):
            return None
        if case.code.scope(node).looks_at_itself:
            return refute("the function asks for its own variables by locals(), or executes text that may use them")
        loop = case.code.enclosing(node, ast.For, ast.AsyncFor)
        uses = case.code.scope(node).uses.get(node.id, [])
        last = (loop.end_lineno or 0) if loop is not None else 0
        if loop is not None and any(use.lineno > last for use in uses):
            again = any(one.id == node.id and one.lineno > last for one in _stores(case.code, node))
            return unsure("it is bound again after the loop") if again else refute("it is used after the loop")
        if case.code.function(node) is None:
            return unsure("at the top level of a module others may use it")
        return confirm("nothing in the function uses it") if not uses else unsure("the name is used elsewhere")

    return at_place(case, judge, ast.Name)


def _stores(code: Code, node: ast.AST) -> list[ast.Name]:
    own = code.scope(node).own
    return [one for one in own if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)]


def zipped(case: Case) -> Answer:
    """flake8-bugbear:B905: whether the lengths may differ, and are not meant to."""

    def judge(node: ast.Call) -> Answer | None:
        if not (isinstance(node.func, ast.Name) and node.func.id == "zip") or not node.args:
            return None
        if any(isinstance(one, ast.Starred) for one in node.args):
            return unsure("how many there are is not known")
        if len(node.args) == 1:
            return refute("there is only one")
        if _neighbours(node.args):
            return refute("neighbours of one sequence are paired: one side is shorter on purpose")
        lengths = [_length(case.code, one) for one in node.args]
        if None not in lengths and len(set(lengths)) == 1:
            return refute("all sides are of one length by construction")
        counted = {length for length in lengths if length is not None and length.isdigit()}
        if len(counted) > 1:
            return confirm(f"the sides have {' and '.join(sorted(counted))} elements, and some are dropped")
        return unsure("how long the sides are is not seen here")

    return at_place(case, judge, ast.Call)


def _neighbours(sides: list[ast.expr]) -> bool:
    whole, *rest = sides
    sliced = [side for side in rest if isinstance(side, ast.Subscript) and isinstance(side.slice, ast.Slice)]
    same = [ast.dump(side.value) == ast.dump(whole) for side in sliced if isinstance(whole, ast.Name | ast.Attribute)]
    return bool(rest) and len(sliced) == len(rest) and len(same) == len(rest) and all(same)


def _length(code: Code, side: ast.expr) -> str | None:
    """Something that is equal for sides of one length: a number, or the sequence whose length it is."""
    match side:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return None if any(isinstance(one, ast.Starred) for one in elements) else str(len(elements))
        case ast.Constant(value=str(text)):
            return str(len(text))
        case ast.Name():
            held = side
        case ast.Call(func=ast.Attribute(value=ast.Name() as held, attr="keys" | "values" | "items"), args=[]):
            pass
        case ast.Call(func=ast.Name(id="range"), args=[ast.Call(func=ast.Name(id="len"), args=[ast.Name() as held])]):
            pass
        case _:
            return None
    return f"len {held.id}" if _is_sized(code, held) else None


def _is_sized(code: Code, held: ast.Name) -> bool:
    """Whether a name is only ever bound to what has a length: not to a call or an iterator, and not by a caller."""
    scope = code.scope(held)
    if held.id in scope.parameters or held.id in code.hidden(held) or code.bound_around(scope, held.id):
        return False
    bindings = scope.bindings.get(held.id) or code.module.bindings.get(held.id, [])
    values = [binding.value for binding in bindings if binding.how == "is"]
    known = all(binding.how in ("is", "grows") for binding in bindings)
    return bool(values) and known and all(isinstance(value, _SIZED) for value in values)


def no_use(case: Case) -> Answer:
    """flake8-bugbear:B018, B015: whether evaluating the expression is itself the use."""

    def judge(node: ast.Expr) -> Answer | None:
        inner: ast.AST = node
        for outer in case.code.around(node):
            if isinstance(outer, ast.Try) and inner in outer.body and excepts(outer):
                return refute("whether it raises is the question: an attempt is made of it")
            if isinstance(outer, ast.With | ast.AsyncWith) and any(_expects(item.context_expr) for item in outer.items):
                return refute("that it raises is what is expected")
            inner = outer
        value = node.value
        if any(isinstance(part, ast.Attribute | ast.Subscript | ast.Call | ast.BinOp) for part in ast.walk(value)):
            return unsure("reading an attribute or an element, or an operator, may have an effect or raise")
        return confirm("evaluating it does nothing, and the value goes nowhere")

    return at_place(case, judge, ast.Expr)


def _expects(context: ast.expr) -> bool:
    called = context.func if isinstance(context, ast.Call) else context
    last = called.attr if isinstance(called, ast.Attribute) else str(getattr(called, "id", ""))
    return last in {"raises", "assertRaises", "assertRaisesRegex", "suppress", "warns", "assertWarns"}


def comprehended(case: Case) -> Answer:
    """perflint:PERF401: whether the loop does nothing but build a list that nothing in it reads."""

    def judge(node: ast.Call) -> Answer | None:
        if not (isinstance(node.func, ast.Attribute) and node.func.attr in {"append", "add"}):
            return None
        held, loop = node.func.value, case.code.enclosing(node, ast.For, ast.AsyncFor)
        if not isinstance(held, ast.Name) or loop is None:
            return unsure("what is built is no plain variable")
        reads = [n for n in ast.walk(loop) if isinstance(n, ast.Name) and n.id == held.id and n is not held]
        if reads:
            return refute("what is built so far is read in the loop, which a comprehension cannot")
        if any(isinstance(part, ast.Try | ast.With | ast.Await | ast.Yield) for part in ast.walk(loop)):
            return unsure("more happens in the loop than building a list")
        if _made_empty_before(case.code, loop, held.id):
            return confirm("the list is made empty just before, and the loop only fills it")
        return unsure("the list may have elements before the loop, so that only extend would do")

    return at_place(case, judge, ast.Call)


def _made_empty_before(code: Code, loop: ast.stmt, name: str) -> bool:
    match code.before(loop):
        case ast.Assign(targets=[ast.Name(id=bound)], value=ast.List(elts=[])):
            return bound == name
        case ast.AnnAssign(target=ast.Name(id=bound), value=ast.List(elts=[])):
            return bound == name
        case _:
            return False
