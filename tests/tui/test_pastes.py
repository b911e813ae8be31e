"""Pastes: where they begin and end in what the terminal sends, and that all of one is text."""

import pytest
from textual.drivers import linux_driver
from textual.events import Paste

from charlstm_tui import pastes
from charlstm_tui.ordered_keys import Typed
from charlstm_tui.pastes import END, START, PasteReader, without_controls
from charlstm_tui.terminal import tolerant_parser

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


def read(*pieces: str) -> list[tuple[str, str]]:
    """What the parser makes of input that comes in these pieces: pasted texts, and names of keys."""
    parser = tolerant_parser()()
    found = list[tuple[str, str]]()
    for piece in pieces:
        for event in parser.feed(piece):
            assert isinstance(event, Paste | Typed)
            found += [("paste", event.text)] if isinstance(event, Paste) else [("key", key.key) for key in event.keys]
    return found


def test_paste_is_one_text_whatever_control_characters_it_contains() -> None:
    """An escape in it was a key, and so was what followed."""
    for control in CONTROLS:
        assert read(f"{START}a{control}q{END}b") == [("paste", f"a{control}q"), ("key", "b")]
        expected = {"\t": ("a\tq", 0), "\n": ("a\nq", 0), "\r": ("a\nq", 0)}.get(control, ("aq", 1))
        assert without_controls(f"a{control}q") == expected


def test_paste_is_found_in_pieces_of_every_size() -> None:
    sent = f"k{START}\x1b[31mred\x1b[0m \x1b[A\x1b[201{END}{END}j{START}{END}{START}x{END}"
    pasted = "\x1b[31mred\x1b[0m \x1b[A\x1b[201"
    for size in range(1, 9):
        pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
        assert read(*pieces) == [("key", "k"), ("paste", pasted), ("key", "j"), ("paste", ""), ("paste", "x")], size


def test_keys_that_come_at_once_are_one_message() -> None:
    (typed,) = tolerant_parser()().feed("a\x1b[C\x1b[Cb")
    assert [key.key for key in typed.keys] == ["a", "right", "right", "b"]


def test_parser_is_the_same_once_textual_has_it_in_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_driver, "XTermParser", tolerant_parser())
    test_paste_is_found_in_pieces_of_every_size()


def test_control_sequences_are_left_out_whole() -> None:
    pasted = "\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07plain\x1b]8;;x\x1b\\ [31m 5 \u00a0é"
    assert without_controls(pasted) == ("red\nplain [31m 5 \u00a0é", 4)


def test_paste_without_an_end_is_text_and_the_keys_after_it_are_keys() -> None:
    now = [0.0]
    reader = PasteReader(lambda: now[0])
    assert list(reader.read(f"{START}some ")) == []
    now[0] = pastes.ENDS_AFTER - 0.1
    assert reader.overdue() is None
    assert list(reader.read("text")) == []
    now[0] += pastes.ENDS_AFTER
    assert reader.overdue() == "some text"
    assert reader.overdue() is None
    assert list(reader.read("q")) == [("q", False)]
