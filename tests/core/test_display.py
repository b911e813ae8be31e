import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm import display
from random_examples import examples

HARMFUL = st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])


@examples(40)
@given(st.text(st.characters(exclude_categories=()) | HARMFUL))
def test_visible_replaces_every_control_character(text: str) -> None:
    shown = display.visible(text)
    assert len(shown) == len(text)
    for char, sign in zip(text, shown, strict=True):
        assert sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        assert sign == char or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or char == "\u00a0"
    shown.encode("utf-8")
    assert display.visible(shown) == shown


def test_visible_keeps_printable_text() -> None:
    for text in ("plain [red]markup[/red]", "字\u3000字 👋🏽 e\u0301", "two\nlines"):
        assert display.visible(text) == text
    assert display.visible("a\tb\nc\x1b", keep="\t") == "a\tb↵c␛"


def test_symbol_is_one_visible_character() -> None:
    assert [display.symbol(char) for char in " \n\t\x1b\x00\x7f\u202ea"] == [*"␣↵⇥␛␀␡⍰a"]


def test_described_names_code_point() -> None:
    assert [display.described(char) for char in "\u00ad\f"] == ["U+00AD soft hyphen", "U+000C form feed"]


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"), (1e-9, "<0.1 %"), (0.00049, "<0.1 %"), (0.0006, "0.1 %"), (0.036, "3.6 %"), (0.0994, "9.9 %"),
        (0.0996, "10 %"), (0.94, "94 %"), (0.9949, "99 %"), (0.9951, ">99 %"), (0.99999, ">99 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_percent_says_neither_nothing_nor_all_unless_it_is(share: float, words: str) -> None:
    assert display.percent(share) == words


def test_percent_has_the_decimals_that_are_asked_for() -> None:
    assert [display.percent(0.9996, decimals) for decimals in (0, 1, 2)] == ["100 %", "100.0 %", "99.96 %"]


def test_counts_and_sizes_are_short() -> None:
    counts = [display.count(n) for n in (0, 97, 999, 1000, 465_128, 8_000_000, 9_960_000)]
    assert counts == ["0", "97", "999", "1.0 k", "465 k", "8.0 M", "10 M"]
    assert [display.count(n, exact=True) for n in (0.5, 950, 1000, 12_500)] == ["0.5", "950", "1 k", "12.5 k"]
    assert [display.size(n) for n in (0, 999, 1_100_000, 21_000_000_000)] == ["0 B", "999 B", "1.1 MB", "21 GB"]


def test_duration_is_clock_time() -> None:
    words = [display.duration(seconds) for seconds in (-3, 0, 35.4, 59.6, 727, 11_109)]
    assert words == ["0:00", "0:00", "0:35", "1:00", "12:07", "3:05:09"]


def test_plural_counts_in_thousands() -> None:
    assert [display.plural(number, "step") for number in (0, 1, 2000)] == ["0 steps", "1 step", "2,000 steps"]


def test_sentence_has_a_capital_letter_and_an_end() -> None:
    sentences = [display.as_sentence(words) for words in ("", " ", "disk is full", "Stopped!", " reading…\n")]
    assert sentences == ["", "", "Disk is full.", "Stopped!", "Reading…"]


def test_html_shows_text_literally() -> None:
    assert display.as_html("<b>&\x1b\n\u200d") == "&lt;b&gt;&amp;␛\n\u200d"


@pytest.mark.parametrize(
    ("loss", "figure"),
    [(1.2346, "1.235"), (9999.0, "9999.000"), (1959653978.24, "2.0e9"), (float("nan"), "nan"), (float("inf"), "inf")],
)
def test_loss_of_a_run_that_diverges_is_a_short_figure(loss: float, figure: str) -> None:
    assert display.loss_figure(loss) == figure


def test_table_aligns_wide_and_control_characters() -> None:
    rows = [("红楼梦", "1"), ("a\x1b[2J", "1,000")]
    assert display.table(("NAME", "N"), rows, right=("N",)) == ["NAME        N", "红楼梦      1", "a␛[2J   1,000"]
