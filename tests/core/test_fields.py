import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import MAX_LENGTH, CharLSTMError
from charlstm.fields import plain, read
from random_examples import examples


@dataclass(frozen=True)
class Record:
    count: int
    figure: float
    word: str
    flag: bool
    kind: Literal["a", "b"]
    some: tuple[int, ...]
    maybe: float | None = None


GOOD = {"count": 3, "figure": 2, "word": "x", "flag": True, "kind": "b", "some": [1, 2], "maybe": None}


def test_read_converts_valid_values() -> None:
    record = read(Record, GOOD | {"later": 1})
    assert record == Record(3, 2.0, "x", True, "b", (1, 2), None)
    assert type(record.figure) is float


@dataclass(frozen=True)
class Whole:
    record: Record
    records: tuple[Record, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    perhaps: Record | None = None


def test_what_is_read_is_what_was_written_also_inside_one_another() -> None:
    record = read(Record, GOOD)
    whole = Whole(record, (record, record), {"a": 1}, record)
    assert read(Whole, json.loads(json.dumps(plain(whole)))) == whole
    assert read(Whole, {"record": GOOD}) == Whole(record)  # what is missing has its default
    for wrong in ({}, {"record": 1}, {"record": {}}, {"record": GOOD, "counts": {"a": "1"}}, []):
        with pytest.raises(TypeError):
            read(Whole, wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": True}, {"count": -1}, {"count": 2**53}, {"count": 1.0}, {"figure": "2"}, {"figure": float("nan")},
        {"figure": float("inf")}, {"figure": 10**400}, {"figure": True}, {"word": None}, {"flag": 1}, {"kind": "c"},
        {"kind": ["a"]}, {"some": "12"}, {"some": [1, "2"]}, {"maybe": "1"},
    ],
)  # fmt: skip
def test_read_refuses_wrong_types_and_ranges(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        read(Record, GOOD | wrong)


@examples(40)
@given(st.text(alphabet=st.characters(), max_size=2000))
def test_error_message_is_one_printable_line_of_limited_length(quoted: str) -> None:
    sentence = str(CharLSTMError(f"The file {quoted} is damaged: use another copy"))
    assert sentence.startswith("The file ")
    assert sentence.endswith(": use another copy")
    assert len(sentence) <= MAX_LENGTH + 5
    assert not any(char < " " or "\x7f" <= char < "\xa0" for char in sentence)
