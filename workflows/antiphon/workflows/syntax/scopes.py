"""Which name means what in a script: its scopes, what binds in them, and where a name was imported from."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

SCRIPT: Final = "antiphon.workflows.script"
Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Loop = ast.For | ast.AsyncFor
SCRIPT_NAMES: Final = frozenset(
    {
        *("agent", "step", "approve", "choose", "workflow", "parallel", "pipeline", "race", "quorum", "branch"),
        *("phase", "fail", "replan", "put", "get", "log", "now", "random", "budget", "claims", "synthesize"),
        *("AgentFailure", "Amount", "CallContext", "CallFailed", "Critic", "InfrastructureError"),
        *("Outcome", "Outcomes", "Tally", "function_agent", "step_function", "workspace_of"),
    }
)
"""What `antiphon.workflows.script` offers. A confined script finds these as globals."""
_API_MODULES: Final = frozenset({SCRIPT, "antiphon.workflows", "antiphon"})
# Names that stand for names that stand for names...: nobody writes more.
_DEEPEST: Final = 20
# Longer ones are data, and looking for a place in them would take long.
_MOST_UNPACKED: Final = 50
# Shared between all places of a tree, so they have no place of their own.
_PLACELESS: Final = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One place that gives a name its meaning; all fields but `node` are there only where they are plain.

    Attributes:
        node: the binding name, definition, import or parameter.
        value: what is assigned.
        iterated: for a loop variable or an unpacked one, what is gone over.
        position: for a loop variable inside a tuple, which of the tuple.
        origin: for an import, the dotted name.
    """

    node: ast.AST
    value: ast.expr | None = None
    iterated: ast.expr | None = None
    position: int | None = None
    origin: str = ""


@dataclass(slots=True, eq=False)
class Scope:
    """A module, function, lambda, class or comprehension, and the names bound in it."""

    node: ast.AST
    around: Scope | None = None
    bindings: dict[str, list[Binding]] = field(default_factory=dict[str, list[Binding]])

    def bind(self, name: str, binding: Binding) -> None:
        """Add one binding of `name`."""
        self.bindings.setdefault(name, []).append(binding)


@dataclass(slots=True, eq=False)
class Script:
    """A script's tree with its scopes. What runs only outside of antiphon (``__main__``) is left out.

    Attributes:
        nodes: every place in the tree.
        parents: the place around each.
        scopes: the scope that each place is evaluated in.
        inner: the scope that a function, lambda, class or comprehension opens.
        aside: the names used in what is left out.
        uses: where each name of each scope is read.
        returns: the return statements of each function.
        origins: where names were found to be imported from.
        starred: the modules that everything is imported from; the API's where the script imports nothing of it.
        modules: the modules that it imports, or imports from.
    """

    tree: ast.Module
    module: Scope
    nodes: list[ast.AST] = field(default_factory=list[ast.AST])
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict[ast.AST, ast.AST])
    scopes: dict[ast.AST, Scope] = field(default_factory=dict[ast.AST, Scope])
    inner: dict[ast.AST, Scope] = field(default_factory=dict[ast.AST, Scope])
    aside: set[str] = field(default_factory=set[str])
    uses: dict[tuple[Scope | None, str], list[ast.Name]] = field(
        default_factory=dict[tuple[Scope | None, str], list[ast.Name]]
    )
    returns: dict[Scope, list[ast.Return]] = field(default_factory=dict[Scope, list[ast.Return]])
    origins: dict[tuple[Scope | None, str], str] = field(default_factory=dict[tuple[Scope | None, str], str])
    starred: set[str] = field(default_factory=set[str])
    modules: set[str] = field(default_factory=set[str])

    @property
    def size(self) -> int:
        """How many places its tree has."""
        return len(self.nodes)

    def resolve(self, name: ast.Name) -> Scope | None:
        """The scope whose binding `name` means, or None: a builtin, or unknown."""
        start = self.scopes[name]
        scope: Scope | None = start
        while scope is not None:
            if name.id in scope.bindings and (scope is start or not isinstance(scope.node, ast.ClassDef)):
                return scope
            scope = scope.around
        return None

    def bindings(self, name: ast.Name) -> list[Binding]:
        """Everything that may give `name` its meaning."""
        scope = self.resolve(name)
        return scope.bindings[name.id] if scope else []

    def only_binding(self, name: ast.Name) -> Binding | None:
        """The one binding of `name`, or None when there are several or none."""
        found = self.bindings(name)
        return found[0] if len(found) == 1 else None

    def origin(self, expression: ast.AST) -> str:
        """The dotted name that an expression stands for, such as ``asyncio.gather`` or ``builtins.len``, or ``""``."""
        parts: list[str] = []
        while isinstance(expression, ast.Attribute):
            parts.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return ""
        root = self._root(expression)
        return ".".join([root, *reversed(parts)]) if root else ""

    def _root(self, name: ast.Name, depth: int = 0) -> str:
        if self.resolve(name) is None:
            return self._unbound(name.id)
        key = self.resolve(name), name.id
        if key not in self.origins:
            self.origins[key] = ""  # while it is looked at, so that a cycle ends
            origins = {binding.origin or self._alias(binding, depth + 1) for binding in self.bindings(name)}
            self.origins[key] = origins.pop() if len(origins) == 1 else ""
        return self.origins[key]

    def _alias(self, binding: Binding, depth: int) -> str:
        """Where a name comes from that was only given to another name: ``ask = agent``."""
        return self._root(binding.value, depth) if isinstance(binding.value, ast.Name) and depth < _DEEPEST else ""

    def _unbound(self, name: str) -> str:
        if SCRIPT in self.starred and name in SCRIPT_NAMES:
            return f"{SCRIPT}.{name}"
        return f"builtins.{name}" if hasattr(builtins, name) else ""

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The places around `node`, innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function(self, node: ast.AST) -> ast.AST:
        """The function, lambda or module that `node` is evaluated in, through comprehensions."""
        scope = self.scopes[node]
        while isinstance(scope.node, Comprehension) and scope.around is not None:
            scope = scope.around
        return scope.node


def read_script(tree: ast.Module) -> Script:
    """Find the scopes and names of a script. A loop and not recursion: the code may be nested as deep as it likes."""
    script = Script(tree, Scope(tree))
    todo: list[tuple[ast.AST, Scope]] = [(tree, script.module)]
    while todo:
        node, scope = todo.pop()
        script.nodes.append(node)
        script.scopes[node] = scope
        _bind(script, node, scope)
        for child, inside in _children(script, node, scope):
            script.parents[child] = node
            todo.append((child, inside))
    if finds_api_as_globals(script):
        script.starred.add(SCRIPT)
    for node in script.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            script.uses.setdefault((script.resolve(node), node.id), []).append(node)
        elif isinstance(node, ast.Return):
            script.returns.setdefault(script.scopes[node], []).append(node)
    return script


def imports_api(script: Script) -> bool:
    """Whether a script imports the API."""
    return not script.modules.isdisjoint(_API_MODULES)


def finds_api_as_globals(script: Script) -> bool:
    """Whether a script is a workflow that imports nothing of the API: it runs confined, where these names are there."""
    elsewhere = script.starred - {SCRIPT} or imports_api(script)
    return "manifest" in script.module.bindings and not elsewhere


# --- children, each with the scope it is evaluated in -------------------------------------------------------------


def _children(script: Script, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            yield from _of_function(script, node, scope)
        case ast.ClassDef():
            inner = script.inner[node] = Scope(node, scope)
            yield from ((child, scope) for child in [*node.decorator_list, *node.bases, *node.keywords])
            yield from ((child, inner) for child in node.body)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            inner = script.inner[node] = Scope(node, scope)
            yield from ((child, inner) for child in _plain_children(node))
        case ast.comprehension():
            yield from _of_generator(script, node, scope)
        case ast.If() if _is_aside(node.test):
            script.aside |= {name.id for part in node.body for name in ast.walk(part) if isinstance(name, ast.Name)}
            yield from ((child, scope) for child in [node.test, *node.orelse])
        case _:
            yield from ((child, scope) for child in _plain_children(node))


def _plain_children(node: ast.AST) -> Iterator[ast.AST]:
    return (child for child in ast.iter_child_nodes(node) if not isinstance(child, _PLACELESS))


def _of_function(script: Script, node: Function | ast.Lambda, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    inner = script.inner[node] = Scope(node, scope)
    given = parameters(node.args)
    outside: list[ast.expr | None] = [*node.args.defaults, *node.args.kw_defaults, *(one.annotation for one in given)]
    for one in given:
        inner.bind(one.arg, Binding(one))
    if isinstance(node, ast.Lambda):
        yield node.body, inner
    else:
        outside += [*node.decorator_list, node.returns]
        yield from ((child, inner) for child in node.body)
    yield from ((child, scope) for child in outside if child is not None)


def _of_generator(script: Script, node: ast.comprehension, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    """What the first `for` of a comprehension goes over is evaluated outside of it, and at once."""
    around = script.parents[node]
    first = isinstance(around, Comprehension) and around.generators[0] is node
    yield node.iter, scope.around if first and scope.around else scope
    yield node.target, scope
    yield from ((test, scope) for test in node.ifs)


def _is_aside(test: ast.expr) -> bool:
    """Whether a test is `__name__ == "__main__"` or `TYPE_CHECKING`."""
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case _:
            return False


def parameters(given: ast.arguments) -> list[ast.arg]:
    """All parameters of a function."""
    return [
        *given.posonlyargs,
        *given.args,
        *given.kwonlyargs,
        *(one for one in (given.vararg, given.kwarg) if one is not None),
    ]


# --- bindings -----------------------------------------------------------------------------------------------------


def _bind(script: Script, node: ast.AST, scope: Scope) -> None:
    match node:
        case ast.Name(ctx=ast.Store() | ast.Del()):
            _bind_name(script, node, scope)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            scope.bind(node.name, Binding(node))
        case ast.Import():
            for alias in node.names:
                script.modules.add(alias.name)
                origin = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.bind(alias.asname or origin, Binding(node, origin=origin))
        case ast.ImportFrom():
            _bind_from(script, node, scope)
        case ast.Global() | ast.Nonlocal():
            _bind_foreign(node, scope)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            scope.bind(name, Binding(node))
        case ast.MatchMapping(rest=str(name)):
            scope.bind(name, Binding(node))
        case _:
            pass


def _bind_from(script: Script, node: ast.ImportFrom, scope: Scope) -> None:
    module = "." * node.level + (node.module or "")
    script.modules.add(module)
    for alias in node.names:
        if alias.name == "*":
            script.starred.add(module)
        else:
            scope.bind(alias.asname or alias.name, Binding(node, origin=f"{module}.{alias.name}"))


def _bind_foreign(node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
    """A name that several functions may change: unknown in each of them."""
    around: Scope | None = scope
    while around is not None:
        for name in node.names:
            if around is scope or around.around is None or name in around.bindings:
                around.bind(name, Binding(node))
        around = around.around


def _unpacked(name: ast.Name, names: ast.Tuple | ast.List, around: ast.AST) -> Binding:
    """A name among others on the left of an assignment or in a loop."""
    shown = names.elts[:_MOST_UNPACKED]
    if name not in shown:
        return Binding(name)
    position = shown.index(name)
    if isinstance(around, Loop | ast.comprehension):
        return Binding(name, iterated=around.iter, position=position)
    if not isinstance(around, ast.Assign) or any(isinstance(one, ast.Starred) for one in names.elts):
        return Binding(name)
    if not isinstance(around.value, ast.Tuple | ast.List):
        return Binding(name, iterated=around.value)
    return Binding(name, value=around.value.elts[position] if position < len(around.value.elts) else None)


def _bind_name(script: Script, node: ast.Name, scope: Scope) -> None:
    parent = script.parents[node]
    match parent:
        case ast.Assign(value=value) | ast.AnnAssign(value=value) if isinstance(node.ctx, ast.Store):
            binding = Binding(node, value=value)
        case ast.NamedExpr(value=value):
            binding = Binding(node, value=value)
            while isinstance(scope.node, Comprehension) and scope.around is not None:
                scope = scope.around
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            binding = Binding(node, iterated=parent.iter)
        case ast.Tuple() | ast.List():
            binding = _unpacked(node, parent, script.parents[parent])
        case _:
            binding = Binding(node)
    # `x: int` alone says nothing about a value.
    if not (isinstance(parent, ast.AnnAssign) and parent.value is None):
        scope.bind(node.id, binding)
