"""Figures and names as words."""

import pytest

from charlstm.text.corpus import open_corpus
from charlstm.text.statistics import describe
from charlstm_tui import formatting

SENTENCES = "The sea was calm, and the light was on the stairs. He had left it there, she said.\n" * 200


def test_every_baseline_of_the_statistics_has_a_name_in_words() -> None:
    corpus = open_corpus(text=SENTENCES)
    assert set(formatting.BASELINE_NAMES) == set(describe(corpus, corpus.split(0.1)).bits or ())


def test_baseline_name_has_a_long_and_a_short_form() -> None:
    assert formatting.baseline_name("order 2") == "last two letters (order 2)"
    assert formatting.baseline_name("xz", short=True) == "compressor"
    assert formatting.baseline_name("another") == "another"


@pytest.mark.parametrize(
    ("folder", "path", "written"),
    [
        ("/home/ada", "/home/ada", "~"),
        ("/home/ada", "/home/ada/tales", "~/tales"),
        ("/home/ada", "/home/adam/tales", "/home/adam/tales"),
        ("/home/ada", "/home/ada/texts/../tales", "~/tales"),
        ("/", "/tmp/tales", "~/tmp/tales"),  # as in a container without users
    ],
)
def test_path_has_a_tilde_for_the_home(folder: str, path: str, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", folder)
    assert formatting.home(path) == written


def test_estimates_of_time_are_rounded() -> None:
    words = {3: "0:03", 59: "1:00", 61: "1:00", 598: "10:00", 7198: "2:00:00"}
    assert {seconds: formatting.rough_clock(seconds) for seconds in words} == words


def test_learning_rate_as_people_write_it() -> None:
    words = {None: "–", 0.0: "0", 2.4e-3: "2.4e-3", 0.93: "9.3e-1", 1.0: "1", 50.0: "50", 1e38: "1.0e38"}
    assert {rate: formatting.learning_rate(rate) for rate in words} == words


def test_figures_are_worded_for_narrow_columns() -> None:
    assert [formatting.clock(n) for n in (None, 0, 35.4, 727, 11_109)] == ["–", "0:00", "0:35", "12:07", "3:05:09"]
    assert [formatting.loss(n, False) for n in (None, float("nan"), 1.7412)] == ["–", "not finite", "1.741"]
    assert formatting.loss(1.0, True) == "1.443"
    assert formatting.shorten("novel-quick-12", 9) == "novel…-12"
