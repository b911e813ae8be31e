"""Wrapping: against a slow obvious reference, and the same however the text arrived."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm_tui.generate.text_layout import TextLayout, cells, glyph
from random_examples import examples

ALPHABET = "ab -\n\t　你é\u0301\u200d\u202e\x00\x1b[/]ש🙂"
texts = st.text(st.sampled_from(ALPHABET), max_size=120) | st.text(max_size=40)


def wrapped(text: str, width: int) -> TextLayout:
    page = TextLayout(width)
    page.append(text)
    return page


def obvious_rows(text: str, width: int) -> list[int]:
    """Starts of rows, one character at a time."""
    starts, start = [0], 0
    while True:
        taken, stop, broke = 0, start, None
        while stop < len(text):
            size = cells(text[stop]) or (1 if stop == start and text[stop] != "\n" else 0)
            if taken + size > width and stop > start:
                break
            if stop - start >= 8 * width:
                break
            taken += size
            stop += 1
            if text[stop - 1] == "\n":
                break
        if stop > start and text[stop - 1] == "\n":
            starts.append(stop)
            start = stop
            continue
        if stop < len(text) and text[stop] in " \xa0\u2009":
            stop += 1
            if stop < len(text) and text[stop] == "\n":
                stop += 1
                starts.append(stop)
                start = stop
                continue
        if stop >= len(text):
            return starts
        for place in range(stop, start, -1):
            before = text[place - 1]
            if place < len(text) and cells(text[place]) and (before in " \t-–—/" or cells(before) == 2):
                broke = place
                break
        start = stop if broke is None else broke
        starts.append(start)


@examples(40)
@given(st.text(st.sampled_from("ab -\n你é\u0301"), max_size=120), st.integers(2, 12))
def test_wraps_as_the_obvious_way_does(text: str, width: int) -> None:
    assert list(wrapped(text, width).starts) == obvious_rows(text, width)


@example(" b你a ", "", 2, 2, 4, 0)  # a row that goes makes space in the one above the row above
@given(texts, texts, st.integers(2, 20), st.integers(0, 130), st.integers(0, 130), st.integers(0, 9))
@examples(75)
def test_edit_wraps_as_the_whole_text(text: str, new: str, width: int, start: int, stop: int, repeat: int) -> None:
    text = (text + "\n") * (1 + repeat * 40)
    start, stop = sorted((min(start, len(text)), min(stop, len(text))))
    page = wrapped(text, width)
    before = list(page.starts)
    first, last = page.replace(start, stop, new)
    whole = wrapped(text[:start] + new + text[stop:], width)
    assert (page.text(), page.starts) == (whole.text(), whole.starts)
    assert list(page.starts[: first + 1]) == before[: first + 1]
    below = len(page.starts) - last
    if below:
        moved = len(new) - (stop - start)
        assert list(page.starts[-below:]) == [place + moved for place in before[-below:]]


def test_edit_at_the_beginning_of_a_long_text_wraps_few_rows() -> None:
    page = wrapped("the light was on the stairs " * 10 + "\n" + "the light was on the stairs\n" * 10_000, 80)
    rows = page.rows
    first, last = page.replace(5, 5, "x")
    assert first == 0
    assert last <= 6
    assert page.rows in (rows, rows + 1)


@given(texts, st.integers(2, 20), st.lists(st.integers(0, 200), max_size=6), st.integers(2, 20))
@examples(50)
def test_rows_do_not_depend_on_how_the_text_came(text: str, width: int, cuts: list[int], other: int) -> None:
    parts = TextLayout(other)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        parts.append(text[start:stop])
    parts.resize(width)
    assert (parts.text(), parts.starts) == (text, wrapped(text, width).starts)


def test_spaces_that_must_not_break_do_not() -> None:
    assert wrapped("one 10\xa0km", 8).starts.tolist() == [0, 4]
    assert cells("\xa0") == 1


@examples(40)
@given(texts, st.integers(4, 20))
def test_every_row_fits_and_every_character_is_in_one(text: str, width: int) -> None:
    page = wrapped(text, width)
    spans = [page.row_span(row) for row in range(page.rows)]
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(stop == start for (_, stop), (start, _) in pairwise(spans))
    for start, stop in spans:
        hangs = 1 if stop > start and text[stop - 1] != "\n" and glyph(text[stop - 1]).isspace() else 0
        newline_after_hang = stop - start > 1 and text[stop - 1] == "\n" and glyph(text[stop - 2]).isspace()
        assert sum(size for _, size in page.glyphs(start, stop)) <= width + hangs + newline_after_hang


@examples(40)
@given(texts, st.integers(4, 20), st.integers(0, 120))
def test_a_cell_leads_back_to_its_character(text: str, width: int, where: int) -> None:
    page = wrapped(text, width)
    position = min(where, len(text))
    if position < len(text) and cells(text[position]):
        assert page.position_at(page.row_of(position), page.column_of(position)) == position
    assert 0 <= page.position_at(where, width) <= len(text)


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x9b", "\u202e", "\u200b", "\ud800", "\u2028", "\x7f"])
def test_what_would_act_on_a_terminal_becomes_a_sign(char: str) -> None:
    assert glyph(char).isprintable()
    assert glyph(char).strip()
    assert cells(char) == 1


def test_a_mark_without_a_letter_stands_on_a_ring() -> None:
    page = wrapped("a\n\u0301b", 10)
    assert page.glyphs(*page.row_span(1)) == [("◌\u0301", 1), ("b", 1)]


def test_a_flood_of_marks_does_not_make_one_endless_row() -> None:
    page = wrapped("a" + "\u0301" * 10_000, 10)
    assert max(stop - start for start, stop in map(page.row_span, range(page.rows))) <= 80
