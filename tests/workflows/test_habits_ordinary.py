"""Ordinary scripts, many near to a habit: nothing is found in any of them."""

from textwrap import dedent

import pytest

from antiphon.workflows.habits import find_habits

IMPORTS = "from antiphon.workflows.script import *\n"

ORDINARY = {
    "audit": """
        from antiphon.workflows.script import agent, claims, parallel, phase, quorum, step, synthesize

        manifest = {"name": "missing-authorization", "phases": ["find", "refute"]}
        STANCES = ["Assume the check exists elsewhere: find it.", "Assume the path is unreachable: show it."]

        def refuted(verdict):
            return {"refute": True, "confirm": False}.get(verdict["position"])

        async def main(repo: str, lenses: list[str] = ["security", "correctness"]):
            phase("find")
            files = await step("list_files", {"path": repo})
            found = await parallel(
                agent(f"Audit {f} for {l}", role="auditor", output="findings", covers=[f])
                for f in files
                for l in lenses
            )
            phase("refute")
            await parallel(
                quorum(
                    [agent("Try to refute it", role="verifier", about=c, context=s, output="verdict") for s in STANCES],
                    need=2,
                    vote=refuted,
                )
                for c in claims(of=found)
            )
            return synthesize(planned=files)
        """,
    "migrate": """
        async def main(files: list[str], rule: str):
            async def migrate(file):
                patch = await agent(f"Apply {rule} to {file}", covers=[file])
                return await step("apply", {"file": file, "patch": patch})

            done = await pipeline(files, migrate, lambda result: step("tests", {"of": result["file"]}))
            for outcome in done.failed():
                log(f"{outcome.item}: {outcome.kind} {outcome.reason}")
            return {"migrated": len(done.succeeded()), "census": done.census.to_json()}
        """,
    "research": """
        async def main(question: str, sources: list[str]):
            answers = await parallel([agent(question, context=[source], label=source) for source in sources])
            facts = [o.value for o in answers if o.ok]
            partial = [o.value["facts"] for o in answers.degraded() if o.value]
            return await agent("Answer from the facts alone", context=[*facts, *partial])
        """,
    "fix until green": """
        async def main(issue: str, attempts: int = 3):
            plan = await agent(f"Plan a fix for {issue}")
            for attempt in range(attempts):
                patch = await agent("Write the patch", context=[plan, f"attempt {attempt}"])
                tests = await step("run_tests", {"patch": patch})
                if tests["passed"]:
                    return patch
                plan = await agent("Revise the plan", context=[plan, tests["log"]])
            fail("still red", partial=plan)
        """,
    "outcomes by kind": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            for index, outcome in enumerate(found):
                match outcome.kind:
                    case "succeeded" | "degraded":
                        put(f"file {index}", outcome.value)
                    case _ if outcome.ok is False:
                        log(outcome.reason or "no reason")
            first = found[0]
            if first.ok and found.succeeded() and not found.failed():
                return first.value["title"]
            if isinstance(first, TimedOut) and first.scope:
                return first.scope
            return found.complete
        """,
    "one branch": """
        async def main(path: str):
            outcome = await branch("survey", step("list_files", {"path": path}), limits={"wall_seconds": 5})
            if not outcome.ok:
                return {"reason": outcome.reason}
            files = outcome.value
            if files:
                return files[0]
        """,
    "an outcome or nothing": """
        async def main(files, deep: bool):
            outcome = None
            if deep:
                outcome = await branch("deep", agent("x"))
            if outcome is not None and outcome.ok:
                return outcome.value
            tally = False
            for f in files:
                tally = tally or (await quorum([agent(f)], 1, vote=bool)).decided == "yes"
            return "kept" if tally else "dropped"
        """,
    "a name with two lives": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            found = found.succeeded()
            if found:
                log(f"{len(found)} of them: {found[0]}")
            outcome = await branch("sum", agent("Sum up", context=found))
            outcome = outcome.value if outcome.ok else ""
            return outcome or "nothing"
        """,
    "tally": """
        async def main(question: str):
            tally = await quorum([agent(question) for _ in range(3)], need=2, vote=lambda v: v["yes"])
            if tally.decided == "undecided" or None in tally.votes:
                return await approve(question, {"votes": list(tally.votes)})
            return [o.reason for o in tally.outcomes if not o.ok]
        """,
    "approval": """
        async def main(question: str):
            if await approve(question):
                return "yes"
            answer = await approve("Really not?")
            return "no" if answer else "undecided"
        """,
    "lambdas that are awaited in their turn": """
        async def main(files, lenses, claims_):
            for lens in lenses:
                await pipeline(files, lambda f: agent(f"{lens} {f}"))
                found = await parallel(agent(f"{lens} {f}") for f in files)
                log(f"{lens}: {found.census}")
            for claim in claims_:
                tally = await quorum([agent(claim)], 1, vote=lambda verdict: verdict["of"] == claim)
                put(claim, tally.decided)
            results = [await pipeline(files, lambda f: agent(f + lens)) for lens in lenses]
            return [one.census.to_json() for one in results]
        """,
    "lambdas that are used at once": """
        async def main(files, weights):
            order = [min(files, key=lambda g: weights[f][g]) for f in files]
            await parallel(agent(max(files, key=lambda g: weights[f][g])) for f in files)
            calls = []
            for f in files:
                calls.append(agent(", ".join(sorted(files, key=lambda g: weights[f][g]))))
                calls.append(agent(", ".join(g for g in files if g != f)))
            return (await parallel(calls)).succeeded(), order
        """,
    "what a lambda is given": """
        async def main(files, lenses):
            calls = []
            for f in files:
                calls.append(pipeline(lenses, lambda lens, f=f: agent(f"{f} {lens}")))
                calls.append(pipeline([f], lambda f: agent(f), lambda answer: agent(f"Check {answer}")))
            await parallel(calls)
            await parallel(pipeline(lenses, lambda lens, f=f: agent(f"{f} {lens}")) for f in files)
            limit = len(files)
            await parallel((agent(f) for f in files), until=lambda found: len(found) >= limit)
        """,
    "functions made in a loop": """
        async def look(file, lens):
            return await agent(f"{lens}: {file}")

        async def main(files, lenses):
            calls = []
            for f in files:
                async def one(f=f):
                    return await agent(f)

                def made():
                    return agent(f, covers=[f])

                calls.append(one())
                calls.append(made())
                calls.append(look(f, "style"))
            await parallel(calls)
            return (await parallel(look(f, l) for f in files for l in lenses)).census.to_json()
        """,
    "fan-outs within fan-outs": """
        async def main(files, lenses):
            await parallel(parallel([agent(f"{f} {l}") for l in lenses]) for f in files)
            nested = [branch(f, parallel([agent(f"{f} {l}") for l in lenses])) for f in files]
            outcomes = await parallel(nested)
            first = await race([agent("a"), agent("b", model="small")])
            return first["answer"], [o.value.ok for o in outcomes.degraded()]
        """,
    "batches": """
        async def main(files):
            batch = []
            for f in files:
                batch.append(agent(f))
                if len(batch) == 10:
                    await parallel(batch)
                    batch = []
            if batch:
                await parallel(batch)
        """,
    "sets in order": """
        async def main(files):
            unique = set(files)
            await parallel(agent(f) for f in sorted(unique))
            await pipeline(sorted({f.lower() for f in files}), agent)
            await parallel([agent(f) for f in files if f in {"a.py", "b.py"}])
            names = set(files)
            names = sorted(names)
            await pipeline(names, agent)
            await parallel(agent(f) for f in dict.fromkeys(files))
        """,
    "errors": """
        import contextlib

        async def main(files):
            try:
                return await agent("x")
            except CallFailed as error:
                log(str(error))
            except Exception:
                log("something else")
            try:
                await step("tidy")
            except BaseException as error:
                log("stopped")
                raise
            with contextlib.suppress(CallFailed, ValueError):
                await agent("y")
            try:
                import fast
            except ImportError:
                fast = None
            return fast
        """,
    "items that are awaited values": """
        async def main(paths):
            async def prepared(path):
                text = await step("read", {"path": path})
                return agent(text)

            await pipeline([await step("read", {"path": path}) for path in paths], agent)
            await parallel([await prepared(path) for path in paths])
            await parallel([agent(await step("read", {"path": path})) for path in paths])
            await parallel(await step("plan"))
        """,
    "sleeping where it does not matter": """
        import time
        import anyio

        def slow():
            time.sleep(0.1)

        async def main():
            await anyio.sleep(1)
            started = time.monotonic()
            await anyio.to_thread.run_sync(slow)
            return time.monotonic() - started
        """,
    "function agents": """
        from antiphon.workflows.script import Amount, agent, function_agent, parallel, step_function
        from pydantic import BaseModel

        class Answer(BaseModel):
            text: str

        @function_agent("echo", floor=Amount(model_calls=1), output=Answer)
        async def echo(task, ctx):
            async with ctx.attempt(Amount(usd="0.01"), sort="model", name="m") as attempt:
                attempt.settle(Amount(usd="0.005"))
            return Answer(text=task)

        @step_function("shout")
        async def shout(text: str) -> str:
            return text.upper()

        async def main(words: list[str]):
            answers = await parallel(agent(word, role="echo", output=Answer) for word in words)
            return [answer.text for answer in answers.succeeded()]
        """,
    "own names like ours": """
        class Agent:
            def step(self, *given): return given
            def branch(self, *given): return given

        def parallel(calls): return list(calls)

        async def main(agent: Agent, workflow, files):
            agent.step("x", {"a": 1})
            agent.branch({1, 2})
            if parallel(workflow(f) for f in {1, 2}):
                return len(parallel(files))
            workflow("x")
        """,
    "calls handed around": """
        from antiphon.workflows import script as s

        def ask(task, *options, **more):
            return s.agent(task, *options, **more)

        async def main(files):
            call = s.agent("Plan", role="planner")
            calls = [call, *(ask(f, role="auditor") for f in files)]
            calls.append(s.step("tests"))
            found = await s.parallel(calls)
            later = s.parallel(ask(f) for f in files)
            again = await later
            options = {"role": "x"}
            await s.agent("Look", **options)
            await s.agent(*["Look"])
            return again.census.planned + found.census.planned
        """,
    "stages of every form": """
        import functools

        def first(file, *rest): return agent(file)
        def second(answer, strict=False): return agent(str(answer))
        class Third:
            def __call__(self, value): return value

        async def main(files):
            tail = [lambda v: v, lambda v: agent(v)]
            await pipeline(files, first, second, Third(), functools.partial(second, strict=True), *tail, str)
        """,
    "state and budget": """
        async def main(files):
            phase("look")
            put("seen", [])
            while files and (budget.remaining("agent_calls") or 0) > 2:
                file, *files = files
                await agent(file)
                put("seen", [*get("seen", []), file])
            log(f"{now():%H:%M} {random():.2f} {budget.used()}")
            return get("seen")
        """,
    "asynchronous sources": """
        async def names():
            for name in ("a", "b"):
                yield name

        async def main():
            found = await parallel((agent(name) async for name in names()), concurrency=4)
            async for name in names():
                await step("note", {"name": name})
            return [o.item async for o in aiter_of(found)]

        async def aiter_of(found):
            for outcome in found:
                yield outcome
        """,
    "in a class and with globals": """
        COUNT = 0

        class Plan:
            agent = "planner"
            def describe(self, agent):
                return agent("x", {"a": 1})

        async def main():
            global COUNT
            COUNT = await branch("a", agent("x"))
            total = 0
            def add(outcome):
                nonlocal total
                total = total + (1 if outcome.ok else 0)
            add(COUNT)
            return total or None
        """,
}


@pytest.mark.parametrize("name", ORDINARY)
def test_nothing_is_found(name: str) -> None:
    source = dedent(ORDINARY[name])
    if "from antiphon" not in source and "own names" not in name:
        source = IMPORTS + source
    compile(source, name, "exec", dont_inherit=True)
    assert find_habits(source, "w.py") == []
