"""Scopes that are not one's own, and a prelude that is not the host's any more."""

from functools import partial

from tests.hostile.guests.protocol import speaking

_of = partial(speaking, family="scope forgery")

FORGERY = [
    _of(
        "token-guessed",
        "a token that was guessed",
        'here()["at"] = "0" * 32\ntell(frame("log", text="forged"))',
    ),
    _of("token-empty", "no token", 'here()["at"] = ""\ntell(frame("log", text="forged"))', family="scope forgery"),
    _of(
        "token-of-another-type",
        "a token that is an object, a number, nothing",
        'for at in ({}, 5, None, [], True):\n    here()["at"] = at\n    tell(frame("log", text="forged"))',
    ),
    _of(
        "token-is-a-path",
        "a branch's path instead of its token",
        'here()["at"] = "main"\ntell(frame("log", text="forged"))',
    ),
    _of(
        "token-of-a-closed-branch",
        "the token of a branch that has ended",
        """
        kept = []
        async def one():
            kept.append(here()["at"])
            return "ended"
        async def main():
            await branch("one", one())
            here()["at"] = kept[0]
            log("from the grave")
            return "said"
    """,
    ),
    _of(
        "token-of-a-sibling",
        "a branch speaks for the one beside it",
        """
        kept = {}
        async def first():
            kept["at"] = here()["at"]
            return await agent("first", role="echo")
        async def second():
            await agent("second", role="echo")
            if "at" in kept: here()["at"] = kept["at"]
            return await agent("forged", role="echo")
        async def main():
            outcomes = await parallel([first(), second()])
            return [outcome.kind for outcome in outcomes]
    """,
    ),
    _of(
        "token-of-the-root",
        "a branch with a limit speaks for the root",
        """
        async def narrow():
            here()["at"] = root["at"]
            return await parallel(agent(str(n), role="echo") for n in range(3))
        root = {}
        async def main():
            root["at"] = here()["at"]
            outcome = await branch("narrow", narrow(), limits={"agent_calls": 1})
            return str(outcome)
    """,
    ),
    _of(
        "end-of-the-root-by-a-branch",
        "a branch ends the whole script",
        """
        async def early():
            here()["at"] = root["at"]
            tell(frame("end", value="forged"))
            return 1
        root = {}
        async def main():
            root["at"] = here()["at"]
            await parallel([early(), agent("x", role="echo")])
            return "whole"
    """,
    ),
    _of(
        "end-of-a-sibling",
        "a branch ends the one beside it, with a value",
        """
        kept = {}
        async def first():
            kept["at"] = here()["at"]
            return await agent("first", role="echo")
        async def second():
            here()["at"] = kept.get("at", "x")
            tell(frame("end", value="forged"))
            return 2
        async def main():
            return [outcome.kind for outcome in await parallel([first(), second()])]
    """,
    ),
    _of(
        "end-of-the-root-and-gone",
        "a branch ends the whole script while a fan-out is under way, and the process is gone",
        """
        async def early():
            here()["at"] = root["at"]
            tell(frame("end", value="forged"))
            try: print("flushed")
            except BaseException: pass
            for kind in object.__subclasses__():
                if kind.__name__ == "BuiltinImporter":
                    agent.__globals__["_a_channel"][0].flush()
                    kind.load_module("posix")._exit(0)
        root = {}
        async def main():
            root["at"] = here()["at"]
            await parallel([early(), agent("x", role="slow")])
            return "whole"
    """,
    ),
    _of(
        "seed-guessed",
        "the numbers of `random()` from what the guest was told",
        """
        async def main():
            import random as module
            drawn = [random() for _ in range(3)]
            return [drawn, module.random()]
    """,
    ),
    _of(
        "prelude-patched",
        "the prelude's own functions are replaced",
        """
        async def main():
            space = agent.__globals__
            space["_a_value_of"] = lambda text: "forged"
            space["_a_describe"] = lambda error: 5
            space["_a_kept"] = lambda value: {"id": 1, "value": float("nan")}
            return await agent("hello", role="echo")
    """,
    ),
    _of(
        "json-patched",
        "`json.dumps` is replaced under the prelude",
        """
        async def main():
            json.dumps = lambda value, **options: "forged"
            return await agent("hello", role="echo")
    """,
    ),
    _of(
        "encoder-patched",
        "`json.JSONEncoder.default` gives what it likes",
        """
        async def main():
            json.JSONEncoder.default = lambda self, value: "forged"
            json.JSONEncoder.iterencode = lambda self, value, _one_shot=False: iter(["}"])
            return object()
    """,
    ),
    _of(
        "builtins-patched",
        "`isinstance`, `len`, `str`, `list` and `print` are replaced",
        """
        async def main():
            space = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
            inner = agent.__globals__["__builtins__"]
            inner = inner if isinstance(inner, dict) else vars(inner)
            for known in (space, inner):
                for name in ("isinstance", "len", "hasattr", "print"): known[name] = lambda *given, **more: True
            return await agent("hello", role="echo")
    """,
    ),
]
