import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.fields import plain
from charlstm.text import statistics
from charlstm.text.corpus import Corpus, Span, open_corpus
from charlstm.text.reading import TextOptions
from charlstm.text.statistics import LossWithBits, NGrams, _sample, describe
from random_examples import examples

WORDS = ["the", "light", "was", "on", "stairs", "where", "he", "had", "left", "it.", "you", "are", "late,", "said"]


def prose(chars: int, seed: int = 0) -> str:
    words = np.random.default_rng(seed).choice(WORDS, chars // 3)
    return " ".join(words)[:chars]


def corpus_of(text: str, options: TextOptions | None = None) -> Corpus:
    return open_corpus(text=text, options=options)


@examples(40)
@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), min_size=3, max_size=20))
def test_ngrams_agree_with_definition_of_witten_bell(train: list[int], held_out: list[int]) -> None:
    vocab_size = 4

    def slow(context: tuple[int, ...], char: int) -> float:
        if not context:
            return (train.count(char) + 1) / (len(train) + vocab_size)
        size = len(context)
        after = [train[at + size] for at in range(len(train) - size) if tuple(train[at : at + size]) == context]
        lower = slow(context[1:], char)
        if not after:
            return lower
        return (after.count(char) + len(set(after)) * lower) / (len(after) + len(set(after)))

    expected = [
        -np.mean([np.log2(slow(tuple(held_out[at - order : at]), held_out[at])) for at in range(2, len(held_out))])
        for order in range(3)
    ]
    fitted = NGrams([np.array(train, np.uint8)], vocab_size)
    assert fitted.bits([np.array(held_out, np.uint8)]) == pytest.approx(expected)


def test_ngram_bits_of_noise_are_its_entropy() -> None:
    ids = np.random.default_rng(0).integers(0, 4500, 60_000).astype(np.uint16)
    for bits in NGrams([ids[:50_000]], 4500).bits([ids[50_000:]]):
        assert np.log2(4500) - 0.05 < bits < np.log2(4500) + 1.2  # for each order


def test_ngrams_do_not_cross_pieces() -> None:
    apart = NGrams([np.array([0, 1]), np.array([2, 3])], 4)
    joined = NGrams([np.array([0, 1, 2, 3])], 4)
    code, char = np.array([1]), np.array([2])
    assert apart.probabilities(1, code, char) < joined.probabilities(1, code, char)


def test_describe_prose() -> None:
    corpus = corpus_of(prose(30_000))
    found = describe(corpus)
    assert (found.chars, found.top[0][0], found.too_little, found.sampled) == (30_000, " ", None, False)
    bits = found.bits or {}
    assert list(bits) == ["order 0", "order 1", "order 2", "xz"]
    assert bits["order 0"] > bits["order 1"] > bits["order 2"]
    assert 0.5 < bits["xz"] < bits["order 0"]
    assert found.losses == {name: each * math.log(2) for name, each in bits.items()}
    baselines = {**(found.baselines or {}), "xz": LossWithBits(0.0, 0.0)}
    assert replace(found, baselines=baselines).losses.keys() == bits.keys() - {"xz"}
    json.dumps(plain(found))
    assert replace(describe(corpus, bits=False), baselines=found.baselines) == found


def test_figures_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(prose(30_000) * 2)
    first = describe(corpus)
    other = describe(corpus, corpus.split(0.4, "blocks"))
    assert other.bits != first.bits
    assert other.parts_overlap != first.parts_overlap
    monkeypatch.setattr(statistics, "NGrams", None)
    monkeypatch.setattr(statistics, "known_share", None)
    assert describe(corpus) == first


@pytest.mark.parametrize(("limit", "bytes_or_chars"), [("TRAIN_SAMPLE", 40_000), ("XZ_BYTES", 20_000)])
def test_bits_of_large_texts_are_sampled(monkeypatch: pytest.MonkeyPatch, limit: str, bytes_or_chars: int) -> None:
    corpus = corpus_of(prose(60_000))
    whole = describe(corpus)
    monkeypatch.setattr(statistics, limit, bytes_or_chars)
    part = describe(corpus)
    assert (whole.sampled, part.sampled) == (False, True)
    assert part.losses["order 1"] == pytest.approx(whole.losses["order 1"], abs=0.07)


def test_sample_of_many_short_spans_is_of_whole_ones_from_all_over() -> None:
    spans = [Span(20 * number, 20 * number + 9) for number in range(10_000)]
    sample, is_part = _sample(spans, 9_000)
    assert is_part
    assert sum(stop - start for start, stop in sample) == pytest.approx(9_000, rel=0.05)
    assert sum(stop - start == 9 for start, stop in sample) > 0.9 * len(sample)
    assert (sample[0].start, sample[-1].stop > 0.95 * spans[-1].stop) == (0, True)
    assert _sample([Span(5, 100_005)], 1_000)[0][1].start > 1_000


def test_describe_without_held_out_part_has_no_bits() -> None:
    corpus = corpus_of(prose(9000))
    assert "Nothing is held out" in str(describe(corpus, corpus.split(0)).too_little)


def test_bits_of_one_repeated_character_are_zero() -> None:
    assert (describe(corpus_of("a" * 50_000)).bits or {})["order 2"] == pytest.approx(0, abs=0.01)


def test_parts_overlap_finds_repeated_text() -> None:
    found = describe(corpus_of(prose(30_000) + "\n" + prose(30_000)))
    assert str(found.parts_overlap).startswith("100 % of the held-out part is word for word in the training part too")
    assert describe(corpus_of(prose(60_000))).parts_overlap is None


@pytest.mark.parametrize("text", ["x", "\n", "short\n" * 20, "a" * 2000])
def test_describe_short_text_has_no_bits(text: str) -> None:
    found = describe(corpus_of(text))
    assert found.bits is None
    assert str(found.too_little).startswith("Too little text")
