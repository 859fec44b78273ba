"""Runs the tests of many folders, each in a fork of a process that has imported pytest once.

    python checking.py FOLDER...

prints JSON: for each folder, for each file of tests, how many cases passed and how many did not.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest


class Tally:
    """A plugin that counts what became of the cases of each file."""

    def __init__(self) -> None:
        self.files: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One part of a case is over."""
        path = report.nodeid.partition("::")[0]
        if report.failed:
            self.files[path][1] += 1
        elif report.when == "call":
            self.files[path][0] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported has failed."""
        if report.failed:
            self.files[report.nodeid][1] += 1


def tested(folder: str) -> dict[str, list[int]]:
    """Run the tests of a folder in this process, which is good for nothing else afterwards."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = os.pathsep.join((str(Path(folder) / "src"), folder))
    tally = Tally()
    pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", folder], plugins=[tally])
    return tally.files


def in_a_fork(folder: str) -> dict[str, list[int]]:
    """The same, and this process stays as it is."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.write(writing, json.dumps(tested(folder)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, list[int]] = json.loads(said)
    return found


if __name__ == "__main__":
    print(json.dumps({folder: in_a_fork(folder) for folder in sys.argv[1:]}))
