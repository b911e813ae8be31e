"""Bars of block characters."""

import math

from charlstm_tui.widgets.bars import bar, sparkline


def test_bar_is_drawn_in_eighths() -> None:
    drawn = {1: "████", 0.5: "██", 0.53: "██▏", 0: "", 0.01: "", 2: "████", -1: ""}
    assert {share: bar(share, 4) for share in drawn} == drawn


def test_bar_with_another_fill_has_the_same_length() -> None:
    assert bar(0.53, 4, "░") == "░░▏"
    assert bar(0.5, 0) == ""


def test_sparkline_reaches_from_the_least_to_the_largest_value() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 20) == ["▁▂▃▄▅▆▇█"]
    assert sparkline([3, 3], 20) == ["▁▁"]


def test_sparkline_on_two_rows_with_given_ends() -> None:
    assert sparkline([0, 4, 8, 9], 20, 2, low=0, high=8) == ["  ▁██"[1:], "▁███"]


def test_sparkline_leaves_a_gap_where_there_is_no_number() -> None:
    assert sparkline([0, math.nan, math.inf, 7], 20) == ["▁  █"]
    assert sparkline([math.nan], 20, 2) == ["", ""]
    assert sparkline([], 20) == [""]


def test_sparkline_thins_out_values_and_keeps_the_first_and_the_last() -> None:
    assert sparkline([0, *[4] * 98, 8], 5) == ["▁▅▅▅█"]
    assert sparkline([1, 2], 0) == [""]
