"""Passages are chosen by rule: the same for the same question, rule and files; within limits, with their hashes."""

import hashlib
from pathlib import Path

import anyio
import pytest

from antiphon.engine import UsageError
from antiphon.subagents.prompt import Caps, Passage, Retrieval
from antiphon.subagents.prompt.words import MOST_BYTES, MOST_LINES, stretches, terms, words
from antiphon.subagents.roles.definition import Retrieve

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


def rule(*sources: str, most: int = 8, tokens: int = 3000) -> Retrieve:
    """A rule as a role's front matter has it."""
    return Retrieve.model_validate({"from": sources or ("**",), "most": most, "tokens": tokens})


def write(root: Path, **files: str) -> Path:
    """Files by name, with `__` for `/` and a Markdown ending."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


async def found(root: Path, question: str, asked: Retrieve | None = None) -> list[str]:
    """Paths of the passages that a question finds."""
    return [passage.path for passage in await Retrieval(root).find(question, asked or rule())]


async def test_the_passage_that_tells_of_it_comes_first_and_says_where_it_is(tmp_path: Path) -> None:
    write(tmp_path, birds="Herons stand still.\n", trees="Oaks grow.\n", docs__more="A heron and an oak.\n")
    passages = await Retrieval(tmp_path).find("where do herons stand", rule())
    assert [passage.path for passage in passages] == ["birds.md", "docs/more.md"]
    digest = hashlib.sha256(b"Herons stand still.\n").hexdigest()
    assert passages[0] == Passage("birds.md", 1, 1, digest, passages[0].score, "Herons stand still.\n")
    assert passages[0].score > passages[1].score > 0


async def test_identifiers_are_found_by_their_parts_and_as_a_whole(tmp_path: Path) -> None:
    code = {"camel": "parseHTTPHeader()\n", "snake": "retry_after_seconds = 3\n", "other": "nothing here\n"}
    write(tmp_path, **code)
    assert await found(tmp_path, "the header") == ["camel.md"]
    assert await found(tmp_path, "retryAfterSeconds") == ["snake.md"]
    assert await found(tmp_path, "parse_http_header") == ["camel.md"]


async def test_a_word_that_every_file_has_still_tells_between_them(tmp_path: Path) -> None:
    write(tmp_path, a="one heron among many other birds of the lake\n", b="heron heron heron\n")
    assert await found(tmp_path, "heron") == ["b.md", "a.md"]


async def test_a_files_name_counts(tmp_path: Path) -> None:
    write(tmp_path, budget_waiting="nothing\n", other="budget\n" + "filler words here\n" * 30)
    assert (await found(tmp_path, "budget"))[0] == "budget_waiting.md"


async def test_a_rule_says_where_from_how_many_and_how_long(tmp_path: Path) -> None:
    root = write(tmp_path, **{f"docs__{n}": f"heron {n}\n" + "word\n" * 30 for n in range(9)}, src="heron\n")
    assert await found(root, "heron", rule("docs/**", most=3)) == ["docs/0.md", "docs/1.md", "docs/2.md"]
    assert await found(root, "heron", rule("/src.md")) == ["src.md"]
    assert await found(root, "heron", rule("docs/**", "!docs/[0-7].md")) == ["docs/8.md"]
    assert len(await found(root, "heron", rule("docs/**", tokens=200))) == 2
    assert await found(root, "heron", rule("**", most=1, tokens=100)) == ["src.md"]


async def test_the_workflows_scope_holds_whatever_the_rule_says(tmp_path: Path) -> None:
    write(tmp_path, docs__a="heron\n", src__b="heron\n")
    passages = await Retrieval(tmp_path, scope=["docs/**"]).find("heron", rule("**"))
    assert [passage.path for passage in passages] == ["docs/a.md"]


async def test_equal_fits_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["b", "a", "c__b", "c__a", "b__z"]
    write(tmp_path, **dict.fromkeys(names, "the same heron\n"))
    assert await found(tmp_path, "heron") == ["a.md", "b.md", "b/z.md", "c/a.md", "c/b.md"]


async def test_ignored_folders_and_files_are_left_out(tmp_path: Path) -> None:
    names = ("node_modules__a", "out__b", "kept", "sub__private", "sub__c")
    write(tmp_path, **dict.fromkeys(names, "heron\n"))
    (tmp_path / ".gitignore").write_text("/out/\nprivate.md\n[")
    (tmp_path / "sub" / ".antiphonignore").write_text("!private.md\nc.md\n")
    assert await found(tmp_path, "heron") == ["kept.md", "sub/private.md"]


async def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    write(tmp_path, a="heron\n", b="heron\n", c="heron " * 90, long="heron " * 900 + "\n", deep__d__e="heron\n")
    (tmp_path / "binary.md").write_bytes(b"heron\0")
    (tmp_path / "link.md").symlink_to("a.md")
    retrieval = Retrieval(tmp_path, caps=Caps(files=3, depth=1))
    assert len(await retrieval.find("heron", rule())) == 3
    assert retrieval.left_out(rule()) == {
        "beyond the cap on all files together": 1,
        "folders too deep": 1,
        "links and special files": 1,
        "not text": 1,
    }
    retrieval = Retrieval(tmp_path, caps=Caps(listed=8))
    assert await retrieval.find("heron", rule())
    assert retrieval.left_out(rule())["folders beyond the cap on names"] == 1
    retrieval = Retrieval(tmp_path, caps=Caps(file_bytes=100))
    assert len(await retrieval.find("heron", rule())) == 3
    assert retrieval.left_out(rule())["too large"] == 2
    retrieval = Retrieval(tmp_path)
    await retrieval.find("heron", rule())
    assert retrieval.left_out(rule())["lines too long"] == 1
    assert Retrieval(tmp_path).left_out(rule()) == {}
    retrieval.close()
    assert retrieval.left_out(rule()) == {}


async def test_siblings_are_given_the_same_though_a_file_changes_meanwhile(tmp_path: Path) -> None:
    write(tmp_path, a="heron\n")
    retrieval = Retrieval(tmp_path)
    before = await retrieval.find("heron", rule())
    write(tmp_path, a="heron changed\n", b="heron\n")
    assert await retrieval.find("heron", rule()) == before
    assert await Retrieval(tmp_path).find("heron", rule()) != before


async def test_many_at_once_read_the_files_once_and_a_cancelled_one_hurts_nobody(tmp_path: Path) -> None:
    write(tmp_path, **{f"f{n}": f"heron number{n}\n" for n in range(200)})
    retrieval = Retrieval(tmp_path)
    answers: list[tuple[Passage, ...]] = []

    async def ask(number: int) -> None:
        answers.append(await retrieval.find(f"number{number}", rule(most=1)))

    with anyio.CancelScope() as scope:
        scope.cancel()
        await ask(0)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, number)
    assert sorted(passage.path for [passage] in answers) == sorted(f"f{n}.md" for n in range(20))


@pytest.mark.parametrize("question", ["", "the of and", "!!!", '" OR "', "NEAR(a b)", "said: *", "\x00'"])
async def test_a_question_is_words_and_never_a_query(tmp_path: Path, question: str) -> None:
    write(tmp_path, a="heron\n", b="near a b or said\n")
    paths = await found(tmp_path, question)
    assert "a.md" not in paths


async def test_no_file_no_passage(tmp_path: Path) -> None:
    assert await found(tmp_path, "heron") == []
    retrieval = Retrieval(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"missing cannot be read: No such file"):
        await retrieval.find("heron", rule())
    write(tmp_path / "missing", a="heron\n")
    assert len(await retrieval.find("heron", rule())) == 1


def test_words_are_parts_and_wholes() -> None:
    assert list(words("parseHTTPHeader_v2")) == ["parse", "http", "header", "v", "2", "parsehttpheaderv2"]
    assert list(words("__init__ Größe_zwei X")) == ["init", "größe", "zwei", "größezwei", "x"]
    assert list(words("鷺は立つ _")) == ["鷺", "は", "立", "つ"]
    assert terms("Where does the heron stand, heron?") == ["does", "heron", "stand"]


def test_stretches_hold_every_line_once_and_end_where_a_line_is_empty() -> None:
    text = b"".join(b"line %d\n" % n + (b"\n" if n % 25 == 24 else b"") for n in range(100)) + b"x" * 9_000 + b"\r\nend"
    found = list(stretches(text))
    assert b"".join(stretch.content for stretch in found) == text
    assert [stretch.first for stretch in found[1:]] == [stretch.last + 1 for stretch in found[:-1]]
    assert found[0].last == 26
    assert all(stretch.last - stretch.first < MOST_LINES for stretch in found)
    assert [len(stretch.content) > MOST_BYTES for stretch in found].count(True) == 1
    assert list(stretches(b"")) == []
