"""Code that runs later, or whenever something happens: hooks, finalisers, the interpreter's own questions."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="hooks and finalisers")

HOOKS = [
    _of(
        name="atexit",
        what="`atexit` runs code after the end",
        text="""
        import atexit
        atexit.register(lambda: open(FOLDER + "/written", "w"))
        return "registered"
        """,
    ),
    _of(
        name="atexit-builtin",
        what="the same by the builtin module, for which no import is needed",
        text="""
        for kind in object.__subclasses__():
            if kind.__name__ == "BuiltinImporter": atexit = kind.load_module("atexit")
        def last():
            while True: pass
        atexit.register(last)
        return "registered"
        """,
    ),
    _of(
        name="del-at-exit",
        what="`__del__` of what is still held when the interpreter ends",
        text="""
        class Last:
            def __del__(self):
                while True: pass
        held = Last()
        held.me = held
        return "held"
        """,
    ),
    _of(
        name="weakref-finalize",
        what="`weakref.finalize` and callbacks of weak references",
        does="writes",
        text="""
        import weakref
        class Held: pass
        held = Held()
        weakref.finalize(held, lambda: open(FOLDER + "/written", "w").close())
        del held
        return "finalised"
        """,
    ),
    _of(
        name="audit-hook",
        what="`sys.addaudithook` watches, and vetoes what the host's part does",
        text="""
        import enum
        def veto(event, given): raise RuntimeError("vetoed " + event)
        enum.sys.addaudithook(veto)
        async def main():
            return await agent("hello", role="echo")
        """,
    ),
    _of(
        name="excepthook",
        what="`sys.excepthook` and `sys.unraisablehook` of its own",
        text="""
        import enum
        def look(*given):
            while True: pass
        enum.sys.excepthook = enum.sys.unraisablehook = look
        class Last:
            def __del__(self): raise ValueError("unraisable")
        Last()
        raise SystemError("out")
        """,
    ),
    _of(
        name="displayhook-and-streams",
        what="`sys.stdout` and `sys.stderr` are replaced, closed, and written to by their descriptors",
        text="""
        import enum
        class Stream:
            def write(self, text): raise SystemExit(0)
            flush = write
        try: enum.sys.__stderr__.write("\\x1b[2Jowned")
        except Exception: pass
        enum.sys.stdout = enum.sys.stderr = Stream()
        print("x")
        return "printed"
        """,
    ),
    _of(
        name="gc-callback",
        what="a callback of the garbage collection",
        text="""
        for kind in object.__subclasses__():
            if kind.__name__ == "BuiltinImporter": gc = kind.load_module("gc")
        def look(phase, given):
            while True: pass
        gc.callbacks.append(look)
        gc.collect()
        """,
    ),
    _of(
        name="breakpoint",
        what="`breakpoint()`: a debugger that waits for a person",
        text="breakpoint()\nreturn 'went on'",
    ),
    _of(name="input", what="`input()`: it waits for a person", text="return input('password: ')"),
    _of(
        name="help-pager",
        what="`help()`, which starts a pager",
        text="return help('os')",
    ),
    _of(
        name="show-warning",
        what="`warnings.showwarning` of its own, and warnings without end",
        text="""
        import warnings
        warnings.simplefilter("always")
        for number in range(100000): warnings.warn("x" * 1000)
        return "warned"
        """,
    ),
    _of(
        name="trace-in-c-calls",
        what="`sys.settrace` for every new function, raising in the prelude",
        text="""
        import enum
        def veto(frame, event, given): raise RuntimeError("vetoed")
        async def main():
            enum.sys.settrace(veto)
            return await agent("hello", role="echo")
        """,
    ),
    _of(
        name="dont-write-bytecode",
        what="settings of the interpreter: recursion, switch interval, digits, path",
        text="""
        import enum
        sys = enum.sys
        sys.setswitchinterval(10 ** 6)
        sys.path[:] = [FOLDER]
        sys.modules.clear()
        return "cleared"
        """,
    ),
    _of(
        name="coroutine-never-awaited",
        what="ten thousand coroutines and calls that nobody awaits",
        text="""
        async def one(): return 1
        async def main():
            for number in range(10000): one(), agent("x", role="echo")
            return "dropped"
        """,
    ),
]
