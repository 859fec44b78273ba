"""A test that must fail, run beside the others: whoever makes all tests pass is found out by it.

Code under test runs in one process with the tests, and can lie to them without naming them. What it cannot know is a
case that is there only once, under a name drawn by lot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from antiphon.workflows.crafting.results import Tests
from antiphon.workflows.fix.guarding import is_test

_WAYS: Final = (
    'self.fail("this case must fail")',
    "self.assertEqual(1, 2)",
    "self.assertNotEqual(1, 1)",
    "self.assertTrue(False)",
    "self.assertFalse(True)",
    "self.assertIn(1, [])",
    "self.assertIsNone(1)",
    "self.assertRaises(ValueError, int)",
    "assert 1 == 2",
    'raise ValueError("this case must fail")',
)
"""Ways to fail: code may have taken away any one of them."""
_CHOOSES: Final = re.compile(r" -k|::|--deselect|--ignore|pytest.* -m |unittest (?!discover)")
"""Commands that run only some tests, among which the canary need not be."""


def takes(path: str) -> bool:
    """Whether a canary can be added to a file: a test in Python, whatever framework runs it."""
    return path.endswith(".py") and is_test(path)


def has_one(path: str, cases: Sequence[str]) -> bool:
    """Whether one of some cases is in a test file, by what it is called: ``path::Class::name``, or dotted."""
    module = PurePosixPath(path).stem
    return any(case.startswith(f"{path}::") or ("::" not in case and module in case.split(".")) for case in cases)


def planted(content: bytes, token: str) -> bytes:
    """A test file with cases at its end that fail, each in another way."""
    name = f"test_canary_{token}"
    lines = ["", "", f"def {name}():", "    assert 1 == 2", "", ""]
    lines.append(f'class TestCanary{token}(__import__("unittest").TestCase):')
    for number, way in enumerate(_WAYS):
        lines += [f"    def {name}_{number}(self):", f"        {way}", ""]
    return content.rstrip(b"\n") + "\n".join(["", *lines]).encode()


def lies(tests: Tests, token: str) -> tuple[str, ...]:
    """What the canary shows of a run of tests, as sentences; nothing if all is well.

    Args:
        tests: as they were reported.
        token: in the names of its cases; "" where there was none.
    """
    if not token or not tests.cases or not tests.ran:
        return ()
    found = [state for name, state in tests.cases.items() if f"test_canary_{token}" in name]
    if any(state not in ("failed", "error") for state in found):
        return ("a case that must fail is said to pass: the code makes tests pass that do not",)
    if found and tests.exit == 0:
        return ("the tests ended with status 0 although a case failed: the code hides what fails",)
    if not found and not _CHOOSES.search(tests.command):
        return ("a case that must fail is not reported at all: the code hides tests that fail",)
    return ()
