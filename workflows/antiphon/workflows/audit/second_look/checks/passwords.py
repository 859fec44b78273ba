"""Passwords, keys and tokens in the source: whether the text can be one."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator

from antiphon.workflows.audit.second_look.cases import Answer, Case, at_place, confirm, refute, unsure
from antiphon.workflows.audit.second_look.code import Code, constant_text, words_of
from antiphon.workflows.audit.second_look.scopes import FUNCTIONS

_SECRET = re.compile(r"pass|pwd|token|secret|key|credential", re.I)
_PLACEHOLDER = re.compile(
    r"^$|^[*x.\-_#]+$|^<.*>$|^\$\{[^}]*\}$|^\$\w+_\w+$|^\{\{.*\}\}$|^%\(?\w*\)?s$|^\{\w*\}$|"
    r"(?<![a-z])(your|example|placeholder|redacted|dummy|todo|insert)(?![a-z])|^(none|null|nil|n/a|unset|undefined)$",
    re.IGNORECASE,
)
_PATTERN = re.compile(r"\[[^\]]*\w-\w[^\]]*\][{*+?]|\(\?[:!=<P]")
_KNOWN = re.compile(r"AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{20}|sk_live_|xox[abpr]-|-----BEGIN [A-Z ]*PRIVATE KEY")
_VARIABLE = re.compile(r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$")
_KINDS = frozenset(
    {
        "access", "api", "auth", "authorization", "basic", "bearer", "client", "code", "credential", "credentials",
        "csrf", "digest", "field", "grant", "header", "id", "jwt", "key", "name", "pass", "passwd", "password",
        "pwd", "refresh", "secret", "session", "token", "type", "user", "x", "username", "xsrf", "param",
        "middleware", "prompt", "hash", "reset", "confirm", "new", "old",
    }
)  # fmt: skip
_IS_PASSWORD = frozenset({"password", "passwd", "pwd", "passphrase", "pass"})
_LONG, _VARIED_BITS = 16, 3.2
_LONGEST_LINE = 10_000
_LONGEST_TEXT = 2_000
_ADDRESS = re.compile(r"\w://[^/\s:@]{0,100}:([^/\s@]{0,100})@([\w.-]{0,200})")
_SAMPLES = frozenset({"tiger", "pass", "passwd", "password", "pw", "pwd", "secret", "test", "user", "foo", "bar", "p"})
_NOWHERE = frozenset({"localhost", "127.0.0.1", "host", "hostname", "server", "", "mydb", "hostname.com", "myhost"})
_TELLS_CONTENT = frozenset(
    {
        "sha", "sha1", "sha256", "sha512", "md5", "hash", "digest", "checksum", "commit", "revision", "rev", "uuid",
        "guid", "etag", "fingerprint", "alphabet", "digits", "letters",
    }
)  # fmt: skip


def in_source(case: Case) -> Answer:
    """bandit:B105, B106, B107 and the like: whether the text is a secret, or names, asks for or stands for one."""

    def judge(node: ast.Constant) -> Answer | None:
        text = constant_text(node)
        names = [name for name in _given_to(case.code, node) if _SECRET.search(name)]
        if text is None or not names:
            return None
        return _text(text, names[0], test=case.code.is_test)

    if case.finding.key.rule == "bandit:B107":
        return at_place(case, lambda place: _defaults(case, place), *FUNCTIONS, ast.Constant)
    found = at_place(case, judge, ast.Constant)
    return found if found.at is not None else _in_statement(case)


def _in_statement(case: Case) -> Answer:
    """The same for a finding at the name or the call, and not at the text."""
    judged = [a for place in case.code.at(case.finding, ast.stmt) for a in _constants(case, place)]
    if len(judged) == 1:
        return judged[0]
    return unsure("which text is meant was not found at this place")


def _constants(case: Case, statement: ast.AST) -> Iterator[Answer]:
    for node in ast.walk(statement):
        text = constant_text(node)
        names = [name for name in _given_to(case.code, node) if _SECRET.search(name)] if text is not None else []
        if text is not None and names:
            answer = _text(text, names[0], test=case.code.is_test)
            yield Answer(answer.stance, answer.reason, node)


def _defaults(case: Case, function: ast.AST) -> Answer | None:
    if isinstance(function, ast.Constant):
        outer = case.code.enclosing(function, ast.FunctionDef, ast.AsyncFunctionDef)
        return None if outer is None else _defaults(case, outer)
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    given = function.args
    places = [*given.posonlyargs, *given.args]
    pairs = [*zip(reversed(places), reversed(given.defaults), strict=False)]
    pairs += [(arg, value) for arg, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is not None]
    named = [(arg.arg, text) for arg, value in pairs if _SECRET.search(arg.arg) and (text := constant_text(value))]
    answers = [_text(text, name, test=case.code.is_test) for name, text in named]
    return answers[0] if len({answer.stance for answer in answers}) == 1 else None


def _given_to(code: Code, node: ast.AST) -> Iterator[str]:
    """What a text is bound to, passed as or compared with."""
    for outer in code.around(node):
        match outer:
            case ast.Assign(targets=targets):
                yield from (_name(target) for target in targets)
            case ast.AnnAssign(target=target):
                yield _name(target)
            case ast.keyword(arg=str(name)):
                yield name
                return
            case ast.Compare(left=left, comparators=others):
                yield from (_name(side) for side in (left, *others))
                return
            case ast.Dict(keys=keys, values=values):
                yield from (constant_text(key) or "" for key, value in zip(keys, values, strict=True) if value is node)
                return
            case ast.stmt():
                return
            case _:
                pass


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case _:
            return ""


def _text(text: str, name: str, *, test: bool) -> Answer:
    if len(text) > _LONGEST_TEXT:
        return unsure("the text is too long to be looked at")
    if _KNOWN.search(text) and "EXAMPLE" not in text:
        return confirm("the text has the form that a provider gives its keys")
    if re.match(r"\w+://[^/\s:@]*:[^/\s@{<$*]+@", text):
        return confirm("it is an address with a password in it")
    named = _names_something(text, name)
    if named:
        return refute(named)
    varied = len(text) >= _LONG and _bits(text) >= _VARIED_BITS and bool(re.search(r"\d", text)) and " " not in text
    if test:
        return unsure("it is in a test, and looks real") if varied else refute("it protects nothing outside the test")
    if varied:
        return confirm(f"{len(text)} characters without a pattern are bound to {name}")
    password = words_of(name) & _IS_PASSWORD
    if password and len(text) >= 6 and re.search(r"\d", text) and re.search(r"[A-Za-z]", text) and " " not in text:
        return confirm(f"letters and digits that mean nothing are bound to {name}")
    return unsure("whether it is a secret or a word does not show")


def _names_something(text: str, name: str) -> str | None:
    """Why a text is not itself a secret, or None."""
    if text.startswith(("http://", "https://")) and "@" not in text:
        return "it is an address without credentials"
    if _PLACEHOLDER.search(text):
        return "it is empty, or stands in for what somebody is to put there"
    if _PATTERN.search(text):
        return "it is a pattern that texts are matched with"
    if not any(character.isalnum() for character in text):
        return "it is punctuation, and no secret"
    if re.fullmatch(r"\.{0,2}(/[\w.-]+)+/?", text):
        return "it is a path"
    if _VARIABLE.match(text) and _SECRET.search(text):
        return "it is the name of a variable"
    if text.count(" ") >= 2 and (_SECRET.search(text) or text.rstrip().endswith((":", ".", "?", "!"))):
        return "it is a sentence for people"
    words = words_of(text.replace(" ", "_"))
    if words_of(name) & _IS_PASSWORD and words and words <= _IS_PASSWORD | {"secret"}:
        return None  # a lazy password, or the name of its field: that does not show
    longer = len(words_of(name)) > 1 or len(words) > 1
    if words and words <= _KINDS and (longer or text.lower() not in _IS_PASSWORD):
        return "it names a kind of secret or a field, and is none"
    return None


def credentials(case: Case) -> Answer:
    """detect-secrets' credentials in addresses: whether user, password and host are those of an example."""
    line = "".join(case.code.text.splitlines(keepends=True)[(case.finding.line or 1) - 1 : case.finding.line])
    found = _ADDRESS.findall(line[:_LONGEST_LINE])
    if not found:
        return unsure("no address with credentials was found on this line")
    if all(_is_sample(password) and (case.code.is_test or _is_nowhere(host)) for password, host in found):
        return refute("it is an example: a sample's password, for a host that is nobody's")
    return unsure("whether somebody can log in with it does not show")


def _is_sample(password: str) -> bool:
    return bool(_PLACEHOLDER.search(password)) or password.lower() in _SAMPLES or bool(set(password) & set("{}<>$%*"))


def _is_nowhere(host: str) -> bool:
    return host.lower() in _NOWHERE or bool(re.search(r"(^|\.)(example|test|invalid)(\.(com|org|net))?$", host.lower()))


def varied(case: Case) -> Answer:
    """detect-secrets' texts of high entropy: whether what they are bound to says that they are no secret."""

    def judge(node: ast.Constant) -> Answer | None:
        text = constant_text(node)
        if text is None or len(text) < _LONG:
            return None
        if _KNOWN.search(text) and "EXAMPLE" not in text:
            return confirm("the text has the form that a provider gives its keys")
        names = [name for name in _given_to(case.code, node) if name]
        words = frozenset[str]().union(*map(words_of, names))
        secret = [name for name in names if _SECRET.search(name)]
        if words & _TELLS_CONTENT and not secret:
            return refute(
                f"by its name it is a {min(words & _TELLS_CONTENT)}: it identifies something, and opens nothing"
            )
        return (
            _text(text, secret[0], test=case.code.is_test) if secret else unsure("what the text is for does not show")
        )

    return at_place(case, judge, ast.Constant)


def _bits(text: str) -> float:
    """Shannon's entropy, in bits for each character."""
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())
