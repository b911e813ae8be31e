"""As which character one is read that a model does not know."""

from __future__ import annotations

import pytest

from charlstm.text.vocabulary import REPLACEMENT, Vocabulary


@pytest.mark.parametrize(
    ("char", "symbols", "read"),
    [
        ("é", "eé", "é"), ("é", "e ", "e"), ("“", "\"'", '"'), ("“", "'a", "'"), ("—", "a-", "-"), ("…", ".", "."),
        ("œ", "aeo", "o"), ("ǿ", "ao", "o"), ("£", f"a{REPLACEMENT} ", REPLACEMENT), ("£", "a ", " "), ("£", "ab", "a"),
        ("½", "12 ", " "), ("\U0001f600", "ab ", " "), ("\udce9", "ab", "a"),
    ],
)  # fmt: skip
def test_character_is_read_as_the_first_of_its_forms_that_is_known(char: str, symbols: str, read: str) -> None:
    vocabulary = Vocabulary(symbols, REPLACEMENT if REPLACEMENT in symbols else None)
    assert vocabulary.read_as(char) == read
    ids, unknown = vocabulary.encode(f"a{char}{char}" if "a" in symbols else char * 2)
    assert vocabulary.decode(ids[-2:]) == read * 2
    assert unknown == ({} if char in symbols else {char: 2})
