"""Paint a loss chart into character cells: scales, ticks, curves, markers.

The curves come from ``charlstm.runs.series``, and ``loss_chart`` colours the cells. This module turns numbers into
characters and roles, in about a millisecond, and uses no Textual, so that it can be tested as text.

A braille cell holds 2 × 4 dots. Of a curve the first, lowest, highest and last point of each column of dots are drawn
(M4, Jugel et al. 2014), which gives the same dots as all points would: spikes survive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from rich.cells import cell_len

from charlstm.display import BITS_PER_NAT, count, loss_figure
from charlstm.runs.series import Curve
from charlstm_tui.formatting import clock

Array = np.ndarray

NOTHING = Curve(np.empty(0), np.empty(0))
SPACE = ord(" ")
LETTERS_APART = 16
"""Least number of columns between two letters of a run on a chart of several."""
MARKS_APART = 4
"""Columns between two validation marks that lie on the training curve."""
RUN_COLOURS = 8
"""Colours for the runs on a chart of several; from the ninth run on they come again, with other letters."""
RUN_ROLES = tuple(f"{part}-{colour}" for part in ("run", "run-train", "run-raw") for colour in range(RUN_COLOURS))
ROLES = ("blank", "raw", "train", "validation", "best", "reference", "axis", "label", "cursor", *RUN_ROLES)
ROLE = {name: number for number, name in enumerate(ROLES)}

_BRAILLE_BITS = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)  # of the dots of a cell, row by row
_BRAILLE = np.array(
    [0x2800 + sum(bit for n, bit in enumerate(_BRAILLE_BITS) if byte >> n & 1) for byte in range(256)], dtype=np.int32
)
"""The character for a cell whose dots, row by row, are the bits of a number, the lowest first."""


@dataclass(frozen=True, eq=False)
class ChartRun:
    """A run on a chart of several: the ``letter`` that marks it, the number of its ``colour``, its curves as those of
    :class:`ChartData`, and ``marks``: (x, loss in nats, character) of what happened to it."""

    letter: str
    colour: int
    validation: Curve
    train: Curve = NOTHING
    raw: Curve | None = None
    best: tuple[float, float] | None = None
    marks: tuple[tuple[float, float, str], ...] = ()

    def role(self, part: str) -> int:
        """The role of its validation curve and letters (``run``), of ``run-train`` or of ``run-raw``."""
        return ROLE[f"{part}-{self.colour % RUN_COLOURS}"]


@dataclass(frozen=True, eq=False)
class ChartData:
    """What a loss chart shows: x rises (steps or seconds), y is in nats, not-a-number is a gap. ``train`` is the
    smoothed curve, ``raw`` the one behind it; ``references`` are labelled losses in nats; ``planned`` is where x will
    end, ``words`` stand where there is no curve yet. ``runs`` are further runs, the last one on top."""

    train: Curve = NOTHING
    validation: Curve = NOTHING
    raw: Curve | None = None
    best: tuple[float, float] | None = None
    references: tuple[tuple[str, float], ...] = ()
    planned: float | None = None
    words: str = ""
    runs: tuple[ChartRun, ...] = ()

    @property
    def curves(self) -> list[Curve]:
        """The curves that the scales hold: all but the raw ones."""
        return [self.train, self.validation, *(curve for run in self.runs for curve in (run.train, run.validation))]


@dataclass(frozen=True)
class ChartView:
    """How it is shown. ``zoom`` 0 is everything so far, n > 0 the last 1/2ⁿ of it, −1 the whole plan. ``x_name`` stands
    below the axis instead of "step" or "time"."""

    bits: bool = False
    seconds: bool = False
    x_name: str = ""
    log_x: bool = False
    log_y: bool = False
    zoom: int = 0


@dataclass(frozen=True, eq=False)
class PaintedChart:
    """Cells of a painted chart: ``codes`` (H, W) code points and ``roles`` (H, W) indices into :data:`ROLES`. ``x`` is
    the scale of its ``columns`` cells from ``left`` on, ``None`` while there is no curve."""

    codes: Array
    roles: Array
    x: AxisScale | None = None
    left: int = 0
    columns: int = 0

    def x_at(self, column: int) -> float | None:
        """The x of a column of cells, or of the nearest column in the plot; ``None`` without a curve."""
        if self.x is None or self.columns < 1:
            return None
        inside = min(max(column - self.left, 0), self.columns - 1)
        return float(self.x.value((inside + 0.5) / self.columns))

    def column_of(self, x: float) -> int | None:
        """The column of an ``x``; ``None`` outside the view."""
        across = math.nan if self.x is None else float(self.x(x))
        return self.left + min(int(across * self.columns), self.columns - 1) if 0 <= across <= 1 else None

    def with_cursor(self, x: float) -> PaintedChart:
        """The same with a vertical line at ``x``, behind the curves."""
        column = self.column_of(x)
        if column is None:
            return self
        codes, roles = self.codes.copy(), self.roles.copy()
        free = np.isin(roles[:, column], (ROLE["blank"], ROLE["reference"]))
        free[-2:] = False  # the axis and its labels
        codes[free, column], roles[free, column] = ord("│"), ROLE["cursor"]
        return replace(self, codes=codes, roles=roles)

    def text(self) -> str:
        """The characters alone, rows joined by newlines."""
        return "\n".join(_characters(row).rstrip() for row in self.codes)

    def runs(self, row: int) -> list[tuple[str, str]]:
        """A row as stretches of one role: (characters, role name)."""
        roles, codes = self.roles[row], self.codes[row]
        edges = [0, *(np.flatnonzero(np.diff(roles)) + 1).tolist(), len(roles)]
        return [
            (_characters(codes[start:stop]), ROLES[roles[start]]) for start, stop in pairwise(edges) if stop > start
        ]


def _characters(codes: Array) -> str:
    return "".join(map(chr, codes[codes > 0].tolist()))


class AxisScale:
    """Maps values to 0…1 along an axis, straight or by logarithm."""

    def __init__(self, low: float, high: float, log: bool) -> None:
        self.low, self.high, self.log = low, high, log
        self._low, self._high = (math.log(low), math.log(high)) if log else (low, high)

    def __call__(self, values: Array | float) -> Array:
        points = np.asarray(values, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                points = np.log(points)
        return (points - self._low) / (self._high - self._low)

    def value(self, along: Array | float) -> Array:
        """The values at 0…1 along the axis."""
        points = self._low + np.asarray(along, dtype=np.float64) * (self._high - self._low)
        return np.exp(points) if self.log else points


def paint(data: ChartData, view: ChartView, width: int, height: int) -> PaintedChart:
    """Draw ``data`` into ``width`` × ``height`` cells. Any size is drawn; below 24 × 5 the axes go."""
    codes = np.full((max(height, 0), max(width, 0)), SPACE, dtype=np.int32)
    roles = np.zeros(codes.shape, dtype=np.int8)
    chart = PaintedChart(codes, roles)
    if width < 4 or height < 2:
        return chart
    axes = width >= 24 and height >= 5
    left, bottom = (7, 2) if axes else (0, 0)
    plot_width, plot_height = width - left - (1 if axes else 0), height - bottom
    x, y = _scales(data, view)
    if x is None or y is None:
        lines = data.words.splitlines()
        column = max(0, (width - max(map(cell_len, lines), default=0)) // 2)
        for row, line in enumerate(lines, max(0, (height - len(lines)) // 2)):
            _write(chart, column, row, line, "label")
        return chart
    chart = PaintedChart(codes, roles, x, left, plot_width)
    inside = PaintedChart(codes[:plot_height, left : left + plot_width], roles[:plot_height, left : left + plot_width])
    unit = BITS_PER_NAT if view.bits else 1.0
    labels = _references(inside, data.references, y, unit)
    curves = [(run.raw, run.role("run-raw"), True) for run in data.runs]
    curves += [(run.train, run.role("run-train"), False) for run in data.runs]
    curves += [(run.validation, run.role("run"), False) for run in data.runs]
    curves += [(data.raw, ROLE["raw"], True), (data.train, ROLE["train"], False)]
    for curve, role, is_raw in curves:
        if curve is not None and len(curve):
            _draw(inside, curve, x, y, unit, role, points=is_raw)
    _run_marks(inside, data.runs, x, y, unit)
    line = inside.roles == ROLE["train"]
    _points(inside, data, x, y, unit, line)
    for row, text in labels:
        if (cell := cell_of_label(inside.roles, row, len(text))) is not None:
            _write(inside, cell[1], cell[0], text, "reference")
    if axes:
        _axes(chart, x, y, view, left, plot_width, plot_height)
    return chart


# ---------------------------------------------------------------- scales


def _scales(data: ChartData, view: ChartView) -> tuple[AxisScale | None, AxisScale | None]:
    """The scales that hold what the view shows, or nothing when there is nothing to show yet."""
    unit = BITS_PER_NAT if view.bits else 1.0
    ends = [float(curve.x[-1]) for curve in data.curves if len(curve.x)]
    if not ends:
        return None, None
    end, start = max(ends), 0.0
    if view.zoom > 0:
        start = end * (1 - 0.5**view.zoom)
    elif view.zoom < 0 and data.planned:
        end = max(end, data.planned)
    if view.log_x:
        firsts = [float(curve.x[curve.x > 0][0]) for curve in data.curves if (curve.x > 0).any()]
        start = max(start, min(firsts, default=1.0))
    if end <= start:
        end = start + 1
    x = AxisScale(start, end, view.log_x)
    known = [_within(curve, start, end) for curve in data.curves]
    bests = [best for best in (data.best, *(run.best for run in data.runs)) if best is not None]
    values = np.concatenate([*known, [loss for at, loss in bests if start <= at <= end and math.isfinite(loss)]])
    if not len(values):
        return x, AxisScale(*((1.0, 4.0) if view.log_y else (0.0, 4.0)), view.log_y)
    low, high = float(values.min()), float(values.max())
    # A loss that ran away must not press the rest of the curve flat: what is higher than four medians and than each
    # curve's first loss stands at the upper edge. Of many runs every n-th value: the median of 200,000 would take 2 ms.
    firsts = [float(curve.y[0]) for curve in data.curves if len(curve.y) and math.isfinite(curve.y[0])]
    high = min(high, max(4 * float(np.median(values[:: 1 + len(values) // 20_000])), *firsts, 1e-9))
    if data.raw is not None and len(noise := _within(data.raw, start, end)):
        low = min(low, float(np.quantile(noise, 0.02)))
        high = max(high, min(float(np.quantile(noise, 0.98)), high * 1.15))
    low, high = low * unit, max(high, low) * unit
    span = max(high - low, 0.02 * max(abs(high), 1e-6), 1e-6)
    below = [loss * unit for _, loss in data.references if low - 0.3 * span <= loss * unit < low]
    low, high = min([low, *below]) - 0.06 * span, high + 0.06 * span
    if view.log_y:
        low = max(low, high * 1e-4, 1e-6)
    return x, AxisScale(low, max(high, low * 1.0001), view.log_y)


def _within(curve: Curve, start: float, end: float) -> Array:
    """The finite losses of ``curve`` from x ``start`` to ``end``."""
    first, last = np.searchsorted(curve.x, [start, end])
    values = curve.y[first : last + 1]
    return values[np.isfinite(values)]


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """At most about ``count`` round numbers between ``low`` and ``high``, evenly spaced by 1, 2 or 5 × 10ⁿ."""
    if count < 1 or not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / size - 1e-9)
    return [tick * size for tick in range(first, math.floor(high / size + 1e-9) + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers for a logarithmic axis: powers of ten when it spans decades, else finer ones."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    chosen: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 6, 8)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) > max(count, 2):
            break
        chosen = ticks
    return chosen if len(chosen) >= 2 else nice_ticks(low, high, count)


# ---------------------------------------------------------------- curves


def _draw(
    inside: PaintedChart,
    curve: Curve,
    x: AxisScale,
    y: AxisScale,
    unit: float,
    role: int,
    *,
    points: bool = False,
) -> None:
    """Draw a curve as dots over the curves before. A raw curve has points alone, the others have lines, so that they
    differ without colour too."""
    rows, columns = inside.codes.shape
    dots = np.zeros((4 * rows, 2 * columns), dtype=bool)
    _line(dots, x(curve.x), y(curve.y * unit), joined=not points)
    by_cell = dots.reshape(rows, 4, columns, 2).swapaxes(1, 2)
    pattern = np.packbits(by_cell.reshape(rows, columns, 8), axis=2, bitorder="little")[:, :, 0]
    drawn = pattern > 0
    np.copyto(inside.codes, _BRAILLE[pattern], where=drawn, casting="same_kind")
    np.copyto(inside.roles, role, where=drawn, casting="unsafe")


def _line(dots: Array, across: Array, up: Array, joined: bool = True) -> None:
    """Join the points (0…1 each way, ``across`` rising) by straight lines, with gaps where ``up`` is not finite; or,
    not ``joined``, set them alone. What lies above or below the chart stands at its edge; what lies left or right of
    it is left out."""
    rows, columns = dots.shape
    first, last = np.searchsorted(across, [-0.5 / columns, 1 + 0.5 / columns])
    first = max(first - 1, 0)  # the line comes in from the left
    across, up = across[first : last + 1], up[first : last + 1]
    solid = np.isfinite(up) & np.isfinite(across)
    if not solid.any():
        return
    run = np.zeros(len(up), dtype=np.int64)
    if not solid.all():
        run, across, up = np.cumsum(~solid)[solid], across[solid], up[solid]
    column = np.floor(np.minimum(np.maximum(across * (columns - 1) + 0.5, -columns), 2 * columns)).astype(np.int64)
    # not negative, so that the conversion rounds down
    row = (np.minimum(np.maximum(1 - up, 0), 1) * (rows - 1) + 0.5).astype(np.int64)
    if not joined:
        shown = (column >= 0) & (column < columns)
        dots[row[shown], column[shown]] = True
        return
    new_run = run[1:] != run[:-1]
    starts = np.concatenate(([0], np.flatnonzero((column[1:] != column[:-1]) | new_run) + 1))
    stops = np.append(starts[1:], len(column)) - 1
    column, first, last, run = column[starts], row[starts], row[stops], run[starts]
    high, low = np.minimum.reduceat(row, starts), np.maximum.reduceat(row, starts)
    # A stroke down each column and one from its last point to the next column's first, or none after a gap.
    next_column, next_row = np.append(column[1:], column[-1]), np.append(first[1:], last[-1])
    gap = np.append(run[1:] != run[:-1], True)
    next_column[gap], next_row[gap] = column[gap], last[gap]
    x0, y0 = np.concatenate((column, column)), np.concatenate((high, last))
    _strokes(dots, x0, y0, np.concatenate((column, next_column)) - x0, np.concatenate((low, next_row)) - y0)


def _strokes(dots: Array, x: Array, y: Array, dx: Array, dy: Array) -> None:
    """Set the dots of many straight strokes at once, from (x, y) to (x + dx, y + dy), each as long as its longer
    side."""
    length = np.maximum(np.abs(dx), np.abs(dy))
    dots_of = length + 1
    ends = np.cumsum(dots_of)
    along = np.arange(int(ends[-1])) - np.repeat(ends - dots_of, dots_of)
    steps = np.maximum(length, 1)
    column = np.floor(np.repeat(x + 0.5, dots_of) + along * np.repeat(dx / steps, dots_of)).astype(np.int64)
    row = (np.repeat(y + 0.5, dots_of) + along * np.repeat(dy / steps, dots_of)).astype(np.int64)  # never negative
    shown = (column >= 0) & (column < dots.shape[1])
    dots[row[shown], column[shown]] = True


def _cells_of(across: Array, up: Array, inside: PaintedChart) -> tuple[Array, Array]:
    """The rows and columns of the cells in which a line of dots has its points (0…1 each way), so that marks are on it;
    what lies above or below the chart stands at its edge."""
    rows, columns = inside.codes.shape
    row = ((1 - np.clip(up, 0, 1)) * (4 * rows - 1) + 0.5).astype(np.int64) // 4
    return row, (across * (2 * columns - 1) + 0.5).astype(np.int64) // 2


def _points(inside: PaintedChart, data: ChartData, x: AxisScale, y: AxisScale, unit: float, curve: Array) -> None:
    """Validation last, each as an ``o`` that owns its cell; the best one as ``◆``. Where they would bury the training
    curve (its cells are true in ``curve``) on a long run, they let it be seen between them."""

    def mark(points_x: Array, points_y: Array, character: str, role: str, apart: int = 1) -> None:
        across, up = x(points_x), y(points_y * unit)
        shown = np.isfinite(up) & (across >= 0) & (across <= 1)
        row, column = _cells_of(across[shown], up[shown], inside)
        if apart > 1:
            row, column = _thinned(row, column, curve[row, column], apart)
        inside.codes[row, column] = ord(character)
        inside.roles[row, column] = ROLE[role]

    mark(data.validation.x, data.validation.y, "o", "validation", MARKS_APART)
    if data.best is not None and math.isfinite(data.best[1]):
        mark(np.array([data.best[0]]), np.array([data.best[1]]), "◆", "best")
    # a dash of a reference line between two marks would join them
    marks = np.pad(np.isin(inside.roles, (ROLE["validation"], ROLE["best"])), ((0, 0), (1, 1)))
    beside = (marks[:, :-2] | marks[:, 2:]) & (inside.roles == ROLE["reference"])
    inside.codes[beside], inside.roles[beside] = SPACE, ROLE["blank"]


def _run_marks(inside: PaintedChart, runs: Sequence[ChartRun], x: AxisScale, y: AxisScale, unit: float) -> None:
    """Letters along the validation curves, at the end of each and in turns before it; what happened; the best points.
    Letters do not cover one another, so that curves that run together keep their letters."""
    columns = inside.codes.shape[1]
    taken = np.zeros(inside.codes.shape, dtype=bool)

    def put(across: float, up: float, character: str, role: int, back: int = 0) -> None:
        """Set a character, or up to ``back`` columns before it where another one is."""
        if not (0 <= across <= 1 and math.isfinite(up)):
            return
        row, column = (int(at) for at in _cells_of(np.array(across), np.array(up), inside))
        for cell in range(column, max(column - back, 0) - 1, -1):
            if not taken[row, cell]:
                inside.codes[row, cell], inside.roles[row, cell] = ord(character), role
                taken[row, cell] = True
                return

    for run in reversed(runs):  # the one on top first: its marks stay
        for at, loss, character in run.marks:
            put(float(x(at)), float(y(loss * unit)), character, run.role("run"))
        if run.best is not None:
            put(float(x(run.best[0])), float(y(run.best[1] * unit)), "◆", run.role("run"))
    between = max(LETTERS_APART, 3 * len(runs))
    for turn, run in enumerate(runs):
        across, up = x(run.validation.x), y(run.validation.y * unit)
        known = np.isfinite(up) & np.isfinite(across)
        if not known.any():
            continue
        across, up = across[known], up[known]
        last = min(float(across[-1]), 1.0)
        first = turn * between // max(len(runs), 1) + 2
        for column in range(first, columns, between):
            at = (column + 0.5) / columns
            if across[0] <= at < last - 2 / columns:
                put(at, float(np.interp(at, across, up)), run.letter, run.role("run"))
        put(last, float(np.interp(last, across, up)), run.letter, run.role("run"), back=6)


def _thinned(row: Array, column: Array, hides: Array, apart: int) -> tuple[Array, Array]:
    """The cells of marks without those that hide a curve less than ``apart`` columns from the next one kept; from the
    right, where the newest is."""
    kept: list[int] = []
    left = math.inf
    for index in range(len(column) - 1, -1, -1):
        if not hides[index] or column[index] <= left - apart:
            kept.append(index)
            left = float(column[index]) if hides[index] else left
    return row[kept], column[kept]


# ---------------------------------------------------------------- axes and labels


def _write(chart: PaintedChart, column: int, row: int, text: str, role: str) -> None:
    """Put ``text`` into cells; what does not fit is left out. The second cell of a wide character gets no code."""
    rows, columns = chart.codes.shape
    if not 0 <= row < rows:
        return
    for character in text:
        end = column + cell_len(character)
        if 0 <= column < end <= columns:
            chart.codes[row, column:end] = [ord(character), 0][: end - column]
            chart.roles[row, column:end] = ROLE[role]
        column = end


def _references(
    inside: PaintedChart, references: Sequence[tuple[str, float]], y: AxisScale, unit: float
) -> list[tuple[int, str]]:
    """Dash the reference lines; returns their rows and labels, those of one row together."""
    rows, columns = inside.codes.shape
    by_row: dict[int, list[str]] = {}
    for name, loss in references:
        up = float(y(loss * unit)) if loss > 0 else math.nan
        if math.isfinite(up) and 0 <= up <= 1:
            by_row.setdefault(min(int((1 - up) * rows), rows - 1), []).append(name)
    for row in by_row:
        inside.codes[row, ::2] = ord("─")
        inside.roles[row, :] = ROLE["reference"]
    labels = [(row, f" {' · '.join(names)} ") for row, names in by_row.items()]
    return [(row, text) for row, text in labels if len(text) < columns]


def cell_of_label(roles: Array, row: int, cells: int) -> tuple[int, int] | None:
    """Row and column for the label of a reference line: as far right as its ``cells`` cells have no curve in them, on
    the line itself or else in the row above or below it. ``None`` without space for the label."""
    for at, free in ((row, ROLE["reference"]), (row - 1, ROLE["blank"]), (row + 1, ROLE["blank"])):
        if 0 <= at < len(roles):
            taken = np.concatenate(([0], np.cumsum(roles[at] != free)))
            found = np.flatnonzero(taken[cells:] == taken[:-cells])
            if len(found):
                return at, int(found[-1])
    return None


def _axes(chart: PaintedChart, x: AxisScale, y: AxisScale, view: ChartView, left: int, columns: int, rows: int) -> None:
    """The frame with its ticks and their labels, outside the plot."""
    axis_column = left - 1
    for row in range(rows):
        _write(chart, axis_column, row, "│", "axis")
    _write(chart, axis_column, rows, "└" + "─" * columns, "axis")
    _write(chart, 0, 0, ("bits" if view.bits else "nats").rjust(axis_column - 1), "label")
    most = max(2, min(8, rows // 2))
    ticks = log_ticks(y.low, y.high, most) if y.log else nice_ticks(y.low, y.high, most)
    digits = _digits(ticks)
    last = 0  # the unit stands in the first row
    for tick in reversed(ticks):
        row = min(int((1 - float(y(tick))) * rows), rows - 1)
        if row <= last:
            continue
        last = row
        _write(chart, axis_column, row, "┤", "axis")
        text = loss_figure(tick, digits if tick < 1000 else 0)
        _write(chart, 0, row, text.rjust(axis_column - 1), "label")
    name = view.x_name or ("time" if view.seconds else "step")
    _write(chart, left + columns - len(name), rows + 1, name, "label")
    limit = left + columns - len(name) - 1
    most = max(2, min(10, columns // 12))
    if x.log:
        ticks = log_ticks(max(x.low, 1e-9), x.high, most)
    else:
        ticks = _clock_ticks(x.low, x.high, most) if view.seconds else nice_ticks(x.low, x.high, most)
    free = 0
    for tick in ticks:
        column = left + min(int(float(x(tick)) * columns), columns - 1)
        text = clock(tick) if view.seconds and x.high >= 5 else count(tick, exact=True)
        start = max(column - len(text) // 2, 0)
        if start < free or start + len(text) > limit:
            continue
        free = start + len(text) + 1
        _write(chart, column, rows, "┬", "axis")
        _write(chart, start, rows + 1, text, "label")


def _digits(ticks: Sequence[float]) -> int:
    """Decimals that tell the ticks apart."""
    for digits in range(5):
        if all(abs(round(tick, digits) - tick) < 1e-9 + abs(tick) * 1e-6 for tick in ticks):
            return max(digits, 1)
    return 4


def _clock_ticks(low: float, high: float, count: int) -> list[float]:
    """Round moments: multiples of 1, 2, 5, 10, 15, 30 seconds, then of minutes, then of hours."""
    rough = (high - low) / max(count, 1)
    if rough < 0.5:
        return nice_ticks(low, high, count)
    sizes = [factor * base for base in (1, 60, 3600) for factor in (1, 2, 5, 10, 15, 30) if factor * base < 86400]
    size = next((size for size in sizes if size >= rough * 0.999), 86400 * math.ceil(rough / 86400))
    return [tick * size for tick in range(math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9) + 1)]
