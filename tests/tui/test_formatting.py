"""Figures and names as words."""

from __future__ import annotations

import pytest

from charlstm.text.corpus import open_corpus
from charlstm.text.statistics import describe
from charlstm_tui.formatting import BASELINE_NAMES, baseline_name, percent, rough_clock

SENTENCES = "The sea was calm, and the light was on the stairs. He had left it there, she said.\n" * 200


def test_every_baseline_of_the_statistics_has_a_name_in_words() -> None:
    corpus = open_corpus(text=SENTENCES)
    assert set(BASELINE_NAMES) == set(describe(corpus, corpus.split(0.1)).bits or ())


def test_baseline_name_has_a_long_and_a_short_form() -> None:
    assert baseline_name("order 2") == "last two letters (order 2)"
    assert baseline_name("xz", short=True) == "compressor"
    assert baseline_name("another") == "another"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"), (1e-9, "<0.1 %"), (0.00049, "<0.1 %"), (0.0006, "0.1 %"), (0.036, "3.6 %"), (0.0994, "9.9 %"),
        (0.0996, "10 %"), (0.94, "94 %"), (0.9949, "99 %"), (0.9951, ">99 %"), (0.99999, ">99 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_percent_says_neither_nothing_nor_all_unless_it_is(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "0:03"), (59, "1:00"), (61, "1:00"), (598, "10:00"), (7198, "2:00:00")]
)
def test_estimates_of_time_are_rounded(seconds: float, words: str) -> None:
    assert rough_clock(seconds) == words
