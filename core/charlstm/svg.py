"""Draw line charts as SVG that stands alone: no script, no font file, no network."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8b7d00", "#555555")
"""The palette of Okabe and Ito (2008), which colour-blind people can tell apart, with darker yellow and grey."""

DASHES = ("", "6 3", "2 3", "8 3 2 3")
"""Curves of one colour are told apart by their dashes."""

MARGIN = 52
RIGHT = 26
"""Half of the longest label of a tick, which may stand at the right end."""
FOOT = 34


@dataclass(frozen=True, slots=True)
class ChartCurve:
    """A curve ``x``, ``y``, both ``(N,)``; not-a-number in ``y`` is a gap.

    A ``faint`` curve is thin and has no entry in the legend: it belongs to the one before it. One of ``dots`` has no
    line between its points, and may be a single one.
    """

    name: str
    x: Floats
    y: Floats
    faint: bool = False
    dots: bool = False


def line_chart(
    curves: Sequence[ChartCurve],
    x_name: str,
    y_name: str,
    *,
    log_x: bool = False,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    width: int = 760,
    height: int = 320,
) -> str:
    """The chart with axes and a legend; an empty string when no curve has two points.

    Args:
        x_ticks: coordinates and labels of the x axis; None are round numbers.
    """
    drawn = [each for each in curves if np.isfinite(each.y).sum() > (0 if each.dots else 1)]
    if all(each.dots for each in drawn):
        return ""
    across = [np.log10(np.maximum(each.x, 1)) if log_x else each.x for each in drawn]
    left, right = min(float(x.min()) for x in across), max(float(x.max()) for x in across)
    low, high = (float(edge) for edge in _range([each.y for each in drawn]))
    named = [each for each in drawn if not each.faint]
    legend_rows = math.ceil(len(named) / 3)
    plot = height - FOOT

    def x_of(x: float) -> float:
        return MARGIN + (width - MARGIN - RIGHT) * (x - left) / ((right - left) or 1)

    def y_of(y: float) -> float:
        return 10 + (plot - 20) * (high - y) / ((high - low) or 1)

    parts = []
    for tick in ticks(low, high, 5):
        at = y_of(tick)
        parts.append(f'<line x1="{MARGIN}" x2="{width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#8886"/>')
        parts.append(_text(MARGIN - 6, at + 4, f"{tick:g}", "end"))
    for tick, label in x_ticks or _x_ticks(left, right, log_x):
        parts.append(_text(x_of(tick), plot + 6, label, "middle"))
    number = -1
    for curve, x in zip(drawn, across, strict=True):
        number += not curve.faint
        for points in _unbroken(x, curve.y):
            dots = [(x_of(a), y_of(b)) for a, b in points]
            if curve.dots:
                parts += [_dot(*dot, number) for dot in dots]
                continue
            listed = " ".join(f"{a:.1f},{b:.1f}" for a, b in dots)
            faint = ' opacity="0.4" stroke-width="1"' if curve.faint else ' stroke-width="2"'
            parts.append(f'<polyline points="{listed}" fill="none" {_stroke(number)}{faint}/>')
    parts.append(_text((MARGIN + width - RIGHT) / 2, plot + 22, f"{y_name}, by {x_name}", "middle"))
    for number, curve in enumerate(named):
        row, column = divmod(number, 3)
        at_x, at_y = MARGIN + column * (width - MARGIN) / 3, height + 14 + 18 * row
        if curve.dots:
            parts.append(_dot(at_x + 12, at_y - 4, number))
        else:
            ends = f'x1="{at_x:.0f}" x2="{at_x + 24:.0f}" y1="{at_y - 4}" y2="{at_y - 4}"'
            parts.append(f'<line {ends} {_stroke(number)} stroke-width="2"/>')
        parts.append(_text(at_x + 30, at_y, curve.name, "start"))
    whole = height + 20 + 18 * legend_rows
    title = html.escape(f"{y_name} by {x_name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{title}</title>{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, about so many."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _x_ticks(left: float, right: float, log_x: bool) -> list[tuple[float, str]]:
    exponents = _powers(left, right) if log_x else ticks(left, right, 6)
    values = [10**exponent if log_x else exponent for exponent in exponents]
    return [
        (exponent, f"{value:,.0f}" if value >= 1000 else f"{value:.4g}")
        for exponent, value in zip(exponents, values, strict=True)
    ]


def stacked(charts: Sequence[str]) -> str:
    """Charts one below the other, as one; empty without any."""
    if not charts:
        return ""
    placed, width, height = [], 0, 0
    for chart in charts:
        [(across, down)] = re.findall(r'^<svg [^>]*viewBox="0 0 (\d+) (\d+)"', chart)
        placed.append(chart.replace("<svg ", f'<svg y="{height}" width="{across}" height="{down}" ', 1))
        width, height = max(width, int(across)), height + int(down)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{"".join(placed)}</svg>'


def _powers(low: float, high: float) -> list[float]:
    """The logarithms of 1, 3, 10, 30, 100 and so on from ``low`` to ``high``, which are logarithms too."""
    tens = range(math.floor(low), math.ceil(high) + 1)
    logarithms = [power + math.log10(factor) for power in tens for factor in (1, 3)]
    return [each for each in logarithms if low - 1e-9 <= each <= high + 1e-9]


def _range(values: Sequence[Floats]) -> tuple[float, float]:
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    return float(known.min()), float(known.max())


def _unbroken(x: Floats, y: Floats) -> Iterator[list[tuple[float, float]]]:
    """The points between the gaps of a curve."""
    points: list[tuple[float, float]] = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(b):
            points.append((a, b))
        elif points:
            yield points
            points = []
    if points:
        yield points


def _stroke(number: int) -> str:
    """Colour and dashes of the curve with this number, from 0; a faint one before the first has -1."""
    number = max(0, number)
    return (
        f'stroke="{COLOURS[number % len(COLOURS)]}" stroke-dasharray="{DASHES[number // len(COLOURS) % len(DASHES)]}"'
    )


def _dot(x: float, y: float, number: int) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[max(0, number) % len(COLOURS)]}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#777">{html.escape(text)}</text>'
