import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import TextError
from charlstm.text.vocabulary import REPLACEMENT, Recoded, Vocabulary
from random_examples import examples


@examples(40)
@given(st.text(min_size=1), st.text())
def test_each_character_has_an_id_and_unknown_ones_are_counted(known: str, text: str) -> None:
    vocabulary = Vocabulary(sorted(set(known)))
    assert list(vocabulary.symbols) == sorted(set(known))
    ids, unknown = vocabulary.encode(text)
    assert vocabulary.decode(ids) == "".join(map(vocabulary.read_as, text))
    assert vocabulary.knows(text, ids).tolist() == [char in known for char in text]
    assert unknown == {char: text.count(char) for char in text if char not in known}


def test_from_counts_folds_rare_characters() -> None:
    vocabulary = Vocabulary.from_counts({"a": 9, "é": 1, "ß": 1, "b": 2}, fold_rare=2)
    assert vocabulary.symbols == ("a", "b", REPLACEMENT)
    ids, unknown = vocabulary.encode("aßq")
    assert vocabulary.decode(ids) == f"a{REPLACEMENT}{REPLACEMENT}"
    assert unknown == {"q": 1, "ß": 1}


def test_order_of_symbols_is_kept() -> None:
    vocabulary = Vocabulary(["z", "a", "é"])
    assert vocabulary.encode("éza")[0].tolist() == [2, 0, 1]
    assert vocabulary.extended(Vocabulary("xyaé")).symbols == ("z", "a", "é", "x", "y")
    assert vocabulary.extended(Vocabulary("az")) is vocabulary


def test_extended_vocabulary_keeps_a_replacement_symbol() -> None:
    plain, folded = Vocabulary("ab"), Vocabulary.from_counts({"a": 9, "c": 9, "q": 1}, fold_rare=2)
    assert plain.extended(folded) == Vocabulary(["a", "b", "c", REPLACEMENT], REPLACEMENT)
    assert folded.extended(plain).replacement == REPLACEMENT
    own = Vocabulary("a?", "?")
    assert own.extended(folded).replacement == "?"
    assert own.extended(Vocabulary("a")) is own


@examples(40)
@given(st.lists(st.characters(exclude_categories=()), min_size=1, unique=True))
def test_to_dict_survives_json(symbols: list[str]) -> None:
    vocabulary = Vocabulary(symbols)  # also two surrogates in a row
    again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert (again, hash(again)) == (vocabulary, hash(vocabulary))


@pytest.mark.parametrize(
    ("symbols", "message"),
    [(["a", "bc"], "'bc'"), (["a", "b", "a"], "'a' is in the vocabulary twice"), ([], "at least one")],
)
def test_invalid_symbols_are_refused(symbols: list[str], message: str) -> None:
    with pytest.raises(TextError, match=message):
        Vocabulary(symbols)


@examples(40)
@given(st.text("abcdé", max_size=40), st.permutations("abcdéx"), st.integers(0, 6), st.slices(45))
def test_recoded_ids_read_as_ids_of_other_vocabulary(text: str, symbols: list[str], known: int, part: slice) -> None:
    own, other = Vocabulary(list("abcdé")), Vocabulary([*symbols[:known], "!"])
    table, is_known = other.encode("abcdé")[0], np.array([char in other for char in "abcdé"])
    recoded = Recoded(own.encode(text)[0].astype(np.uint8), table, is_known, other.dtype)
    expected = other.encode(text)[0]
    assert len(recoded) == len(expected)
    assert recoded.knows(slice(None)).tolist() == [char in other for char in text]
    assert recoded[part].tolist() == expected[part].tolist()
    places = np.arange(len(text)).reshape(1, -1)[:, ::-1]
    assert recoded[places].tolist() == expected[places].tolist()
    assert np.asarray(recoded).dtype == other.dtype


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
