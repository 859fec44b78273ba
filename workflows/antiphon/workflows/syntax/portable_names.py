"""Names, attributes and calls that monty has not, or that mean less in a confined script than they seem to."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final

from antiphon.workflows.syntax.kinds import Kinds
from antiphon.workflows.syntax.portable import (
    DUNDERS,
    EXCEPTIONS_WITH_TEXT,
    INSTEAD_OF_BUILTINS,
    MODULES,
    NOWHERE,
    Place,
    member,
)
from antiphon.workflows.syntax.scopes import Function, Script, parameters


def _builtins(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return
    origin = kinds.script.origin(node)
    if node.id in ("__builtins__", "__import__", "__loader__", "__spec__") and kinds.script.resolve(node) is None:
        yield node, f"{node.id}: no confined script has it", NOWHERE.get(node.id, "plain code"), "nowhere"
    elif origin == f"builtins.{node.id}" and node.id in NOWHERE:
        yield node, f"{node.id}: no confined script has it", NOWHERE[node.id], "nowhere"
    elif origin == f"builtins.{node.id}" and node.id in INSTEAD_OF_BUILTINS and not _is_quiet(kinds, node):
        yield node, f"{node.id}: monty has no such builtin", INSTEAD_OF_BUILTINS[node.id]


def _is_quiet(kinds: Kinds, node: ast.Name) -> bool:
    """Whether something said it already: a decorator of a method, a base of a class; or it is an annotation."""
    around = kinds.script.parents.get(node)
    if isinstance(around, ast.ClassDef):
        return node in around.bases
    if isinstance(around, Function) and node in around.decorator_list:
        return isinstance(kinds.script.parents.get(around), ast.ClassDef)
    return _in_annotation(kinds.script, node)


def _in_annotation(script: Script, node: ast.AST) -> bool:
    inner = node
    for around in script.ancestors(node):
        match around:
            case ast.AnnAssign(annotation=annotation):
                return annotation is inner
            case ast.FunctionDef(args=given, returns=returns) | ast.AsyncFunctionDef(args=given, returns=returns):
                return inner is returns or any(inner is one.annotation for one in parameters(given))
            case ast.expr():
                inner = around
            case _:
                return False
    return False


def _module_names(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    """`re.VERBOSE`, `json.JSONEncoder`: names of modules that monty has without them."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return
    module = kinds.script.origin(node.value)
    if module in MODULES and not _in_annotation(kinds.script, node):
        yield from member(node, module, node.attr)


_CLOCKS: Final = {
    "time.time": "now().timestamp()",
    "time.monotonic": "now().timestamp()",
    "time.perf_counter": "now().timestamp()",
    "datetime.datetime.now": "now()",
    "datetime.datetime.utcnow": "now()",
    "datetime.datetime.today": "now()",
    "datetime.date.today": "now().date()",
}


def _clocks(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    if not isinstance(node, ast.Call):
        return
    origin = kinds.script.origin(node.func)
    if origin in _CLOCKS:
        if origin == "datetime.datetime.utcnow":
            yield node, f"{origin}: monty has no such name", "now()"
        else:
            yield node, f"{origin}() stands still in a confined script", _CLOCKS[origin], "anywhere"
    elif origin == "time.sleep":
        yield node, "time.sleep(): a confined script cannot wait", "await a call, which takes its time", "nowhere"
    elif origin == "datetime.datetime.fromtimestamp":
        yield (
            node,
            f"{origin}: monty has no such name",
            "datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=...)",
        )
    elif origin.startswith("random.") and origin.count(".") == 1 and origin != "random.Random":
        what = f"{origin}() gives the same in every branch and every run"
        yield node, what, "random(), which is seeded by run and branch; sorted(...) where any order will do", "anywhere"


_OWN_ATTRIBUTES: Final = {
    "__cause__": "the text: str(error)",
    "__context__": "the text: str(error)",
    "__traceback__": "the text: str(error)",
    "with_traceback": "raise ... from error",
    "add_note": "the text, when it is made",
    "__class__": "type(value)",
    "__dict__": "a method that gives a dict",
    "__doc__": "the text, written out",
    "__annotations__": "the types, written out",
}


def _attributes(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    if not isinstance(node, ast.Attribute):
        return
    name = node.attr
    if name == "__name__":
        if not _has_name(kinds, node.value):
            yield node, "functions have no __name__ in monty", "the name, written out; type(value).__name__ works"
    elif name in _OWN_ATTRIBUTES:
        yield node, f"{name}: monty has no such attribute", _OWN_ATTRIBUTES[name]
    elif name.startswith("__") and name.endswith("__") and name not in DUNDERS:
        yield node, f"{name}: monty has no such attribute", "plain code"
    elif name in _INSTEAD_OF_METHODS and not _is_own(kinds, node):
        yield node, f".{name}(): monty's texts and numbers have no such method", _INSTEAD_OF_METHODS[name]
    yield from _function_attribute(kinds, node)


_INSTEAD_OF_METHODS: Final = {
    "translate": "text.replace(a, b)",
    "maketrans": "text.replace(a, b)",
    "format_map": "text.format(**names)",
    "is_integer": "value == int(value)",
    "bit_length": "len(bin(value)) - 2",
    "to_bytes": "text",
    "from_bytes": "text",
}


def _has_name(kinds: Kinds, node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return kinds.builtin(node) == "type"
    binding = kinds.script.only_binding(node) if isinstance(node, ast.Name) else None
    if binding is None:
        return isinstance(node, ast.Name) and kinds.script.origin(node).startswith("builtins.")
    return isinstance(binding.node, ast.ClassDef)


def _is_own(kinds: Kinds, node: ast.Attribute) -> bool:
    """Whether a class of the script, or a module, may give the name."""
    return _is_defined(kinds, node.attr) or kinds.script.origin(node.value).partition(".")[0] in MODULES


def _is_defined(kinds: Kinds, name: str) -> bool:
    return any(isinstance(node, Function) and node.name == name for node in kinds.script.nodes)


def _function_attribute(kinds: Kinds, node: ast.Attribute) -> Iterator[Place]:
    if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
        binding = kinds.script.only_binding(node.value)
        if binding is not None and isinstance(binding.node, Function):
            yield node, "functions have no attributes in monty", "a dict beside the function"


# --- calls ------------------------------------------------------------------------------------------------------------

_ENDLESS: Final = frozenset({"itertools.count", "itertools.cycle"})
_EAGER: Final = frozenset({"map", "filter", "enumerate", "zip", "reversed"})


def _calls(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    if not isinstance(node, ast.Call):
        return
    origin = kinds.script.origin(node.func)
    if origin == "builtins.next" and node.args and _is_eager(kinds, node.args[0]):
        what = "next() of a generator expression, map, filter, zip, enumerate or reversed: they are lists in monty"
        yield node, what, "found = [one for one in ... if ...] and found[0] if found else None"
    elif origin in ("re.sub", "re.subn") and len(node.args) > 1 and kinds.function(node.args[1]) is not None:
        yield node, "re.sub() with a function: monty takes a text", "a loop over re.finditer(...)"
    elif origin == "json.dumps" and any(one.arg in ("default", "cls") for one in node.keywords):
        yield node, "json.dumps(default=...): monty does not have it", "plain values before json.dumps"
    elif origin == "dataclasses.dataclass":
        yield from _dataclass_options(node)
    elif origin.startswith("builtins.") and origin[9:] in EXCEPTIONS_WITH_TEXT:
        yield from _exception(node, origin[9:])
    elif origin.startswith("typing.") and origin in ("typing.TypeVar", "typing.NewType"):
        yield node, f"{origin}(): monty does not run it", "no annotation, or Any"


def _is_eager(kinds: Kinds, node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        binding = kinds.script.only_binding(node)
        node = binding.value if binding is not None and binding.value is not None else node
    return isinstance(node, ast.GeneratorExp) or kinds.builtin(node) in _EAGER


def _endless(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    """What monty makes a list of, over something that has no end."""
    match node:
        case ast.GeneratorExp(generators=[ast.comprehension(iter=source), *_]):
            pass
        case ast.Call(args=[source, *_]) if kinds.builtin(node) == "enumerate":
            pass
        case ast.Call(args=[_, source, *_]) if kinds.builtin(node) in ("map", "filter"):
            pass
        case _:
            return
    if isinstance(source, ast.Call) and kinds.script.origin(source.func) in _ENDLESS:
        yield node, "generator expressions, map, filter and enumerate are lists in monty: this one has no end", "a loop"


def _dataclass_options(node: ast.Call) -> Iterator[Place]:
    for option in node.keywords:
        value = option.value.value if isinstance(option.value, ast.Constant) else None
        usual = option.arg in ("init", "repr", "match_args", "eq")
        if option.arg not in ("frozen", "eq") and value is not usual:
            yield node, f"@dataclass({option.arg}=...): monty does not have it", "@dataclass or @dataclass(frozen=True)"


def _exception(node: ast.Call, name: str) -> Iterator[Place]:
    texts = (ast.JoinedStr, ast.Call, ast.Name, ast.Attribute, ast.BinOp, ast.Subscript, ast.IfExp, ast.Await)
    odd = [one for one in node.args if not isinstance(one, texts) and not _is_text(one)]
    if len(node.args) > 1 or node.keywords or odd:
        yield node, f"{name}(...) takes one text in monty", f"{name}('what is wrong'); data goes into the text"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


_TYPES: Final = frozenset(one.__name__ for one in (str, int, float, bool, list, dict, set, tuple, bytes, frozenset))
_ON_TYPES: Final = frozenset({"dict.fromkeys", "bytes.fromhex"})
_METHODS: Final = frozenset(
    name for kind in (str, list, dict, set, bytes) for name in dir(kind) if not name.startswith("_")
)


def _methods_as_values(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    """`key=str.lower`, `max(d, key=d.get)`, `map(text.count, parts)`."""
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in _TYPES:
            if kinds.script.origin(node) == f"builtins.{name}.{attr}" and f"{name}.{attr}" not in _ON_TYPES:
                yield node, f"{name}.{attr}: monty has no methods on types", f"lambda value: value.{attr}(...)"
        case ast.keyword(arg="key", value=ast.Attribute() as given):
            yield from _method_as_value(kinds, given)
        case ast.Call(args=[ast.Attribute() as given, *_]) if kinds.builtin(node) in ("map", "filter"):
            yield from _method_as_value(kinds, given)
        case _:
            pass


def _method_as_value(kinds: Kinds, given: ast.Attribute) -> Iterator[Place]:
    if given.attr in _METHODS and not _is_defined(kinds, given.attr) and not kinds.script.origin(given):
        what = f".{given.attr} as a value: monty calls methods of its own types only at once"
        yield given, what, f"lambda value: ….{given.attr}(value)"


def _types(kinds: Kinds, node: ast.AST) -> Iterator[Place]:
    match node:
        case ast.Call(args=[_, ast.Name(id="type")]) if kinds.builtin(node) == "isinstance":
            yield node, "isinstance(..., type): monty does not run it", "the classes, in a list of your own"
        case ast.Compare(
            left=ast.Call() as left, ops=[ast.Is() | ast.Eq() | ast.IsNot() | ast.NotEq()], comparators=[right]
        ):
            name = kinds.script.origin(right).removeprefix("builtins.")
            if kinds.builtin(left) == "type" and name in EXCEPTIONS_WITH_TEXT:
                yield node, "type(error) is never an exception's class in monty", f"isinstance(error, {name})"
        case ast.Subscript(value=value):
            origin = kinds.script.origin(value)
            if (
                origin.startswith("typing.")
                and not _in_annotation(kinds.script, node)
                and not _in_subscript(kinds, node)
            ):
                yield (
                    node,
                    f"{origin}[...] outside of an annotation: monty does not run it",
                    "list[...], dict[...], a | b",
                )
        case _:
            pass


def _in_subscript(kinds: Kinds, node: ast.AST) -> bool:
    return any(isinstance(one, ast.Subscript) for one in kinds.script.ancestors(node))


NAME_CHECKS: Final[tuple[Callable[[Kinds, ast.AST], Iterator[Place]], ...]] = (
    _builtins,
    _module_names,
    _clocks,
    _attributes,
    _calls,
    _endless,
    _methods_as_values,
    _types,
)
