"""What confining a command costs: the same command in every sandbox that works here, beside none.

``python benchmarks/sandbox.py [--commands 60]`` runs the sandboxes in turns, so that what else the machine does falls
on all of them alike, and prints wall time per command: median, difference and ratio to no sandbox.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from antiphon.subagents.process import Completed, run_here
from antiphon.subagents.sandbox import BACKENDS, Confinement, Sandbox, Unconfined, probe


def sandboxes() -> Iterator[Sandbox]:
    """None, and each that works here."""
    yield Unconfined()
    for name in BACKENDS:
        tried = probe(name)
        if tried.sandbox is not None:
            yield tried.sandbox
        else:
            print(f"{name}: not usable: {tried.reason}")


def commands(tree: Path) -> dict[str, tuple[list[str], Confinement]]:
    """What is run: hardly anything, and an analyser on few and on many files."""
    files = [tree / f"{number}.py" for number in range(300)]
    for file in files:
        file.write_text("import os\n\n\ndef f(x: int) -> int:\n    return x\n")
    found: dict[str, tuple[list[str], Confinement]] = {"true": (["true"], Confinement())}
    ruff = shutil.which("ruff")
    for number in (4, 60, 300) if ruff else ():
        paths = [str(file) for file in files[:number]]
        argv = [str(ruff), "check", "--isolated", "--no-cache", "--quiet", "--exit-zero", "--select", "S", *paths]
        found[f"ruff, {number} files"] = (argv, Confinement(read=tuple(paths)))
    return found


def bare(argv: list[str]) -> float:
    """Seconds of wall time without antiphon."""
    started = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - started


def confined(argv: list[str], confinement: Confinement, sandbox: Sandbox) -> float:
    """Seconds of wall time in a sandbox."""
    started = time.perf_counter()
    ended = run_here(argv, sandbox=sandbox, confinement=confinement, timeout_seconds=120)
    if not isinstance(ended, Completed) or ended.exit != 0:
        raise SystemExit(f"{sandbox.name}: {ended}")
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=60, help="how many of each")
    number: int = parser.parse_args().commands
    tried = list(sandboxes())
    with tempfile.TemporaryDirectory() as folder:
        for name, (argv, confinement) in commands(Path(folder).resolve()).items():
            taken: defaultdict[str, list[float]] = defaultdict(list)
            for _ in range(number):
                taken["(subprocess.run)"].append(bare(argv))
                for sandbox in tried:
                    taken[sandbox.name].append(confined(argv, confinement, sandbox))
            report(name, taken)


def report(name: str, taken: Mapping[str, list[float]]) -> None:
    """Print one command's figures side by side. On a machine that is busy otherwise, the least says more."""
    base, least_base = statistics.median(taken["none"]), min(taken["none"])
    print(f"\n{name}: wall ms per command, of {len(taken['none'])}; and against none")
    print(f"  {'':<20} {'median':>8} {'':>8} {'':>6}   {'least':>8}")
    for sandbox, seconds in taken.items():
        median, least = statistics.median(seconds), min(seconds)
        told = f"{median * 1e3:8.1f} {(median - base) * 1e3:+8.1f} x{median / base:<5.2f}"
        print(f"  {sandbox:<20} {told}   {least * 1e3:8.1f} {(least - least_base) * 1e3:+8.1f}")


if __name__ == "__main__":
    main()
