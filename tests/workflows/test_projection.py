"""What an audit with models is said to cost before it starts, what a person lets it use, and when somebody is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from antiphon.engine import Limits, UsageError
from antiphon.engine.limits import TopUpError
from antiphon.subagents.model.contract import Price
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import FunctionModel, model
from antiphon.workflows.audit.launch import Asked
from antiphon.workflows.audit.models.bounds import bounds, seconds_of
from antiphon.workflows.audit.models.dividing import Room, about_tokens, audited, divide, too_large
from antiphon.workflows.audit.models.projection import LEVELS, Asks, Projection, project
from antiphon.workflows.audit.models.team import team
from antiphon.workflows.audit.models.words import LENSES as QUESTIONS
from antiphon.workflows.audit.survey import File, Survey, survey
from antiphon.workflows.audit.table import LENSES
from antiphon.workflows.cli import main
from antiphon.workflows.cli.audit_asking import most_usd

PRICE = Price(input="0.000001", output="0.00001")


def asks(name: str, price: Price | None = PRICE, max_tokens: int = 1_000) -> Asks:
    role = RoleDefinition(name=name, instructions="…", limits=AgentLimits(max_tokens=max_tokens))
    return Asks(role, model(FunctionModel(lambda request: ""), f"test/{name}", price=price))


def projected(prompts: list[int], *, sweeps: int = 3, price: Price | None = PRICE) -> Projection:
    return project(
        prompts,
        files=len(prompts),
        sweeps=sweeps,
        analysers=7,
        auditor=asks("auditor", price),
        verifier=asks("verifier", price),
    )


# --- the figures ------------------------------------------------------------------------------------------------------


def test_low_is_one_sweep_that_finds_nothing() -> None:
    low = projected([8_500, 1_500]).low
    assert (low.calls, low.input_tokens, low.output_tokens) == (2, 10_000 + 2 * 1_500, 2 * 150)
    assert low.usd == Decimal(13_000) / 1_000_000 + Decimal(300) / 100_000


def test_likely_counts_two_sweeps_and_three_attacks_a_finding() -> None:
    likely = projected([10_000]).likely
    findings = 3
    assert likely.calls == 2 + 3 * findings
    assert likely.input_tokens == 2 * 11_500 + 3 * findings * 4_000


def test_high_takes_every_sweep_and_the_longest_answers_twice() -> None:
    high = projected([10_000], sweeps=5).high
    assert high.calls == 2 * (5 + 3 * 30)
    assert high.output_tokens == 1_000 * high.calls


def test_levels_are_in_order_and_more_code_never_costs_less() -> None:
    before = [Decimal(0)] * 3
    for size in (0, 10, 1_000, 10_000, 100_000):
        found = projected([size, size])
        now = [found.at(level).usd or Decimal(0) for level in LEVELS]
        assert now == sorted(now)
        assert all(one >= other for one, other in zip(now, before, strict=True))
        before = now


def test_nothing_to_look_at_costs_nothing() -> None:
    nothing = projected([])
    assert {nothing.at(level).usd for level in LEVELS} == {Decimal(0)}
    assert nothing.high.calls == 0


def test_a_stronger_model_is_counted_at_its_own_price() -> None:
    dear = asks("auditor", Price(input="0.0001", output="0.001"))
    found = project(
        [10_000],
        files=1,
        sweeps=1,
        analysers=0,
        auditor=asks("auditor"),
        verifier=asks("verifier"),
        stronger=[dear],
    )
    plain = projected([10_000], sweeps=1)
    assert found.low == plain.low
    assert found.likely.calls == plain.likely.calls + 3
    assert found.likely.usd is not None
    assert plain.likely.usd is not None
    assert found.likely.usd - plain.likely.usd == 3 * (Decimal(4_000) / 10_000 + Decimal(300) / 1_000)


def test_models_have_a_question_for_every_lens() -> None:
    assert set(QUESTIONS) == set(LENSES)


def test_what_has_no_price_is_named_and_not_taken_for_free() -> None:
    found = projected([1_000], price=None)
    assert found.likely.usd is None
    assert found.unpriced == ("test/auditor", "test/verifier")
    assert any("--price test/auditor=IN/OUT" in line for line in found.lines())
    assert most_usd(found, None) is None
    assert most_usd(found, Decimal(5)) == 5


def test_the_budget_holds_it_below_what_is_projected() -> None:
    found = projected([100_000])
    assert found.high.usd is not None
    assert most_usd(found, None) == found.high.usd
    assert most_usd(found, Decimal("0.01")) == Decimal("0.01")
    assert most_usd(found, Decimal(10_000)) == found.high.usd


# --- what a person lets it use ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "agents", "seconds", "expected"),
    [
        ("5usd", 300, 1800.0, Limits.parse({"usd": "5", "agent_calls": 300, "wall_seconds": 1800})),
        ("0.5usd,100model_calls", 0, 0.0, Limits.parse({"usd": "0.5", "model_calls": 100})),
        ("+2agent_calls", 300, 0.0, Limits.parse({"agent_calls": 2})),
        ("90agent_seconds", 0, 0.0, Limits.parse({"agent_seconds": 90.0})),
        ("", 0, 0.0, Limits()),
    ],
)
def test_options_are_the_runs_limits(budget: str, agents: int, seconds: float, expected: Limits) -> None:
    assert bounds(budget, agents, seconds) == expected


def test_a_budget_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(TopUpError, match="5 usd and more"):
        bounds("5 usd and more")


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("1h30m", 5400), ("45s", 45), ("90", 90), (" 2h ", 7200)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "1.5h", "-3m", "9999h", "3m2h", "1e9"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        seconds_of(text)


# --- cutting code into prompts ----------------------------------------------------------------------------------------


def files(sizes: Mapping[str, int]) -> Survey:
    found = tuple(File(unit, size, "python", "0" * 64) for unit, size in sorted(sizes.items()))
    return Survey(Path("/nowhere"), found)


@pytest.mark.parametrize("mixed", [False, True])
def test_every_file_is_in_one_prompt_of_each_lens_or_a_named_gap(mixed: bool) -> None:
    seen = files({f"f{n:03}.py": 50 * n for n in range(200)} | {"huge.py": 400_000})
    room = Room(shard=2_000, file=9_000)
    asking = divide(seen, ("security", "types"), room, mixed=mixed)
    gaps = too_large(seen, room)
    assert set(gaps) == {"huge.py"}
    assert "is too large for one prompt" in gaps["huge.py"]
    for lens in ("security", "types"):
        units = [unit for one in asking if one.lens == lens for unit in one.units]
        assert sorted(units) == sorted({file.unit for file in audited(seen)} - set(gaps))
    sizes = {file.unit: about_tokens(file) for file in seen.files}
    assert all(len(one.units) == 1 or sum(sizes[unit] for unit in one.units) <= room.shard for one in asking)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_file_that_is_added_changes_few_prompts(mixed: bool) -> None:
    names = {f"f{n:03}.py": 300 for n in range(200)}
    before = {one.units for one in divide(files(names), ("security",), Room(), mixed=mixed)}
    after = {one.units for one in divide(files(names | {"f100a.py": 300}), ("security",), Room(), mixed=mixed)}
    assert len(after - before) <= 3


def test_mixed_prompts_hold_other_company() -> None:
    seen = files({f"f{n:03}.py": 300 for n in range(200)})

    def company(*, mixed: bool) -> set[tuple[str, str]]:
        asking = divide(seen, ("security",), Room(), mixed=mixed)
        return {(one, other) for each in asking for one in each.units for other in each.units if one < other}

    beside, mixed = company(mixed=False), company(mixed=True)
    assert len(beside & mixed) < 0.2 * len(beside)


def test_empty_files_and_what_is_no_code_are_not_asked_about() -> None:
    seen = Survey(
        Path("/nowhere"),
        (
            File("a.py", 0, "python", "0" * 64),
            File("notes.txt", 10, "text", "0" * 64),
            File("b.bin", 10, "other"),
            File("c.rs", 10, "rust", "0" * 64),
        ),
    )
    assert [file.unit for file in audited(seen)] == ["c.rs"]


# --- refused or asked before anything begins --------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(40):
        (root / f"m{number:02}.ts").write_text(f"export const x{number} = {number};\n" * 60)
    return root


def bound(tree: Path, **asked: object) -> Projection:
    usual: dict[str, object] = {"models": ("test/m",), "prices": ("test/m=1/10",), "lenses": ("security",)}
    wanted = Asked(path=str(tree), **(usual | asked))  # type: ignore[arg-type]  # any of its fields, by name
    clients = {"test/": FunctionModel(lambda request: "")}
    return team(wanted, survey(tree), analysers=3, clients=clients).projection


def test_too_few_agents_for_one_sweep_are_refused_with_the_number(tree: Path) -> None:
    prompts = bound(tree).prompts
    with pytest.raises(UsageError, match=f"one sweep takes {prompts + 5}") as refused:
        bound(tree, max_agents=prompts + 4)
    assert "--max-agents" in str(refused.value.advice)
    assert bound(tree, max_agents=prompts + 5).prompts == prompts


def test_a_budget_in_usd_needs_a_price(tree: Path) -> None:
    with pytest.raises(UsageError, match="price of test/m is not known"):
        bound(tree, prices=(), budget="5usd")
    assert bound(tree, prices=(), budget="5model_calls").unpriced == ("test/m",)


def test_a_model_with_a_small_window_gets_small_prompts(tree: Path) -> None:
    many = bound(tree, models=("openai/m@http://127.0.0.1:1/v1#window=9000",), prices=())
    assert many.prompts > bound(tree).prompts


def test_a_role_that_nobody_answers_is_refused(tree: Path) -> None:
    with pytest.raises(UsageError, match="no model answers the role 'auditor'"):
        bound(tree, models=("verifier=test/m",))


def test_a_role_that_audits_do_not_have_is_refused(tree: Path) -> None:
    with pytest.raises(UsageError, match="no model in the role 'verifer'"):
        bound(tree, models=("test/m", "verifer=test/n"))


def test_without_a_terminal_it_refuses_with_the_command_to_type(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["audit", str(tree), "--runs-dir", str(tmp_path / "runs"), "--plain"]
    dear = ["--model", "openai/m@http://127.0.0.1:1/v1", "--price", "openai/m=1000/10000"]
    assert main([*asked, *dear]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "nobody is here to be asked" in said.err
    assert "--yes" in said.err
    assert all(f"{level:7}" in said.err for level in LEVELS)
    assert not list((tmp_path / "runs").glob("*")), "nothing was begun"


@pytest.mark.real_time
def test_on_a_terminal_somebody_is_asked_and_may_say_no(tree: Path, tmp_path: Path) -> None:
    master, slave = os.openpty()
    os.write(master, b"n\n")
    command = [sys.executable, "-m", "antiphon", "audit", str(tree), "--runs-dir", str(tmp_path / "runs")]
    dear = ["--model", "openai/m@http://127.0.0.1:1/v1", "--price", "openai/m=1000/10000"]
    ended = subprocess.run(
        [*command, *dear], stdin=slave, stderr=slave, stdout=subprocess.PIPE, timeout=60, check=False
    )
    os.close(slave)
    said = os.read(master, 100_000).decode()
    os.close(master)
    assert "Begin? [y/N]" in said
    assert "nothing was begun" in said
    assert ended.returncode == 2
    assert not list((tmp_path / "runs").glob("*"))


@pytest.mark.parametrize(
    "option", [["--budget", "5usd"], ["--max-agents", "3"], ["--deadline", "3m"], ["--sweeps", "2"]]
)
def test_limits_of_models_without_a_model_are_refused(
    option: list[str], tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(tree), *option]) == 2
    assert "add --model" in capsys.readouterr().err
