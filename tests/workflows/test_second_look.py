"""The second look as a pure function: what confirms, what refutes, what is left alone, and that order means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.subagents.records import Actor, Coverage, Finding, FindingKey, Resolution, Verdict
from antiphon.workflows.audit import Sources
from antiphon.workflows.audit.second_look import BUILDERS, CHECKS, Words, agreements, look, rounds
from antiphon.workflows.audit.second_look.actors import PRECONDITION, version
from antiphon.workflows.audit.sources import Source
from antiphon.workflows.synthesis import synthesize

RUFF = Actor(tool="ruff", version="1", lineage="bandit")
OTHER = Actor(tool="semgrep", version="1", lineage="semgrep")

SHELL = """\
import subprocess

TABLES = ("a", "b")


def fixed():
    subprocess.run("df -h", shell=True)


def given(folder):
    subprocess.run("ls " + folder, shell=True)


def loop(cursor):
    for table in TABLES:
        cursor.execute("DELETE FROM " + table)
"""


def found(source: Source, rule: str, at: str, *, actor: Actor = RUFF, **more: object) -> Finding:
    """A finding of a rule on the one line with some text, about that whole line."""
    (line,) = [number for number, text in enumerate(source.lines, 1) if at.encode() in text]
    evidence = source.evidence(line, line)
    assert evidence is not None
    fields: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=source.unit, rule=rule),
        "rule": rule.partition(":")[2],
        "title": rule,
        "text": "said",
        "severity": "high",
        "severity_by": "antiphon",
        "actor": actor,
        "evidence": (evidence,),
        "line": line,
        "end_line": line,
        "branch": "main/1/0",
    }
    return Finding.model_validate({**fields, **more})


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A file with commands of both sorts."""
    return written(tmp_path_factory.mktemp("tree"), SHELL)


def written(root: Path, text: str, name: str = "ops.py") -> Source:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    source = Sources(root.resolve()).source(name)
    assert source is not None
    return source


def verdicts(said: Sequence[Verdict | Resolution]) -> list[Verdict]:
    return [record for record in said if isinstance(record, Verdict)]


def stance(root: Path, text: str, rule: str, at: str, *, name: str = "ops.py", **more: int) -> str:
    source = written(root, text, name)
    words = Words.in_texts([(name, source.data)])
    finding = found(source, rule, at).model_copy(update=more)
    (verdict,) = verdicts(look([finding], source, words))
    return verdict.stance


# --- what is said ---


def test_a_verdict_says_by_whom_by_what_and_on_what(shell: Source) -> None:
    finding = found(shell, "bandit:B602", "df -h")
    (resolution, verdict) = look([finding], shell)
    assert isinstance(resolution, Resolution)
    assert isinstance(verdict, Verdict)
    assert (resolution.of, resolution.index, resolution.state, resolution.reason) == (finding.id, 0, "true", "")
    assert (verdict.of, verdict.stance, verdict.method) == (finding.id, "refute", "precondition")
    assert verdict.actor == Actor(tool="antiphon", version=version(), lens="second-look", lineage=PRECONDITION)
    assert "no input" in verdict.reason
    assert verdict.evidence == (shell.evidence(7, 7),)


def test_a_rule_without_a_check_gets_no_verdict(shell: Source) -> None:
    assert verdicts(look([found(shell, "mccabe:C901", "def fixed")], shell)) == []


def test_what_changed_since_is_said_and_not_judged(shell: Source) -> None:
    finding = found(shell, "bandit:B602", "df -h")
    moved = finding.model_copy(update={"evidence": (shell.evidence(8, 8),), "line": 7})
    other = finding.evidence[0].model_copy(update={"sha256": "0" * 64})
    beyond = finding.evidence[0].model_copy(update={"start_line": 7, "end_line": 999})
    assert [record.state for record in look([moved], shell) if isinstance(record, Resolution)] == ["true"]
    for evidence, reason in [(other, "the lines are not as they were"), (beyond, "no such lines")]:
        (resolution,) = look([finding.model_copy(update={"evidence": (evidence,)})], shell)
        assert isinstance(resolution, Resolution)
        assert resolution.state == "false"
        assert reason in resolution.reason


def test_what_cannot_be_looked_up_is_unchecked(shell: Source) -> None:
    finding = found(shell, "bandit:B602", "df -h")
    elsewhere = finding.evidence[0].model_copy(update={"path": "other.py"})
    records = [
        *look([finding], None),
        *look([finding.model_copy(update={"evidence": (elsewhere,)})], shell)[:1],
    ]
    assert [record.state for record in records if isinstance(record, Resolution)] == ["unchecked", "unchecked"]


# --- agreement ---


def test_another_lineage_at_the_same_place_confirms_both(shell: Source) -> None:
    ours = found(shell, "bandit:B602", "df -h", cwe=78)
    theirs = found(shell, "semgrep:shell", "df -h", cwe=78, actor=OTHER)
    said = agreements([ours, theirs])
    assert {(v.of, v.actor.lineage, v.stance) for v in said} == {
        (ours.id, "semgrep", "confirm"),
        (theirs.id, "bandit", "confirm"),
    }
    assert {v.evidence for v in said} == {ours.evidence}


@pytest.mark.parametrize(
    "change",
    [
        {"actor": RUFF.model_copy(update={"tool": "bandit"})},
        {"actor": Actor(tool="unknown")},
        {"cwe": 89},
        {"cwe": 20},
        {"line": 12, "end_line": 12},
        {"key": FindingKey(path="other.py", rule="semgrep:shell")},
    ],
    ids=["one lineage", "no lineage", "another weakness", "a wide weakness", "another line", "another file"],
)
def test_what_is_no_agreement(shell: Source, change: dict[str, object]) -> None:
    cwe = 20 if change.get("cwe") == 20 else 78
    ours = found(shell, "bandit:B602", "df -h", cwe=cwe)
    theirs = found(shell, "semgrep:shell", "df -h", cwe=78, actor=OTHER).model_copy(update=change)
    assert agreements([ours, theirs]) == []


def test_two_that_judge_by_the_name_alone_do_not_confirm_each_other(tmp_path: Path) -> None:
    source = written(tmp_path, 'PASSWORD = "<here>"\n')
    keyword = Actor(tool="detect-secrets", lineage="detect-secrets")
    ours = found(source, "bandit:B105", "PASSWORD", cwe=259)
    assert agreements([ours, found(source, "bandit:B105", "PASSWORD", cwe=259, actor=keyword)]) == []
    entropy = found(source, "detect-secrets:Base64 High Entropy String", "PASSWORD", cwe=798, actor=keyword)
    assert {verdict.of for verdict in agreements([ours, entropy])} == {ours.id, entropy.id}


def test_silence_refutes_nothing(shell: Source) -> None:
    lonely = found(shell, "semgrep:shell", "df -h", cwe=78, actor=OTHER)
    assert verdicts(look([lonely], shell)) == []


# --- order, repetition, removal ---


def everything(source: Source) -> list[Finding]:
    return [
        found(source, "bandit:B602", "df -h", cwe=78),
        found(source, "bandit:B602", '"ls "', cwe=78),
        found(source, "bandit:B608", "DELETE"),
        found(source, "semgrep:shell", "df -h", cwe=78, actor=OTHER),
        found(source, "semgrep:shell", "df -h", cwe=78, actor=OTHER, ordinal=1),
        found(source, "other:shell", '"ls "', cwe=78, actor=Actor(tool="other", lineage="other")),
        found(source, "mccabe:C901", "def loop"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_and_repetition_change_nothing(shell: Source, data: st.DataObject) -> None:
    findings = everything(shell)
    shuffled = data.draw(st.permutations(findings))
    again = data.draw(st.lists(st.sampled_from(findings)))
    assert look([*shuffled, *again], shell) == look(findings, shell)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_said_of_one_depends_on_no_other_but_by_agreement(shell: Source, data: st.DataObject) -> None:
    findings = everything(shell)
    some = data.draw(st.lists(st.sampled_from(findings), unique_by=lambda finding: finding.id))
    alone = [record for finding in some for record in look([finding], shell)]
    together = [record for record in look(some, shell) if getattr(record, "method", "") != "agreement"]
    assert {record.id for record in together} == {record.id for record in alone}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_verdict_removes_a_finding(shell: Source, data: st.DataObject) -> None:
    findings = everything(shell)
    said = look(findings, shell)
    some = data.draw(st.lists(st.sampled_from(said)))
    covered = Coverage(record="coverage", unit=shell.unit, check="ruff/security", state="done")
    planned = {shell.unit: ("ruff/security",)}
    merged = synthesize([*findings, covered, *some], planned=planned)
    kept = {id for cluster in merged.clusters for id in cluster.claims}
    assert kept == {finding.id for finding in findings}
    assert not merged.ledger.failed


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=60), st.integers(1, 4), st.integers(1, 12))
def test_rounds_hold_every_finding_once_and_never_divide_a_file(
    places: list[tuple[int, int]], files: int, findings: int
) -> None:
    made = [bare(f"f{unit}.py", line) for unit, line in places]
    cut = rounds(made, most_files=files, most_findings=findings)
    held = [finding.id for part in cut for finding in part.findings]
    assert sorted(held) == sorted({finding.id for finding in made})
    assert [unit for part in cut for unit in part.units] == sorted({finding.key.path for finding in made})
    assert cut == rounds(reversed(made), most_files=files, most_findings=findings)
    for part in cut:
        assert {finding.key.path for finding in part.findings} == set(part.units)
        assert len(part.units) <= files
        assert len(part.findings) <= findings or len(part.units) == 1


def bare(path: str, line: int) -> Finding:
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path=path, rule="bandit:B101"),
        rule="S101",
        title="assert",
        text=f"line {line}",
        severity="low",
        severity_by="antiphon",
        actor=RUFF,
        line=line + 1,
        branch="main/1/0",
    )


def test_every_check_says_what_it_is_for() -> None:
    assert all(check.__doc__ for check in CHECKS.values())
    assert all(":" in rule for rule in [*CHECKS, *BUILDERS])


# --- where a value comes from: what must not be taken for a literal ---

COMMAND = "import os\n\nFIXED = 'ls'\nLISTED = ['ls']\n\n\n{}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def f():\n    os.system(FIXED)  # here", "refute"),
        ("def f():\n    command = 'ls'\n    command += ' -l'\n    os.system(command)  # here", "refute"),
        ("def f(n: int):\n    os.system(f'head -n {n}')  # here", "refute"),
        ("def f(path):\n    os.system('ls ' + path)  # here", "confirm"),
        ("def f(path):\n    command = 'ls'\n    command += path\n    os.system(command)  # here", "confirm"),
        ("def f(path):\n    for part in path:\n        os.system(part)  # here", "confirm"),
        ("def f(path):\n    if path not in ALLOWED:\n        return\n    os.system(path)  # here", "cannot_tell"),
        ("def f(path):\n    validate(path)\n    os.system(path)  # here", "cannot_tell"),
        ("def f(path):\n    path = clean(path)\n    os.system(path)  # here", "cannot_tell"),
        ("def f():\n    a = b\n    b = a + other\n    os.system(b)  # here", "cannot_tell"),
        ("def f():\n    x = 'ls'\n    y = x\n    x = y + os.getcwd()\n    os.system(y)  # here", "cannot_tell"),
        ("def f():\n    global FIXED\n    FIXED = input()\n\n\ndef g():\n    os.system(FIXED)  # here", "cannot_tell"),
        ("def f(FIXED):\n    def g():\n        os.system(FIXED)  # here\n    return g", "cannot_tell"),
        ("def f():\n    return lambda FIXED: os.system(FIXED)  # here", "cannot_tell"),
        ("class C:\n    FIXED = make()\n    os.system(FIXED)  # here", "cannot_tell"),
        ("def f(x):\n    LISTED.append(x)\n\n\ndef g():\n    os.system(LISTED[0])  # here", "cannot_tell"),
        ("def f(x):\n    made = ['ls']\n    fill(made, x)\n    os.system(str(made), made)  # here", "cannot_tell"),
        ("def f():\n    with open('x') as FIXED:\n        os.system(FIXED)  # here", "cannot_tell"),
        ("def f():\n    os.system(*FIXED)  # here", "cannot_tell"),
        ("def f():\n    command = input('? ')\n    os.system(command)  # here", "confirm"),
    ],
)
def test_only_what_is_surely_made_of_literals_is_refuted(tmp_path: Path, body: str, expected: str) -> None:
    assert stance(tmp_path, COMMAND.format(body), "bandit:B605", "# here") == expected


# --- what must not be refuted, though it looks like what is ---


@pytest.mark.parametrize(
    ("rule", "text", "name"),
    [
        ("bandit:B105", 'PASSWORD = "$ecret123"  # here\n', "app.py"),
        ("bandit:B105", 'DB_PASSWORD = "correct horse battery"  # here\n', "app.py"),
        ("bandit:B105", 'PASSWORD = "password"  # here\n', "app.py"),
        ("bandit:B105", 'TOKEN_URL = "https://user:hunter2@example.org/"  # here\n', "app.py"),
        ("bandit:B101", "def f(self, x):\n    assert self.lock.acquire()  # here\n", "app.py"),
        (
            "bandit:B110",
            "def f(x):\n    try:\n        x.pay()\n    except Exception:  # here\n        pass\n",
            "app.py",
        ),
        (
            "bandit:B110",
            "def f(x):\n    try:\n        x.flush()\n    except Exception:  # here\n        pass\n",
            "app.py",
        ),
        ("flake8-bugbear:B018", "def f():\n    1 / 0  # here\n", "app.py"),
        (
            "flake8-bugbear:B007",
            "def f(x):\n    for i in x:  # here\n        g()\n    for i in x:\n        g(i)\n",
            "app.py",
        ),
        ("bandit:B603", "import sys\nimport subprocess\nc = ['ls', *sys.argv]\nsubprocess.run(c)  # here\n", "app.py"),
        ("bandit:B310", "from urllib.request import urlopen\n\ndef f(u):\n    urlopen('http' + u)  # here\n", "app.py"),
        ("bandit:B506", "import yaml\n\ndef f(s, L):\n    yaml.load(s, Loader=L)  # here\n", "app.py"),
        ("flake8-bugbear:B006", "def f(x=[]):  # here\n    return x\n", "app.py"),
        ("flake8-bugbear:B006", "def f(x={}):  # here\n    x['a'].append(1)\n", "app.py"),
        ("flake8-bugbear:B006", "def f(x=[]):  # here\n    y = x or [1]\n    y.append(2)\n", "app.py"),
        ("pyflakes:F841", "def f():\n    x = 1  # here\n    return lambda: 2\n", "app.py"),
        ("pyflakes:F401", "import os  # here\n", "app/__init__.py"),
        ("flake8-async:ASYNC251", "import time\n\ndef g():\n    time.sleep(1)  # here\n\ng()\n", "app.py"),
    ],
)
def test_what_looks_harmless_and_may_not_be_is_not_refuted(tmp_path: Path, rule: str, text: str, name: str) -> None:
    assert stance(tmp_path, text, rule, "# here", name=name) in ("confirm", "cannot_tell")


def test_a_blocking_call_in_a_worker_thread_is_refuted(tmp_path: Path) -> None:
    call = "    await anyio.to_thread.run_sync(lambda: time.sleep(1))\n"
    text = f"import time\nimport anyio.to_thread\n\nasync def f():\n{call}"
    column = call.index("time.sleep") + 1
    assert stance(tmp_path, text, "flake8-async:ASYNC251", "lambda", column=column) == "refute"


def test_two_on_a_line_that_differ_are_not_told_apart(tmp_path: Path) -> None:
    text = "import os\n\ndef f(x):\n    os.system('ls'), os.system(x)\n"
    assert stance(tmp_path, text, "bandit:B605", "'ls'") == "cannot_tell"
    assert stance(tmp_path, text, "bandit:B605", "'ls'", column=22, end_column=34) == "confirm"
    assert stance(tmp_path, text, "bandit:B605", "'ls'", column=5, end_column=20) == "refute"


# --- what a reader took for harmless by its looks, and is not ---

RUN = "import subprocess\n\n\n{}"
LENT = [
    "def f(user):\n    cmd = ['ls']\n    add = cmd.append\n    add(user)\n",
    "def f(user):\n    cmd = ['ls']\n    add_options(cmd, user)\n",
    "def f(user):\n    cmd = ['ls']\n    add_options(options=cmd, user=user)\n",
    "def f(user):\n    cmd = [['ls']]\n    cmd[0].append(user)\n    cmd = cmd[0]\n",
    "def f(user):\n    cmd = ['ls']\n    other = cmd\n    other.append(user)\n",
    "def f(user):\n    cmd = other = ['ls']\n    other.append(user)\n",
    "def f(user):\n    fill(cmd := ['ls'], user)\n",
    "def f(user):\n    cmd = ['ls'] + ['-l']\n    fill(cmd, user)\n",
    "def f(user):\n    cmd = ['ls']\n    def more(x):\n        cmd.append(x)\n    more(user)\n",
    "def f(user):\n    cmd = ['ls']\n    rows = [cmd]\n    rows[0].append(user)\n",
    "def f(self, user):\n    cmd = ['ls']\n    self.cmd = cmd\n    self.fill(user)\n",
    "cmd = ['ls']\nconfigure(cmd)\n\n\ndef f():\n",
]


@pytest.mark.parametrize("rule", ["bandit:B602", "bandit:B603"])
@pytest.mark.parametrize("body", LENT)
def test_a_list_that_is_more_than_read_is_not_made_of_literals(tmp_path: Path, rule: str, body: str) -> None:
    sink = "' '.join(cmd), shell=True" if rule == "bandit:B602" else "[*cmd, '-l']"
    text = RUN.format(f"{body}    subprocess.run({sink})  # here\n")
    assert stance(tmp_path, text, rule, "# here") == "cannot_tell"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            "bandit:B602",
            "import subprocess\n\ndef f(user):\n    o = {'args': ['ls']}\n    o['args'].append(user)\n"
            "    subprocess.run(' '.join(o['args']), shell=True)  # here\n",
        ),
        ("bandit:B307", "def f(user):\n    x = ['1']\n    fill(x, user)\n    eval(x[0])  # here\n"),
        ("bandit:B608", "def f(cur, n: int):\n    cur.execute(f'SELECT * FROM t WHERE id={n}')  # here\n"),
        (
            "bandit:B608",
            "COLS = ['a']\nfill(COLS)\n\ndef f(cur):\n    cur.execute(f'SELECT {COLS[0]} FROM t')  # here\n",
        ),
        ("pyflakes:F821", "def f(args):\n    if args.version:\n        print(said)  # here\n"),
        ("pyflakes:F821", "def f(kind):\n    if kind == 'said':\n        return said  # here\n"),
        (
            "pyflakes:F821",
            "def f():\n    if 'said' in globals():\n        return 1\n    else:\n        return said  # here\n",
        ),
        ("pyflakes:F821", "def f(self):\n    setattr(self, 'said', 1)\n    return said  # here\n"),
        ("pyflakes:F821", "def f():\n    x = globals()['said']\n    return said, x  # here\n"),
        (
            "bandit:B113",
            "import asyncio\nimport requests\n\nasync def f(u):\n    async with asyncio.timeout(5):\n"
            "        return requests.get(u)  # here\n",
        ),
        ("flake8-bugbear:B023", "def f(h):\n    for said in h:\n        h.append(dict(cb=lambda: said))  # here\n"),
        (
            "flake8-bugbear:B023",
            "def f(h):\n    for said in h:\n        h.keep(list((lambda: said) for _ in h))  # here\n",
        ),
        ("flake8-bugbear:B006", "class A:\n    def f(self, tags=[]):  # here\n        self.cache.set('tags', tags)\n"),
        ("flake8-bugbear:B006", "def f(bus, tags=[]):  # here\n    bus.print(tags)\n"),
        ("flake8-bugbear:B905", "def f(x):\n    it = iter(x)\n    return list(zip(it, it))  # here\n"),
        ("flake8-bugbear:B905", "def f(x):\n    return list(zip(x, x))  # here\n"),
        ("bandit:B105", "db_password = 'password'  # here\n"),
        ("bandit:B105", "db_password = 'secret'  # here\n"),
        ("bandit:B101", "def f(r):\n    user = find(r)\n    assert isinstance(user, Admin)  # here\n    purge()\n"),
        ("bandit:B101", "def f(r):\n    user = find(r)\n    assert user is not None  # here\n    purge()\n"),
        ("bandit:B101", "def f(r):\n    user = find(r)\n    assert user is not None  # here\n    purge(user)\n"),
        ("bandit:B101", "def f(r):\n    u = find(r)\n    assert u is not None  # here\n    return r and u.name\n"),
        (
            "flake8-bugbear:B008",
            "from dataclasses import dataclass, field\n\n@dataclass(frozen=True)\nclass C:\n"
            "    items: list = field(default_factory=list)\n\ndef f(c=C()):  # here\n    return c\n",
        ),
        (
            "flake8-bugbear:B008",
            "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass C:\n"
            "    items = []\n\ndef f(c=C()):  # here\n    return c\n",
        ),
        (
            "bandit:B110",
            "class A:\n    def close(self):\n        try:\n            self.out.write(self.buffer)\n"
            "        except Exception:  # here\n            pass\n",
        ),
    ],
)
def test_what_a_name_or_a_word_suggests_refutes_nothing(tmp_path: Path, rule: str, text: str) -> None:
    assert stance(tmp_path, text, rule, "# here") in ("confirm", "cannot_tell")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            "bandit:B603",
            RUN.format("def f():\n    cmd = ['ls']\n    cmd.append('-l')\n    subprocess.run(cmd)  # here\n"),
        ),
        ("bandit:B602", RUN.format("D = {'a': 'ls'}\n\ndef f(k):\n    subprocess.run(D[k], shell=True)  # here\n")),
        ("pyflakes:F821", "import sys\n\nif sys.version_info < (3,):\n    x = said  # here\n"),
        ("pyflakes:F821", "if 'said' in globals():\n    x = said  # here\n"),
        ("pyflakes:F821", "import sys\n\nsetattr(sys.modules[__name__], 'said', 1)\nx = said  # here\n"),
        ("flake8-bugbear:B023", "def f(h):\n    for said in h:\n        g(list(map(lambda x: x + said, h)))  # here\n"),
        ("flake8-bugbear:B006", "def f(tags=[]):  # here\n    return list(tags)\n"),
        ("flake8-bugbear:B905", "def f():\n    x = [1, 2]\n    return list(zip(x, range(len(x))))  # here\n"),
        ("bandit:B101", "def f(r):\n    user = find(r)\n    assert user is not None  # here\n    return user.name\n"),
        (
            "flake8-bugbear:B008",
            "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass C:\n"
            "    x: int = 1\n\ndef f(c=C()):  # here\n    return c\n",
        ),
        ("bandit:B110", "def f(x):\n    try:\n        x.close()\n    except Exception:  # here\n        pass\n"),
    ],
)
def test_what_is_plainly_harmless_is_still_refuted(tmp_path: Path, rule: str, text: str) -> None:
    assert stance(tmp_path, text, rule, "# here") == "refute"


# --- what nothing in the tree mentions ---


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("def _lost():  # here\n    pass\n", "", "confirm"),
        ("def f():\n    def lost():  # here\n        pass\n", "", "confirm"),
        ("@app.route('/')\ndef lost():  # here\n    pass\n", "", "refute"),
        ("def _lost():  # here\n    pass\n\nrun('_lost')\n", "", "refute"),
        ("def _lost():  # here\n    pass\n\nrun('ops._lost')\n", "", "refute"),
        ("def _lost():  # here\n    pass\n\nprint('a _lost file')\n", "", "cannot_tell"),
        ("@lru_cache(maxsize=8)\ndef _lost():  # here\n    pass\n", "", "confirm"),
        ("@lru_cache\ndef _lost():  # here\n    pass\n", "", "confirm"),
        ("def lost():  # here\n    pass\n", "", "cannot_tell"),
        ("def _lost():  # here\n    pass\n", "see `_lost` in the manual", "cannot_tell"),
        ("class C:\n    def _visit_lost(self):  # here\n        pass\n", "getattr(o, f'_visit_{n}')", "cannot_tell"),
        ("class C(elsewhere.Base):\n    def _lost(self):  # here\n        pass\n", "", "cannot_tell"),
        ("class C:\n    def _lost(self):  # here\n        pass\n", "", "confirm"),
    ],
)
def test_dead_code_is_what_nothing_in_the_tree_mentions(tmp_path: Path, text: str, more: str, expected: str) -> None:
    source = written(tmp_path, text)
    name = next(word for word in ("_visit_lost", "_lost", "lost") if f"def {word}" in text)
    finding = found(source, "vulture:unused-function", "# here", text=f"unused function '{name}'")
    words = Words.in_texts([("ops.py", source.data), ("more.md", more.encode())])
    (verdict,) = verdicts(look([finding], source, words))
    assert verdict.stance == expected
    (without,) = verdicts(look([finding], source))
    assert without.stance == "cannot_tell"


def test_words_know_who_imports_from_where() -> None:
    texts = [
        ("lib/__init__.py", b"from . import shapes\nfrom .shapes import (\n    Circle as Round,\n    Square,\n)\n"),
        ("app.py", b"from lib.shapes import Circle\n"),
    ]
    words = Words.in_texts(texts)
    assert words.imported == {("lib", "shapes"), ("shapes", "Circle"), ("shapes", "Square")}
    assert words.counts["Circle"] == 2
    assert Words.in_texts(reversed(texts)) == words
    assert Words.in_texts(texts[:1]).digest != words.digest
