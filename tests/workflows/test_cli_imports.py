"""Start-up: `antiphon --help` imports nothing heavy, and `python -m antiphon` works without an antiphon/__init__.py."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = ("pydantic", "pydantic_core", "rich", "opentelemetry", "litellm", "anyio", "trio", "asyncio", "sqlite3")
REPORT = """
import json, sys
from antiphon.workflows.cli import main
code = main(["--help"])
print(json.dumps([code, sorted(name for name in sys.argv[1:] if name in sys.modules)]), file=sys.stderr)
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", REPORT, *HEAVY], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == [0, []]
    assert "verify" in done.stdout


def test_version_imports_nothing_heavy() -> None:
    asked = REPORT.replace("--help", "--version")
    done = subprocess.run([sys.executable, "-c", asked, *HEAVY], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == [0, []]
    assert done.stdout.startswith("antiphon ")


def test_the_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "antiphon", "shwo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: there is no command 'shwo'; did you mean 'show'?\nnext: antiphon --help\n"


def test_the_namespace_stays_one() -> None:
    """Four folders in a checkout, one where the wheel is installed; never a module of its own."""
    import antiphon

    assert getattr(antiphon, "__file__", None) is None
    assert len(list(antiphon.__path__)) in (1, 4)
