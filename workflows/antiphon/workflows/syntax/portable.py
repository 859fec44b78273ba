"""What monty has, as data: its modules and their names, its builtins; and what to write instead of what it has not.

Taken from monty 1.4 itself; tests/workflows/test_dialect.py runs every line of it there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final, Literal

RunsIn = Literal["jail", "nowhere", "anywhere"]
Place = tuple[ast.AST, str, str] | tuple[ast.AST, str, str, RunsIn]
"""Where something is, what monty makes of it, what to write instead, and what runs it: the jail if that is not said."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES: Final[Mapping[str, frozenset[str]]] = {
    "__future__": _names("annotations"),
    "base64": _names(
        "a85decode a85encode b16decode b16encode b32decode b32encode b32hexdecode b32hexencode b64decode "
        "b64encode b85decode b85encode decodebytes encodebytes standard_b64decode standard_b64encode "
        "urlsafe_b64decode urlsafe_b64encode"
    ),
    "binascii": _names(
        "Error Incomplete a2b_base64 a2b_hex a2b_qp a2b_uu b2a_base64 b2a_hex b2a_qp b2a_uu crc32 crc_hqx hexlify "
        "unhexlify"
    ),
    "bisect": _names("bisect bisect_left bisect_right insort insort_left insort_right"),
    "collections": _names("Counter defaultdict deque namedtuple"),
    "copy": _names("copy deepcopy"),
    "csv": _names(
        "Dialect DictReader DictWriter Error QUOTE_ALL QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC excel excel_tab "
        "field_size_limit get_dialect list_dialects reader unix_dialect writer"
    ),
    "dataclasses": _names("FrozenInstanceError MISSING dataclass field is_dataclass"),
    "datetime": _names("date datetime time timedelta timezone"),
    "decimal": _names(
        "BasicContext Clamped Context ConversionSyntax Decimal DecimalException DecimalTuple DefaultContext "
        "DivisionByZero DivisionImpossible DivisionUndefined ExtendedContext FloatOperation Inexact "
        "InvalidContext InvalidOperation MAX_EMAX MAX_PREC MIN_EMIN MIN_ETINY Overflow ROUND_05UP ROUND_CEILING "
        "ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP Rounded Subnormal "
        "Underflow getcontext localcontext setcontext"
    ),
    "functools": _names("cache lru_cache partial reduce"),
    "hashlib": _names(
        "blake2b blake2s md5 new pbkdf2_hmac sha1 sha224 sha256 sha384 sha3_224 sha3_256 sha3_384 sha3_512 sha512 "
        "shake_128 shake_256"
    ),
    "itertools": _names(
        "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
        "groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest"
    ),
    "json": _names("JSONDecodeError dump dumps load loads"),
    "math": _names(
        "acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2 "
        "expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm "
        "ldexp lgamma log log10 log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt "
        "tan tanh tau trunc ulp"
    ),
    "random": _names(
        "Random betavariate choice choices expovariate gammavariate gauss getrandbits getstate lognormvariate "
        "normalvariate paretovariate randbytes randint random randrange sample seed setstate shuffle triangular "
        "uniform vonmisesvariate weibullvariate"
    ),
    "re": _names(
        "A ASCII DOTALL I IGNORECASE M MULTILINE Match NOFLAG Pattern S compile error escape findall finditer "
        "fullmatch match search split sub"
    ),
    "time": _names(
        "asctime ctime gmtime localtime mktime monotonic monotonic_ns perf_counter perf_counter_ns process_time "
        "sleep strftime strptime time time_ns"
    ),
    "tomllib": _names("TOMLDecodeError load loads"),
    "typing": _names(
        "Annotated Any Callable ClassVar Dict Final FrozenSet Generator Generic Iterable Iterator List Literal "
        "Mapping Never NoReturn Optional Protocol Self Sequence Set TYPE_CHECKING Tuple Type TypeVar Union"
    ),
    "unicodedata": _names("category combining is_normalized lookup name normalize unidata_version"),
}
"""The modules that a portable script imports, and which names of each."""

INSTEAD_OF_MODULES: Final[Mapping[str, str]] = {
    "abc": "a plain class, whose methods raise NotImplementedError",
    "collections.abc": "list[...], dict[...] and Callable from typing in annotations",
    "contextlib": "try ... finally, or a class with __enter__ and __exit__",
    "enum": "texts, or a class with constants: `class Severity:` with `HIGH = 'high'`",
    "heapq": "sorted(...)",
    "operator": "a lambda",
    "pathlib": "text: path.rpartition('/'), path.endswith('.py')",
    "statistics": "sum(values) / len(values), sorted(values)[len(values) // 2]",
    "string": "the characters, written out",
    "textwrap": "text.splitlines(), text[:80]",
    "types": "a small class",
    "uuid": "a name made of what the item is, which is the same on resume",
}
INSTEAD_OF_NAMES: Final[Mapping[str, str]] = {
    "collections.OrderedDict": "a plain dict, which keeps its order",
    "collections.ChainMap": "{**defaults, **own}",
    "dataclasses.asdict": "a dict written out, or a method that gives one",
    "dataclasses.replace": "a new object",
    "dataclasses.fields": "the names, written out",
    "datetime.UTC": "datetime.timezone.utc",
    "functools.wraps": "nothing: the name of the inner function is not looked at",
    "functools.cached_property": "a method decorated by nothing that keeps its value in an attribute",
    "functools.cmp_to_key": "a key: sorted(items, key=lambda item: ...)",
    "re.VERBOSE": "the pattern on one line, or adjacent texts",
    "re.X": "the pattern on one line, or adjacent texts",
    "re.subn": "re.sub",
    "typing.TypedDict": "dict[str, object], or a dataclass",
    "typing.NamedTuple": "collections.namedtuple, or a dataclass",
    "typing.cast": "nothing: annotations are not checked at run time",
    "typing.NewType": "the type itself",
    "typing.TypeAlias": "the type itself",
}

INSTEAD_OF_BUILTINS: Final[Mapping[str, str]] = {
    "aiter": "a list",
    "anext": "a list",
    "ascii": "repr(...)",
    "bytearray": "a list of numbers, or bytes",
    "callable": "isinstance(...) of what it may be otherwise",
    "classmethod": "a plain function",
    "delattr": "an attribute that is set to None",
    "dir": "the names, written out",
    "issubclass": "isinstance(...)",
    "memoryview": "bytes",
    "object": "a class of your own, or None",
    "property": "a method",
    "staticmethod": "a plain function",
    "super": "a plain function that both call",
    "vars": "a method that gives a dict",
    **dict.fromkeys(("BaseExceptionGroup", "ExceptionGroup"), "one exception: raise ValueError('what is wrong')"),
    **dict.fromkeys(
        (
            *("BlockingIOError", "BrokenPipeError", "BufferError", "ChildProcessError", "ConnectionAbortedError"),
            *("ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "EOFError", "EnvironmentError"),
            *("FloatingPointError", "GeneratorExit", "IOError", "IndentationError", "InterruptedError"),
            *("ProcessLookupError", "ReferenceError", "StopAsyncIteration", "SystemError", "TabError", "UnicodeError"),
            *("UnicodeTranslateError", "Warning", "UserWarning", "RuntimeWarning", "DeprecationWarning"),
        ),
        "OSError, RuntimeError or ValueError",
    ),
}
"""Builtins that the jail has, and monty has not."""

NOWHERE: Final[Mapping[str, str]] = {
    "__import__": "import ... at the top of the file",
    "breakpoint": "log(...)",
    "compile": "plain code",
    "eval": "json.loads(...) for data, a dict of functions for a choice",
    "exec": "plain code",
    "exit": "return from main, or fail(reason)",
    "globals": "a dict of your own",
    "help": "nothing",
    "input": "await approve(question), or a parameter of main",
    "locals": "a dict of your own",
    "open": "a step that reads it, an agent with the tool `read`, or a parameter of main",
    "quit": "return from main, or fail(reason)",
}
"""Builtins that no confined script has, or that none should use."""

INSTEAD_OF_REACHING: Final[Mapping[str, str]] = {
    "pydantic": "a JSON Schema as output=, or a dict",
    "asyncio": "parallel, pipeline, race and branch, which stop, count and resume",
    "anyio": "parallel, pipeline, race and branch; limits={'wall_seconds': ...} for a timeout",
    "trio": "parallel, pipeline, race and branch; limits={'wall_seconds': ...} for a timeout",
    "logging": "log(text)",
    "os": "a step for what it should do; text for paths",
    "sys": "fail(reason) to end, log(text) to say something",
    "subprocess": "a step, or an agent with the tool `run`",
    "traceback": "str(error)",
    "requests": "an agent with the tool `fetch`, and the host in the manifest's scope",
}

DUNDERS: Final = frozenset(
    f"__{name}__"
    for name in sorted(
        _names(
            "init post_init enter exit iter next getitem setitem contains eq hash str repr call neg pos invert "
            "abs int float index round divmod add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod "
            "rmod pow rpow and rand or ror xor rxor lshift rlshift rshift rrshift matmul rmatmul match_args doc"
        )
    )
)
"""The special methods that monty calls, and the special names of a class that do no harm."""

EXCEPTIONS_WITH_TEXT: Final = _names(
    "ArithmeticError AssertionError AttributeError BaseException Exception FileExistsError FileNotFoundError "
    "ImportError IndexError KeyError LookupError MemoryError ModuleNotFoundError NameError NotImplementedError "
    "OSError OverflowError PermissionError RecursionError RuntimeError StopIteration SystemExit TimeoutError "
    "TypeError ValueError ZeroDivisionError KeyboardInterrupt"
)
"""Exceptions of monty: each takes one text or nothing."""


def member(node: ast.AST, module: str, name: str) -> Iterator[Place]:
    """What is wrong with taking `name` from a module that monty has."""
    if name == "*":
        yield node, f"from {module} import *: monty does not run it", f"from {module} import the names that are used"
    elif name not in MODULES[module] and not (name.startswith("__") and name.endswith("__")):
        instead = INSTEAD_OF_NAMES.get(f"{module}.{name}", "plain code")
        yield node, f"{module}.{name}: monty has no such name", instead
