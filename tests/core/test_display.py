from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.display import (
    as_html,
    as_sentence,
    described,
    duration,
    loss_figure,
    percent,
    plural,
    symbol,
    table,
    visible,
)
from random_examples import examples

HARMFUL = st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])


@examples(40)
@given(st.text(st.characters(exclude_categories=()) | HARMFUL))
def test_visible_replaces_every_control_character(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    for char, sign in zip(text, shown, strict=True):
        assert sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        assert sign == char or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or char == "\u00a0"
    shown.encode("utf-8")
    assert visible(shown) == shown


def test_visible_keeps_printable_text() -> None:
    for text in ("plain [red]markup[/red]", "字\u3000字 👋🏽 e\u0301", "two\nlines"):
        assert visible(text) == text


@pytest.mark.parametrize(
    ("char", "sign"),
    [(" ", "␣"), ("\n", "↵"), ("\t", "⇥"), ("\x1b", "␛"), ("\x00", "␀"), ("\x7f", "␡"), ("\u202e", "⍰"), ("a", "a")],
)
def test_symbol_is_one_visible_character(char: str, sign: str) -> None:
    assert symbol(char) == sign
    assert len(symbol(char)) == 1


def test_visible_keeps_characters_in_keep() -> None:
    assert visible("a\tb\nc\x1b", keep="\t") == "a\tb↵c␛"


def test_described_names_code_point() -> None:
    assert described("\u00ad") == "U+00AD soft hyphen"
    assert described("\f") == "U+000C form feed"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"), (1e-9, "<0.1 %"), (0.00049, "<0.1 %"), (0.0006, "0.1 %"), (0.036, "3.6 %"), (0.0994, "9.9 %"),
        (0.0996, "10 %"), (0.94, "94 %"), (0.9949, "99 %"), (0.9951, ">99 %"), (0.99999, ">99 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_percent_says_neither_nothing_nor_all_unless_it_is(share: float, words: str) -> None:
    assert percent(share) == words


def test_percent_has_the_decimals_that_are_asked_for() -> None:
    assert [percent(0.9996, decimals) for decimals in (0, 1, 2)] == ["100 %", "100.0 %", "99.96 %"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0:00"), (0, "0:00"), (35.4, "0:35"), (59.6, "1:00"), (727, "12:07"), (11_109, "3:05:09")],
)
def test_duration_is_clock_time(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_plural_counts_in_thousands() -> None:
    assert [plural(number, "step") for number in (0, 1, 2000)] == ["0 steps", "1 step", "2,000 steps"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [("", ""), (" ", ""), ("disk is full", "Disk is full."), ("Stopped!", "Stopped!"), (" reading…\n", "Reading…")],
)
def test_sentence_has_a_capital_letter_and_an_end(words: str, sentence: str) -> None:
    assert as_sentence(words) == sentence


def test_html_shows_text_literally() -> None:
    assert as_html("<b>&\x1b\n\u200d") == "&lt;b&gt;&amp;␛\n\u200d"


@pytest.mark.parametrize(
    ("loss", "decimals", "figure"),
    [
        (1.2346, 2, "1.23"),
        (9999.0, 3, "9999.000"),
        (1959653978.24, 2, "2.0e9"),
        (8.2e16, 3, "8.2e16"),
        (float("nan"), 2, "nan"),
        (float("inf"), 2, "inf"),
    ],
)
def test_loss_of_a_run_that_diverges_is_a_short_figure(loss: float, decimals: int, figure: str) -> None:
    assert loss_figure(loss, decimals) == figure


def test_table_aligns_wide_and_control_characters() -> None:
    rows = [("红楼梦", "1"), ("a\x1b[2J", "1,000")]
    assert table(("NAME", "N"), rows, right=("N",)) == ["NAME        N", "红楼梦      1", "a␛[2J   1,000"]
