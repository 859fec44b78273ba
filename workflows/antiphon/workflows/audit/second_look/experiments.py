"""Minimal reproductions: small programs made of literals from a finding's place that show what a rule warns of.

A program prints one line: ``shown`` and what was seen, ``absent`` and why not, or ``unclear``. The audited code is
never run, imported or put in as text: values of literals are, by `repr`, and everything else in a program is ours.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from antiphon.subagents.records import Finding
from antiphon.workflows.audit.second_look.code import Code, constant_text
from antiphon.workflows.audit.second_look.literals import Rebuilt, Unsuitable, plain_format


@dataclass(frozen=True, slots=True)
class Experiment:
    """One program to run for one finding.

    Attributes:
        finding: what it may reproduce. code, at: where its literals are from.
        program: Python source; empty where there is nothing to run, and `reason` says why.
        options: of the interpreter, such as "-O".
    """

    finding: Finding
    code: Code
    at: ast.AST
    program: str = ""
    reason: str = ""
    options: tuple[str, ...] = ()


Builder = Callable[[ast.AST], str]

# Messages of a format that depend on how many and which values there are, but on no value.
_COUNTED = (
    "not enough arguments", "not all arguments converted", "unsupported format character", "incomplete format",
    "format requires a mapping", "cannot switch from", "out of range for positional", "Single '", "expected '}'",
    "unmatched", "invalid format", "* wants int", "unexpected '{'", "Max string recursion", "empty attribute",
)  # fmt: skip

_NO_FORMAT = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.FloorDiv, ast.MatMult, ast.BitOr, ast.BitAnd)

_ATTEMPT = """\
try:
    {expression}
except (TypeError, ValueError, LookupError) as error:
    said = f"{{type(error).__name__}}: {{error}}"
    clear = not {stood_in} or isinstance(error, LookupError) or any(part in said for part in {counted!r})
    print("shown" if clear else "unclear", said)
else:
    print("unclear nothing is raised" if {stood_in} else "absent nothing is raised")
"""


def experiments(findings: Iterable[Finding], code: Code) -> list[Experiment]:
    """The programs to run for the findings of one file, in order of the findings' ids."""
    ordered = sorted((f for f in findings if f.key.rule in BUILDERS), key=lambda finding: finding.id)
    return [built for finding in ordered if (built := _built(finding, code)) is not None]


def _built(finding: Finding, code: Code) -> Experiment | None:
    kinds, build = BUILDERS[finding.key.rule]
    places = [place for place in code.at(finding, *kinds) if not isinstance(getattr(place, "op", None), _NO_FORMAT)]
    if len(places) != 1:
        return None
    try:
        return Experiment(finding, code, places[0], build(places[0]), options=_OPTIONS.get(finding.key.rule, ()))
    except Unsuitable as error:
        return Experiment(finding, code, places[0], reason=str(error))


def _percent(node: ast.AST) -> str:
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)):
        raise Unsuitable("it is no format operation")
    taken = Rebuilt()
    form = plain_format(taken.value(node.left))
    one_name = not isinstance(node.right, ast.Tuple | ast.Dict | ast.Constant | ast.List)
    if one_name:  # it may be a tuple or a mapping of any size
        raise Unsuitable("what is formatted is no literal")
    values = taken.value(node.right, stand_in=True)
    return _attempt(f"{form!r} % {_shown(values)}", stood_in=taken.stood_in)


def _braces(node: ast.AST) -> str:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"):
        raise Unsuitable("it is no call of format")
    taken = Rebuilt()
    form = plain_format(taken.value(node.func.value))
    if any(item.arg is None for item in node.keywords):
        raise Unsuitable("how many values there are is not known")
    positional = taken.value(ast.Tuple(elts=node.args), stand_in=True)
    named = {item.arg: taken.value(item.value, stand_in=True) for item in node.keywords}
    return _attempt(f"{form!r}.format(*{positional!r}, **{named!r})", stood_in=taken.stood_in)


def _shown(values: object) -> str:
    return f"({values!r})" if isinstance(values, list | dict) else repr(values)


def _attempt(expression: str, *, stood_in: bool) -> str:
    return _ATTEMPT.format(expression=expression, stood_in=stood_in, counted=_COUNTED)


def _identity(node: ast.AST) -> str:
    assert isinstance(node, ast.Compare)
    operators = zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False)
    sides = [side for op, *both in operators if isinstance(op, ast.Is | ast.IsNot) for side in both]
    literals = [side for side in sides if isinstance(side, ast.Constant | ast.Tuple | ast.List | ast.Dict)]
    if len(literals) != 1:
        raise Unsuitable("there is not exactly one literal in the comparison")
    value = Rebuilt().value(literals[0])
    if isinstance(value, bool) or value is None:
        raise Unsuitable("there is only one such object")
    made = {"str": "''.join([*{0}])", "bytes": "bytes([*{0}])", "tuple": "tuple([*{0}])", "list": "[*{0}]"}
    again = made.get(type(value).__name__, f"{type(value).__name__}({{1}})").format(repr(value), repr(repr(value)))
    if isinstance(value, dict):
        again = f"dict({value!r})"
    return (
        f"one, other = {value!r}, {again}\n"
        "print('shown an equal value is another object' if one == other and one is not other else "
        "'unclear this interpreter shares the object')\n"
    )


def _always_true(node: ast.AST) -> str:
    test = getattr(node, "test", None)
    if not isinstance(test, ast.Tuple) or any(isinstance(one, ast.Starred) for one in test.elts) or not test.elts:
        raise Unsuitable("it is no tuple with elements")
    values = (None,) * min(len(test.elts), 8)
    return f"print('shown a tuple of values that are all false is true' if {values!r} else 'absent it is false')\n"


def _repeated(node: ast.AST) -> str:
    assert isinstance(node, ast.Dict)
    if len(node.keys) > 256:
        raise Unsuitable("the literal has too many elements to be tried")
    keys = [Rebuilt().value(key) for key in node.keys if isinstance(key, ast.Constant)]
    simple = [key for key in keys if isinstance(key, str | bytes | int | float)]
    if len(simple) < 2:
        raise Unsuitable("there are not two literal keys")
    inner = ", ".join(f"{key!r}: {place}" for place, key in enumerate(simple))
    return (
        f"kept, given = len({{{inner}}}), {len(simple)}\n"
        "print(f'shown of {given} literal keys {kept} are kept' if kept < given else 'absent all keys are kept')\n"
    )


def _strip(node: ast.AST) -> str:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1):
        raise Unsuitable("it is no call of strip")
    given, method = constant_text(node.args[0]), node.func.attr
    if given is None or method not in {"strip", "lstrip", "rstrip"}:
        raise Unsuitable("what is stripped is no text literal")
    Rebuilt().value(node.args[0])
    if not any(character.isalnum() for character in given):
        raise Unsuitable("punctuation and white space may well be meant as a set of characters")
    return (
        f"given = {given!r}\n"
        "inner = given[::-1] if given[::-1] != given else given[-1]\n"
        f"left = (inner + '\\0' + inner).{method}(given)\n"
        "whole = not (inner.startswith(given) or inner.endswith(given))\n"
        "print(f'shown {inner!r} is stripped as well, a character at a time' if whole and "
        "len(left) < len(inner) * 2 + 1 else 'unclear')\n"
    )


def _no_assertion(node: ast.AST) -> str:
    return "assert False\nprint('shown with -O the program goes on after it')\n"


def _raised(node: ast.AST) -> str:
    assert isinstance(node, ast.Raise)
    if isinstance(node.exc, ast.Name) and node.exc.id == "NotImplemented":
        return _attempt("raise NotImplemented", stood_in=False)
    if isinstance(node.exc, ast.Constant):
        return _attempt(f"raise {Rebuilt().value(node.exc)!r}", stood_in=False)
    raise Unsuitable("what is raised is no literal")


_Entry = tuple[tuple[type[ast.AST], ...], Builder]
_PERCENT: _Entry = ((ast.BinOp,), _percent)
_BRACES: _Entry = ((ast.Call,), _braces)

BUILDERS: Mapping[str, _Entry] = {
    **{f"pyflakes:{code}": _PERCENT for code in ("F501", "F502", "F503", "F505", "F506", "F507", "F508", "F509")},
    **{f"pyflakes:{code}": _BRACES for code in ("F521", "F524", "F525")},
    "pylint:PLE1300": ((ast.BinOp,), _percent),
    "pylint:PLE1307": ((ast.BinOp,), _percent),
    "pylint:PLE1310": ((ast.Call,), _strip),
    "pyflakes:F601": ((ast.Dict,), _repeated),
    "pyflakes:F631": ((ast.Assert,), _always_true),
    "pyflakes:F632": ((ast.Compare,), _identity),
    "pyflakes:F634": ((ast.If,), _always_true),
    "pyflakes:F901": ((ast.Raise,), _raised),
    "flake8-bugbear:B005": ((ast.Call,), _strip),
    "flake8-bugbear:B011": ((ast.Assert,), _no_assertion),
    "flake8-bugbear:B016": ((ast.Raise,), _raised),
}
"""By canonical rule: the syntax it is about, and what makes a program of it."""

_OPTIONS: Mapping[str, tuple[str, ...]] = {"flake8-bugbear:B011": ("-O",)}
