"""A tool that hangs, explodes or tries to get out is one outcome, with its reason; the rest of the run goes on."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Amount, Failed, Outcome, Settings, Succeeded
from antiphon.engine.errors import InfrastructureError
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.function import FunctionAgent, function_agent
from antiphon.subagents.process import Completed
from antiphon.subagents.program import Invocation, ProgramAgent
from antiphon.subagents.records import Actor, Coverage, Record
from antiphon.subagents.sandbox import BACKENDS, ProcessLimits, Sandbox, Unconfined, probe
from antiphon.subagents.testing import CollectingContext, performers_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="there are sandboxes on Linux only"),
]
READS = "import sys; print(len(open(sys.argv[1]).read()))"
DOES = {
    "well": READS,
    "hangs": "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)",
    "explodes": "import os, time\nfor _ in range(40): os.fork() or (time.sleep(600), os._exit(0))\ntime.sleep(600)",
    "floods": "while True: print('x' * 4096)",
    "crashes": "import os; os.kill(os.getpid(), 11)",
    "peeks": "import sys; print(open(sys.argv[1] + '/../../secret').read())",
}


@pytest.fixture(params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    tried = probe(request.param)
    if tried.sandbox is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.sandbox


@dataclass
class Tool:
    """A program that behaves as its name says, on files of a tree."""

    behaviour: str
    tree: Path
    executes: bool = False
    check: str = "tool"
    advice: str = "install it"
    actor: Actor = field(default_factory=lambda: Actor(tool="tool", version="1"))
    floor: Amount = field(default_factory=lambda: Amount(tool_calls=1))

    def invocations(self, units: Sequence[str]) -> Sequence[Invocation]:
        files = tuple(str(self.tree / unit) for unit in units)
        return [
            Invocation(
                name=self.behaviour,
                argv=(sys.executable, "-I", "-S", "-c", DOES[self.behaviour], *files),
                timeout_seconds=5.0 if self.behaviour == "hangs" else 60.0,
                output_limit=100_000,
                reads=files,
                executes=self.executes,
                limits=ProcessLimits(processes=30),
            )
        ]

    def read(self, units: Sequence[str], outputs: Sequence[Completed]) -> Sequence[Record]:
        json.loads(outputs[0].stdout)
        return [Coverage(record="coverage", unit=unit, check=self.check, state="done") for unit in units]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").write_text("x = 1\n")
    (tmp_path / "secret").write_text("1")
    return tree


def role_of(program: ProgramAgent) -> FunctionAgent:
    """The program agent in a role of its own."""
    return function_agent(program.name, floor=program.floor)(program)


async def test_what_goes_wrong_is_one_outcome_and_the_rest_goes_on(sandbox: Sandbox, tree: Path) -> None:
    async def main() -> list[Outcome[Any]]:
        return list(await parallel(agent("look", role=name, covers=["a.py"]) for name in DOES))

    roles = [role_of(ProgramAgent(name=name, program=Tool(name, tree), sandbox=sandbox)) for name in DOES]
    ran = await memory_run(main, performers=performers_of(*roles), settings=Settings(processes=2))
    ended = dict(zip(DOES, ran.value, strict=True))
    assert isinstance(ended.pop("well"), Succeeded)
    reasons = {name: outcome.reason for name, outcome in ended.items() if isinstance(outcome, Failed)}
    assert set(reasons) == set(ended)
    expected = {
        "hangs": "took longer than 5 s",
        "explodes": "used more processes than it may",
        "floods": "wrote more than 100000 bytes",
        "crashes": "ended by signal 11",
        "peeks": "ended with status 1",
    }
    assert all(text in reasons[name] for name, text in expected.items()), reasons


async def test_without_a_sandbox_the_same_tool_gets_out(tree: Path) -> None:
    context = CollectingContext(["a.py"])
    agent = ProgramAgent(name="peeks", program=Tool("peeks", tree), sandbox=Unconfined())
    (tree / "a.py").unlink()
    (tree / "a.py").mkdir()
    await agent("look", context)
    assert [record.state for record in context.records if isinstance(record, Coverage)] == ["done"]


async def test_a_tool_that_executes_code_of_the_tree_is_not_run_unconfined(tree: Path) -> None:
    context = CollectingContext(["a.py"])
    program = Tool("well", tree, executes=True)
    with pytest.raises(InfrastructureError, match=r"there is no sandbox; .*--sandbox none"):
        await ProgramAgent(name="well", program=program, sandbox=Unconfined())("look", context)
    assert [record.state for record in context.records if isinstance(record, Coverage)] == ["failed"]
    asked_for = CollectingContext(["a.py"])
    await ProgramAgent(name="well", program=program, sandbox=Unconfined(consented=True))("look", asked_for)
    assert [record.state for record in asked_for.records if isinstance(record, Coverage)] == ["done"]
