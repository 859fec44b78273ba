"""Default values, and closures in loops: things that are made once, and used as if they were made each time."""

from __future__ import annotations

import ast
import re

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.scopes import FUNCTIONS, MUTATING

_READS = frozenset(
    {
        "get", "items", "keys", "values", "index", "count", "copy", "union", "intersection", "difference",
        "issubset", "issuperset", "isdisjoint", "__contains__",
    }
)  # fmt: skip
_COPIES = frozenset(
    {
        "len", "list", "dict", "set", "tuple", "frozenset", "sorted", "sum", "min", "max", "any", "all", "bool",
        "str", "repr", "enumerate", "reversed", "zip", "isinstance", "print",
    }
)  # fmt: skip
_IMMUTABLE = frozenset(
    {
        "frozenset", "tuple", "int", "float", "str", "bytes", "bool", "complex", "object", "range",
        "pathlib.Path", "pathlib.PurePath", "pathlib.PurePosixPath", "datetime.timedelta", "datetime.date",
        "datetime.datetime", "datetime.timezone", "decimal.Decimal", "fractions.Fraction", "re.compile",
        "types.MappingProxyType", "operator.attrgetter", "operator.itemgetter", "slice", "uuid.UUID",
    }
)  # fmt: skip
_MARKERS = frozenset(
    {
        "Depends", "Security", "Query", "Path", "Body", "Form", "File", "Header", "Cookie", "Option", "Argument",
        "Provide", "Inject",
    }
)  # fmt: skip
_ONCE = frozenset(
    {
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
        "time.time", "time.monotonic", "time.perf_counter", "uuid.uuid4", "uuid.uuid1", "random.random",
        "random.randint", "os.getcwd", "pathlib.Path.cwd", "os.getpid",
    }
)  # fmt: skip
_MUTABLE = frozenset(
    {
        "list", "dict", "set", "bytearray", "collections.defaultdict", "collections.deque", "collections.Counter",
        "collections.OrderedDict",
    }
)  # fmt: skip
_STORES = frozenset(
    {
        "append", "add", "insert", "appendleft", "setdefault", "connect", "register", "subscribe", "bind", "submit",
        "call_later", "call_soon", "add_done_callback", "Thread", "Timer", "Process", "start_soon", "create_task",
        "ensure_future", "partial", "apply_async", "after", "on", "add_command",
    }
)  # fmt: skip
_CONSUMES = frozenset(
    {
        "sorted", "min", "max", "sum", "any", "all", "next", "sort", "join", "reduce", "sub", "subn",
    }
)  # fmt: skip
_GATHERS = frozenset({"list", "tuple", "set", "dict", "frozenset"})
_CALLED_BY = frozenset({"map", "filter"})
_CHANGEABLE = re.compile(
    r"\b(list|dict|set|deque|defaultdict|ordereddict|counter|bytearray|mutable\w+|any|object)\b", re.IGNORECASE
)


_LOOKS = (ast.Compare, ast.FormattedValue, ast.Subscript, ast.UnaryOp, ast.If, ast.While, ast.Assert, ast.BinOp,
          ast.Starred)  # fmt: skip


def mutable_default(case: Case) -> Answer:
    """flake8-bugbear:B006: whether the shared default is ever changed, or can get to where it may be."""

    def judge(node: ast.expr) -> Answer | None:
        found = _parameter_of(case.code, node)
        if found is None:
            return None
        name, function = found
        return _shared(case.code, name, function)

    kinds = (ast.List, ast.Dict, ast.Set, ast.Call, ast.ListComp, ast.DictComp, ast.SetComp)
    return at_place(case, judge, *kinds)


def _parameter_of(code: Code, node: ast.AST) -> tuple[str, ast.FunctionDef | ast.AsyncFunctionDef] | None:
    """The parameter that a value is the default of, and its function."""
    given = code.parent(node)
    function = code.parent(given) if isinstance(given, ast.arguments) else None
    if not isinstance(given, ast.arguments) or not isinstance(function, FUNCTIONS):
        return None
    places = [*given.posonlyargs, *given.args]
    pairs = [*zip(reversed(places), reversed(given.defaults), strict=False)]
    pairs += [(arg, value) for arg, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is not None]
    return next(((arg.arg, function) for arg, value in pairs if value is node), None)


def _shared(code: Code, name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Answer:
    scope = code.scope(function.body[0])
    bindings = scope.bindings.get(name, [])
    if any(binding.how == "grows" for binding in bindings):
        return confirm(f"the function changes {name}, and with it the default of all later calls", function)
    if bindings:
        return unsure(f"{name} is bound again before or after it is used", function)
    uses = [_use(code, use) for use in scope.uses.get(name, ())]
    if "changed" in uses:
        return confirm(f"the function changes {name}, and with it the default of all later calls", function)
    if "passed" in uses:
        return unsure(f"{name} is passed on, returned or stored, and may be changed there", function)
    return refute(f"{name} is only read here, and goes nowhere else", function)


def _use(code: Code, use: ast.expr, depth: int = 0) -> str:
    """What one use of a mutable value does: "read", "changed", or "passed" on to where that is not seen."""
    outer = code.parent(use)
    match outer:
        case ast.Attribute(attr=name):
            called = isinstance(code.parent(outer), ast.Call)
            return "changed" if name in MUTATING else "read" if called and name in _READS else "passed"
        case ast.Subscript(value=held) if held is use:
            return "read" if isinstance(outer.ctx, ast.Load) and not _is_changed_inside(code, outer) else "changed"
        case ast.BoolOp() | ast.IfExp() if depth < 5:
            return "read" if isinstance(outer, ast.IfExp) and outer.test is use else _use(code, outer, depth + 1)
        case ast.Call(func=called) if called is not use:
            name = called.id if isinstance(called, ast.Name) and called.id not in code.bound_anywhere else ""
            return "read" if name in _COPIES else "passed"
        case _:
            return "read" if _only_reads(outer, use) else "passed"


def _only_reads(outer: ast.AST | None, use: ast.expr) -> bool:
    """Whether what holds a value only looks at it, or makes a new value of it."""
    match outer:
        case ast.For(iter=held) | ast.AsyncFor(iter=held) | ast.comprehension(iter=held):
            return held is use
        case ast.Dict(keys=keys, values=values):
            return use in values and keys[values.index(use)] is None
        case ast.keyword(arg=name):
            return name is None
        case _:
            return isinstance(outer, _LOOKS)


def _is_changed_inside(code: Code, element: ast.Subscript) -> bool:
    """Whether an element is itself changed: what it holds is shared as well."""
    outer = code.parent(element)
    return isinstance(outer, ast.Attribute) and outer.attr in MUTATING


def called_default(case: Case) -> Answer:
    """flake8-bugbear:B008: whether it matters that the call is made once."""

    def judge(node: ast.Call) -> Answer | None:
        found = _parameter_of(case.code, node) or _parameter_around(case.code, node)
        if found is None:
            return None
        name = case.code.callee(node)
        last = name.rpartition(".")[2]
        if name in _ONCE:
            return confirm(f"{name}() is what it was when the module was imported, for ever")
        if name in _IMMUTABLE or _makes_frozen(case.code, name):
            return refute(f"what {last} makes cannot be changed, so it may be shared")
        if last in _MARKERS and case.code.imports.get(name.partition(".")[0], {""}) != {""} and "." in name:
            return refute(f"{last} is a mark for a framework, which reads it from the signature")
        if name in _MUTABLE:
            return _shared(case.code, *found)
        return unsure(f"whether what {last or 'is called'} gives may be shared is not seen here")

    return at_place(case, judge, ast.Call)


def _parameter_around(code: Code, node: ast.AST) -> tuple[str, ast.FunctionDef | ast.AsyncFunctionDef] | None:
    for outer in code.around(node):
        if isinstance(outer, ast.stmt):
            return None
        found = _parameter_of(code, outer)
        if found is not None:
            return found
    return None


def _makes_frozen(code: Code, name: str) -> bool:
    """Whether a class of this module makes values that cannot be changed: a frozen dataclass, a NamedTuple, an Enum."""
    made = [one for one in code.all(ast.ClassDef) if one.name == name]
    if len(made) != 1:
        return False
    bases = {_base(base) for base in made[0].bases}
    if _is_frozen(made[0]) or "NamedTuple" in bases:
        return not any(_holds_changeable(statement) for statement in made[0].body)
    return bool(bases & _FROZEN_BASES)


def _holds_changeable(statement: ast.stmt) -> bool:
    """Whether a statement of a class makes a field that may hold what can be changed, or does not say what it holds."""
    if isinstance(statement, ast.AnnAssign):
        return bool(_CHANGEABLE.search(ast.unparse(statement.annotation)))
    return isinstance(statement, ast.Assign)


_FROZEN_BASES = frozenset({"Enum", "IntEnum", "StrEnum", "tuple", "str", "int", "frozenset"})


def _base(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else str(getattr(node, "id", ""))


def _is_frozen(made: ast.ClassDef) -> bool:
    calls = [one for one in made.decorator_list if isinstance(one, ast.Call)]
    options = [item for call in calls for item in call.keywords if item.arg == "frozen"]
    return any(isinstance(item.value, ast.Constant) and item.value.value is True for item in options)


def loop_closure(case: Case) -> Answer:
    """flake8-bugbear:B023: whether the function outlives the round of the loop that it was made in."""

    def judge(node: ast.Name) -> Answer | None:
        if not re.search(rf"\W{re.escape(node.id)}\W", f" {case.finding.text} "):
            return None
        made = case.code.enclosing(node, ast.Lambda, *FUNCTIONS)
        if isinstance(made, ast.Lambda):
            lives = _lives(case.code, made)
        elif isinstance(made, FUNCTIONS):
            lives = _function_lives(case.code, made)
        else:
            return None
        if lives == "stored":
            return confirm("the function is stored, and sees the last value when it is called", made)
        if lives == "used":
            return refute("the function is used up in the round of the loop that it was made in", made)
        return unsure("how long the function is kept is not seen here", made)

    return at_place(case, judge, ast.Name)


def _lives(code: Code, node: ast.expr) -> str:
    """How long a function that is a value lives: "used" at once, "stored", or "" where that is not seen."""
    inner: ast.AST = node
    for outer in code.around(node):
        match outer:
            case ast.Call(func=called):
                name = code.callee(outer).rpartition(".")[2] or str(getattr(called, "attr", ""))
                if called is inner or name in _CONSUMES or (name in _GATHERS and _is_called_by(code, inner, node)):
                    return "used"
                if name not in _CALLED_BY:
                    return "stored" if name in _STORES else ""
            case ast.Return() | ast.Raise():
                return "used"  # leaving the loop ends it: the variable changes no more
            case ast.Yield() | ast.List() | ast.Dict() | ast.Tuple() | ast.ListComp() | ast.DictComp():
                return "stored"
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                return "stored"
            case ast.Assign(targets=[ast.Name(id=name)]):
                return _named(code, name, outer)
            case ast.stmt():
                return ""
            case _:
                pass
        inner = outer
    return ""


def _is_called_by(code: Code, inner: ast.AST, node: ast.expr) -> bool:
    """Whether what is gathered is what the function gives, by map or filter, and not the function."""
    plain = isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in _CALLED_BY
    return plain and isinstance(inner, ast.Call) and bool(inner.args) and inner.args[0] is node


def _function_lives(code: Code, made: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return "stored" if made.decorator_list else _named(code, made.name, made)


def _named(code: Code, name: str, made: ast.stmt) -> str:
    """The same for a function that has a name: by what is done with the name."""
    loop = code.enclosing(made, ast.For, ast.AsyncFor, ast.While)
    uses = code.scope(made).uses.get(name, [])
    ways = {_way(code, use) if loop is not None and loop in code.around(use) else "stored" for use in uses}
    return "stored" if "stored" in ways else "used" if ways == {"used"} else ""


def _way(code: Code, use: ast.Name) -> str:
    outer = code.parent(use)
    if isinstance(outer, ast.Call) and outer.func is use:
        return "used" if not _lazily(code, outer) else ""
    return _lives(code, use)


def _lazily(code: Code, call: ast.Call) -> bool:
    """Whether the call is in a generator that nothing uses up at once, or in another function made here."""
    for outer in code.around(call):
        if isinstance(outer, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            return outer is not code.function(call) or isinstance(outer, ast.Lambda)
        if isinstance(outer, ast.GeneratorExp):
            taken = code.parent(outer)
            return not (isinstance(taken, ast.Call) and code.callee(taken).rpartition(".")[2] in _CONSUMES | _GATHERS)
        if isinstance(outer, ast.stmt):
            return False
    return False
