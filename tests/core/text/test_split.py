"""How a text is divided into a training, a validation and a test part."""

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import TextError
from charlstm.text.batches import trained_share, trained_texts
from charlstm.text.corpus import Corpus, Span
from charlstm.text.reading import TextOptions
from random_examples import examples
from small_training import make_corpus

Mode = Literal["tail", "blocks"]


def corpus_of(chars: int) -> Corpus:
    return Corpus("x", (), TextOptions(), None, None, None, np.zeros(chars, np.uint8), "")


@examples(40)
@given(st.integers(1, 100_000), st.floats(0, 0.5), st.floats(0, 0.49), st.sampled_from(["tail", "blocks"]))
def test_split_covers_text_once(chars: int, val_fraction: float, test_fraction: float, mode: Mode) -> None:
    split = corpus_of(chars).split(val_fraction, mode, test_fraction)
    spans = sorted([*split.train, *split.held_out, *split.test])
    assert (spans[0].start, spans[-1].stop) == (0, chars)
    assert all(one.stop == other.start for one, other in pairwise(spans))
    assert all(span.start < span.stop for span in spans)
    assert split.train_chars == int(chars * (1 - val_fraction - test_fraction))
    test_chars = sum(stop - start for start, stop in split.test)
    assert test_chars == pytest.approx(chars * test_fraction, abs=11)
    if not val_fraction:
        assert not split.held_out


def test_test_part_is_the_very_end_of_the_text() -> None:
    split = corpus_of(1000).split(0.1, "tail", 0.2)
    assert (split.train, split.held_out, split.test) == ((Span(0, 700),), (Span(700, 800),), (Span(800, 1000),))


def test_blocks_are_spread_over_the_text_and_the_test_part_is_the_end_of_each() -> None:
    places = (5562, 12124, 27686, 34249, 40811, 56373, 62936, 78498, 85060, 91623)
    of_resumed_runs = tuple(Span(start, start + 1000) for start in places)
    assert corpus_of(100_000).split(0.1, "blocks").held_out == of_resumed_runs
    split = corpus_of(100_000).split(0.1, "blocks", 0.1)
    assert len(split.held_out) == 10
    for validation, test in zip(split.held_out, split.test, strict=True):
        assert validation.stop == test.start
        assert (validation.stop - validation.start, test.stop - test.start) == (1000, 1000)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.0, 1.0), (-0.1, 0.2), (0.1, -0.1), (float("nan"), 0.1)])
def test_split_refuses_fractions_that_leave_nothing_to_train_on(fractions: tuple[float, float]) -> None:
    with pytest.raises(TextError, match=r"below 1 together|takes a number"):
        corpus_of(100).split(fractions[0], "tail", fractions[1])


def test_trained_share_leaves_out_test_part() -> None:
    corpus = make_corpus("abcdefghij" * 10)
    settings = {"val_fraction": 0.1, "split": "tail", "test_fraction": 0.2}
    known = trained_texts({"fingerprint": corpus.fingerprint, "corpus": "x", "settings": settings})
    assert trained_share(known, corpus, [(70, 100)]) == (0.0, None)
    assert trained_share(known, corpus, [(60, 80)])[0] == 0.5
