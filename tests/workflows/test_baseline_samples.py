"""The samples that Microsoft's sarif-sdk tests its result matching with: every expected baselineState comes out."""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from antiphon.workflows.baseline import Change, Comparison, SarifLog, compare, read_sarif

DATA = Path(__file__).parent / "data" / "sarif_sdk"
Log = dict[str, Any]


def load(name: str) -> Log:
    log: Log = json.loads((DATA / name).read_text("utf-8-sig"))
    return log


def sarif(content: Log) -> SarifLog:
    return read_sarif(json.dumps(content), "sample")


def results(log: Log) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = log["runs"][0]["results"]
    return found


def words(result: dict[str, Any]) -> str:
    """A result without what a comparison adds to it, and without indices that point into its own log."""
    location = result["locations"][0]["physicalLocation"]
    return json.dumps([result["ruleId"], result["message"], location["region"]], sort_keys=True)


def as_it_was_compared(expected: Log) -> Log:
    """The log that the sdk compared with the baseline, from its expected output.

    That holds the absent results too, and names another tool: sarif-sdk's own tests replace the name "testhost".
    """
    log = copy.deepcopy(expected)
    log["runs"][0]["results"] = [result for result in results(log) if result["baselineState"] != "absent"]
    for result in results(log):
        del result["baselineState"]
    log["runs"][0]["tool"]["driver"]["name"] = "testhost"
    return log


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1001, "ValidateWithBaseline"),
        (1002, "ValidateBaseline.NoResults"),
        (1003, "ValidateBaseline.AbsentResults"),
        (1004, "ValidateBaseline.NewResults"),
        (1005, "ValidateBaseline.UnchangedResults"),
        (1006, "ValidateBaseline.UpdatedResults"),
        (1007, "ValidateBaseline.LessResultsThanBaseline"),
        (1008, "ValidateBaseline.InlineUpdate"),
    ],
)
def test_every_state_is_the_expected_one(number: int, name: str) -> None:
    expected = load(f"ExpectedOutputs__TEST{number}.{name}.sarif")
    before = sarif(load(f"Inputs__TEST{number}.Baseline.sarif"))
    current = as_it_was_compared(expected)
    comparison = compare(before, sarif(current))
    got = Counter(
        (words(results(current)[change.after.index]), change.state) for change in comparison.changes if change.after
    )
    wanted = Counter((words(r), r["baselineState"]) for r in results(expected) if r["baselineState"] != "absent")
    assert got == wanted
    gone = [words(r) for r in results(expected) if r["baselineState"] == "absent"]
    assert len(comparison.of("absent")) == len(gone)
    old = results(load(f"Inputs__TEST{number}.Baseline.sarif"))
    assert Counter(words(old[c.before.index]) for c in comparison.of("absent") if c.before) == Counter(gone)


def test_another_tools_results_are_not_called_absent() -> None:
    comparison = compare(
        sarif(load("Inputs__TEST1001.Baseline.sarif")),
        sarif(as_it_was_compared(load("ExpectedOutputs__TEST1001.ValidateWithBaseline.sarif"))),
    )
    assert not comparison.of("absent")
    assert [(len(unseen.sightings), unseen.reason) for unseen in comparison.unseen] == [
        (13, "sarif functional testing did not take part")
    ]
    assert comparison.unknown_tools == ("testhost",)


# What sarif-sdk's unit tests do with the log of a scanner for secrets (V2ResultMatcherTests).


def scanner() -> Log:
    return load("Baseline__elfie-arriba.sarif")


def changes(before: Log, after: Log) -> Comparison:
    return compare(sarif(before), sarif(after))


def region(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = result["locations"][0]["physicalLocation"]["region"]
    return found


def move_to_file(result: dict[str, Any], name: str) -> None:
    result["locations"][0]["physicalLocation"]["artifactLocation"] = {"uri": f"file:///C:/Code/{name}"}


def test_nothing_changed() -> None:
    assert changes(scanner(), scanner()).counts == {"new": 0, "updated": 0, "unchanged": 5, "absent": 0}


def test_moved_within_its_file() -> None:
    after = scanner()
    region(results(after)[2])["startLine"] += 1
    assert changes(scanner(), after).counts == {"new": 0, "updated": 0, "unchanged": 5, "absent": 0}


def test_its_file_was_renamed() -> None:
    after = scanner()
    move_to_file(results(after)[2], "test_rsa_privkey_NEW.pem")
    assert changes(scanner(), after).counts == {"new": 0, "updated": 1, "unchanged": 4, "absent": 0}


def test_the_message_holds_line_numbers() -> None:
    before, after = scanner(), scanner()
    for log, line in ((before, 1), (after, 6)):
        del results(log)[2]["partialFingerprints"]
        results(log)[2]["message"] = {"text": f"Found issue on line {line}"}
        region(results(log)[2])["startLine"] = line
    assert changes(before, after).counts == {"new": 0, "updated": 1, "unchanged": 4, "absent": 0}


def test_one_is_added() -> None:
    after = scanner()
    added = copy.deepcopy(results(after)[0])
    move_to_file(added, "NEW.pem")
    del added["partialFingerprints"]
    results(after).append(added)
    assert [change.sighting.uri for change in changes(scanner(), after).of("new")] == ["/C:/Code/NEW.pem"]


def test_one_is_gone_and_another_is_added() -> None:
    after = scanner()
    del results(after)[2]
    added = copy.deepcopy(results(after)[0])
    move_to_file(added, "NEW.pem")
    added["message"] = {"text": "Different Message"}
    del added["partialFingerprints"]
    results(after).append(added)
    found = changes(scanner(), after)
    assert found.counts == {"new": 1, "updated": 0, "unchanged": 4, "absent": 1}
    assert [change.sighting.uri.rpartition("/")[2] for change in found.of("absent")] == ["test_rsa_privkey.pem"]


def test_two_rules_on_one_line_that_both_move() -> None:
    before = scanner()
    results(before)[1] = copy.deepcopy(results(before)[0]) | {"ruleId": "NewRuleId"}
    for index in (0, 1):
        results(before).append(copy.deepcopy(results(before)[index]))
        region(results(before)[-1])["startLine"] += 1
    after = copy.deepcopy(before)
    for index, lines in ((0, 4), (1, 4), (5, 1), (6, 1)):
        region(results(after)[index])["startLine"] += lines
    results(after)[0], results(after)[1] = results(after)[1], results(after)[0]
    found = changes(before, after)
    assert found.counts["new"] == found.counts["absent"] == 0
    assert all(c.before and c.after and c.before.rule == c.after.rule for c in found.changes)


def test_what_stays_in_its_file_is_recognised_there_though_others_moved_to_another() -> None:
    after = scanner()
    for index in (1, 3):
        name = results(after)[index]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        move_to_file(results(after)[index], name.replace("/public-encrypt/", "/zzz/"))
    region(results(after)[2])["startLine"] += 1
    moved = next(c for c in changes(scanner(), after).changes if c.after and c.after.index == 2)
    assert moved.before is not None
    assert moved.before.index == 2


def test_a_fingerprint_that_is_the_same_everywhere_recognises_nothing() -> None:
    before, after = scanner(), scanner()
    for log, name in ((before, "before"), (after, "after")):
        for index, result in enumerate(results(log)):
            result["partialFingerprints"] = {"SecretHash/v1": f"{name} {index}", "Useless/v1": "Constant"}
            region(result)["snippet"]["text"] = f"{name} {index}"
            region(result)["startLine"] += 100 if log is after else 0
    assert changes(before, after).counts == {"new": 5, "updated": 0, "unchanged": 0, "absent": 5}


def test_what_was_absent_before_is_new_if_it_is_back() -> None:
    before = scanner()
    results(before)[0]["baselineState"] = "absent"
    assert changes(before, scanner()).counts == {"new": 1, "updated": 0, "unchanged": 4, "absent": 0}


def test_what_is_set_aside_now_is_updated_and_what_was_new_stays_so() -> None:
    found = changes(load("Baseline__SuppressionTestPrevious.sarif"), load("Baseline__SuppressionTestCurrent.sarif"))

    def said(change: Change) -> tuple[str, str, tuple[str, ...]]:
        return change.sighting.rule, change.state, change.what

    assert [said(change) for change in found.changes] == [
        ("TST0001", "new", ()),
        ("TST0002", "updated", ("it was not set aside",)),
        ("TST0003", "unchanged", ()),
        ("TST0004", "updated", ("it was set aside",)),
    ]
