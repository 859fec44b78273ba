"""What is written on a terminal: nothing that commands it, nothing too wide, nothing its encoding cannot say."""

import io
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.workflows.cli.terminal import Paper, Piece, cut, data, safe_encoding, visible, width_of
from antiphon.workflows.cli.words import amount, counts, duration, moment, plural, size


@given(st.text())
def test_visible_text_has_nothing_that_commands_a_terminal(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\x9b2J", r"\x9b2J"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\udcff", r"\udcff"),
        ("naïve 漢字 🎉", "naïve 漢字 🎉"),
    ],
)
def test_visible(given: str, shown: str) -> None:
    assert visible(given) == shown


@given(st.text(st.characters(categories=("L", "N", "P", "M"))), st.integers(min_value=1, max_value=30))
def test_cut_text_fits(text: str, columns: int) -> None:
    assert width_of(cut(text, columns)) <= columns


def test_a_line_is_cut_to_the_paper_over_all_its_pieces() -> None:
    out = io.StringIO()
    Paper(out, columns=12).line("one ", Piece("two ", "bad"), "three four")
    assert out.getvalue() == "one two thr…\n"


def test_styles_are_written_only_where_colour_is() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    Paper(plain).line(Piece("ok", "good"))
    Paper(coloured, colour=True).line(Piece("ok", "good"))
    assert (plain.getvalue(), coloured.getvalue()) == ("ok\n", "\x1b[32mok\x1b[0m\n")


def test_a_text_keeps_its_lines_and_loses_its_escapes() -> None:
    out = io.StringIO()
    Paper(out, columns=5).text("a long line\n\tand \x1b]0;title\x07")
    assert out.getvalue() == "a long line\n\tand \\x1b]0;title\\x07\n"


def test_a_reader_that_went_away_ends_the_writing_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as out:
        paper = Paper(out)
        paper.line("nobody reads this")
        paper.line("nor this")
        assert paper.out is None


def test_data_that_cannot_be_written_is_an_error_and_talk_is_not() -> None:
    closed = io.StringIO()
    closed.close()
    Paper(closed, forgiving=True).line("dropped")
    with pytest.raises(ValueError, match="closed"):
        Paper(closed).line("lost")


def test_no_stream_at_all() -> None:
    Paper(None).line("nowhere")


def test_an_encoding_without_the_letters_spells_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with safe_encoding():
        paper = data()
        paper.line("naïve ", paper.glyph("✓", "+"))
    assert raw.getvalue() == b"na\\xefve +\n"


def test_numbers_in_words() -> None:
    assert [duration(s) for s in (-1, 0.04, 9.9, 12.4, 59.9, 185, 7400)] == [
        "0.0 s",
        "0.0 s",
        "9.9 s",
        "12 s",
        "1m 00s",
        "3m 05s",
        "2h 03m",
    ]
    assert [size(n) for n in (0, 999, 1500, 2_000_000, 5_000_000_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.5 KB",
        "2.0 MB",
        "5000.0 GB",
    ]
    assert plural(1, "call") == "1 call"
    assert plural(1200, "call") == "1,200 calls"
    assert moment(1e300) == "?"


def test_amounts_in_words_leave_out_what_is_no_number() -> None:
    spent = {
        "model_calls": 2,
        "usd": 30_000_000,
        "agent_seconds": 1_500_000_000,
        "tokens": "many",
        "input_tokens": None,
    }
    assert amount(spent) == "0.03 usd, 2 model calls, 1.5 s of agent time"
    assert amount(spent, only=("usd",)) == "0.03 usd"
    assert amount({}) == "nothing"


def test_outcomes_in_words_have_a_fixed_order() -> None:
    assert counts({"timed_out": 1, "strange": 2, "succeeded": 1200, "planned": 9}) == (
        "1,200 succeeded, 1 timed out, 2 strange"
    )
