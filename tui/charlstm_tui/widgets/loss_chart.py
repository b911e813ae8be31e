"""The loss chart as a widget: holds what is shown and how, paints when either changed, colours the cells.

The drawing itself is ``chart_painting``'s; the series come ready from ``charlstm.runs.series``. Our own and not a
plotting library's, because a loss chart needs a logarithm, gaps at not-a-number, labelled reference lines and
validation on top, at some milliseconds a redraw.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.color import Color
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from charlstm_tui.widgets.chart_painting import (
    RUN_ROLES,
    ChartData,
    ChartView,
    PaintedChart,
    paint,
)
from charlstm_tui.widgets.painted import Painted

MAX_ZOOM = 8
STRENGTHS = {"run": 1.0, "run-train": 0.55, "run-raw": 0.3}
"""How much of a run's colour its validation curve, its training curve and the unsmoothed one behind that have."""
SMOOTHING = (("off", 0.0), ("light", 0.6), ("medium", 0.85), ("strong", 0.96))
"""How much training curves may be smoothed: the name, and the weight of what came before in the moving average."""
LOG_AXES = ((False, False), (False, True), (True, True), (True, False))
"""Which of the axes, x and y, are logarithmic, in the order in which a key goes through them."""


class LossChart(Painted, Widget, can_focus=True):
    """A chart of training and validation loss. Feed it with :meth:`show`; change how it looks with :meth:`set_view`."""

    ALLOW_SELECT = False  # a drag that begins on it would select the words beside it

    PARTS: ClassVar = {
        "raw": "$train 40%",
        "train": "bold $train",
        "validation": "bold $valid",
        "best": "bold $success",
        "reference": "$foreground 45%",
        "axis": "$foreground 30%",
        "label": "$quiet",
        "cursor": "$quiet",
    }
    # The terminal's own colours have no shades: what stands back is dim.
    ANSI_PARTS: ClassVar = {"raw": "dim $train", "reference": "dim $foreground", "axis": "dim $foreground"}

    DEFAULT_CSS = "LossChart { height: 1fr; width: 1fr; }"

    class Pointed(Message):
        """The mouse is over ``x`` on the x axis."""

        def __init__(self, x: float) -> None:
            super().__init__()
            self.x = x

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.data = ChartData()
        self.view = ChartView()
        self.cursor: float | None = None
        """Where on the x axis a vertical line stands."""
        self._painted: tuple[tuple[Any, ...], PaintedChart] | None = None
        self._pointed: PaintedChart | None = None

    def show(self, data: ChartData) -> None:
        """Show other data. Nothing is painted when it is the very same object."""
        if data is not self.data:
            self.data = data
            self._paint_again()

    def point(self, x: float | None) -> None:
        """Put the cursor at an x, or remove it, without painting the curves again."""
        if x != self.cursor:
            self.cursor = x
            self._pointed = None
            self.repaint_changed()

    def set_view(self, **changes: Any) -> None:
        """Change fields of the view, a :class:`ChartView`, such as ``log_y``. ``zoom`` is kept within its limits."""
        if "zoom" in changes:
            changes["zoom"] = min(max(changes["zoom"], -1), MAX_ZOOM)
        view = replace(self.view, **changes)
        if view != self.view:
            self.view = view
            self._paint_again()

    def next_log_axes(self) -> None:
        """Linear, the loss by logarithm, x too, x alone, and linear again."""
        axes = (self.view.log_x, self.view.log_y)
        log_x, log_y = LOG_AXES[(LOG_AXES.index(axes) + 1) % len(LOG_AXES)]
        self.set_view(log_x=log_x, log_y=log_y)

    def painted(self) -> PaintedChart:
        """The chart as painted for the present size."""
        key = (self.data, self.view, self.size)
        if self._painted is None or self._painted[0] != key:
            self._painted = (key, paint(self.data, self.view, self.size.width, self.size.height))
            self._pointed = None
        return self._painted[1]

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if (x := self.painted().x_at(event.x)) is not None:
            self.post_message(self.Pointed(x))

    def line_key(self, y: int) -> tuple[int, Size]:
        """It may be drawn in another size before it is told so."""
        return y, self.size

    def draw_line(self, key: tuple[int, Size]) -> Strip:
        painted, y = self.painted(), key[0]
        if self.cursor is not None:
            if self._pointed is None:
                self._pointed = painted.with_cursor(self.cursor)
            painted = self._pointed
        if y >= len(painted.codes):
            return self.blank_line()
        segments = [Segment(text, self.look(*() if role == "blank" else (role,))) for text, role in painted.runs(y)]
        return Strip(segments, self.size.width)

    def part_style(self, name: str) -> Style:
        """Of one of several runs the colour is a variable of the theme, and the part decides how strong it is."""
        if name not in RUN_ROLES:
            return super().part_style(name)
        part, _, number = name.rpartition("-")
        color = Color.parse(self.app.theme_variables[f"run-{number}"]).multiply_alpha(STRENGTHS[part])
        _, _, background, _ = self.colors
        style = Style.from_color((background + color).rich_color, background.rich_color)
        if part == "run":
            return style + Style(bold=True)
        return style + Style(dim=True) if self.has_pseudo_class("ansi") else style

    def _paint_again(self) -> None:
        self._painted = None
        self.repaint_changed()
