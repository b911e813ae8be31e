import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm import fields
from charlstm.errors import TextError
from charlstm.text.reading import ReadReport, Tally, TextOptions, decoded
from random_examples import examples

# Characters that can go wrong at the border of two blocks: CR LF, marks, jamo and others that compose.
TRICKY = st.text(
    st.sampled_from("ab \r\n\u0301\u0323\u0308eﬁ\u1100\u1161\u11a8각\u212b\u09c7\u09be\u0f71\u0f72𝅗𝅥😀字\u00ad\xa0\f")
)
ANY = TRICKY | st.text()


def read(data: bytes, sizes: list[int], encoding: str, options: TextOptions) -> tuple[str, Tally]:
    blocks, at = [], 0
    for size in sizes:
        blocks.append(data[at : at + size])
        at += size
    tally = Tally()
    return "".join(decoded([*blocks, data[at:]], encoding, options, tally)), tally


@examples(40)
@given(ANY, st.lists(st.integers(0, 9)), st.sampled_from(["utf-8", "utf-16-le", "utf-32-be"]))
@example("a\r\nb", [2], "utf-8")
@example("e" * 1_000_000 + "\u0301", [1_000_000], "utf-8")  # as many as are held back at most
def test_decoded_does_not_depend_on_block_size(text: str, sizes: list[int], encoding: str) -> None:
    options = TextOptions()
    streamed, tally = read(text.encode(encoding), sizes, encoding, options)
    whole = text.replace("\r\n", "\n").replace("\r", "\n")
    assert streamed == options.apply(text) == unicodedata.normalize("NFC", whole)
    assert tally.invalid_bytes == 0


@examples(40)
@given(st.binary(), st.lists(st.integers(0, 5)))
def test_decoded_replaces_and_counts_invalid_bytes(data: bytes, sizes: list[int]) -> None:
    options = TextOptions(normalize=False)
    streamed, tally = read(data, sizes, "utf-8", options)
    expected = data.decode("utf-8", "replace")
    assert streamed == expected.replace("\r\n", "\n").replace("\r", "\n")
    assert tally.invalid_bytes == len(data) - len(data.decode("utf-8", "ignore").encode())


def test_newline_style_is_found() -> None:
    styles = {"a\nb\n": "LF", "a\r\nb\r\n": "CRLF", "a\rb\r": "CR", "a\r\nb\n": "mixed", "ab": "none"}
    for sizes in ([], [1] * 6):
        found = [read(text.encode(), sizes, "utf-8", TextOptions())[1].newline_style() for text in styles]
        assert found == [*styles.values()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold_rare": -1}, "fold_rare takes a whole number of at least 0, not -1"),
        ({"encoding": "klingon"}, "no text encoding 'klingon'"),
        ({"pattern": " "}, "pattern"),
        ({"normalize": "yes"}, "normalize takes true or false"),
        ({"fold": 3}, "no text option 'fold'"),
    ],
)
def test_error_names_invalid_option(options: dict[str, object], message: str) -> None:
    with pytest.raises(TextError, match=message):
        TextOptions.from_dict(options)


def test_options_and_reports_survive_json() -> None:
    options = TextOptions(normalize=False, encoding="Latin-1", max_chars=7)
    assert options.encoding == "iso8859-1"
    assert TextOptions.from_dict(options.to_dict()) == options
    report = ReadReport(encoding="utf-8", left_out={"note": 2}, addresses=("a", "b"))
    assert fields.read(ReadReport, fields.plain(report)) == report
