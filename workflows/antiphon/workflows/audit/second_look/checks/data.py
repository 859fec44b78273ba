"""Reading data that may execute code: YAML and pickles; and debuggers that execute it on purpose."""

from __future__ import annotations

import ast

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code, keyword
from antiphon.workflows.audit.second_look.origins import FIXED, Origin

_SAFE = frozenset({"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"})
_UNSAFE = frozenset({"Loader", "CLoader", "UnsafeLoader", "CUnsafeLoader"})


def yaml_loaded(case: Case) -> Answer:
    """bandit:B506: whether a document may make any object."""

    def judge(node: ast.Call) -> Answer | None:
        if not isinstance(node.func, ast.Name | ast.Attribute):
            return None
        given = keyword(node, "Loader") or (node.args[1] if len(node.args) > 1 else None)
        if node.args and case.tracer.of(node.args[0]) <= FIXED:
            return refute("the document is a literal")
        if given is None:
            return unsure("no loader is named, and what is used then depends on the version")
        loaders = _loaders(case.code, given)
        if loaders and loaders <= _SAFE:
            return refute(f"{' or '.join(sorted(loaders))} makes plain values only")
        if loaders & _UNSAFE:
            return confirm(f"{min(loaders & _UNSAFE)} makes any object that the document asks for")
        return unsure("what the loader makes is not seen here")

    return at_place(case, judge, ast.Call)


def _loaders(code: Code, node: ast.expr) -> frozenset[str]:
    """What a loader may be, by the last part of its name; following imports, and a class of this module to its base."""
    if isinstance(node, ast.Attribute):
        return frozenset({node.attr})
    if not isinstance(node, ast.Name):
        return frozenset()
    imported = code.imports.get(node.id)
    if imported and node.id not in code.scope(node).parameters:
        return frozenset(target.rpartition(".")[2] for target in imported)
    made = [one for one in code.all(ast.ClassDef) if one.name == node.id]
    bases = [
        base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for one in made for base in one.bases
    ]
    return frozenset(bases) if len(made) == 1 and set(bases) <= _SAFE else frozenset()


def unpickled(case: Case) -> Answer:
    """bandit:B301: whether somebody else may have written the pickle."""

    def judge(node: ast.Call) -> Answer | None:
        if not node.args:
            return None
        given = node.args[0]
        if isinstance(given, ast.Call) and case.code.callee(given).rpartition(".")[2] in {"dumps", "_dumps"}:
            return refute("what it reads was written in the same expression")
        origins = case.tracer.of(given)
        if origins <= FIXED:
            return refute("the pickle is a literal in the source")
        if Origin.INPUT in origins:
            return confirm("the pickle is input from outside the program")
        return unsure("who wrote the pickle is not seen here")

    return at_place(case, judge, ast.Call)


def marked_up(case: Case) -> Answer:
    """bandit:B704: whether text from outside becomes markup as it is."""

    def judge(node: ast.Call) -> Answer | None:
        if case.code.callee(node).rpartition(".")[2] not in {"Markup", "mark_safe"} or not node.args:
            return None
        text = node.args[0]
        if case.tracer.of(text) <= FIXED:
            return refute("the markup is a literal; what is formatted into it later is escaped")
        source = case.tracer.unchecked_input(text)
        if source and not isinstance(text, ast.Name):
            return confirm(f"{source} becomes a part of markup, unescaped")
        return unsure("whether the text was made safe before is not seen here")

    return at_place(case, judge, ast.Call)


def debugging(case: Case) -> Answer:
    """bandit:B201: whether Flask's debugger is served to visitors."""

    def judge(node: ast.Call) -> Answer | None:
        told = keyword(node, "debug")
        if told is None or not isinstance(node.func, ast.Attribute):
            return None
        holder = node.func.value
        name = case.code.qualified(holder)
        if name in {"asyncio", "anyio", "trio", "uvicorn"}:
            return refute(f"{name} runs it, which has no debugger to serve")
        if _started_by_hand(case.code, node):
            return unsure("it is served only where the file is started as a program, which may be on a desk")
        made = case.code.module.bindings.get(holder.id, []) if isinstance(holder, ast.Name) else []
        calls = [one.value for one in made if isinstance(one.value, ast.Call)]
        if calls and all(case.code.callee(call).rpartition(".")[2] == "Flask" for call in calls):
            return confirm("an application of Flask is served with its debugger, which executes code for visitors")
        return unsure("that it is an application of Flask is not seen here")

    return at_place(case, judge, ast.Call)


def _started_by_hand(code: Code, node: ast.AST) -> bool:
    tests = (outer.test for outer in code.around(node) if isinstance(outer, ast.If))
    return any(isinstance(part, ast.Name) and part.id == "__name__" for test in tests for part in ast.walk(test))
