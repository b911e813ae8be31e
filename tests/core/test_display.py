from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.display import described, symbol, visible

HARMFUL = st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])


@given(st.text(st.characters(exclude_categories=()) | HARMFUL))
def test_visible_replaces_every_control_character(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    for char, sign in zip(text, shown, strict=True):
        assert sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        assert sign == char or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or char == "\u00a0"
    shown.encode("utf-8")
    assert visible(shown) == shown


def test_visible_keeps_printable_text() -> None:
    for text in ("plain [red]markup[/red]", "字\u3000字 👋🏽 e\u0301", "two\nlines"):
        assert visible(text) == text


@pytest.mark.parametrize(
    ("char", "sign"),
    [(" ", "␣"), ("\n", "↵"), ("\t", "⇥"), ("\x1b", "␛"), ("\x00", "␀"), ("\x7f", "␡"), ("\u202e", "⍰"), ("a", "a")],
)
def test_symbol_is_one_visible_character(char: str, sign: str) -> None:
    assert symbol(char) == sign
    assert len(symbol(char)) == 1


def test_visible_keeps_characters_in_keep() -> None:
    assert visible("a\tb\nc\x1b", keep="\t") == "a\tb↵c␛"


def test_described_names_code_point() -> None:
    assert described("\u00ad") == "U+00AD soft hyphen"
    assert described("\f") == "U+000C form feed"
