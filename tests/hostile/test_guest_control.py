"""The positive control: in plain CPython, which nothing holds, each technique does what it is said to do."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.guests import control
from tests.hostile.guests.table import TECHNIQUES
from tests.hostile.guests.technique import VARIABLE, bait, script

SECRET = "secret of the host 5d8e1f"
DOING = [technique for technique in TECHNIQUES.values() if technique.does is not None]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the techniques are for Linux")


def test_each_technique_does_what_it_says_where_nothing_holds_it(tmp_path: Path) -> None:
    """So that a technique that has no effect in a guest was kept from it, and is not merely broken."""
    with contextlib.ExitStack() as stack:
        baits = {one.name: stack.enter_context(bait(tmp_path / one.name, SECRET)) for one in DOING}
        asked = [(script(one, baits[one.name]), str(tmp_path / one.name / "gave")) for one in DOING]
        subprocess.run(
            [sys.executable, "-I", os.fspath(Path(control.__file__))],
            input=json.dumps(asked).encode(),
            env={VARIABLE: SECRET, "PATH": os.defpath},
            check=True,
            capture_output=True,
            timeout=100,
        )
        missing = dict[str, str]()
        for one in DOING:
            gave = (tmp_path / one.name / "gave").read_text()
            if one.does not in baits[one.name].taken([gave]):
                missing[one.name] = gave[:200]
        assert missing == {}


def test_there_are_enough_of_every_kind() -> None:
    assert len(TECHNIQUES) >= 300
    effects = [technique.does for technique in DOING]
    assert {effect: effects.count(effect) >= 1 for effect in effects} == dict.fromkeys(
        ["reads", "writes", "runs", "connects", "tells"], True
    )
