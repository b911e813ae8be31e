from __future__ import annotations

import random

import numpy as np
import pytest

from charlstm.text import passages
from charlstm.text.passages import known_share, passages_of


def words(seed: int, count: int) -> list[str]:
    """Words of a text that has nothing in common with that of another seed."""
    numbers = random.Random(seed)
    return ["".join(numbers.choices("etaoinshrdlu", k=numbers.randint(2, 9))) for _ in range(count)]


BOOK = " ".join(words(0, 12_000))


def test_all_of_a_text_that_was_read_is_known_and_nothing_of_another() -> None:
    known = passages_of([" ".join(words(1, 2_000)), BOOK, "short"])
    assert known.dtype == np.uint32
    assert known_share(known, BOOK) == 1.0
    assert known_share(known, BOOK[20_003:40_001]) == 1.0
    assert known_share(known, " ".join(words(2, 12_000))) == 0.0


def test_another_edition_of_a_text_is_known() -> None:
    sentences = BOOK.replace(" a", " ‘A").replace(" e", "’ “e")
    edition = "\n".join(" ".join(sentences.split()[at : at + 9]) for at in range(0, 12_000, 9)).upper()
    plain = BOOK.replace(" a", " 'a").replace(" e", "' \"_e_").replace("_", "")
    assert known_share(passages_of([edition]), plain) == 1.0


def test_share_is_how_much_of_a_text_was_read() -> None:
    known = passages_of([BOOK[: len(BOOK) // 2]])
    assert known_share(known, BOOK) == pytest.approx(0.5, abs=0.1)


def test_one_passage_in_160_is_kept() -> None:
    assert len(passages_of([BOOK])) == pytest.approx(len(BOOK) / passages.ONE_IN, rel=0.2)


def test_kept_passages_do_not_depend_on_how_much_is_hashed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = passages_of([BOOK])
    monkeypatch.setattr(passages, "CHUNK", 1_000)
    np.testing.assert_array_equal(passages_of([BOOK]), expected)


@pytest.mark.parametrize("text", ["", "a", "a b" * 20, "few words of a text", "x" * 63])
def test_nothing_is_said_of_a_text_that_is_too_short(text: str) -> None:
    assert known_share(passages_of([text, BOOK]), text) == 0.0
