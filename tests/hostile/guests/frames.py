"""Up the stack: tracebacks, generators, coroutines, and what callers hold."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="stack frames")

FRAMES = [
    _of(
        name="traceback-builtins",
        what="a traceback's frame has `f_builtins`",
        does="reads",
        text="""
        try: 1 / 0
        except ZeroDivisionError as error:
            return error.__traceback__.tb_frame.f_builtins["open"](CANARY).read()
        """,
    ),
    _of(
        name="traceback-climb",
        what="up `f_back` to the outermost frame, through the globals of all",
        does="tells",
        text="""
        try: 1 / 0
        except ZeroDivisionError as error: frame = error.__traceback__.tb_frame
        told = []
        while frame is not None:
            for space in (frame.f_globals, frame.f_locals):
                found = space.get("os") or space.get("posix")
                if found is not None: told.append(str(dict(found.environ)))
            frame = frame.f_back
        return told
        """,
    ),
    _of(
        name="generator-frame",
        what="`gi_frame` of a generator that is running, and `f_back` from there",
        does="reads",
        text="""
        def climb():
            frame = made[0].gi_frame.f_back
            yield frame
        made = []
        made.append(climb())
        frame = next(made[0])
        frame = frame or made[0].gi_frame
        return frame.f_builtins["open"](CANARY).read()
        """,
    ),
    _of(
        name="coroutine-frame",
        what="`cr_frame` of a coroutine",
        does="reads",
        text="""
        async def one(): return 1
        made = one()
        try: return made.cr_frame.f_builtins["open"](CANARY).read()
        finally: made.close()
        """,
    ),
    _of(
        name="async-generator-frame",
        what="`ag_frame` of an async generator",
        does="reads",
        text="""
        async def one(): yield 1
        return one().ag_frame.f_builtins["open"](CANARY).read()
        """,
    ),
    _of(
        name="getframe",
        what="`sys._getframe`, by way of a module that has `sys`",
        does="reads",
        text="""
        import enum
        return enum.sys._getframe(0).f_builtins["open"](CANARY).read()
        """,
    ),
    _of(
        name="inspect-currentframe",
        what="`inspect.currentframe`",
        does="reads",
        text="""
        import inspect
        return inspect.currentframe().f_builtins["open"](CANARY).read()
        """,
    ),
    _of(
        name="callers-locals",
        what="every local of every caller, told as text: tokens and channels of the host among them",
        text="""
        async def main():
            try: 1 / 0
            except ZeroDivisionError as error: frame = error.__traceback__.tb_frame
            told = []
            while frame is not None:
                told.append(str(sorted(frame.f_locals))[:2000] + repr(frame.f_code.co_filename))
                frame = frame.f_back
            return told
        """,
    ),
    _of(
        name="error-of-the-host",
        what="the traceback, cause and context of an error that the host answered",
        text="""
        async def main():
            caught = None
            try: await agent("x", role="no such role")
            except Exception as error: caught = error
            told = []
            for one in (caught, caught.__cause__, caught.__context__):
                trace = getattr(one, "__traceback__", None)
                while trace is not None:
                    told.append([trace.tb_frame.f_code.co_filename, str(trace.tb_frame.f_locals)[:1000]])
                    trace = trace.tb_next
            return told
        """,
    ),
    _of(
        name="code-object",
        what="a code object of one's own, made by `code.replace`, that loads a constant beyond the end",
        text="""
        def one(): return 1
        made = one.__code__.replace(co_code=bytes([151, 0, 100, 255, 83, 0] * 40), co_consts=())
        return type(one)(made, {})()
        """,
    ),
    _of(
        name="code-object-compiled",
        what="`types.CodeType` from `compile`, made a function with builtins of one's own",
        does="reads",
        text="""
        made = compile("open(CANARY).read()", "x", "eval")
        space = {"CANARY": CANARY}
        return type(lambda: 0)(made, space)()
        """,
    ),
    _of(
        name="settrace",
        what="`sys.settrace` watches every line of the callers",
        text="""
        async def main():
            import enum
            told = []
            def watch(frame, event, given):
                told.append(str(frame.f_locals)[:200])
                return watch
            enum.sys.settrace(watch)
            enum.sys._getframe().f_trace = watch
            value = await agent("hello", role="echo")
            enum.sys.settrace(None)
            return told[:50]
        """,
    ),
    _of(
        name="setprofile",
        what="`sys.setprofile` sees every call, of C functions too",
        text="""
        async def main():
            import enum
            told = []
            enum.sys.setprofile(lambda frame, event, given: told.append(str(given)[:100]))
            value = await agent("hello", role="echo")
            enum.sys.setprofile(None)
            return told[:50]
        """,
    ),
]
