"""What a script finds around it: modules, builtins, clocks and randomness, the same in every run of the same program.

None of this keeps a script in; the kernel does. It makes that scripts repeat, and that what they cannot have is told in
words instead of by a system call that fails.
"""

from __future__ import annotations

import builtins
import ctypes
import datetime
import gc
import os
import random
import sys
import time
import types
import uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from antiphon.subagents.jail.inside.channel import Channel

_REFUSED = {
    "open": "it reads and writes no files: ask a step or a subagent",
    "input": "it cannot ask a person: approve() does",
    "breakpoint": "there is no debugger",
    "exec": "it runs no text as code",
    "eval": "it runs no text as code; json.loads and ast.literal_eval read data",
    "compile": "it runs no text as code",
    "help": "there is no terminal",
}
_NOT_GIVEN = ("exit", "quit", "copyright", "credits", "license", "__loader__", "__spec__")
_BY_METHODS = ("_strptime", "_pylong", "copyreg")  # imported by methods in C, in the name of whoever calls them
_PLACES = ("__file__", "__cached__", "__loader__", "__spec__")
_ADDRESS = 0x02_00_00_00_00_00  # of no network card
_FORGOTTEN = ("_ctypes", "ctypes", "ctypes._endian", "gc", "select", "_socket", "marshal", "__main__")

clock = {"now": 0.0}


# --- clocks and randomness --------------------------------------------------------------------------------------------


def fix_clocks() -> None:
    """Make every clock show `clock["now"]`. Called once, before anything is forked."""
    names = time.__dict__
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        names.update({name: _seconds, f"{name}_ns": _nanoseconds})
    names.update(clock_gettime=_seconds, clock_gettime_ns=_nanoseconds)
    names.update(sleep=_absent("time.sleep", "nothing passes while it waits: await a call"))
    for name in ("localtime", "gmtime", "ctime"):
        names[name] = _now_by_default(names[name])
    names["asctime"] = _local_by_default(time.asctime)
    names["strftime"] = _local_by_default(time.strftime)
    _fix_dates()


def _seconds(_: int = 0) -> float:
    return clock["now"]


def _nanoseconds(_: int = 0) -> int:
    return int(clock["now"] * 1_000_000_000)


def _now_by_default(told: Callable[[float], Any]) -> Callable[..., Any]:
    def of(seconds: float | None = None) -> Any:
        return told(clock["now"] if seconds is None else seconds)

    return of


def _local_by_default(told: Callable[..., Any]) -> Callable[..., Any]:
    def of(*given: Any) -> Any:
        complete = given and not isinstance(given[-1], str)
        return told(*given) if complete else told(*given, time.localtime())

    return of


def _fix_dates() -> None:
    """Replace the methods of the C types, which no assignment reaches: subclasses would print and compare otherwise."""
    _put_into(datetime.date, {"today": _today})
    _put_into(datetime.datetime, {"today": _today, "now": _now, "utcnow": _utcnow})
    clock["now"] = 86_400.0
    if datetime.datetime.now() != datetime.datetime(1970, 1, 2) or datetime.date.today() != datetime.date(1970, 1, 2):
        raise OSError("the clocks of this Python cannot be fixed")


def _put_into(kind: type, methods: dict[str, Callable[..., Any]]) -> None:
    names: dict[str, Any] = gc.get_referents(kind.__dict__)[0]
    names.update({name: classmethod(method) for name, method in methods.items()})
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _today(cls: type[datetime.date]) -> datetime.date:
    return cls.fromtimestamp(clock["now"])


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(clock["now"], tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return cls.fromtimestamp(clock["now"], datetime.UTC).replace(tzinfo=None)


def fix_randomness() -> None:
    """Take all randomness from one source, which `seed` sets. Called once, before anything is forked."""
    os.__dict__.update(urandom=_random_bytes, getrandom=_random_bytes)
    random.__dict__.update(_urandom=_random_bytes)
    uuid.__dict__.update({"_generate_time_safe": None, "_UuidCreate": None, "_node": _ADDRESS})
    type.__setattr__(random.Random, "seed", _seed)


_seeding = random.Random.seed


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    _seeding(self, _random_bytes(16) if a is None else a, version)


_source = random.Random(0)


def _random_bytes(size: int, flags: int = 0) -> bytes:
    return _source.randbytes(size)


def seed(text: str) -> None:
    """Set what randomness and the clock come from, for one guest."""
    _source.seed(f"{text}:source")
    random.seed(f"{text}:random")


# --- modules ----------------------------------------------------------------------------------------------------------


class _Nothing:
    """Finds no module: what is not loaded now is not there."""

    def __init__(self, names: Sequence[str]) -> None:
        self.told = ", ".join(name for name in names if not name.startswith("_"))

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse."""
        raise ImportError(f"a confined script cannot import {name!r}; there are: {self.told}", name=name)


def close_imports(names: Sequence[str]) -> None:
    """Let nothing be loaded any more, and nothing tell where this machine has what is loaded."""
    for name in _FORGOTTEN:
        sys.modules.pop(name, None)
    for module in list(sys.modules.values()):
        for name in _PLACES:
            if hasattr(module, name):
                setattr(module, name, None)
    for name in set(os.environ) - {"TZ"}:
        del os.environ[name]
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [_Nothing(names)]


def _importing(names: Sequence[str]) -> Callable[..., types.ModuleType]:
    allowed, real, nothing = frozenset((*names, *_BY_METHODS)), builtins.__import__, _Nothing(names)

    def imported(name: str, names: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> types.ModuleType:
        if level or name not in allowed:
            nothing.find_spec("." * level + name)
        return real(name, names, local, wanted, 0)

    return imported


# --- builtins ---------------------------------------------------------------------------------------------------------


def builtins_for(names: Sequence[str], output: Output) -> dict[str, Any]:
    """The builtins of a script: without those that would only fail."""
    given = {name: value for name, value in vars(builtins).items() if name not in _NOT_GIVEN}
    given |= {name: _absent(f"{name}()", why) for name, why in _REFUSED.items()}
    return {**given, "__import__": _importing(names), "__build_class__": _build_class, "print": output.printed}


def _build_class(body: types.FunctionType, name: str, *bases: Any, **named: Any) -> Any:
    """As Python does, but where the class says it is from are the names of the script: dataclasses look there."""
    of = str(body.__globals__.get("__name__"))
    sys.modules.setdefault(of, types.ModuleType(of)).__dict__.update(body.__globals__)
    return _building(body, name, *bases, **named)


_building = builtins.__build_class__


def _absent(name: str, why: str) -> Callable[..., Any]:
    def refused(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError(f"a confined script has no {name}: {why}")

    return refused


class Output:
    """What a script prints, as frames, up to a limit."""

    def __init__(self, tell: Callable[[str], None], most_bytes: int) -> None:
        self._tell, self._left, self._said = tell, most_bytes, False
        self.encoding, self.errors = "utf-8", "backslashreplace"

    def printed(
        self, *values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: Any = 0
    ) -> None:
        """As `print`."""
        text = (" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end)
        (file or self).write(text)

    def write(self, text: str) -> int:
        """Hand text to the host, and cut what is over the limit, saying so once."""
        kept = text[: max(self._left, 0)]
        self._left -= len(text.encode("utf-8", "backslashreplace"))
        if kept:
            self._tell(kept)
        if self._left < 0 and not self._said:
            self._said = True
            self._tell("\n(it printed more than it may: the rest is dropped)\n")
        return len(text)

    def flush(self) -> None:
        """There is nothing kept."""


def quiet() -> None:
    """Warnings and errors that nobody can catch are for who writes Python, and go nowhere here."""
    import warnings

    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None


# --- one script -------------------------------------------------------------------------------------------------------


def play(program: Mapping[str, Any], prelude: dict[str, Any], talk: Channel, names: Sequence[str]) -> None:
    """Run a script to its end.

    Args:
        program: what the host sent.
        prelude: the names of the script API: `run`, and `text`, which that is given.
        talk: the way to the host.
        names: what can be imported.

    Raises:
        SyntaxError: the text is no Python.
    """
    sys.modules.pop("resource", None)  # the zygote needs it to the end
    clock["now"] = program["now"]
    seed(program["seed"])
    output = Output(
        lambda text: prelude["_a_tell"](prelude["_a_frame"]("print", {"text": text})[1]), program["output_bytes"]
    )
    sys.__dict__.update(stdout=output, stderr=output, stdin=None)
    _check(program["source"], program["file"])
    prelude["run"](prelude["text"], program, talk, builtins_for(names, output))


def _check(source: str, file: str) -> None:
    try:
        compile(source, file, "exec", dont_inherit=True)
    except (ValueError, RecursionError, MemoryError) as error:  # NUL, or nested deeper than the parser goes
        raise SyntaxError(f"it cannot be compiled: {error}") from None
