"""Too much, too long, too deep, or of a kind that no call takes."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="floods and arguments")

FLOODS = [
    _of(
        name="log-flood",
        what="notes without end",
        text="""
        async def main():
            while True: log("x")
        """,
    ),
    _of(
        name="print-flood",
        what="a hundred megabytes of `print`",
        text="for _ in range(1000): print('x' * 100000)\nreturn 'printed'",
    ),
    _of(
        name="print-huge",
        what="one `print` of fifty megabytes",
        text="print('x' * 50 * 10 ** 6)\nreturn 'printed'",
    ),
    _of(
        name="call-flood",
        what="a fan-out of two hundred thousand calls",
        text="""
        async def main():
            await parallel(agent(str(n), role="echo") for n in range(200000))
        """,
    ),
    _of(
        name="fan-out-endless",
        what="a fan-out over an endless iterator",
        text="""
        import itertools
        async def main():
            await parallel(agent(str(n), role="echo") for n in itertools.count())
        """,
    ),
    _of(
        name="fan-out-nested",
        what="fan-outs in fan-outs without end",
        text="""
        async def deeper(): return await parallel([deeper()])
        async def main(): return str(await deeper())
        """,
    ),
    _of(
        name="log-giant",
        what="a note of ten megabytes",
        text="""
        async def main():
            log("x" * 10 ** 7)
            return "said"
        """,
    ),
    _of(
        name="frame-giant",
        what="a task larger than any frame may be",
        text="""
        async def main():
            return await agent("x" * 5 * 10 ** 6, role="echo")
        """,
    ),
    _of(
        name="arguments-deep",
        what="arguments nested a thousand deep",
        text="""
        async def main():
            deep = []
            for _ in range(900): deep = [deep]
            return await step("list_files", {"path": deep})
        """,
    ),
    _of(
        name="value-deep",
        what="a value nested as deep as JSON can be read",
        text="""
        async def main():
            deep = {}
            for _ in range(450): deep = {"a": deep}
            return deep
        """,
    ),
    _of(
        name="value-circular",
        what="a value that holds itself",
        text="""
        async def main():
            held = []
            held.append(held)
            return held
        """,
    ),
    _of(
        name="value-giant",
        what="a value of five megabytes",
        text="""
        async def main():
            return ["x" * 5 * 10 ** 6]
        """,
    ),
    _of(
        name="value-numbers",
        what="not a number, infinity, minus zero",
        text="""
        async def main():
            return [float("nan"), float("inf"), -float("inf"), -0.0]
        """,
    ),
    _of(
        name="value-huge-number",
        what="a number of four thousand digits, and one of five thousand",
        text="""
        async def main():
            return [10 ** 4000, 1 << 20000]
        """,
    ),
    _of(
        name="argument-numbers",
        what="the same as an argument of a call",
        text="""
        async def main():
            told = []
            for given in (float("nan"), float("inf"), 10 ** 4000, -0.0, 1e308 * 10):
                try: told.append(str(await step("list_files", {"path": given})))
                except Exception as error: told.append(str(error)[:60])
            return told
        """,
    ),
    _of(
        name="surrogates",
        what="halves of characters, null characters and byte order marks in tasks, keys and values",
        text="""
        async def main():
            told = []
            for text in ("\\ud800", "\\udfff\\ud800", "\\x00", "\\ufeff", "\\u2028", "\\u202e", "a\\x00b"):
                try: told.append(await agent(text, role="echo"))
                except Exception as error: told.append(str(error)[:60])
                try: put(text, {text: text})
                except Exception as error: told.append(str(error)[:60])
            return told
        """,
    ),
    _of(
        name="names-that-are-paths",
        what="branch names, phases and labels that look like paths or other branches",
        text="""
        async def main():
            told = []
            for name in ("main", "..", "../..", "/", "a/b", "", " ", "0", "x" * 10000, "\\n", "\\x1b[2J", "main/0"):
                try: told.append(str(await branch(name, agent("hello", role="echo", label=name))))
                except Exception as error: told.append(str(error)[:60])
            return told
        """,
    ),
    _of(
        name="undeclared",
        what="roles, steps, workflows, models and workspaces that nobody declared, by name and by path",
        text="""
        async def main():
            told = []
            for call in (
                agent("x", role="root"), agent("x", role="../echo"), agent("x", role=""),
                step("os.system", {"a": MARK}),
                step("__import__", {}), workflow("../../../../etc/passwd"), workflow(CANARY), workflow(PLANTED),
                agent("x", role="echo", model="file:" + FOLDER), agent("x", role="echo", workspace="../../" + FOLDER),
                agent("x", role="echo", workspace=FOLDER), agent("x", role="echo", limits={"usd": "-1"}),
                agent("x", role="echo", limits={"usd": "NaN"}), agent("x", role="echo", limits={"no such": 1}),
                agent("x", role="echo", limits="all"), choose("which", ["a"] * 3), choose("which", ["a", "b"]),
            ):
                try: told.append("DONE " + str(await call))
                except Exception as error: told.append(str(error)[:100])
            return told
        """,
    ),
    _of(
        name="undeclared-types",
        what="every argument of every call as a value of another type",
        text="""
        async def main():
            told = []
            for bad in (None, 1, 1.5, True, [], {}, [[]], {"a": {}}, "x"):
                for make in (
                    lambda: agent(bad, role="echo"), lambda: agent("x", role=bad),
                    lambda: agent("x", role="echo", label=bad),
                    lambda: agent("x", role="echo", covers=bad), lambda: agent("x", role="echo", context=bad),
                    lambda: agent("x", role="echo", limits=bad), lambda: agent("x", role="echo", model=bad),
                    lambda: agent("x", role="echo", workspace=bad), lambda: agent("x", role="echo", until=bad),
                    lambda: agent("x", role="echo", output=bad), lambda: agent("x", role="echo", about=bad),
                    lambda: step(bad, {}), lambda: step("list_files", bad), lambda: workflow(bad), lambda: approve(bad),
                    lambda: choose(bad, ["a"]), lambda: choose("x", bad), lambda: branch(bad, agent("x", role="echo")),
                    lambda: branch("x", bad), lambda: parallel(bad), lambda: race(bad), lambda: pipeline(bad, bad),
                    lambda: quorum([agent("x", role="echo")], bad, vote=bad), lambda: phase(bad), lambda: put(bad, bad),
                    lambda: parallel([agent("x", role="echo")], concurrency=bad), lambda: get(bad),
                    lambda: claims(of=bad),
                    lambda: synthesize(planned=bad), lambda: budget.used(bad), lambda: log(bad),
                ):
                    try:
                        made = make()
                        if made is not None and not isinstance(made, (str, int, float, list)): made = await made
                        told.append("gave")
                    except Exception as error: told.append(type(error) is not None)
            return len(told)
        """,
    ),
    _of(
        name="until-is-a-command",
        what="a completion criterion that is a shell command",
        text="""
        async def main():
            told = []
            for until in ("touch " + MARK, {"command": "touch " + MARK}, ["touch", MARK]):
                try: told.append(str(await agent("hello", role="echo", until=until)))
                except Exception as error: told.append(str(error)[:200])
            return told
        """,
    ),
    _of(
        name="schema-refers-outside",
        what="an output schema whose `$ref` names a file and an address",
        text="""
        async def main():
            told = []
            for place in ("file://" + CANARY, "http://127.0.0.1:" + str(PORT) + "/schema", CANARY):
                try: told.append(str(await agent("hello", role="echo", output={"$ref": place})))
                except Exception as error: told.append(str(error)[:300])
            return told
        """,
    ),
    _of(
        name="schema-with-a-pattern",
        what="an output schema with a regular expression that the host would have to search with",
        text="""
        async def main():
            schema = {"type": "string", "pattern": "^(a+)+$"}
            return str(await agent("a" * 40 + "!", role="echo", output=schema))
        """,
    ),
    _of(
        name="schema-recursive",
        what="an output schema that is itself, and one a thousand deep",
        text="""
        async def main():
            deep = {}
            for _ in range(300): deep = {"items": deep, "type": "array"}
            told = []
            for schema in (
                {"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, deep, {"type": "no such type"}, {"properties": 1}
            ):
                try: told.append(str(await agent("hello", role="echo", output=schema))[:50])
                except Exception as error: told.append(str(error)[:200])
            return told
        """,
    ),
    _of(
        name="terminal-escapes",
        what="escape sequences in notes, labels, phases, names, results and errors",
        text="""
        async def main():
            for text in (
                "\\x1b[2J\\x1b]0;owned\\x07", "\\x9b2J", "\\x1b]52;c;aGk=\\x07", "\\r\\x1b[1A\\x1b[2Kall is well"
            ):
                log(text)
                print(text)
                await branch("one " + text, agent(text, role="echo", label=text))
            raise RuntimeError("\\x1b[31mred\\x1b]0;owned\\x07")
        """,
    ),
    _of(
        name="phase-flood",
        what="ten thousand phases",
        text="""
        async def main():
            for number in range(10000): phase("only")
            return "phased"
        """,
    ),
    _of(
        name="state-flood",
        what="state of the run without end",
        text="""
        async def main():
            for number in range(10 ** 9): put(str(number), "x" * 10000)
        """,
    ),
]
