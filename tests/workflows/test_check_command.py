"""`antiphon check`: what a person, a program and a picture say of a script, and that nothing of it is executed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.workflows.cli import main
from antiphon.workflows.preflight import Bound, Outline, Place
from antiphon.workflows.preflight.mermaid import MOST as MOST_BOXES
from antiphon.workflows.preflight.mermaid import mermaid
from antiphon.workflows.preflight.model import ONCE, Finding
from antiphon.workflows.preflight.svg import svg
from antiphon.workflows.preflight.text import frame_of

Antiphon = Callable[..., tuple[int, str, str]]
EXAMPLES = Path(__file__).parents[2] / "examples"
SOUND = """
from antiphon.workflows.script import agent, parallel, phase
manifest = {"name": "sound", "description": "Reads files.", "phases": ["find"], "roles": ["worker"],
            "limits": {"usd": "5", "agent_calls": 40, "wall_seconds": 60}, "scope": {"read": ["src/**"], "write": []}}


async def main(files: list[str]):
    phase("find")
    found = await parallel(agent(f"Read {file}", covers=[file]) for file in files[:10])
    return [found.succeeded(), found.census.to_json()]
"""
LOOPS = """
from antiphon.workflows.script import agent
manifest = {"name": "loops", "roles": ["worker"]}


async def main():
    while True:
        await agent("Again")
"""
TURNED = "\u202e"
HOSTILE = f"""
from antiphon.workflows.script import agent
manifest = {{"name": "hostile", "roles": ["worker", "<script>alert(1)</script>"]}}
open("executed", "w").write("yes")


async def main(a="\x1b[2J{TURNED}"):
    await agent("\\x1b]0;title\\x07 ]]> </text><script>alert(1)</script> & \\"", role="nobody\x1b[31m")
    x = "\x1b[31m" + {TURNED!r} + undefined_name
    return await agent("b\x9b", label="\x1b]8;;http://example.invalid\x07")
"""


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder with scripts: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".home"))
    for name, text in (("sound", SOUND), ("loops", LOOPS), ("hostile", HOSTILE)):
        (tmp_path / f"{name}.py").write_text(text)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(("check", *words))
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def test_a_sound_script_passes_and_is_told(antiphon: Antiphon) -> None:
    code, said, _ = antiphon("sound.py")
    assert code == 0
    assert said.startswith("sound passes  sound.py  sha256 ")
    for part in ("phase find  line 8", "at most 10 items", "agent worker", "read        src/**", "write       nothing"):
        assert part in said
    assert "network     whatever the runtime and the person let it" in said
    assert "limits     usd 5, agent_calls 40, wall_seconds 60.0" in said


def test_the_models_that_a_script_chooses_are_shown(antiphon: Antiphon, tmp_path: Path) -> None:
    chosen = '"models": {"worker": "openai/dear"}, "roles": ["worker"]'
    (tmp_path / "sound.py").write_text(SOUND.replace('"roles": ["worker"]', chosen))
    assert "models      worker: openai/dear" in antiphon("sound.py")[1]


def test_arguments_make_bounds_exact(antiphon: Antiphon) -> None:
    assert "3 items" in antiphon("sound.py", "--arg", 'files=["a", "b", "c"]')[1]
    code, _, said = antiphon("sound.py", "--arg", "files=3")
    assert code == 2
    assert "files" in said
    assert antiphon("sound.py", "--arg", "nobody=3")[0] == 2


def test_an_error_is_shown_with_its_line_and_exits_with_1(antiphon: Antiphon) -> None:
    code, said, _ = antiphon("loops.py")
    assert code == 1
    lines = said.splitlines()
    assert lines[0].startswith("loops has 1 error")
    at = next(number for number, line in enumerate(lines) if line.startswith("error   line 7:"))
    assert "[unbounded-loop]" in lines[at]
    assert lines[at + 1] == "     7 |     while True:"
    assert lines[at + 2].strip() == "^"
    assert lines[at + 3].strip().startswith("-> ")


@pytest.mark.parametrize(
    ("script", "fail_on", "code"),
    [
        ("loops.py", "error", 1),
        ("loops.py", "never", 0),
        ("sound.py", "error", 0),
        ("sound.py", "warning", 0),
    ],
)
def test_what_fails_is_for_the_person_to_say(antiphon: Antiphon, script: str, fail_on: str, code: int) -> None:
    assert antiphon(script, "--fail-on", fail_on)[0] == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 1),
        ("def main(", 1),
        ("manifest = {}\n" + "(" * 5_000, 1),
        ("\0", 1),
        ("x" * 1_000_001, 2),
    ],
)
def test_a_text_that_is_no_script_is_a_finding_or_a_refusal(
    antiphon: Antiphon, tmp_path: Path, text: str, code: int
) -> None:
    (tmp_path / "bad.py").write_text(text)
    told = antiphon("bad.py")
    assert told[0] == code
    assert "Traceback" not in told[1] + told[2]
    assert "bug in antiphon" not in told[2]


def test_bytes_that_are_no_text_and_files_that_are_none_are_refused(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    for name in ("bytes.py", "nowhere.py", "."):
        code, said, told = antiphon(name)
        assert (code, said) == (2, "")
        assert told.startswith("error: ")


def test_the_json_is_whole(antiphon: Antiphon) -> None:
    code, said, _ = antiphon("sound.py", "--json", "--arg", 'files=["a"]')
    found = json.loads(said)
    assert code == 0
    assert found.keys() >= {
        "file",
        "sha256",
        "passed",
        "manifest",
        "outline",
        "cost",
        "portability",
        "findings",
        "scope",
    }
    assert found["scope"] == {"read": ["src/**"], "write": [], "tools": None, "network": None}
    assert found["approval"] is None
    [phase] = found["outline"]["places"]
    assert phase["children"][0]["bound"] == {"expected": 1, "worst": 1}


def test_a_grant_that_is_narrower_than_the_manifest_is_told(antiphon: Antiphon) -> None:
    code, said, _ = antiphon("sound.py", "--read", "docs/**")
    assert code == 1
    assert "src/**" in said.partition("findings")[2]
    assert antiphon("sound.py", "--read", "src/**", "--read", "docs/**")[0] == 0


def test_whoever_has_to_approve_a_script_is_told_its_hash(antiphon: Antiphon, tmp_path: Path) -> None:
    (tmp_path / "planned.py").write_text(f"# antiphon: planned sound 0a1b2c3d{SOUND}")
    said = antiphon("planned.py")[1]
    approval = json.loads(antiphon("planned.py", "--json")[1])["approval"]
    assert approval["approved"] is False
    assert f"antiphon run planned.py ... --approve {approval['hash']}" in said


# --- hostile ------------------------------------------------------------------------------------------------------


def test_nothing_of_a_script_is_executed_and_nothing_of_it_commands_a_terminal(
    antiphon: Antiphon, tmp_path: Path
) -> None:
    code, said, told = antiphon("hostile.py", "--svg", "h.svg")
    assert code == 1
    assert not (tmp_path / "executed").exists()
    picture = (tmp_path / "h.svg").read_text()
    flowchart = antiphon("hostile.py", "--mermaid")[1]
    for text in (said, told, picture, flowchart):
        assert not {"\x1b", "\x9b", "\x07", TURNED} & set(text)
    assert "<script" not in picture
    assert "<script" not in flowchart


def test_a_picture_is_xml_whatever_the_places_are_called() -> None:
    titles = ("</text><script>alert(1)</script>", "\x00\x1b[2J\ud800\ufffe", "&lt;", '"onload="', "]]>", "a" * 10_000)
    places = tuple(
        Place(kind="call", construct="agent", role=title, title=title, line=1, bound=ONCE) for title in titles
    )
    drawn = svg(Outline(places=places), title="<b>")
    root = ElementTree.fromstring(drawn)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names <= {"svg", "title", "rect", "text", "line", "polygon"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}


def test_a_flowchart_has_no_text_that_mermaid_reads_as_its_own() -> None:
    title = 'end"] --> x\n%%{init: {}}%%\nclick p1 href "javascript:alert(1)" ; subgraph `x`'
    drawn = mermaid(Outline(places=(Place(kind="call", title=title, line=1, bound=ONCE),)))
    [head, box] = drawn.splitlines()
    assert head == "flowchart TB"
    assert box.startswith('  p1["call end#34;#93; --')
    assert box.count('"') == 2
    assert not {"`", "{", "}", "%", ";;"} & set(box)


def test_an_outline_of_any_size_is_drawn_in_part_and_the_rest_is_counted() -> None:
    leaf: Any = Place(kind="call", title="leaf", line=1, bound=ONCE)
    deep: Any = leaf
    for _ in range(3_000):
        deep = Place(kind="loop", title="deep", line=1, bound=Bound(expected=None, worst=None), children=(deep,))
    wide = Outline(places=(deep, *(leaf for _ in range(5_000))))
    drawn, picture = mermaid(wide), svg(wide)
    assert drawn.count("\n") < 3 * MOST_BOXES
    assert "more places" in drawn
    assert len(picture) < 400_000
    assert "more places" in picture
    ElementTree.fromstring(picture)


def test_a_code_frame_of_a_giant_line_is_short() -> None:
    finding = Finding(rule="x", line=1, severity="error", reason="", remedy="", column=5_000)
    rows = list(frame_of(["a" * 5_000 + "HERE" + "b" * 900_000], finding))
    assert sum(len(text) for row in rows for text, _ in row) < 400
    assert "HERE" in rows[0][1][0]
    outside = Finding(rule="x", line=7, severity="error", reason="", remedy="", column=-3)
    assert list(frame_of(["a"], outside)) == []


@pytest.mark.checkout
@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_passes(antiphon: Antiphon, script: str) -> None:
    code, said, _ = antiphon(str(EXAMPLES / script), "--fail-on", "warning")
    assert code == 0, said
