"""Commands, code and queries made of text: whether anything from outside flows in."""

from __future__ import annotations

import ast

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code, constant_text, keyword, words_of
from antiphon.workflows.audit.second_look.origins import FIXED, Origin

_EXECUTES = frozenset(
    {
        "execute", "executemany", "executescript", "execute_async", "raw", "text", "read_sql", "read_sql_query",
        "query", "sql", "mogrify", "exec_driver_sql", "fetch", "fetchrow", "fetchval", "fetchone", "fetchall",
        "extra",
    }
)  # fmt: skip
_SAYS = frozenset(
    {
        "print", "debug", "info", "warning", "error", "exception", "critical", "log", "warn", "echo", "add_argument",
        "secho", "flash",
    }
)  # fmt: skip


def shell(case: Case) -> Answer:
    """bandit:B602, B604, B605, B609: whether input flows into a command that a shell reads."""

    def judge(node: ast.Call) -> Answer | None:
        command = _first(node, "args", "command", "cmd")
        return None if command is None else _command(case, command)

    return at_place(case, judge, ast.Call)


def _command(case: Case, command: ast.expr) -> Answer:
    origins = case.tracer.of(command)
    if origins <= FIXED:
        return refute("the command is made of literals and numbers only: no input flows in", command)
    source = case.tracer.unchecked_input(command)
    if source:
        return confirm(f"the command is made with {source}, unquoted", command)
    if origins <= FIXED | {Origin.QUOTED}:
        if _has_quotes(command):
            return unsure("the text is quoted for the shell, but perhaps inside quotes of the command's own", command)
        return refute("what flows into the command is quoted for the shell", command)
    return unsure("where the command comes from is not seen here, or something checks it first", command)


def _has_quotes(command: ast.expr) -> bool:
    """Whether the command has quotes of its own, or is put together where that cannot be seen."""
    if isinstance(command, ast.Name):
        return True
    texts = (constant_text(node) or "" for node in ast.walk(command))
    return any("'" in text or '"' in text for text in texts)


def _first(node: ast.Call, *names: str) -> ast.expr | None:
    if node.args:
        return None if isinstance(node.args[0], ast.Starred) else node.args[0]
    return next((value for name in names if (value := keyword(node, name)) is not None), None)


def process(case: Case) -> Answer:
    """bandit:B603, B606: whether what a process is started with comes from outside. No shell reads it."""

    def judge(node: ast.Call) -> Answer | None:
        command = _first(node, "args", "file", "path")
        if command is None:
            return None
        whole = [command] if case.finding.key.rule == "bandit:B603" else node.args
        origins = frozenset[Origin]().union(*(case.tracer.of(part) for part in whole))
        if origins <= FIXED:
            return refute("program and arguments are literals: no input flows in", node)
        program = _program(command)
        if program is not None and Origin.INPUT in case.tracer.of(program):
            return confirm("input from outside the program says which program is started", node)
        return unsure("no shell reads it, and where the arguments come from is not seen here", node)

    return at_place(case, judge, ast.Call)


def _program(command: ast.expr) -> ast.expr | None:
    """What is started, where it can be told from its arguments."""
    return command.elts[0] if isinstance(command, ast.List | ast.Tuple) and command.elts else None


def evaluated(case: Case) -> Answer:
    """bandit:B307, B102: whether text from outside is executed."""

    def judge(node: ast.Call) -> Answer | None:
        if not (isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"} and node.args):
            return None
        if case.code.imports.get(node.func.id) or node.func.id in case.code.module.bindings:
            return refute(f"{node.func.id} is a name of this module here, and not the built-in function")
        text = _uncompiled(node.args[0])
        if case.tracer.of(text) <= FIXED:
            return refute("what is executed is made of literals only: no input flows in")
        source = case.tracer.unchecked_input(text)
        if source:
            return confirm(f"what is executed comes from {source}")
        return unsure("where the text comes from is not seen here, or something checks it first")

    return at_place(case, judge, ast.Call)


def _uncompiled(node: ast.expr) -> ast.expr:
    compiled = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "compile"
    return node.args[0] if compiled and isinstance(node, ast.Call) and node.args else node


def query(case: Case) -> Answer:
    """bandit:B608: whether text from outside becomes part of a query."""

    def judge(node: ast.expr) -> Answer | None:
        whole = _whole(case.code, node)
        if isinstance(whole, ast.Call) and not _formats(whole):
            return None
        return _query(case, whole)

    return at_place(case, judge, ast.BinOp, ast.JoinedStr, ast.Call)


def _formats(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "replace", "join"}


def _query(case: Case, whole: ast.expr) -> Answer:
    if case.tracer.of(whole) <= FIXED - {Origin.DECLARED}:  # nothing holds a caller to a declaration
        return refute("only literals and numbers are put into the text: no input flows in", whole)
    use = _use(case.code, whole)
    if use == "says":
        return refute("it is a message for people, and goes to no database", whole)
    source = case.tracer.unchecked_input(whole)
    if source and use == "executes":
        return confirm(f"{source} becomes part of a query that is executed", whole)
    if source:
        return unsure(f"{source} becomes part of the text, but that it is executed is not seen here", whole)
    return unsure("where the parts come from is not seen here, or something checks them first", whole)


def _whole(code: Code, node: ast.expr) -> ast.expr:
    """The whole text that an expression is a part of: what is added on either side, what formats it."""
    whole = node
    for outer in code.around(node):
        added = isinstance(outer, ast.BinOp) or (isinstance(outer, ast.Attribute) and outer.attr == "format")
        formats = isinstance(outer, ast.Call) and _formats(outer) and outer.func is whole
        if not (added or formats or isinstance(outer, ast.JoinedStr | ast.FormattedValue)):
            break
        assert isinstance(outer, ast.expr)
        whole = outer
    return whole


def _use(code: Code, text: ast.expr) -> str:
    """What is done with a text: "executes", "says", or "" where neither is seen."""
    for outer in code.around(text):
        if isinstance(outer, ast.Raise):
            return "says"
        if isinstance(outer, ast.Call):
            return _call_use(code, outer)
        if isinstance(outer, ast.stmt):
            break
    return _later_use(code, text)


def _call_use(code: Code, call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else code.qualified(call.func)
    if name.rpartition(".")[2] in _EXECUTES:
        return "executes"
    return "says" if name in _SAYS or name.endswith(("Error", "Exception", "Warning")) else ""


def _later_use(code: Code, text: ast.expr) -> str:
    statement = code.statement(text)
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    for name in names:
        for use in code.scope(text).uses.get(name, ()):
            call = code.parent(use)
            if isinstance(call, ast.Call) and use in call.args and _call_use(code, call) == "executes":
                return "executes"
    return ""


def bound(case: Case) -> Answer:
    """bandit:B104: whether something listens on the address, or only knows it."""

    def judge(node: ast.Constant) -> Answer | None:
        if node.value not in ("0.0.0.0", "::", ""):
            return None
        for outer in case.code.around(node):
            if isinstance(outer, ast.Compare | ast.Match | ast.match_case):
                return refute("the address is compared with, and nothing is bound to it")
            if isinstance(outer, ast.Call):
                return _listens(case.code, outer, node)
            if isinstance(outer, ast.stmt):
                break
        return unsure("what is done with the address is not seen here")

    return at_place(case, judge, ast.Constant)


def _listens(code: Code, call: ast.Call, node: ast.Constant) -> Answer:
    name = code.callee(call) or getattr(call.func, "attr", "")
    last = words_of(name.rpartition(".")[2])
    named = next((item.arg for item in call.keywords if item.value is node), None)
    if last & {"bind", "listen", "run", "serve", "server", "tcpserver", "httpserver", "site"} or (
        named in {"host", "bind", "listen", "interface"} and last & {"start", "launch", "main", "setup", "app"}
    ):
        return confirm(f"{name} gets the address to listen on")
    if last & {"startswith", "endswith", "replace", "match", "equal"}:
        return refute("the address is compared with, and nothing is bound to it")
    return unsure("what is called with the address is not known here")


def temporary(case: Case) -> Answer:
    """bandit:B108: whether a file of a foreseeable name is made in a folder that everybody may write to."""

    def judge(node: ast.Constant) -> Answer | None:
        if not isinstance(node.value, str):
            return None
        for outer in case.code.around(node):
            if isinstance(outer, ast.Compare):
                return refute("the path is compared with, and nothing is made there")
            if isinstance(outer, ast.Call):
                return _makes(case.code, outer)
            if isinstance(outer, ast.stmt):
                break
        return unsure("what is done with the path is not seen here")

    return at_place(case, judge, ast.Constant)


def _makes(code: Code, call: ast.Call) -> Answer:
    name = code.callee(call) or getattr(call.func, "attr", "")
    last = name.rpartition(".")[2]
    if last in {"startswith", "endswith", "removeprefix", "replace"}:
        return refute("the path is compared with, and nothing is made there")
    mode = constant_text(keyword(call, "mode") or (call.args[1] if len(call.args) > 1 else None))
    if name in {"open", "io.open"} and set(mode or "r") & set("wax+"):
        return confirm("a file of a foreseeable name is written in a folder that everybody may write to")
    if name in {"os.mkdir", "os.makedirs", "os.mkfifo"}:
        return confirm("a folder of a foreseeable name is made where everybody may write")
    return unsure("whether anything is made there is not seen here")
