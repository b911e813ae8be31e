"""Bars of block characters."""

from __future__ import annotations

import pytest

from charlstm_tui.widgets.bars import bar


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(1, "████"), (0.5, "██"), (0.53, "██▏"), (0, ""), (0.01, ""), (2, "████"), (-1, "")],
)
def test_bar_is_drawn_in_eighths(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn


def test_bar_with_another_fill_has_the_same_length() -> None:
    assert bar(0.53, 4, "░") == "░░▏"
    assert bar(0.5, 0) == ""
