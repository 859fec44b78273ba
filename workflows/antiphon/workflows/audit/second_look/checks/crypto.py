"""Hashes, random numbers and connections: whether anything is protected by them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code, constant_text, keyword, words_of
from antiphon.workflows.audit.second_look.origins import Origin

_PROTECTS = frozenset(
    {
        "password", "passwd", "passphrase", "pwd", "token", "secret", "signature", "sign", "nonce", "salt", "otp",
        "pin", "csrf", "credential", "credentials", "auth", "apikey", "hmac",
    }
)  # fmt: skip
_TELLS_APART = frozenset(
    {
        "etag", "cache", "cached", "checksum", "fingerprint", "dedup", "dedupe", "bucket", "shard", "partition",
        "filename", "avatar", "gravatar",
    }
)  # fmt: skip
_VARIES = frozenset(
    {
        "jitter", "delay", "backoff", "sleep", "wait", "shuffle", "shuffled", "color", "colour", "noise", "demo",
        "simulate", "simulation", "retry", "interval", "pause",
    }
)  # fmt: skip


def weak_hash(case: Case) -> Answer:
    """bandit:B303, B324: whether the hash protects something, or only tells contents apart."""

    def judge(node: ast.Call) -> Answer | None:
        if not _hashes(case.code, node):
            return None
        told = keyword(node, "usedforsecurity")
        if isinstance(told, ast.Constant) and told.value is False:
            return refute("it says itself that it is not used for security")
        names = set(_names_nearby(case.code, node)) | _names_inside(node)
        if names & _PROTECTS:
            return confirm(f"it is about {_one_of(names & _PROTECTS)}: the hash protects something")
        if names & _TELLS_APART:
            return refute(f"it is about {_one_of(names & _TELLS_APART)}: contents are told apart, nothing is protected")
        return unsure("what the hash is for is not seen here")

    return at_place(case, judge, ast.Call)


def _hashes(code: Code, node: ast.Call) -> bool:
    last = code.callee(node).rpartition(".")[2].lower() or str(getattr(node.func, "attr", "")).lower()
    return last in {"md5", "sha1", "sha", "md4", "md2", "new"}


def weak_random(case: Case) -> Answer:
    """bandit:B311: whether the numbers must not be foreseen."""

    def judge(node: ast.Call) -> Answer | None:
        name = case.code.callee(node)
        if "random" not in name.lower():
            return None
        names = set(_names_nearby(case.code, node))
        secret = names & _PROTECTS or ({"key"} if {"key"} & names and names & {"api", "secret", "private"} else set())
        if secret:
            return confirm(f"it is about {_one_of(secret)}, which must not be foreseen")
        if case.code.is_test:
            return refute("test data may be foreseen")
        if names & _VARIES or name.rpartition(".")[2] == "shuffle":
            return refute("numbers that only vary something may be foreseen")
        return unsure("what the numbers are for is not seen here")

    return at_place(case, judge, ast.Call)


def _one_of(names: set[str]) -> str:
    return f"{min(names)!r}"


def _names_inside(node: ast.AST) -> set[str]:
    found: set[str] = set()
    for part in ast.walk(node):
        name = part.id if isinstance(part, ast.Name) else part.attr if isinstance(part, ast.Attribute) else ""
        found |= words_of(name)
    return found


def _names_nearby(code: Code, node: ast.AST) -> Iterator[str]:
    """Words of what a value is for: what it is bound or given to, and the function it is in."""
    inner = node
    for outer in code.around(node):
        match outer:
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from _names_inside(target)
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
                yield from _names_inside(target)
            case ast.keyword(arg=str(name)):
                yield from words_of(name)
            case ast.Call(func=called) if inner is not called:
                yield from words_of(code.qualified(called) or getattr(called, "attr", ""))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield from words_of(name)
                return
            case _:
                pass
        inner = outer


def no_timeout(case: Case) -> Answer:
    """bandit:B113: whether a request may wait for ever."""

    def judge(node: ast.Call) -> Answer | None:
        name = case.code.callee(node)
        if not name.startswith(("requests.", "httpx.")):
            return None
        if any(item.arg is None for item in node.keywords):
            return unsure("a timeout may be among the options that are passed on")
        given = keyword(node, "timeout")
        if name.startswith("httpx.") and given is None:
            return refute("httpx waits five seconds where nothing else is said")
        if given is not None and not (isinstance(given, ast.Constant) and given.value is None):
            return refute("a timeout is given")
        return confirm("nothing here ends the wait")

    return at_place(case, judge, ast.Call)


def not_verified(case: Case) -> Answer:
    """bandit:B501: whether a certificate that anybody can make is taken."""

    def judge(node: ast.Call) -> Answer | None:
        told = keyword(node, "verify")
        if told is None:
            return None
        if not (isinstance(told, ast.Constant) and told.value is False):
            return unsure("whether certificates are checked is decided elsewhere")
        address = constant_text(node.args[0]) if node.args else None
        if address and address.startswith(("https://localhost", "https://127.0.0.1", "http://")):
            return unsure("the address is this machine, or has no certificate")
        return confirm("any certificate is taken for the server's")

    return at_place(case, judge, ast.Call)


def opened_url(case: Case) -> Answer:
    """bandit:B310: whether an address from outside may name a file of this machine."""

    def judge(node: ast.Call) -> Answer | None:
        if not node.args or not case.code.callee(node).startswith(
            ("urllib", "urlopen", "six.moves.urllib", "urlretrieve")
        ):
            return None
        address = _address(case, node.args[0])
        if _begins_with_scheme(case, address):
            return refute("the scheme is fixed to http or https")
        if Origin.INPUT in case.tracer.of(address) or Origin.PARAMETER in case.tracer.of(address):
            source = case.tracer.unchecked_input(address)
            return (
                confirm(f"the address comes from {source}: file: is a scheme too")
                if source
                else unsure("something looks at the address before it is opened")
            )
        return unsure("where the address comes from is not seen here")

    return at_place(case, judge, ast.Call)


def _address(case: Case, node: ast.expr) -> ast.expr:
    """The address in a request object, where one is made here."""
    if isinstance(node, ast.Name):
        bindings = case.code.scope(node).bindings.get(node.id, [])
        only = bindings[0].value if len(bindings) == 1 and bindings[0].how == "is" else None
        if isinstance(only, ast.Call):
            node = only
    requested = isinstance(node, ast.Call) and case.code.callee(node).rpartition(".")[2] == "Request"
    return node.args[0] if requested and isinstance(node, ast.Call) and node.args else node


def _begins_with_scheme(case: Case, node: ast.expr, depth: int = 0) -> bool:
    """Whether a text surely begins with ``http:`` or ``https:``."""
    if depth > 8:
        return False
    match node:
        case ast.Constant(value=str(text)):
            return text.lower().startswith(("http://", "https://"))
        case ast.JoinedStr(values=[ast.FormattedValue(value=first), *_]) | ast.BinOp(left=first):
            return _begins_with_scheme(case, first, depth + 1)
        case ast.JoinedStr(values=[first, *_]):
            return _begins_with_scheme(case, first, depth + 1)
        case ast.Call(func=ast.Attribute(value=ast.Constant() as form, attr="format")):
            return _begins_with_scheme(case, form, depth + 1)
        case ast.Name():
            return _name_begins(case, node, depth)
        case _:
            return False


def _name_begins(case: Case, node: ast.Name, depth: int) -> bool:
    scope = case.code.scope(node)
    if node.id in scope.parameters or node.id in case.code.hidden(node) or case.code.bound_around(scope, node.id):
        return False
    bindings = scope.bindings.get(node.id) or case.code.module.bindings.get(node.id, [])
    values = [binding.value for binding in bindings if binding.how == "is"]
    # What is added to the end of a text does not change how it begins.
    known = all(binding.how == "is" or binding.how == "grows" for binding in bindings)
    return bool(values) and known and all(v is not None and _begins_with_scheme(case, v, depth + 1) for v in values)
