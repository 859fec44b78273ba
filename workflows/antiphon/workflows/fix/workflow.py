"""The fix, as an ordinary workflow: diagnose, reproduce, fix in several tries, judge, and hide nothing of it."""

from antiphon.workflows.crafting.quality import Quality
from antiphon.workflows.crafting.results import tests_of
from antiphon.workflows.fix import words
from antiphon.workflows.fix.asking import answered, frame, report_frame, results_told, unrunnable
from antiphon.workflows.fix.canary import lies
from antiphon.workflows.fix.concluding import concluded, nothing, ordered, refuted
from antiphon.workflows.fix.judging import Judged, Reference, judge, reference
from antiphon.workflows.fix.moves import Bounds, Broken
from antiphon.workflows.fix.reproducing import Baseline, baseline, measured, reproduced
from antiphon.workflows.fix.results import FINAL, STATE, FixResult, TryResult
from antiphon.workflows.fix.shapes import Plan
from antiphon.workflows.fix.task import Task, Tried, claimed
from antiphon.workflows.fix.trying import tried
from antiphon.workflows.script import agent, fail, parallel, phase, put, step, synthesize

manifest = {
    "name": "fix",
    "description": "A bug report, a test that shows it, and tries at mending it, judged by tests, checks and a critic.",
    "phases": ["diagnose", "reproduce", "fix", "judge", "synthesis"],
    "limits": {"agent_calls": 400, "tool_calls": 40_000, "depth": 1},
    "scope": {"read": ["**"], "write": ["**"]},
    "steps": ["tree", "restore", "diff", "tests", "suites", "begun", "touched", "problems", "canary", "claimed"],
    "roles": ["planner", "tester", "coder", "critic", "refiner"],
    "verify": [
        "a test fails on the project as it was, and passes with the patch",
        "every case that passed before passes still, and no test nor its configuration was touched",
        "linters, type checkers and analysers report nothing new that the quality bar forbids",
        "a critic that has not seen how the patch came about finds nothing that must change",
    ],
}


async def main(
    path: str,
    report: str,
    test: str = "",
    tries: int = 1,
    rounds: int = 4,
    quality: Quality = "clean",
    models: list[str] | None = None,
    prices: list[str] | None = None,
    rates: list[str] | None = None,
    budget: str = "",
    max_agents: int = 0,
    deadline_seconds: float = 0.0,
    sandbox: str = "",
    roles: str = "",
    allow: list[str] | None = None,
    ask: list[str] | None = None,
    deny: list[str] | None = None,
    mcp: list[str] | None = None,
) -> FixResult:
    """Fix the bug in the project at `path`. What the other parameters ask for holds already: see `Asked`."""
    phase("diagnose")
    base = await baseline(report, test)
    said = await answered(planned(report, base))
    if said.value is None:
        assert said.trouble is not None
        why = said.trouble.reason if isinstance(said.trouble, Broken) else said.trouble.evidence
        return ended(nothing(base, f"nothing was planned: {why}"))
    plan = said.value
    if plan.infeasible:
        return ended(nothing(base, f"the planner says that it cannot be mended here: {plan.infeasible}", plan))
    phase("reproduce")
    shown, tests = await reproduced(report, plan, base)
    if why := unrunnable(tests):
        return ended(nothing(base, f"nothing could be verified: {why}", plan, shown))
    task = Task(
        report=report,
        base=base,
        shown=shown,
        held=reference(base.tests, tests, shown.cases),
        quality=quality,
        bounds=Bounds(rounds=rounds),
        models=tuple(models or ()),
    )
    phase("fix")
    found = await fanned_out(task, plan, tries)
    phase("judge")
    judged, winner = await confirmed(task, found)
    phase("synthesis")
    synthesize()
    return ended(concluded(base=base, shown=shown, held=task.held, tries=judged, winner=winner))


async def planned(report: str, base: Baseline) -> Plan:
    """What the planner makes of the report."""
    return await agent(
        words.diagnose(),
        role="planner",
        output=Plan,
        workspace="read",
        context=[report_frame(report), frame(words.BASELINE, results_told(base.tests))],
        label="planner",
    )


async def fanned_out(task: Task, plan: Plan, tries: int) -> list[Tried]:
    """Every try, side by side; each sets out from another hypothesis, as far as there are any."""
    names = [f"try-{number + 1}" for number in range(tries)]
    many = len(plan.hypotheses)
    outcomes = await parallel(
        tried(task, name, number, plan.hypotheses[number % many], again=number >= many)
        for number, name in enumerate(names)
    )
    found: list[Tried] = []
    for name, outcome in zip(names, outcomes, strict=True):
        if outcome.kind in ("succeeded", "degraded"):
            found.append(outcome.value)
        else:
            lost = TryResult(name=name, approach="", status="stopped", reason=f"{outcome.kind}: {outcome.reason}")
            found.append(Tried(lost, task.held))
    return found


async def confirmed(task: Task, found: list[Tried]) -> tuple[list[TryResult], str]:
    """The tries, the best first, and which of them passes once more, in a fresh copy; all of them become records."""
    held = {one.result.name: one.held for one in found}
    results = ordered(one.result for one in found)
    winner = ""
    for place, best in enumerate(results):
        if not best.passed or winner:
            break
        await step("restore", {"workspace": FINAL, "tree": best.tree})
        again = await once_more(task, held[best.name], best.tests.command)
        if again.passed:
            winner = best.name
        else:
            results[place] = refuted(best, again)
    if not winner:
        await step("restore", {"workspace": FINAL, "tree": task.base.tree})
    results = [await claimed(task, one, held[one.name]) for one in results]
    return ordered(results), winner


async def once_more(task: Task, held: Reference, command: str) -> Judged:
    """The best try in a fresh copy: its tests, and then with a case that must fail: code that lies to them is found."""
    judged = judge(held, await measured(FINAL, command), (), (), task.quality)
    if not judged.passed:
        return judged
    ran = await step("canary", {"workspace": FINAL, "command": command, "cases": list(held.new)})
    tests = tests_of(ran["tests"])
    found = lies(tests, ran["canary"])
    said = {"passed": False, "reasons": found, "failing": held.new}  # whatever they said of these
    return judged.model_copy(update=said) if found else judged


def ended(result: FixResult) -> FixResult:
    """End the run as what the fix came to: whoever asks for its exit status is told the same."""
    put(STATE, result.model_dump(mode="json"))
    if result.status == "fixed":
        return result
    fail(result.reason, None if result.status == "failed" else result)
