"""One audited file as the checks of the second look need it: who encloses what, what is bound where.

Everything is found in one walk and kept, so that ten thousand findings in one file cost ten thousand look-ups and not
ten thousand walks. Nothing here recurses: the code may be nested deeper than Python's stack.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeVar, cast

from antiphon.subagents.records import FileSpan, Finding
from antiphon.workflows.audit.second_look.scopes import FUNCTIONS, Scope
from antiphon.workflows.audit.sources import Source, parsed

_Syntax = TypeVar("_Syntax", bound=ast.AST)
_TEST_FOLDERS = frozenset({"test", "tests"})
_MOST_EVIDENCE_LINES = 60
_WORD = re.compile(r"\w+")
_DOTTED = re.compile(r"\w+(\.\w+)*")


class Code:
    """A file that parses.

    Attributes:
        unit: its name. tree: its syntax tree.
    """

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self.unit, self.tree, self._source = source.unit, tree, source
        self._parents: dict[ast.AST, ast.AST] = {}
        self._by_line: dict[int, list[ast.AST]] = defaultdict(list)
        self._scopes: dict[ast.AST, Scope] = {}
        self.everything: list[ast.AST] = [tree]
        for node in self.everything:  # which grows meanwhile: breadth first, as ast.walk does
            line = getattr(node, "lineno", None)
            if line is not None:
                self._by_line[line].append(node)
            inner = list(ast.iter_child_nodes(node))
            self.everything += inner
            self._parents.update(dict.fromkeys(inner, node))

    @classmethod
    def of(cls, source: Source) -> Code | None:
        """The code of a file, or None if it is no Python, or does not parse."""
        tree = parsed(source.data) if source.python else None
        return None if tree is None else cls(source, tree)

    @cached_property
    def is_test(self) -> bool:
        """Whether its name says that it is a test: nothing that runs in production."""
        path = PurePosixPath(self.unit)
        named = path.name.startswith("test_") or path.stem.endswith("_test") or path.name == "conftest.py"
        return named or bool(_TEST_FOLDERS & set(path.parts[:-1]))

    @cached_property
    def module(self) -> Scope:
        """What is bound at the top level."""
        return self._scope_of(self.tree)

    @cached_property
    def text(self) -> str:
        """The file as text; what cannot be decoded is replaced."""
        return self._source.data.decode(self._source.encoding, "replace")

    def all(self, *kinds: type[_Syntax]) -> Iterator[_Syntax]:
        """All syntax of some kinds, outer before inner."""
        return (node for node in self.everything if isinstance(node, kinds))

    def at(self, finding: Finding, *kinds: type[_Syntax]) -> list[_Syntax]:
        """What a finding may mean: syntax of some kinds that begins exactly there; else on its lines; else around it.

        Tools name the call, its argument or its line; where that leaves several, whoever asks must treat them alike.
        """
        line = finding.line or 0
        last = min(max(finding.end_line or line, line), line + _MOST_EVIDENCE_LINES)
        begun = [node for node in self._by_line.get(line, ()) if isinstance(node, kinds)]
        first = self._offset(line, finding.column)
        end = (finding.end_line, self._offset(finding.end_line or 0, finding.end_column))
        there = [node for node in begun if getattr(node, "col_offset", -1) == first]
        exact = [n for n in there if (getattr(n, "end_lineno", 0), getattr(n, "end_col_offset", None)) == end]
        if begun:
            return exact or there or begun
        inside = [n for at in range(line + 1, last + 1) for n in self._by_line.get(at, ()) if isinstance(n, kinds)]
        return inside or self._around(line, kinds)

    def _offset(self, line: int, column: int | None) -> int | None:
        """The offset in UTF-8 bytes, as syntax has it, of a column from 1 in characters."""
        if column is None or not 1 <= line <= len(self._source.lines):
            return None
        return len(self._source.lines[line - 1].decode(self._source.encoding, "replace")[: column - 1].encode("utf-8"))

    def _around(self, line: int, kinds: tuple[type[_Syntax], ...]) -> list[_Syntax]:
        """The innermost syntax of these kinds that begins earlier, and not much, and holds the line."""
        for first in range(line - 1, max(line - _MOST_EVIDENCE_LINES, 0), -1):
            for node in reversed(self._by_line.get(first, ())):
                if isinstance(node, kinds) and (getattr(node, "end_lineno", 0) or 0) >= line:
                    return [node]
        return []

    def parent(self, node: ast.AST) -> ast.AST | None:
        """What directly holds it; None for the module."""
        return self._parents.get(node)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What holds it, from the inside out."""
        outer = self._parents.get(node)
        while outer is not None:
            yield outer
            outer = self._parents.get(outer)

    def enclosing(self, node: ast.AST, *kinds: type[_Syntax]) -> _Syntax | None:
        """The innermost syntax of some kinds around it."""
        return next((outer for outer in self.around(node) if isinstance(outer, kinds)), None)

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """The statement it is a part of, or itself."""
        return node if isinstance(node, ast.stmt) else self.enclosing(node, ast.stmt)

    def before(self, statement: ast.stmt) -> ast.stmt | None:
        """The statement just before one, in the same block."""
        outer = self.parent(statement)
        for _, block in ast.iter_fields(outer) if outer is not None else ():
            if isinstance(block, list) and statement in block:
                statements = cast("list[ast.stmt]", block)
                place = statements.index(statement)
                return statements[place - 1] if place else None
        return None

    def after(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements after one, in the same block."""
        outer = self.parent(statement)
        for _, block in ast.iter_fields(outer) if outer is not None else ():
            if isinstance(block, list) and statement in block:
                statements = cast("list[ast.stmt]", block)
                return statements[statements.index(statement) + 1 :]
        return []

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function whose body it is in. A default or a decorator is outside."""
        inner = node
        for outer in self.around(node):
            if isinstance(outer, FUNCTIONS) and inner in outer.body:
                return outer
            inner = outer
        return None

    def scope(self, node: ast.AST) -> Scope:
        """What is bound in the function around it, or in the module."""
        return self._scope_of(self.function(node) or self.tree)

    def hidden(self, node: ast.AST) -> frozenset[str]:
        """Names that mean something else here than in the function around: parameters of a lambda, a class's own."""
        found: set[str] = set()
        for outer in self.around(node):
            if isinstance(outer, FUNCTIONS):
                break
            if isinstance(outer, ast.Lambda | ast.ClassDef):
                inner = self._scope_of(outer)
                found |= {*inner.parameters, *inner.bindings}
        return frozenset(found)

    def bound_around(self, scope: Scope, name: str) -> bool:
        """Whether a function (or lambda) around a function binds a name."""
        outer = (
            self._scope_of(node) for node in self.around(scope.owner) if isinstance(node, (*FUNCTIONS, ast.Lambda))
        )
        return any(name in one.parameters or name in one.bindings for one in outer)

    @cached_property
    def bound_anywhere(self) -> frozenset[str]:
        """Names that anything in the file binds, in whatever scope."""
        stored = {node.id for node in self.all(ast.Name) if not isinstance(node.ctx, ast.Load)}
        made = {node.name for node in self.everything if isinstance(node, (*FUNCTIONS, ast.ClassDef))}
        parameters = {node.arg for node in self.all(ast.arg)}
        return frozenset(stored | made | parameters | set(self.imports))

    @cached_property
    def words_in_comments(self) -> frozenset[str]:
        """The words of type comments and of the code in doctests: what uses a name without being syntax."""
        found: set[str] = set()
        for line in self.text.splitlines():
            code = line.lstrip()
            if code.startswith((">>>", "...")):
                found.update(_WORD.findall(code))
            elif "type:" in code:
                before, _, typed = code.partition("type:")
                found.update(_WORD.findall(typed) if before.rstrip().endswith("#") else ())
        return frozenset(found)

    @cached_property
    def words_in_texts(self) -> frozenset[str]:
        """The words of all text literals in the file, docstrings aside."""
        texts = (node for node in self.all(ast.Constant) if isinstance(node.value, str))
        told = (str(node.value) for node in texts if not isinstance(self.parent(node), ast.Expr))
        return frozenset(word for text in told for word in _WORD.findall(text))

    @cached_property
    def names_in_texts(self) -> frozenset[str]:
        """The text literals in the file that are a name, or a dotted one, and nothing else; docstrings aside."""
        texts = (node for node in self.all(ast.Constant) if isinstance(node.value, str))
        told = (str(node.value) for node in texts if not isinstance(self.parent(node), ast.Expr | ast.JoinedStr))
        return frozenset(text for text in told if _DOTTED.fullmatch(text))

    @cached_property
    def changed_in_functions(self) -> frozenset[str]:
        """Names on which a function calls something that changes the value in place."""
        scopes = [self._scope_of(node) for node in self.all(*FUNCTIONS)]
        return frozenset(
            name for scope in scopes for name, bound in scope.bindings.items() if any(b.how == "grows" for b in bound)
        )

    def _scope_of(self, owner: ast.AST) -> Scope:
        if owner not in self._scopes:
            self._scopes[owner] = Scope(owner)
        return self._scopes[owner]

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """By local name: what is imported under it anywhere in the file, dotted. Relative imports begin with "."."""
        found: dict[str, set[str]] = defaultdict(set)
        for node in self.everything:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    name, target = _imported(node, alias)
                    found[name].add(target)
        return dict(found)

    def qualified(self, node: ast.expr) -> str:
        """The dotted name of a name or attribute, by its import where there is exactly one; "" for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        targets = self.imports.get(node.id, set())
        first = next(iter(targets)) if len(targets) == 1 else node.id
        return ".".join([first, *reversed(parts)])

    def callee(self, call: ast.Call) -> str:
        """The dotted name of what is called; "" if it has none."""
        return self.qualified(call.func)

    def evidence(self, node: ast.AST) -> FileSpan | None:
        """The lines of some syntax, the first ones of a long one."""
        first = getattr(node, "lineno", 1)
        last = getattr(node, "end_lineno", None) or first
        return self._source.evidence(first, min(last, first + _MOST_EVIDENCE_LINES - 1))


def _imported(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> tuple[str, str]:
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        separator = "" if module.endswith(".") or not module else "."
        return alias.asname or alias.name, f"{module}{separator}{alias.name}"
    if alias.asname:
        return alias.asname, alias.name
    top = alias.name.partition(".")[0]
    return top, top


def excepts(tried: ast.Try) -> list[ast.ExceptHandler]:
    """The ``except`` clauses of an attempt."""
    return [part for part in ast.iter_child_nodes(tried) if isinstance(part, ast.ExceptHandler)]


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a call's keyword argument."""
    return next((item.value for item in call.keywords if item.arg == name), None)


def constant_text(node: ast.AST | None) -> str | None:
    """The value of a text literal; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def words_of(name: str) -> frozenset[str]:
    """The lower-case words of an identifier: of "apiKey_2" "api", "key" and "2"."""
    spaced = "".join(f"_{c.lower()}" if c.isupper() and not p.isupper() else c for p, c in _pairs(name))
    return frozenset(part.lower() for part in spaced.replace(".", "_").replace("-", "_").split("_") if part)


def _pairs(name: str) -> Iterable[tuple[str, str]]:
    return zip(" " + name, name, strict=False)
