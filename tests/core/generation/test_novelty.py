"""Copied passages are those that plain searching finds."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.errors import GenerationError
from charlstm.generation import novelty
from charlstm.generation.novelty import Match, Novelty, NoveltyIndex, NoveltyReport, known_units, with_matches
from charlstm.text.vocabulary import Vocabulary
from random_examples import examples


def corpus_of(text, dtype=None):
    """The attributes of a corpus that the index uses, without a cache on disk."""
    vocabulary = Vocabulary(sorted(set(text)))
    ids = vocabulary.encode(text)[0].astype(dtype or vocabulary.dtype)
    return SimpleNamespace(ids=ids, vocabulary=vocabulary, text=lambda start, stop: vocabulary.decode(ids[start:stop]))


def slow_copied(corpus, text, length):
    """Which characters are in a passage of ``length`` that the corpus has."""
    copied = [False] * len(text)
    for start in range(len(text) - length + 1):
        if text[start : start + length] in corpus:
            copied[start : start + length] = [True] * length
    return copied


def check(corpus, text, length, report, begins=0):
    """That a report has all matches of ``text`` with a corpus of which ``corpus`` is searched, which begins there."""
    covered, first = [False] * len(text), 0  # where the next match may start
    for match in report.matches:
        assert match.length >= length
        assert corpus[match.where - begins : match.where - begins + match.length] == text[match.start : match.stop]
        assert match.stop == len(text) or text[match.start : match.stop + 1] not in corpus
        assert match.start == first or text[match.start - 1 : match.start - 1 + length] not in corpus
        first = match.stop - length + 1
        covered[match.start : match.stop] = [True] * match.length
    expected = slow_copied(corpus, text, length)
    assert covered == expected
    assert (report.copied, report.chars) == (sum(expected), len(text))
    assert report.share == pytest.approx(sum(expected) / max(1, len(text)))


@examples(100)
@given(
    st.text("ab", min_size=1, max_size=80),
    st.lists(st.text("abx", max_size=60), min_size=1, max_size=4),
    st.integers(2, 12),
    st.none() | st.tuples(st.integers(0, 20), st.integers(20, 40)),
    st.sampled_from([0, 20_000]),
    st.sampled_from([None, np.uint16]),
)
@example("a" * 80, ["a" * 60], 5, (0, 40), 20_000, None)
@example("a" * 80, ["a" * 60], 5, None, 20_000, None)
@example("ab" * 40, ["x" + "ba" * 20 + "x"], 4, None, 20_000, None)
def test_novelty_agrees_with_plain_searching_also_in_a_text_that_grows(corpus, pieces, length, span, many, dtype):
    """``many`` is 0 for passages that the corpus repeats very often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "_MANY", many)
        start, stop = span or (0, len(corpus))
        growing, text = Novelty(NoveltyIndex(corpus_of(corpus, dtype), length, span and [span])), ""
        for piece in pieces:
            text += piece
            check(corpus[start:stop], text, length, growing.update(text), start)
        text = text[: len(text) // 2]
        check(corpus[start:stop], text, length, growing.update(text), start)


def test_novelty_compares_few_of_a_million_places_with_the_same_passage(monkeypatch):
    compared, extend = [], novelty._extend
    monkeypatch.setattr(novelty, "_extend", lambda ids, at, *rest: compared.append(at) or extend(ids, at, *rest))
    report = Novelty(NoveltyIndex(corpus_of("-" * 1_000_000 + "\n"))).update("-" * 40 + "\n")
    assert report.matches == (Match(0, 41, 999_960),)
    assert sum(map(len, compared)) < 100_000


def test_white_space_alone_is_not_copied():
    novelty = Novelty(NoveltyIndex(corpus_of("one" + " " * 60 + "two\nA sentence of the text.\n" + "\n" * 40), 20))
    assert novelty.update("x" + " " * 30).copied == 0
    sentence = "two\nA sentence of the text."
    assert len(sentence) <= novelty.update("x" + " " * 90 + sentence).copied <= 60 + len(sentence)
    assert novelty.update("\n" * 30).copied == 0


@pytest.mark.parametrize("wrong", [1, 0, -3])
def test_index_refuses_invalid_min_length(wrong):
    with pytest.raises(GenerationError, match="shortest passage"):
        NoveltyIndex(corpus_of("abc"), wrong)


def test_index_of_very_large_corpus_covers_its_beginning(monkeypatch):
    monkeypatch.setattr(novelty, "MAX_ENTRIES", 10)
    corpus = corpus_of("".join(map(chr, range(32, 432))))
    index = NoveltyIndex(corpus, 30)
    assert index.searched == 100
    assert Novelty(index).update(corpus.text(0, 100)).matches == (Match(0, 100, 0),)
    assert Novelty(index).update(corpus.text(200, 300)).matches == ()


@pytest.mark.parametrize(
    ("text", "units", "found"),
    [
        ("emma\n\nzz\nemma", "lines", ["emma"]),  # the last one may go on
        ("One\ntwo\n\nOne\n\n\n", "blank-lines", ["One\ntwo"]),
        ("X:1\nabc\n\nX:2\nd\nX:", "X:", ["X:1\nabc"]),
    ],
)
def test_whole_units_are_known_however_short(text: str, units: str, found: list[str]) -> None:
    matches, whole = known_units(text, units, {"emma": 7, "One\ntwo": 7, "X:1\nabc": 7})
    assert [text[match.start : match.stop] for match in matches] == found
    assert whole == 2
    assert with_matches(NoveltyReport(len(text), 0, ()), text, matches).copied == len(found[0])
