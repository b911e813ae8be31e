"""The loss chart: what is painted where, as text, for curves of every kind; and what it costs."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlstm.runs.series import Curve
from charlstm_tui.widgets.chart_painting import ROLE, ChartData, ChartView, cell_of_label, log_ticks, nice_ticks, paint
from random_examples import examples


def falling(points: int = 200, noise: float = 0.05) -> ChartData:
    x = np.arange(1, points + 1, dtype=float)
    smooth = 1.4 + 2.8 * np.exp(-x / points * 4)
    raw = smooth + noise * np.sin(np.arange(points) * 2.3)
    every = slice(None, None, max(1, points // 12))
    return ChartData(Curve(x, smooth), Curve(x[every], smooth[every] + 0.1), Curve(x, raw), planned=2.0 * points)


def braille(text: str) -> int:
    return sum(0x2800 < ord(char) <= 0x28FF for char in text)


def drawn(data: ChartData, width: int = 80, height: int = 16, **view: Any) -> str:
    """The chart as text."""
    return paint(data, ChartView(**view), width, height).text()


def test_validation_owns_its_cells_and_differs_in_shape() -> None:
    text = drawn(falling(), height=20)
    assert text.count("o") >= 12 - 2  # "step" has none; two may share a cell
    assert braille(text) > 40


def test_chart_without_a_curve_has_lines_of_words_in_the_middle_and_no_axes() -> None:
    text = drawn(ChartData(words="reading 雪国\n\nquick"), 24, 6)
    assert text.split("\n") == ["", "      reading 雪国", "", "      quick", "", ""]
    assert drawn(ChartData(words="loading torch"), 8, 3).split("\n") == ["", "loading", ""]


def test_validation_on_the_training_curve_lets_it_be_seen() -> None:
    x = np.arange(1.0, 1001.0)
    smooth = 1.4 + 2.8 * np.exp(-x / 250)
    alone = (paint(ChartData(train=Curve(x, smooth)), ChartView(), 80, 20).roles == ROLE["train"]).sum()
    buried = ChartData(train=Curve(x, smooth), validation=Curve(x[::5], smooth[::5]))
    roles = paint(buried, ChartView(), 80, 20).roles
    assert (roles == ROLE["train"]).sum() > 0.7 * alone
    assert (roles == ROLE["validation"]).sum() > 15
    apart = ChartData(train=Curve(x, smooth), validation=Curve(x[::5], smooth[::5] + 1))
    assert (paint(apart, ChartView(), 80, 20).roles == ROLE["validation"]).sum() > 60


def test_a_gap_at_not_a_number_is_not_bridged() -> None:
    x, y = np.arange(100.0), np.full(100, 2.0)
    whole = drawn(ChartData(train=Curve(x, y.copy())), 60, 8)
    y[40:60] = np.nan
    assert braille(whole) - braille(drawn(ChartData(train=Curve(x, y)), 60, 8)) >= 8
    nothing = ChartData(train=Curve(np.arange(3.0), np.full(3, np.nan)))
    assert "nats" in drawn(nothing, 40, 8)


def test_a_spike_survives_any_thinning_and_does_not_press_the_rest_flat() -> None:
    x, y = np.arange(20_000.0), np.full(20_000, 1.5)
    y[12_345] = 3.0
    assert braille("".join(drawn(ChartData(train=Curve(x, y)), 60, 12).splitlines()[:3])) >= 1
    data = falling()
    first = np.append(4.1, y[1:] / 3)  # which is in sight
    assert "4.0 ┤" in drawn(replace(data, train=Curve(x, first)), 60, 12)
    data.train.y[-1] = 1e12
    assert sum(braille(row[:60]) > 0 for row in drawn(data, height=20).splitlines()) >= 5  # before the last step


def test_reference_lines_are_labelled_share_a_row_when_near_and_only_the_next_below_is_in_sight() -> None:
    references = (("order 0", 3.1), ("order 2", 1.88), ("xz", 1.879))
    text = drawn(ChartData(train=falling().train, references=references))
    assert all(words in text for words in ("─ ─ ─", " order 0", " order 2 · xz"))
    data = ChartData(train=Curve(np.arange(50.0), np.linspace(4, 3, 50)), references=(("near", 2.8), ("far", 0.5)))
    text = drawn(data, 60, 12)
    assert "near" in text
    assert "far" not in text


def test_bits_and_nats_show_the_same_curve_with_other_labels() -> None:
    nats, bits = (drawn(falling(), height=20, bits=bits) for bits in (False, True))
    assert "nats" in nats
    assert "bits" in bits
    assert "5.0" in bits  # 1.4 … 4.2 nats are 2 … 6 bits
    assert "5.0" not in nats


def test_zoom_shows_the_latest_steps_and_the_plan() -> None:
    data = falling()
    assert "400" not in drawn(data)
    assert "300" in drawn(data, zoom=-1)
    close = drawn(data, zoom=2)
    assert " 0 " not in close.splitlines()[-1]
    assert "175" in close or "160" in close or "180" in close


def test_log_axes_space_decades_evenly_and_time_is_written_as_time() -> None:
    data = falling(1000)
    last = drawn(data, 90, log_x=True).splitlines()[-1]
    places = [last.index(word) for word in (" 10 ", " 100 ")]
    assert last.lstrip().startswith("1")
    assert abs((places[1] - places[0]) - (places[0] - last.index("1"))) <= 2
    assert drawn(data, 90, log_y=True) != drawn(data, 90)
    last = drawn(falling(), seconds=True).splitlines()[-1]
    assert "1:00" in last
    assert "time" in last


@given(
    width=st.integers(0, 130),
    height=st.integers(0, 50),
    values=st.lists(st.floats(width=32) | st.floats(0.5, 6), max_size=60),
    view=st.builds(ChartView, bits=..., seconds=..., log_x=..., log_y=..., zoom=st.integers(-1, 8)),
)
@examples(60)
def test_any_curve_in_any_size_is_painted(width: int, height: int, values: list[float], view: ChartView) -> None:
    curve = Curve(np.arange(len(values), dtype=float), np.array(values, dtype=float))
    data = ChartData(curve, curve, curve, (1.0, 2.0), (("order 0", 3.0), ("xz", 0.0)), 100.0)
    painted = paint(data, view, width, height)
    assert painted.codes.shape == (height, width)
    assert all(char.isprintable() for char in painted.text().replace("\n", ""))


@examples(40)
@given(low=st.floats(0, 1e6), span=st.floats(1e-3, 1e7), count=st.integers(2, 12))
def test_ticks_are_round_inside_and_not_too_many(low: float, span: float, count: int) -> None:
    ticks = nice_ticks(low, low + span, count)
    assert len(ticks) <= count + 2
    assert all(low - 1e-6 * span <= tick <= low + span * 1.000001 for tick in ticks)
    for tick in log_ticks(low + 1e-3, low + 1e-3 + span, count):
        assert math.isfinite(tick)


def test_a_reference_label_without_a_free_place_on_its_line_stands_beside_it() -> None:
    """A curve that lies on the line all along wrote over the label."""
    roles = np.full((4, 12), ROLE["blank"])
    roles[1] = ROLE["reference"]
    assert cell_of_label(roles, 1, 4) == (1, 8)
    roles[1, ::3] = ROLE["validation"]
    assert cell_of_label(roles, 1, 4) == (0, 8)
    roles[0, ::3] = ROLE["train"]
    assert cell_of_label(roles, 1, 4) == (2, 8)
    roles[2, ::3] = ROLE["train"]
    assert cell_of_label(roles, 1, 4) is None


def test_a_reference_label_stays_clear_of_the_curve() -> None:
    x = np.arange(100.0)
    flat = np.where(x < 30, 3.0, 2.0)
    data = ChartData(train=Curve(x, flat), validation=Curve(np.array([99.0]), np.array([2.0])))
    alone = drawn(data, 60, 12)
    labelled = drawn(ChartData(data.train, data.validation, references=(("xz", 2.0),)), 60, 12)
    assert " xz " in labelled
    assert braille(labelled) == braille(alone)
    assert labelled.count("o") == alone.count("o")


def test_a_dash_of_a_reference_line_does_not_join_two_marks() -> None:
    x = np.arange(100.0)
    validation = Curve(x[50::4], np.full(13, 3.0))
    text = drawn(ChartData(Curve(x, 4 - x / 50), validation, references=(("xz", 3.0),)), 60, 12)
    [row] = [row for row in text.splitlines() if "─ ─" in row]
    assert row.count("o") > 8
    assert not re.search("o─|─o", row)


def test_large_losses_keep_their_first_digits() -> None:
    """1,000 was labelled 000.0."""
    text = drawn(ChartData(train=Curve(np.arange(1.0, 50.0), np.linspace(100.0, 1400.0, 49))), 60, 14)
    assert "1000 ┤" in text
    assert "500.0 ┤" in text or " 500 ┤" in text
