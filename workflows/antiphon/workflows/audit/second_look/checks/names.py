"""Names that are imported, bound or used without the other: pyflakes' main business, looked at with the whole tree."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code, excepts
from antiphon.workflows.audit.second_look.scopes import FUNCTIONS

_QUOTED = re.compile(r"[`'\"“]([\w.]+)[`'\"”]")
_FOR_EFFECT = frozenset({"readline", "rlcompleter", "antigravity", "mpl_toolkits.mplot3d", "encodings.idna"})
_MAGIC = frozenset({"__tracebackhide__", "__traceback_info__", "__traceback_hide__", "__class__"})
_GIVEN = frozenset({"get_ipython", "__file__", "__path__", "__class__", "__module__", "__qualname__", "reveal_type"})
_HELD = frozenset({"TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile", "Lock", "patch", "start", "acquire",
                   "QApplication", "finalize", "ref", "open"})  # fmt: skip
_VERSIONS = frozenset({"sys.version_info", "sys.hexversion", "platform.python_version", "six.PY2", "six.PY3"})
_BUILTINS = frozenset({"builtins", "__builtins__", "__builtin__"})
_FAILS_TO_IMPORT = frozenset({"ImportError", "ModuleNotFoundError", "Exception"})


def unused_import(case: Case) -> Answer:
    """pyflakes:F401: whether anything uses the import: here in a comment or doctest, or somewhere else from here."""

    def judge(node: ast.AST) -> Answer | None:
        statement = case.code.statement(node)
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            return None
        aliases = [node] if isinstance(node, ast.alias) else _meant(statement.names, case.finding.text)
        if len(aliases) != 1:
            return None
        return _import(case, statement, aliases[0])

    return at_place(case, judge, ast.alias, ast.Import, ast.ImportFrom)


def _meant(aliases: list[ast.alias], text: str) -> list[ast.alias]:
    quoted = {part for word in _QUOTED.findall(text) for part in (word, word.rpartition(".")[2])}
    return aliases if len(aliases) == 1 else [a for a in aliases if a.name in quoted or (a.asname or "") in quoted]


def _import(case: Case, statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> Answer:
    code, name = case.code, alias.asname or alias.name.partition(".")[0]
    if alias.name in _FOR_EFFECT:
        return refute(f"importing {alias.name} does something, and that is what it is for")
    if _probed(code, statement):
        return refute("whether it can be imported is the question: the failure is dealt with")
    if name in code.words_in_comments:
        return refute("a type comment or a doctest in this file uses it")
    if _taken_from_here(case, name):
        return refute("another file of the tree imports it from this module")
    path = PurePosixPath(code.unit)
    if path.stem == "__init__" or "compat" in path.stem:
        return unsure("it may be meant for those who import it from here, outside the tree")
    if _may_be_module(statement, alias):
        return unsure("it imports a module of its own package, which may be done for what that does")
    if case.words is None or code.module.looks_at_itself or _asks_for_globals(code):
        return unsure("whether anything reaches it by name is not seen here")
    if name in _texts(code):
        return unsure("a text in this file mentions it")
    return confirm("nothing in this file mentions it again, and no file of the tree imports it from here")


def _may_be_module(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    if isinstance(statement, ast.Import):
        return "." in alias.name
    return statement.level > 0 and statement.module is None


def _probed(code: Code, statement: ast.AST) -> bool:
    inner = statement
    for outer in code.around(statement):
        if isinstance(outer, ast.Try) and inner in outer.body:
            caught = {name for one in excepts(outer) for name in _caught(one)}
            reacts = outer.orelse or any(not isinstance(s, ast.Pass) for one in excepts(outer) for s in one.body)
            return bool(caught & _FAILS_TO_IMPORT) and bool(reacts)
        inner = outer
    return False


def _caught(handler: ast.ExceptHandler) -> Iterator[str]:
    if handler.type is None:
        yield "Exception"
    else:
        yield from (n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name))


def _taken_from_here(case: Case, name: str) -> bool:
    path = PurePosixPath(case.code.unit)
    module = path.parent.name if path.stem == "__init__" else path.stem
    return case.words is not None and ((module, name) in case.words.imported or (module, "*") in case.words.imported)


def _asks_for_globals(code: Code) -> bool:
    return any(isinstance(call.func, ast.Name) and call.func.id == "globals" for call in code.all(ast.Call))


def _texts(code: Code) -> frozenset[str]:
    return code.words_in_texts


def unused_local(case: Case) -> Answer:
    """pyflakes:F841: whether the value is used after all, or kept only to be held."""

    def judge(node: ast.AST) -> Answer | None:
        name: str | None = getattr(node, "id", getattr(node, "name", None))
        function = case.code.function(node)
        if name is None or function is None or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)):
            return None
        scope = case.code.scope(node)
        if scope.looks_at_itself:
            return refute("the function asks for its own variables by locals(), or executes text that may use them")
        if name in _MAGIC:
            return refute(f"{name} is read by whoever looks at the stack")
        if name in scope.uses:
            return unsure("the name is used elsewhere in the function")
        if _is_held(case.code, node):
            return unsure("the value may be kept only so that it lives until the function ends")
        return confirm("nothing in the function or what is nested in it uses it")

    return at_place(case, judge, ast.Name, ast.ExceptHandler)


def _is_held(code: Code, node: ast.AST) -> bool:
    statement = code.statement(node)
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.Call):
        return False
    return (code.callee(value) or str(getattr(value.func, "attr", ""))).rpartition(".")[2] in _HELD


def undefined(case: Case) -> Answer:
    """pyflakes:F821: whether the name is bound in a way that reading the text does not show."""

    def judge(node: ast.Name) -> Answer | None:
        name = node.id
        if name not in case.finding.text:
            return None
        if hasattr(builtins, name) or name in _GIVEN:
            return refute("the interpreter, or the shell it is meant for, binds it")
        if _guarded(case.code, node, name):
            return refute("only where the name exists does this run: a check of the version, or of the name, guards it")
        if _bound_by_text(case.code, name):
            return refute("the module binds it through globals() or setattr()")
        if "*" in case.code.imports or case.code.module.looks_at_itself or _asks_for_globals(case.code):
            return unsure("an import of everything, or text that is executed, may bind it")
        if name in case.code.bound_anywhere:
            return unsure("something else in the file binds it, in another scope or later")
        return confirm("nothing in the file binds it, and it is not built in")

    return at_place(case, judge, ast.Name)


def _guarded(code: Code, node: ast.AST, name: str) -> bool:
    inner = node
    for outer in code.around(node):
        match outer:
            case ast.If(test=test) | ast.IfExp(test=test):
                if inner is not test and _asks_version(code, test):
                    return True
                if isinstance(outer, ast.If) and inner in outer.body and _asks_for_name(code, test, name):
                    return True
            case ast.Try(body=body) if inner in body:
                if any("NameError" in _caught(one) for one in excepts(outer)):
                    return True
            case _:
                pass
        inner = outer
    return False


def _asks_version(code: Code, test: ast.expr) -> bool:
    asked = (part for part in ast.walk(test) if isinstance(part, ast.Name | ast.Attribute))
    return any(code.qualified(part) in _VERSIONS for part in asked)


def _asks_for_name(code: Code, test: ast.expr, name: str) -> bool:
    """Whether a condition, or one of several that must hold, is that the module or the interpreter binds the name."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return any(_asks_for_name(code, value, name) for value in values)
        case ast.Compare(left=ast.Constant(value=key), ops=[ast.In()], comparators=[held]):
            return key == name and _holds_names(code, held)
        case _:
            return False


def _holds_names(code: Code, held: ast.expr) -> bool:
    match held:
        case ast.Call(func=ast.Name(id="globals" | "dir"), args=[]):
            return True
        case ast.Call(func=ast.Name(id="dir" | "vars"), args=[module]) | ast.Attribute(value=module, attr="__dict__"):
            return code.qualified(module) in _BUILTINS
        case _:
            return code.qualified(held) in _BUILTINS


def _bound_by_text(code: Code, name: str) -> bool:
    for node in code.all(ast.Subscript, ast.Call):
        match node:
            case ast.Subscript(value=ast.Call(func=ast.Name(id="globals")), slice=ast.Constant(value=key)) if (
                key == name and isinstance(node.ctx, ast.Store)
            ):
                return True
            case ast.Call(func=ast.Name(id="setattr"), args=[held, ast.Constant(value=key), _]) if key == name:
                if _is_this_module(code, held) or code.qualified(held) in _BUILTINS:
                    return True
            case _:
                pass
    return False


def _is_this_module(code: Code, node: ast.expr) -> bool:
    match node:
        case ast.Subscript(value=held, slice=ast.Name(id="__name__")):
            return code.qualified(held) == "sys.modules"
        case _:
            return False


_DEFINITIONS: tuple[type[ast.stmt], ...] = (*FUNCTIONS, ast.ClassDef)


def dead(case: Case) -> Answer:
    """Findings of vulture: whether anything in the tree mentions the name again."""
    match = _QUOTED.search(case.finding.text)
    name = match[1].rpartition(".")[2] if match else ""
    if not name or case.words is None:
        return unsure("which name is meant, or what the tree mentions, is not known")
    defined = [node for node in case.code.at(case.finding, *_DEFINITIONS) if getattr(node, "name", "") == name]
    return _mentioned(case, name, defined[0] if defined else None)


def _mentioned(case: Case, name: str, made: ast.stmt | None) -> Answer:
    assert case.words is not None
    decorators: list[ast.expr] = getattr(made, "decorator_list", [])
    if any(not _plain(decorator) for decorator in decorators):
        return refute("a decorator takes it: who registers it calls it", made)
    if name.startswith("__") and name.endswith("__"):
        return refute("the language calls it by this name", made)
    if any(text == name or text.endswith(f".{name}") for text in case.code.names_in_texts):
        return refute("a text in this file names it, as getattr, __all__ or a registry would", made)
    if name in case.code.words_in_texts:
        return unsure("a text in this file mentions it, which may be by chance", made)
    if case.words.counts.get(name, 0) > 1:
        return unsure("the name occurs elsewhere in the tree, of this or of something else", made)
    if any(case.words.counts.get(prefix, 0) for prefix in _prefixes(name)):
        return unsure("the tree has texts that such a name begins with, and may put it together", made)
    if made is not None and _overrides(case.code, made):
        return unsure("it may take the place of what a class from another module calls", made)
    if made is not None and case.code.function(made) is None and not name.startswith("_"):
        return unsure("nothing in the tree mentions it, but it may be for those who import this module", made)
    return confirm("it is mentioned nowhere else in the tree: no code, text, template or setting", made)


def _overrides(code: Code, made: ast.stmt) -> bool:
    """Whether it is a method of a class with a base that is not seen in this file."""
    holder = code.parent(made)
    if not isinstance(holder, ast.ClassDef):
        return False
    here = {node.name for node in code.all(ast.ClassDef) if not node.bases}
    return any(not (isinstance(base, ast.Name) and base.id in here) for base in holder.bases)


def _prefixes(name: str) -> Iterator[str]:
    """Beginnings of a name that end in an underscore, such as "visit_", from which getattr makes names."""
    return (name[: place + 1] for place, letter in enumerate(name) if letter == "_" and 2 <= place < len(name) - 1)


_PLAIN = frozenset(
    {
        "staticmethod", "classmethod", "property", "cached_property", "cache", "lru_cache", "contextmanager",
        "asynccontextmanager", "wraps", "override", "final", "dataclass", "abstractmethod",
    }
)  # fmt: skip


def _plain(decorator: ast.expr) -> bool:
    """Whether a decorator only changes what it is put on, and gives it to nobody."""
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    last = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
    return last in _PLAIN
