"""The table of analysers: what it says is one with the documentation, and each tool is read as it really writes.

`data/analysers/outputs.json` was written by the tools themselves, in the versions that it names, by the command lines
of the table, for the files of `tree.json`. So machines that lack a tool test how it is read; those that have it run it.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.errors import AgentFailure
from antiphon.subagents.process import Completed
from antiphon.subagents.records import AUTHOR, Coverage, Finding, Record, Verdict
from antiphon.subagents.sandbox import choose
from antiphon.subagents.testing import CollectingContext
from antiphon.workflows.audit import LENSES, TABLE, Analyser, Entry, Sources, analysers, plan, survey
from antiphon.workflows.audit.presence import DATA, RUNNERS, NotRun, Present, find, look_for
from antiphon.workflows.audit.table import Asks, entry_of, role_names
from antiphon.workflows.audit.tool import Tool

pytestmark = pytest.mark.real_time

SAMPLES = Path(__file__).parent / "data" / "analysers"
TREE: dict[str, str] = json.loads((SAMPLES / "tree.json").read_text())
OUTPUTS: dict[str, dict[str, Any]] = json.loads((SAMPLES / "outputs.json").read_text())
OPTIONAL = [entry for entry in TABLE if not entry.bundled]

Found = dict[str, list[tuple[str, int, int | None, str | None]]]

# By check and rule: file, line, column in characters, and the comment by which its author set it aside.
EXPECTED: dict[str, Found] = {
    "mypy/types": {
        "return-value": [("typed.py", 5, 12, None)],
        "arg-type": [("typed.py", 8, 3, None)],
    },
    "zizmor/security": {
        "zizmor/template-injection": [
            (".github/workflows/ci.yml", 7, 24, "zizmor: ignore"),
            (".github/workflows/ci.yml", 8, 24, None),
        ],
        "zizmor/dangerous-triggers": [(".github/workflows/ci.yml", 2, 1, None)],
    },
    "shellcheck/correctness": {
        "SC2115": [("run.sh", 3, 8, None)],
        "SC2164": [("run.sh", 4, 1, None)],
    },
    "eslint/security": {"no-eval": [("page.js", 2, 16, None), ("page.js", 4, 1, "eslint-disable")]},
    "eslint/correctness": {
        "no-const-assign": [("page.js", 5, 5, None)],
        "no-cond-assign": [("page.js", 5, 5, None)],
    },
    "eslint/complexity": {"max-params": [("page.js", 6, 1, None)]},
    "semgrep/security": {
        "eval-of-an-expression": [("page.js", 2, 16, None)],  # of the other it knows the value
        "html-from-an-expression": [("page.js", 7, 1, "nosemgrep"), ("page.ts", 1, 11, None)],
        "function-from-text": [("page.ts", 2, 1, None)],
    },
    "clippy/correctness": {"eq_op": [("src/main.rs", 2, 31, "allow"), ("src/main.rs", 5, 8, None)]},
}
UNPARSED = {"shellcheck/correctness": "broken.sh", "eslint/security": "broken.js", "eslint/correctness": "broken.js"}


@pytest.fixture
def anyio_backend() -> str:
    """One backend: what differs between them, running a program, has its own tests on both."""
    return "asyncio"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def found_in(records: list[Record]) -> Found:
    aside = {record.of: record.method for record in records if isinstance(record, Verdict) and record.actor == AUTHOR}
    found: Found = {}
    for record in records:
        if isinstance(record, Finding):
            place = (record.key.path, record.line or 0, record.column, aside.get(record.id))
            found.setdefault(record.rule, []).append(place)
    return {rule: sorted(places) for rule, places in found.items()}


def states(records: list[Record]) -> dict[str, tuple[str, str]]:
    return {record.unit: (record.state, record.reason) for record in records if isinstance(record, Coverage)}


@pytest.mark.parametrize("check", EXPECTED)
def test_what_a_tool_wrote_is_read(tree: Path, check: str) -> None:
    tool, _, lens = check.partition("/")
    entry = entry_of(tool)
    assert entry is not None
    said = OUTPUTS[check]
    outputs = [
        Completed(one["exit"], one["stdout"].replace("{root}", str(tree)).encode(), b"") for one in said["outputs"]
    ]
    found = survey(tree)
    units = [file.unit for file in found.files if file.language in entry.languages]
    records = list(Tool(entry, lens, Sources.of(found), ("x",), said["version"]).read(units, outputs))
    assert EXPECTED[check].items() <= found_in(records).items()
    covered = states(records)
    assert set(covered) == set(units)
    if check in UNPARSED:
        assert covered[UNPARSED[check]][0] == "failed"
        assert "does not parse" in covered[UNPARSED[check]][1]


def test_every_tool_that_does_not_come_with_antiphon_has_a_sample() -> None:
    """All but gitleaks, which could not be had where the samples were made; its SARIF is read elsewhere."""
    wanted = {f"{entry.tool}/{lens}" for entry in OPTIONAL for lens in entry.lenses if entry.tool != "gitleaks"}
    assert set(OUTPUTS) == set(EXPECTED) == wanted


@pytest.mark.long
@pytest.mark.anyio
@pytest.mark.parametrize("entry", OPTIONAL, ids=lambda entry: entry.tool)
async def test_a_tool_that_is_here_does_what_the_sample_says(tree: Path, entry: Entry) -> None:
    others = [other.tool for other in TABLE if other.tool != entry.tool]
    box = choose()
    if entry.executes and not box.confines:
        pytest.skip("there is no sandbox here to execute it in")
    chosen = await analysers(Sources.of(survey(tree)), exclude=others, executing=True, sandbox=box)
    if not chosen.analysers:
        pytest.skip(next(one.reason for one in chosen.not_run if one.tool == entry.tool))
    for analyser in chosen.analysers:
        records = await _run(analyser, tree)
        assert EXPECTED.get(analyser.check.name, {}).items() <= found_in(records).items()
        assert {name: (tree / name).read_text(encoding="utf-8") for name in TREE} == TREE, "the tree is as it was"


async def _run(analyser: Analyser, tree: Path) -> list[Record]:
    context = CollectingContext()
    for shard in plan(survey(tree), [analyser.check]).shards:
        context.covers = shard.units
        await analyser.agent("look", context)
    return list(context.records)


# What would silence each tool, or make it execute something, if it read the configuration of what it looks at.
EVIL = "require('fs').writeFileSync(__dirname + '/executed', ''); module.exports = [];\n"
CONFIGURATIONS: dict[str, dict[str, str]] = {
    "mypy": {
        "mypy.ini": "[mypy]\nplugins = evil.py\nignore_errors = True\n",
        "pyproject.toml": "[tool.mypy]\nignore_errors = true\n",
        "evil.py": "open(__file__ + '.executed', 'w')\n",
    },
    "zizmor": {
        "zizmor.yml": "rules:\n  template-injection:\n    disable: true\n",
        ".github/zizmor.yml": "rules:\n  template-injection:\n    ignore: [ci.yml]\n",
    },
    "shellcheck": {".shellcheckrc": "disable=all\n", "shellcheckrc": "disable=all\n"},
    "eslint": {
        "eslint.config.js": EVIL,
        "eslint.config.cjs": EVIL,
        ".eslintrc.js": EVIL,
        ".eslintignore": "*\n",
        "package.json": '{"eslintConfig": {"rules": {"no-eval": 0}}, "eslintIgnore": ["*"], "type": "commonjs"}\n',
    },
    "semgrep": {
        ".semgrepignore": "*\n",
        ".semgrep.yml": "rules: []\n",
        ".semgrep/settings.yml": "disabled: true\n",
    },
    "gitleaks": {".gitleaks.toml": "[allowlist]\npaths = ['.*']\n", ".gitleaksignore": "*\n"},
    "clippy": {
        "clippy.toml": "avoid-breaking-exported-api = nonsense\n",
        ".cargo/config.toml": "[build]\nrustc-wrapper = 'evil'\n",
        "rust-toolchain.toml": "[toolchain]\nchannel = 'none-such'\n",
    },
}


@pytest.mark.long
@pytest.mark.anyio
@pytest.mark.parametrize("entry", OPTIONAL, ids=lambda entry: entry.tool)
async def test_the_configuration_of_what_is_looked_at_changes_nothing(tree: Path, entry: Entry) -> None:
    if entry.executes and not choose().confines:
        pytest.skip("there is no sandbox here to execute it in")
    before = [found_in(await _run(analyser, tree)) for analyser in await _of(entry, tree)]
    if not before:
        pytest.skip("it is not on this machine")
    for name, text in CONFIGURATIONS[entry.tool].items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    for earlier, analyser in zip(before, await _of(entry, tree), strict=True):
        after = found_in(await _run(analyser, tree))
        places = {(rule, place) for rule, places in after.items() for place in places}
        own = set(CONFIGURATIONS[entry.tool])
        assert {(rule, place) for rule, place in places if place[0] not in own} == {
            (rule, place) for rule, places in earlier.items() for place in places
        }
    assert not [name for _, _, names in os.walk(tree) for name in names if "executed" in name]


async def _of(entry: Entry, tree: Path) -> tuple[Analyser, ...]:
    others = [other.tool for other in TABLE if other.tool != entry.tool]
    # In no sandbox where that may be: isolation from the project's configuration must not depend on there being one.
    box = choose() if entry.executes else None
    chosen = await analysers(Sources.of(survey(tree)), exclude=others, executing=True, sandbox=box)
    return chosen.analysers


def test_configurations_are_tried_for_every_tool() -> None:
    """Those that come with antiphon have theirs in tests/hostile/test_hostile_tree.py."""
    assert set(CONFIGURATIONS) == {entry.tool for entry in OPTIONAL}


def program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "shellcheck"
    file.write_text(f"#!{sys.executable}\n{text}")
    file.chmod(0o755)
    return file


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def named(tool: str) -> Entry:
    entry = entry_of(tool)
    assert entry is not None
    return entry


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "it was not found on this machine"),
        ("print('version: 0.7.2')", "it is there in version 0.7.2, and 0.8 is the oldest that is understood"),
        ("print('version: new')", "it is there, but does not say its version: version: new"),
        ("raise SystemExit('broken library')", "it is there, but does not say its version: broken library"),
    ],
)
async def test_a_tool_that_cannot_be_used_is_named_with_a_reason(
    path: Path, tmp_path: Path, text: str | None, reason: str
) -> None:
    if text is not None:
        program(path, text)
    if shutil.which("shellcheck", path=os.path.dirname(sys.executable)):
        pytest.skip("there is one beside this Python")
    (one,) = await look_for([named("shellcheck")], tmp_path / "tree")
    assert one == NotRun("shellcheck", ("correctness",), reason, named("shellcheck").advice)


@pytest.mark.anyio
async def test_a_tool_that_is_there_is_found_with_its_version(path: Path, tmp_path: Path) -> None:
    file = program(path, "print('ShellCheck\\nversion: 0.11.0')")
    if shutil.which("shellcheck", path=os.path.dirname(sys.executable)):
        pytest.skip("there is one beside this Python")
    (one,) = await look_for([named("shellcheck")], tmp_path / "tree")
    assert one == Present(named("shellcheck"), (str(file),), "0.11.0")


@pytest.mark.parametrize("where", ["tree/bin", "tree", "link"])
def test_a_program_inside_the_audited_tree_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    root = tmp_path / "tree"
    file = program(root / "bin", "")
    shutil.copy(file, root)
    (tmp_path / "link").symlink_to(root / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / where}:.:bin:")
    monkeypatch.chdir(root)
    assert find("shellcheck", root) is None
    assert find("shellcheck", tmp_path / "elsewhere") is not None


def test_a_link_into_the_audited_tree_is_no_program(path: Path, tmp_path: Path) -> None:
    (path / "shellcheck").symlink_to(program(tmp_path / "tree", ""))
    assert find("shellcheck", tmp_path / "tree") is None


@pytest.mark.anyio
async def test_what_executes_code_of_the_tree_runs_only_where_that_was_asked_for(tree: Path) -> None:
    chosen = await analysers(Sources.of(survey(tree)), exclude=[entry.tool for entry in TABLE if not entry.executes])
    reasons = {one.tool: one.reason for one in chosen.not_run}
    assert not chosen.analysers
    assert reasons["clippy"] == "it executes code of the tree, and that was not asked for"


@pytest.mark.anyio
async def test_a_tool_that_fails_on_the_whole_is_asked_once(tmp_path: Path) -> None:
    """It would fail on each half too; and every file it was to look at is named."""
    entry = named("clippy")
    (tmp_path / "src").mkdir()
    for name in ("a.rs", "b.rs", "c.rs"):
        (tmp_path / "src" / name).write_text("")
    sources = Sources.of(survey(tmp_path))
    tool = Tool(entry, "correctness", sources, ("cargo",), "1")
    records = list(tool.read(sorted(sources.hashes), [Completed(101, b"", b"error: no Cargo.toml\n")]))
    assert {state for state, _ in states(records).values()} == {"failed"}
    assert len(states(records)) == 3
    assert "no Cargo.toml" in states(records)["src/a.rs"][1]


def test_commands_may_read_what_they_look_at_and_nothing_else_of_the_users(tree: Path) -> None:
    sources = Sources.of(survey(tree))
    for entry in TABLE:
        for lens in entry.lenses:
            tool = Tool(entry, lens, sources, ("x",), "1", ("/needed",))
            for invocation in tool.invocations(["run.sh", "page.js"]):
                assert invocation.executes == entry.executes
                assert invocation.network is False
                assert invocation.writes == ()
                files = {str(tree)} if entry.whole else {str(tree / "run.sh"), str(tree / "page.js")}
                assert set(invocation.reads) - {str(DATA), str(RUNNERS), "/needed"} <= files
                assert not [word for word in invocation.argv if "{" in word]


def test_entries_are_complete() -> None:
    assert len({entry.tool for entry in TABLE}) == len(TABLE)
    for entry in TABLE:
        assert set(entry.lenses) <= set(LENSES)
        assert entry.isolation
        assert entry.home.startswith("https://")
        assert entry.asks.program or (entry.asks.module and entry.asks.distribution)
        assert entry.shard > 0
    assert {lens for entry in TABLE for lens in entry.lenses} == set(LENSES)
    assert Asks() == Asks(version=("--version",))


def test_the_workflow_declares_every_role() -> None:
    from antiphon.workflows.audit import workflow

    declared = workflow.manifest["roles"]
    assert set(role_names()) <= set(declared)


@pytest.mark.checkout
def test_the_documentation_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "analysers.md").read_text()
    for entry in TABLE:
        assert described(entry) in page, f"docs/analysers.md lacks:\n{described(entry)}"
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert len(rows) == len(TABLE)


def described(entry: Entry) -> str:
    """A row of the documentation's table."""
    comes = "yes" if entry.bundled else f"no: {entry.advice}"
    silenced = "none" if entry.honouring is None else f"`{entry.honouring.method}`"
    if entry.honouring is not None and entry.honouring.ignoring is None:
        silenced += " (not known)"
    cells = [
        f"[{entry.tool}]({entry.home})",
        entry.licence,
        ", ".join(sorted(entry.languages)) if len(entry.languages) < 8 else "any text",
        ", ".join(entry.lenses),
        comes,
        silenced,
        "yes" if entry.executes else "no",
        entry.isolation,
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.anyio
async def test_a_tool_that_breaks_down_is_a_failed_call_and_names_its_files(path: Path, tmp_path: Path) -> None:
    if shutil.which("shellcheck", path=os.path.dirname(sys.executable)):
        pytest.skip("there is one beside this Python")
    program(path, "import sys\nif '--version' in sys.argv: print('0.11.0')\nelse: sys.exit('no')\n")
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.sh").write_text("x\n")
    (analyser,) = await _of(named("shellcheck"), root)
    context = CollectingContext(("a.sh",))
    with pytest.raises(AgentFailure):
        await analyser.agent("look", context)
    assert states(list(context.records))["a.sh"][0] == "failed"


def test_what_gitleaks_writes_is_read_and_what_was_left_out_stays_out(tmp_path: Path) -> None:
    """In the form that its SARIF has had since version 8; the command itself was not run here."""
    entry = named("gitleaks")
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    results = [
        {
            "ruleId": "aws-access-token",
            "message": {"text": f"aws-access-token has detected secret for file {path}."},
            "locations": [
                {"physicalLocation": {"artifactLocation": {"uri": str(path)}, "region": {"startLine": 2}}},
            ],
            "partialFingerprints": {"commitSha": ""},
        }
        for path in (tmp_path / "a.txt", tmp_path / "ignored" / "b.txt")
    ]
    run = {"tool": {"driver": {"name": "gitleaks"}}, "results": results}
    output = Completed(0, json.dumps({"version": "2.1.0", "runs": [run]}).encode(), b"")
    tool = Tool(entry, "secrets", Sources.of(survey(tmp_path)), ("gitleaks",), "8.30.0")
    (found, covered) = tool.read(["a.txt"], [output])
    assert isinstance(found, Finding)
    assert (found.key.path, found.key.rule, found.line) == ("a.txt", "detect-secrets:AWS Access Key", 2)
    assert (found.actor.lineage, found.cwe) == ("gitleaks", 798)
    assert isinstance(covered, Coverage)
    assert covered.state == "done"
