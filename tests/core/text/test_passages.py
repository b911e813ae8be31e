import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.text import passages
from charlstm.text.corpus import open_corpus
from charlstm.text.passages import joined, known_share, known_stretches, passages_in, passages_of
from random_examples import examples


def words(seed: int, count: int) -> list[str]:
    """Words of a text that has nothing in common with that of another seed."""
    numbers = random.Random(seed)
    return ["".join(numbers.choices("etaoinshrdlu", k=numbers.randint(2, 9))) for _ in range(count)]


BOOK = " ".join(words(0, 12_000))


def test_share_is_how_much_of_a_text_was_read() -> None:
    known = passages_of([" ".join(words(1, 2_000)), BOOK, "short"])
    assert known.dtype == np.uint32
    assert known_share(known, passages_of([BOOK])) == 1.0
    assert known_share(known, passages_of([BOOK[20_003:40_001]])) == 1.0
    assert known_share(known, passages_of([" ".join(words(2, 12_000))])) == 0.0
    assert known_share(passages_of([BOOK[: len(BOOK) // 2]]), passages_of([BOOK])) == pytest.approx(0.5, abs=0.1)


def test_another_edition_of_a_text_is_known() -> None:
    words = BOOK.replace(" a", " ‘A").replace(" e", "’ “e").split()
    edition = "\n".join(" ".join(words[at : at + 9]) for at in range(0, 12_000, 9)).upper()
    plain = BOOK.replace(" a", " 'a").replace(" e", "' \"_e_").replace("_", "")
    assert known_share(passages_of([edition]), passages_of([plain])) == 1.0


HARD = "aA0eΣσ中\u1100\u1161\u11a8\u0301\u0327’“—_'.:\xad \t\n\x1c\xa0\u2000\u3000İß"
"""Characters that act on their neighbours when they are composed or converted to lower case, and some that do not."""


@pytest.mark.parametrize("chunk", [1, 2, 7])
@given(text=st.text(HARD, max_size=60))
@examples(100)
@example(text="AΣ'A AΣ 'aΣ0Σ")
@example(text="a_ _中 —_ e\u0301 \u1100\u1161\u11a8")
def test_passages_are_those_of_the_whole_text_wherever_it_is_cut(chunk: int, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "LENGTH", 4)
        patch.setattr(passages, "ONE_IN", 1)
        patch.setattr(passages, "CHUNK", 10**9)
        expected = passages_of([text])
        patch.setattr(passages, "CHUNK", chunk)
        np.testing.assert_array_equal(passages_of([text]), expected)


def test_passages_in_spans_are_those_of_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = open_corpus(text=BOOK)
    spans = [(0, 20_000), (20_000, 20_000), (30_000, 30_007), (40_001, corpus.chars)]
    expected = passages_of(BOOK[start:stop] for start, stop in spans)
    for chunk in (100, 10**9):
        monkeypatch.setattr(passages, "CHUNK", chunk)
        np.testing.assert_array_equal(passages_in(corpus, spans), expected)
        assert len(passages_in(corpus, [])) == 0


def test_too_many_passages_are_thinned_to_a_part_that_knows_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "MOST", 120)
    every = passages_of([BOOK[:15_000]])
    rare = passages_of([BOOK])
    assert len(every) <= 120
    assert 30 < len(rare) <= 120
    both = joined([every, None, rare])
    assert set(rare.tolist()) <= {*both.tolist()} <= {*every.tolist(), *rare.tolist()}
    assert len(both) <= 120
    found = passages_of([BOOK[:15_000]])
    assert known_share(both, found) == known_share(joined([both]), found) == 1.0
    assert known_share(rare, passages_of([" ".join(words(2, 2_500))])) == 0.0


def test_stretches_that_were_read_are_found_in_another_edition() -> None:
    known = passages_of([BOOK])
    new = " ".join(words(3, 200))
    quoted = BOOK[5_000:7_000].replace(" a", " ‘a").replace(" e", "\n—e").replace(" ", "  ")
    (found,) = known_stretches(passages_of([quoted, BOOK]), f"{new}\n\n{quoted} {new}")
    start, stop = len(new) + 2, len(new) + 2 + len(quoted)
    assert start <= found[0] < start + 700
    assert stop - 700 < found[1] <= stop
    assert known_stretches(known, new) == known_stretches(known, "") == []


@given(text=st.text(HARD, max_size=60))
@examples(100)
@example(text="a_ _中 —_ e\u0301 \u1100\u1161\u11a8")
def test_plain_words_are_those_that_are_hashed(text: str) -> None:
    plain, origin = passages._plain_words(text)
    assert plain == "".join(passages._plain([text]))
    assert len(origin) == len(plain)
    assert all(text[at].isspace() == char.isspace() for at, char in zip(origin.tolist(), plain, strict=True))


@pytest.mark.parametrize("blank", [" ", "", "中"])
def test_memory_does_not_grow_with_the_text(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    monkeypatch.setattr(passages, "CHUNK", 10_000)
    peaks = []
    for times in (2, 8):
        corpus = open_corpus(text=BOOK.replace(" ", blank) * times)
        tracemalloc.start()
        passages_in(corpus, [(0, corpus.chars)])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000


@pytest.mark.parametrize("text", ["", "a", "a b" * 20, "few words of a text", "x" * 63])
def test_nothing_is_said_of_a_text_that_is_too_short(text: str) -> None:
    assert known_share(passages_of([text, BOOK]), passages_of([text])) is None
