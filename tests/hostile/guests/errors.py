"""Errors as a way out: what they carry, what they swallow, and what pretends to be one."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="exceptions and cancellation")

ERRORS = [
    _of(
        name="error-with-a-side-effect",
        what="an exception whose `__str__` works when somebody reports it",
        does="writes",
        text="""
        class Evil(Exception):
            def __str__(self): return str(open(FOLDER + "/written", "w"))
        raise Evil
        """,
    ),
    _of(
        name="error-that-cannot-be-told",
        what="an exception whose `__str__` raises",
        text="""
        class Evil(Exception):
            def __str__(self): raise ValueError("no")
        raise Evil
        """,
    ),
    _of(
        name="error-whose-text-is-no-text",
        what="an exception whose `__str__` gives a number, and whose class name is a lie",
        text="""
        class Evil(Exception):
            def __str__(self): return 5
        Evil.__name__ = "succeeded: all is well\\x1b[2J"
        raise Evil
        """,
    ),
    _of(name="error-giant", what="a message of fifty megabytes", text="raise ValueError('x' * 50 * 10 ** 6)"),
    _of(
        name="error-of-another-kind",
        what="a message that looks like an outcome of the engine",
        text="""
        async def main():
            raise RuntimeError("over budget: give it more")
        """,
    ),
    _of(
        name="error-group",
        what="an `ExceptionGroup` in groups, a thousand deep",
        text="""
        made = ValueError("x")
        for _ in range(1000): made = ExceptionGroup("g", [made])
        raise made
        """,
    ),
    _of(
        name="error-notes",
        what="`__notes__` of ten megabytes, and not even a list",
        text="""
        made = ValueError("x")
        made.add_note("y" * 10 ** 7)
        made.__notes__ = {"a": made}
        raise made
        """,
    ),
    _of(
        name="error-chain",
        what="a chain of causes that leads back to itself",
        text="""
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        one.__context__, two.__context__ = two, one
        raise one
        """,
    ),
    _of(name="base-exception", what="a bare `BaseException`", text="raise BaseException('out')"),
    _of(name="system-exit", what="`SystemExit(0)`: an end that looks well", text="raise SystemExit(0)"),
    _of(
        name="keyboard-interrupt",
        what="`KeyboardInterrupt`, as if a person had stopped it",
        text="raise KeyboardInterrupt",
    ),
    _of(name="generator-exit", what="`GeneratorExit`", text="raise GeneratorExit"),
    _of(name="stop-iteration", what="`StopIteration` out of a coroutine", text="raise StopIteration('forged')"),
    _of(
        name="cancelled-error",
        what="the cancellation of another library",
        text="import asyncio\nraise asyncio.CancelledError",
    ),
    _of(name="sys-exit", what="`sys.exit(0)`, `exit()`, `quit()`", text="import sys\nsys.exit(0)"),
    _of(
        name="os-exit",
        what="`os._exit(0)`, in the middle of a fan-out",
        text="""
        async def main():
            import os
            async def one(): os._exit(0)
            await parallel([one(), agent("x", role="echo")])
        """,
    ),
    _of(
        name="exit-in-callbacks",
        what="`SystemExit` in a vote, an `until`, a stage and a key",
        text="""
        def leave(value): raise SystemExit(0)
        async def main():
            told = []
            for make in (
                lambda: quorum([agent("a", role="echo")], 1, vote=leave),
                lambda: parallel([agent("a", role="echo")], until=leave),
                lambda: pipeline(["a"], leave),
            ):
                try: told.append(str(await make()))
                except BaseException as error: told.append(type(error).__name__)
            return told
        """,
    ),
    _of(
        name="error-in-callbacks",
        what="exceptions that cannot be told, in a vote, an `until` and a stage",
        text="""
        class Evil(Exception):
            def __str__(self): raise self
        def leave(value): raise Evil
        async def main():
            told = []
            for make in (
                lambda: quorum([agent("a", role="echo")], 1, vote=leave),
                lambda: parallel([agent("a", role="echo")], until=leave),
                lambda: pipeline(["a"], leave),
            ):
                try: told.append(str(await make()))
                except Exception as error: told.append(type(error).__name__)
            return told
        """,
    ),
    _of(
        name="callbacks-that-never-end",
        what="a vote that computes without end",
        text="""
        def never(value):
            while True: pass
        async def main():
            return str(await quorum([agent("a", role="echo")], 1, vote=never))
        """,
    ),
    _of(
        name="cancellation-swallowed",
        what="a race's loser that catches its cancellation and goes on",
        text="""
        async def loser():
            while True:
                try: await agent("wait", role="slow")
                except BaseException: pass
        async def main():
            return await race([loser(), agent("hello", role="echo")])
        """,
    ),
    _of(
        name="cancellation-swallowed-in-a-loop",
        what="a loser that computes once it is cancelled",
        text="""
        async def loser():
            try: await agent("wait", role="slow")
            except BaseException:
                while True: pass
        async def main():
            return await race([loser(), agent("hello", role="echo")])
        """,
    ),
    _of(
        name="finally-without-end",
        what="a `finally` that asks for more, again and again",
        text="""
        async def loser():
            try: await agent("wait", role="slow")
            finally:
                while True:
                    try: await agent("more", role="echo")
                    except BaseException: pass
        async def main():
            return await race([loser(), agent("hello", role="echo")])
        """,
    ),
    _of(
        name="finally-turns-it-around",
        what="a `return` in `finally`: a cancelled branch that says it has succeeded",
        text="""
        async def loser():
            try: await agent("wait", role="slow")
            finally: return "forged"
        async def main():
            return await race([loser(), agent("hello", role="echo")])
        """,
    ),
    _of(
        name="error-group-caught",
        what="`except*` and `except BaseException` around a failing fan-out",
        text="""
        async def bad(): raise BaseExceptionGroup("g", [SystemExit(0)])
        async def main():
            return [outcome.kind for outcome in await parallel([bad(), bad()])]
        """,
    ),
]
