"""Roles: what ships is sound, what a project writes is read, and what is wrong is said with file and line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from antiphon.engine import UndeclaredError
from antiphon.subagents.roles import BUILT_IN, AgentLimits, RoleError, Roles, built_in, read_role

FULL = """---
name: careful
description: >
  Reads
  twice.
tools: [grep, read]
model: ollama/llama3
escalate: openai/gpt-5@http://127.0.0.1:8000/v1
output: findings
framing: doubt
retrieve: {from: ["docs/**"], most: 3}
warm: true
limits:
  turns: 5
  repairs: 0
  budget: {usd: "0.50", wall_seconds: 90}
---

# Careful

Read it twice.
"""


def write(folder: Path, name: str, text: str) -> Path:
    """A file of a project."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def ours(folder: Path, text: str, name: str = "careful") -> Path:
    """A role of the project, in our form."""
    return write(folder, f".antiphon/roles/{name}.md", text)


def theirs(folder: Path, text: str, name: str = "helper-of-mine") -> Path:
    """A role in the form of coding agents."""
    return write(folder, f".claude/agents/{name}.md", text)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_role_is_whole(name: str) -> None:
    role = built_in()[name]
    assert role.name == name
    assert role.source == "built in"
    assert role.description.endswith(".")
    assert len(role.description) < 120
    assert role.framing
    assert len(set(role.tools)) == len(role.tools)
    assert role.model is None
    assert 400 < len(role.instructions) < 2_000
    assert max(map(len, role.instructions.splitlines())) <= 120
    longest = 16_000 if role.name == "author" else AgentLimits().max_tokens  # a script and its tests are one answer
    assert role.limits == AgentLimits(max_tokens=longest)


def test_the_built_in_roles_look_from_different_sides() -> None:
    assert len({role.framing for role in built_in().values()}) == len(BUILT_IN) == 14


def test_the_verifier_must_try_to_refute() -> None:
    text = " ".join(built_in()["verifier"].instructions.split())
    assert "must try to refute it" in text
    assert "Not having found a refutation is not enough" in text


def test_all_that_a_role_may_say(tmp_path: Path) -> None:
    path = ours(tmp_path, FULL)
    role = read_role(path)
    assert (role.name, role.description) == ("careful", "Reads twice.")
    assert role.instructions == "# Careful\n\nRead it twice."
    assert role.tools == ("grep", "read")
    assert (role.model, role.escalate) == ("ollama/llama3", "openai/gpt-5@http://127.0.0.1:8000/v1")
    assert (role.output, role.framing, role.source) == ("findings", "doubt", str(path))
    assert (role.limits.turns, role.limits.repairs, role.limits.tool_calls) == (5, 0, 200)
    assert role.retrieve is not None
    assert (role.retrieve.sources, role.retrieve.most, role.retrieve.tokens) == (("docs/**",), 3, 3000)
    assert role.warm
    assert role.limits.budget is not None
    assert (role.limits.budget.usd, role.limits.budget.wall_seconds) == (Decimal("0.50"), 90)


def test_the_least_that_a_role_may_say(tmp_path: Path) -> None:
    role = read_role(ours(tmp_path, "---\n---\nDo it."))
    assert (role.name, role.instructions, role.description) == ("careful", "Do it.", "")


def test_other_line_ends_and_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "careful.md"
    path.write_bytes("\ufeff---\r\nname: other\r\n---\r\nDo it.\r\nWell.\r\n".encode())
    role = read_role(path)
    assert (role.name, role.instructions) == ("other", "Do it.\nWell.")


def test_what_yaml_takes_for_a_date_stays_text(tmp_path: Path) -> None:
    assert read_role(ours(tmp_path, "---\ndescription: 2026-11-21\n---\nx")).description == "2026-11-21"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "it does not begin with a line of ---"),
        ("# Title\n", 1, "it does not begin with a line of ---"),
        ("---\nname: a\n", 1, "has no line of --- at its end"),
        ("---\nname: a\n---\n\n  \n", 5, "there is no text below the front matter"),
        ("---\n- a\n---\nx", 2, "the front matter must be entries"),
        ("---\nname: a\nnmae: b\n---\nx", 3, "a role has no 'nmae' (did you mean 'name'?)"),
        ("---\nzzz: b\n---\nx", 2, "a role has no 'zzz' (there are name, description"),
        ("---\nname: a\ntools: x\nname: b\n---\nx", 4, "'name' is there twice, first on line 2"),
        ("---\nlimits:\n  turns: 1\n  turns: 2\n---\nx", 4, "'turns' is there twice"),
        ("---\nname: a b\n---\nx", 2, "a name is 1 to 64 letters"),
        ("---\nname: 2nd\n---\nx", 2, "begins with a letter: not '2nd'"),
        ("---\nname: 5\n---\nx", 2, "name must be text, not 5"),
        ("---\ndescription: true\n---\nx", 2, "description must be text, not True"),
        ("---\ndescription: a: b\n---\nx", 2, "a text with a colon in it needs quotes"),
        ("---\nlimits:\n\tturns: 1\n---\nx", 3, "a tab; indent with spaces"),
        ("---\nname: [a\n---\nx", 2, "it is not YAML"),
        ("---\nwarm: first\n---\nx", 2, "warm is true or false, not 'first'"),
        ("---\nretrieve: x\n---\nx", 2, "retrieve must be entries such as from: [docs/**], not 'x'"),
        ("---\nretrieve:\n  most: 3\n---\nx", 2, "retrieve.from: Field required"),
        ("---\nretrieve:\n  from: [a]\n  most: 0\n---\nx", 4, "retrieve.most: Input should be greater"),
        ("---\nretrieve:\n  form: [a]\n---\nx", 3, "a role has no 'retrieve.form' (did you mean 'from'?)"),
        ("---\nname: a\x07\n---\nx", 2, "a character that YAML does not allow"),
        ("---\ntools: 5\n---\nx", 2, "tools must be a list of names"),
        ("---\ntools: [a, 5]\n---\nx", 2, "tools must be a list of names"),
        ("---\ntools: a, a\n---\nx", 2, "a tool is named twice"),
        ("---\nlimits: 5\n---\nx", 2, "limits must be entries such as turns: 20, not 5"),
        ("---\nlimits:\n  turn: 5\n---\nx", 3, "a role has no 'limits.turn' (did you mean 'turns'?)"),
        ("---\nlimits:\n  turns: 0\n---\nx", 3, "limits.turns: Input should be greater than or equal to 1, not 0"),
        ("---\nlimits:\n  turns: many\n---\nx", 3, "limits.turns: "),
        ("---\nlimits:\n  budget:\n    usd: a\n---\nx", 4, "limits.budget: "),
        ("---\nlimits:\n  budget: 5\n---\nx", 3, "limits.budget must be entries"),
        ("---\nmodel: a/\n---\nx", 2, "model: 'a/' is no model's name"),
        ("---\nmodel: openai/x@http://example.org/v1\n---\nx", 2, "only the command line may: --model careful=MODEL"),
        ("---\nmodel: file:/tmp/box\n---\nx", 2, "only the command line may"),
        ("---\nescalate: file:box\n---\nx", 2, "escalate names an address or a folder"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = ours(tmp_path, text)
    with pytest.raises(RoleError) as caught:
        read_role(path)
    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert problem in caught.value.message
    assert (caught.value.exit_code, caught.value.line) == (2, line)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(RoleError, match=r"careful\.md: it cannot be read"):
        read_role(tmp_path / "careful.md")
    (tmp_path / "latin.md").write_bytes(b"---\nname: a\n---\ncaf\xe9")
    with pytest.raises(RoleError, match=r"latin\.md:4: it is not UTF-8"):
        read_role(tmp_path / "latin.md")


def test_the_form_of_coding_agents(tmp_path: Path) -> None:
    tools = "Read, Edit, MultiEdit, WebSearch, mcp__git__git_log"
    text = f"---\nname: mine\ndescription: It helps\ntools: {tools}\nmodel: sonnet\ncolor: cyan\n---\nYou help."
    role = read_role(theirs(tmp_path, text))
    assert (role.name, role.tools, role.model) == ("mine", ("read", "edit", "git__git_log"), None)
    assert role.notes == (
        "tools: WebSearch has no counterpart here",
        "model: sonnet is an alias of another tool; the run's model answers instead",
    )
    assert read_role(theirs(tmp_path, "---\nname: b\nmodel: inherit\n---\nx")).notes == ()
    assert read_role(theirs(tmp_path, "---\nname: b\nmodel: ollama/llama3\n---\nx")).model == "ollama/llama3"
    with pytest.raises(RoleError, match=r":2: name must be text"):
        read_role(theirs(tmp_path, "---\nname: [b]\n---\nx"))


def test_coding_agents_write_descriptions_that_are_not_yaml(tmp_path: Path) -> None:
    text = """---
name: mine
description: Use this one: it helps. Examples: <example>user: "hi"</example>
  and so on: yes
tools: 'Read'
---
You help."""
    role = read_role(theirs(tmp_path, text))
    assert role.description == 'Use this one: it helps. Examples: <example>user: "hi"</example> and so on: yes'
    assert (role.name, role.tools) == ("mine", ("read",))
    with pytest.raises(RoleError, match=r":2: it is not YAML"):
        read_role(theirs(tmp_path, "---\ndescription: a: b\nnot an entry\n---\nx"))
    with pytest.raises(RoleError, match=r"careful\.md:3: it is not YAML"):
        read_role(ours(tmp_path, text))


def test_a_project_goes_before_what_is_built_in(tmp_path: Path) -> None:
    theirs(tmp_path, "---\nname: critic\n---\nTheirs.", "critic")
    theirs(tmp_path, "---\nname: judge\n---\nTheirs.", "judge")
    path = ours(tmp_path, "---\nname: critic\n---\nOurs.", "critic")
    roles = Roles.here(tmp_path)
    assert roles.role("critic").instructions == "Ours."
    assert roles.role("judge").instructions == "Theirs."
    assert roles.role("worker").source == "built in"
    (entry,) = [entry for entry in roles.listed() if entry.name == "critic"]
    assert entry.source == str(path)
    assert entry.hides == (str(tmp_path / ".claude/agents/critic.md"), "built in")


def test_a_bad_file_is_never_skipped(tmp_path: Path) -> None:
    ours(tmp_path, "---\nnmae: critic\n---\nx", "critic")
    roles = Roles.here(tmp_path)
    assert "critic" in roles
    with pytest.raises(RoleError, match=r"critic\.md:2: a role has no 'nmae'"):
        roles.role("critic")
    (entry,) = [entry for entry in roles.listed() if entry.name == "critic"]
    assert entry.definition is None
    assert entry.problem is not None


@pytest.mark.parametrize(
    "front", ["name: critic\nnmae: x", "nmae: x\nname:  'critic' # ours\nmodel: [", "name: critic\ndescription: a: b"]
)
def test_a_bad_file_stands_for_the_name_that_it_gives_itself(tmp_path: Path, front: str) -> None:
    ours(tmp_path, f"---\n{front}\n---\nname: judge", "strict")
    roles = Roles.here(tmp_path)
    with pytest.raises(RoleError, match=r"strict\.md:"):
        roles.role("critic")
    assert roles.role("judge").source == "built in"


def test_two_files_for_one_name_are_a_mistake(tmp_path: Path) -> None:
    ours(tmp_path, "---\nname: same\n---\nx", "a")
    ours(tmp_path, "---\nname: same\n---\ny", "b")
    with pytest.raises(RoleError, match=r"b\.md: it says name: same, and so does .*a\.md"):
        Roles.here(tmp_path).role("same")


def test_a_role_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UndeclaredError, match=r"role 'nobody' is not available here .*verifier"):
        Roles.here(tmp_path).role("nobody")


def test_the_project_around_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours(tmp_path, "---\n---\nx")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert Roles.here(inner).folder == tmp_path
    (tmp_path / "a" / ".git").mkdir()
    assert Roles.here(inner).folder is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Roles.here(tmp_path / "elsewhere").folder is None
