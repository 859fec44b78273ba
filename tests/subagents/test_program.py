"""Program agents: what a program says becomes records; what it does not say is recorded too."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from antiphon.engine.amount import Amount
from antiphon.engine.errors import AgentFailure, InfrastructureError, MalformedOutput
from antiphon.subagents.process import Completed
from antiphon.subagents.program import Invocation, ProgramAgent, UnreadableOutput, ask_version
from antiphon.subagents.records import Actor, Coverage, Finding, FindingKey, Malformed, Record
from antiphon.subagents.testing import CollectingContext

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

UNITS = ("a.py", "b.py")
SAYS = "import json,os,sys; print(json.dumps(sys.argv[1:])); print(os.environ.get('TRACEPARENT'), file=sys.stderr)"


@dataclass
class Echo:
    """A program that reports every unit it is given as one finding."""

    code: str = SAYS
    program: str = sys.executable
    times: int = 1
    timeout_seconds: float = 60.0
    output_limit: int = 10_000
    actor: Actor = field(default_factory=lambda: Actor(tool="echo", version="1.0"))
    check: str = "echo"
    advice: str = "install echo"
    floor: Amount = field(default_factory=lambda: Amount(tool_calls=1))
    seen: list[Completed] = field(default_factory=list[Completed])

    def invocations(self, units: Sequence[str]) -> Sequence[Invocation]:
        argv = (self.program, "-I", "-S", "-c", self.code, *units)
        limits = self.timeout_seconds, self.output_limit
        return [
            Invocation(name=f"echo {n}", argv=argv, timeout_seconds=limits[0], output_limit=limits[1])
            for n in range(self.times)
        ]

    def read(self, units: Sequence[str], outputs: Sequence[Completed]) -> Sequence[Record]:
        self.seen.extend(outputs)
        try:
            said = json.loads(outputs[0].stdout)
        except ValueError as error:
            raise UnreadableOutput(f"not JSON ({error})", outputs[0].stdout) from None
        done = [Coverage(record="coverage", unit=unit, check=self.check, state="done") for unit in units]
        return [*(self._claim(unit) for unit in said), *done]

    def _claim(self, unit: str) -> Finding:
        return Finding(
            record="claim",
            sort="finding",
            key=FindingKey(path=unit, rule="echo:E1"),
            rule="E1",
            title="said",
            text="said",
            severity="low",
            severity_by="echo",
            actor=self.actor,
        )


async def test_findings_are_records_and_the_value_is_counts() -> None:
    context = CollectingContext(UNITS)
    value = await ProgramAgent(name="echo", program=Echo())("look", context)
    assert value == {"units": 2, "findings": 2, "set_aside": 0, "partial": 0, "failed": 0}
    assert json.loads(json.dumps(value)) == value
    assert [record.key.path for record in context.records if isinstance(record, Finding)] == ["a.py", "b.py"]
    assert [record.unit for record in context.records if isinstance(record, Coverage)] == ["a.py", "b.py"]


async def test_each_command_is_one_settled_attempt() -> None:
    context = CollectingContext(UNITS)
    await ProgramAgent(name="echo", program=Echo(times=2))("look", context)
    assert [(attempt.name, attempt.spent) for attempt in context.attempts] == [
        ("echo 0", Amount(tool_calls=1)),
        ("echo 1", Amount(tool_calls=1)),
    ]


async def test_the_span_context_reaches_the_program() -> None:
    program = Echo()
    agent = ProgramAgent(name="echo", program=program, environment=lambda: {"TRACEPARENT": "00-ab-cd-01"})
    await agent("look", CollectingContext(UNITS))
    assert program.seen[0].stderr == b"00-ab-cd-01\n"
    assert (agent.version, agent.floor) == ("1.0", Amount(tool_calls=1))


async def test_unreadable_output_is_kept_and_fails_the_call() -> None:
    context = CollectingContext(["a.py"])
    with pytest.raises(MalformedOutput, match=r"echo: its output could not be read: not JSON .*it said: oops"):
        await ProgramAgent(name="echo", program=Echo(code="import sys; print('<html>'); sys.stderr.write('oops')"))(
            "look", context
        )
    kept, coverage = context.records
    assert isinstance(kept, Malformed)
    assert (kept.raw, kept.units) == ("<html>\n", ("a.py",))
    assert isinstance(coverage, Coverage)
    assert (coverage.unit, coverage.state) == ("a.py", "failed")


async def test_silence_is_not_nothing_found() -> None:
    context = CollectingContext(UNITS)
    with pytest.raises(MalformedOutput, match="2 of 2 units"):
        await ProgramAgent(name="echo", program=Echo(code="pass"))("look", context)
    assert any(isinstance(record, Malformed) for record in context.records)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("sys.exit('went wrong')", "ended with status 1: went wrong"),
        ("os.kill(os.getpid(), 11)", "ended by signal 11"),
        ("print('x' * 9999)", "wrote more than 1000 bytes"),
        ("sys.exit(0)", "its output could not be read"),
    ],
    ids=["status", "signal", "output", "silence"],
)
async def test_a_unit_that_brings_the_program_down_hides_no_other(wrong: str, reason: str) -> None:
    code = f"import os, sys, time\nif 'bomb' in sys.argv: {wrong}\n{SAYS}"
    program = Echo(code=code, timeout_seconds=2.0, output_limit=1000)
    context = CollectingContext(["a", "b", "bomb", "d"])
    with pytest.raises(AgentFailure, match=f"echo: 1 of 4 units could not be looked at: .*{reason}"):
        await ProgramAgent(name="echo", program=program)("look", context)
    assert [record.key.path for record in context.records if isinstance(record, Finding)] == ["a", "b", "d"]
    states = {record.unit: record for record in context.records if isinstance(record, Coverage)}
    assert {unit: record.state for unit, record in states.items()} == dict.fromkeys("abd", "done") | {"bomb": "failed"}
    assert reason in states["bomb"].reason
    assert [record.units for record in context.records if isinstance(record, Malformed)] == [("bomb",)]
    assert {attempt.spent for attempt in context.attempts} == {Amount(tool_calls=1)}
    assert len(context.attempts) == 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_unit_that_hangs_the_program_is_not_waited_for_again_and_again() -> None:
    program = Echo(code=f"import sys, time\nif 'bomb' in sys.argv: time.sleep(600)\n{SAYS}", timeout_seconds=3.0)
    context = CollectingContext(["a", "bomb"])
    with pytest.raises(AgentFailure, match=r"1 of 2 units could not be looked at: echo 0 took longer than 1.5 s"):
        await ProgramAgent(name="echo", program=program)("look", context)
    assert [record.key.path for record in context.records if isinstance(record, Finding)] == ["a"]


async def test_a_missing_program_says_what_to_install() -> None:
    context = CollectingContext(UNITS)
    with pytest.raises(InfrastructureError, match="install echo") as caught:
        await ProgramAgent(name="echo", program=Echo(program="no-such-program"))("look", context)
    assert caught.value.category == "environment"
    assert len(context.records) == len(UNITS)


async def test_the_version_is_asked_of_the_program() -> None:
    assert await ask_version([sys.executable, "--version"], advice="") == sys.version.split()[0]
    with pytest.raises(InfrastructureError, match="install it"):
        await ask_version(["no-such-program", "--version"], advice="install it")
    with pytest.raises(InfrastructureError, match="does not say its version"):
        await ask_version([sys.executable, "-c", ""], advice="install it")
