"""Code that runs while classes and functions are made, and objects that lie about what they are."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="classes and descriptors")

CLASSES = [
    _of(
        name="decorator-without-call",
        what="`@exec` over `@input`-like functions: no call is written",
        does="runs",
        text="""
        import functools
        def text(function): return "import os; os.system('touch " + MARK + "')"

        @exec
        @text
        def made(): pass

        def attack(): return "decorated"
        """,
    ),
    _of(
        name="subscript-is-a-call",
        what="`__class_getitem__ = system`: a subscript calls",
        does="runs",
        text="""
        import os
        class Call: __class_getitem__ = os.system
        return Call["touch " + MARK]
        """,
    ),
    _of(
        name="metaclass-prepare",
        what="a metaclass whose `__prepare__` and `__call__` work at definition",
        does="runs",
        text="""
        class Meta(type):
            @classmethod
            def __prepare__(cls, name, bases):
                __import__("os").system("touch " + MARK)
                return {}
        class Made(metaclass=Meta): pass
        return "made"
        """,
    ),
    _of(
        name="init-subclass",
        what="`__init_subclass__` runs when somebody derives",
        does="runs",
        text="""
        class Base:
            def __init_subclass__(cls): __import__("os").system("touch " + MARK)
        class Below(Base): pass
        return "derived"
        """,
    ),
    _of(
        name="set-name",
        what="a descriptor's `__set_name__` runs when its class is made",
        does="runs",
        text="""
        class Named:
            def __set_name__(self, owner, name): __import__("os").system("touch " + MARK)
        class Holder: one = Named()
        return "named"
        """,
    ),
    _of(
        name="arguments-that-lie",
        what="a task that is a `str` subclass, a mapping with its own `items`, a list without end",
        text="""
        async def main():
            class Text(str):
                def __str__(self): return "x" * 10 ** 7
                def __len__(self): return 3
                def encode(self, *given): return b"{}"
            class Mapping(dict):
                def items(self): return iter([("task", object()), ("role", self)])
                def __iter__(self): return iter(["a"] * 5)
            class Endless(list):
                def __iter__(self):
                    while True: yield 1
            told = []
            for given in (Text("hello"), Mapping(a=1), Endless()):
                try: told.append(str(await agent(given, role="echo"))[:100])
                except Exception as error: told.append(str(error)[:100])
            return told
        """,
    ),
    _of(
        name="value-that-lies",
        what="what `main` returns is a mapping whose keys and values are objects of its own",
        text="""
        class Key(str):
            def __hash__(self): return 1
            def __eq__(self, other): raise SystemExit(0)
        class Value(dict):
            def keys(self): return [Key("a"), Key("a")]
            def __getitem__(self, key): return self
        async def main():
            return {Key("a"): Value(b=1)}
        """,
    ),
    _of(
        name="outcome-forged",
        what="an object that says it is an `Outcome`, in a vote and as an item",
        text="""
        class Forged:
            ok = True
            kind = "Succeeded"
            value = {"forged": True}
            def __class__(self): return type(None)
        async def main():
            tally = await quorum([agent("a", role="echo")], 1, vote=lambda value: Forged())
            return [tally.decided, str(tally.votes)]
        """,
    ),
    _of(
        name="class-pollution",
        what="class attributes of `Outcome`, `Outcomes` and the calls are overwritten",
        text="""
        async def main():
            failed = await branch("one", step("no such step", {}))
            kind = type(failed)
            kind.ok = True
            kind.value = "forged"
            kind.kind = "Succeeded"
            again = await branch("two", step("no such step", {}))
            return [again.ok, again.value]
        """,
    ),
    _of(
        name="class-assignment",
        what="`__class__` of an API object is replaced",
        text="""
        class Evil:
            def __await__(self): yield {"do": "call"}
            def __getattr__(self, name): return self
        async def main():
            call = agent("hello", role="echo")
            call.__class__ = Evil
            return str(await call)
        """,
    ),
    _of(
        name="await-of-junk",
        what="an awaitable that yields to the scheduler what no call yields",
        text="""
        class Junk:
            def __await__(self):
                got = []
                for sent in ("text", 1, None, [], ("send", {}), {"id": 1, "do": "end"}, object()):
                    got.append((yield sent))
                return str(got)
        async def main():
            return await Junk()
        """,
    ),
    _of(
        name="await-without-end",
        what="an awaitable that yields forever",
        text="""
        class Forever:
            def __await__(self):
                while True: yield
        async def main():
            return await Forever()
        """,
    ),
    _of(
        name="await-of-nothing",
        what="`main` waits for what nobody will ever answer",
        text="""
        async def main():
            return await agent.__globals__["_a_Wait"](10 ** 9)
        """,
    ),
    _of(
        name="coroutine-by-hand",
        what="API calls driven by hand: `send`, `throw`, `close`, twice",
        text="""
        async def main():
            call = agent("hello", role="echo")
            made = call.__await__()
            told = []
            for attempt in (lambda: made.send(None), lambda: made.throw(ValueError("x")), lambda: made.send(5),
                            lambda: next(made), lambda: made.close(), lambda: made.send(None)):
                try: told.append(str(attempt()))
                except BaseException as error: told.append(type(error).__name__)
            return told
        """,
    ),
    _of(
        name="awaited-twice",
        what="one call awaited many times and handed to two fan-outs",
        text="""
        async def main():
            call = agent("hello", role="echo")
            told = [await call]
            for attempt in (call, parallel([call, call]), race([call])):
                try: told.append(str(await attempt))
                except Exception as error: told.append(str(error)[:80])
            return told
        """,
    ),
    _of(
        name="hash-and-equality",
        what="keys whose `__eq__` has side effects and whose `__hash__` collides",
        text="""
        class Key:
            def __hash__(self): return 7
            def __eq__(self, other):
                open(FOLDER + "/written", "w").close()
                return False
        return len({Key(): 1, Key(): 2})
        """,
    ),
]
