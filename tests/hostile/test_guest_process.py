"""Hostile scripts as a person meets them: `antiphon run FILE --runtime …` as a process of its own.

It ends with a documented code, never by a signal or with a traceback; nothing was had of the bait; the secret of its
own environment is in no output and in no file of the run; and nothing reaches the terminal unescaped.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.guests.table import TECHNIQUES
from tests.hostile.guests.technique import MANIFEST, VARIABLE, Technique, bait, script

from antiphon.engine.script.monty import monty_problem
from antiphon.subagents.jail import probe_jail

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is for Linux")
ANTIPHON = (sys.executable, "-P", "-c", "import sys; from antiphon.workflows.cli import main; sys.exit(main())")
ALONE = 'manifest = {"name": "hostile", "phases": ["only"]}\n'
SECRET = secrets.token_hex(8)
DOCUMENTED = {0: "completed", 1: "failed", 2: "refused", 3: "degraded", 4: "paused"}
ESCAPES = Technique(
    name="escapes",
    family="the terminal",
    what="escape sequences in everything that is shown",
    text="""
    async def main():
        text = "\\x1b[2J\\x1b]0;owned\\x07 \\x9b2J \\r\\x1b[1A\\x1b[2Kall is well"
        log(text)
        print(text)
        put(text, text)
        outcome = await branch("one", step(text, {}))
        log(outcome.reason)
        try: phase(text)
        except Exception as error: log(str(error))
        raise RuntimeError(text)
    """,
)
GIVING = Technique(
    name="giving",
    family="the terminal",
    what="escape sequences in a value",
    text='async def main():\n    return ["\\x1b[2J\\x1b]0;owned\\x07", {"\\x9b2J": "\\r\\x1b[1A"}]\n',
)
MANY = (
    *(name for name, technique in TECHNIQUES.items() if technique.family == "published escapes"),
    *("kernel-abort", "kernel-splash", "kernel-proc", "kernel-system", "kernel-write-memory", "kernel-exit"),
    *("memory-bytes", "recursion", "base-exception", "keyboard-interrupt", "error-giant", "subclasses-to-system"),
    *("import-os", "plain-open", "path-of-the-attacker", "value-circular", "print-huge", "atexit-builtin"),
)


def ran(technique: Technique, runtime: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it, and hold what must hold of any script. Skips the test where the runtime cannot be had."""
    problem = monty_problem() if runtime == "monty" else probe_jail().runtime is None and probe_jail().reason
    if problem:
        pytest.skip(str(problem))
    with bait(folder / "bait", SECRET) as set_out:
        file = folder / "hostile.py"
        file.write_text(script(technique, set_out).replace(MANIFEST, ALONE))
        done = subprocess.run(
            [*ANTIPHON, "run", str(file), "--runtime", runtime, "--plain", "--runs-dir", str(folder / "runs")],
            check=False,
            cwd=folder,
            env={**os.environ, VARIABLE: SECRET},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        kept = [file.read_bytes().decode(errors="replace") for file in (folder / "runs").rglob("*") if file.is_file()]
        seen = f"{done.stdout}{done.stderr}"
        assert set_out.taken([seen, *kept]) == set()
    assert done.returncode in DOCUMENTED, seen
    assert "hostile" in done.stderr  # the run's name, or the file's that was refused
    assert "Traceback" not in seen
    assert not {"\x1b", "\x9b", "\x07", "\r"} & set(seen)
    return done


def test_an_exit_that_looks_well_is_a_failure(tmp_path: Path) -> None:
    done = ran(TECHNIQUES["system-exit"], "jail", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed  hostile" in done.stderr


def test_nothing_reaches_the_terminal_unescaped(tmp_path: Path) -> None:
    done = ran(ESCAPES, "monty", tmp_path)
    assert done.returncode == 1
    assert "owned" in done.stderr


@pytest.mark.long
def test_nothing_of_the_jail_reaches_the_terminal_unescaped(tmp_path: Path) -> None:
    done = ran(ESCAPES, "jail", tmp_path)
    assert done.returncode == 1
    assert "owned" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("runtime", ["jail", "monty"])
def test_a_value_is_data_on_stdout(runtime: str, tmp_path: Path) -> None:
    done = ran(GIVING, runtime, tmp_path)
    assert done.returncode == 0
    assert "owned" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("runtime", ["jail", "monty"])
@pytest.mark.parametrize("name", MANY)
def test_every_one_of_these_is_a_documented_exit_code(name: str, runtime: str, tmp_path: Path) -> None:
    ran(TECHNIQUES[name], runtime, tmp_path)
