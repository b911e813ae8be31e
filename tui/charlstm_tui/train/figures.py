"""The figures beside the chart: in a column, in one line where there is little space, with a small curve each where
there is much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from charlstm.runs.series import Curve
from charlstm_tui.widgets.bars import sparkline
from charlstm_tui.widgets.painted import Painted


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its name; ``mark`` is the sign of its curve in the chart, ``part`` how both look, ``curve`` its
    values so far."""

    name: str
    value: str
    mark: str = " "
    part: str = "other"
    curve: Curve | None = None
    short: bool = False
    """Whether it is shown when there is one line for all."""


class Figures(Painted, Widget):
    """A figure on each line, or the short ones on one line."""

    DEFAULT_CSS = "Figures { width: 18; height: 1fr; }"
    PARTS: ClassVar = {
        "name": "$quiet",
        "train": "$train",
        "validation": "$valid",
        "best": "$success",
        "other": "$foreground",
        "value": "bold",
        "curve": "$foreground 45%",
    }

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.figures: tuple[Figure, ...] = ()

    def show(self, figures: Sequence[Figure]) -> None:
        """Show these instead."""
        self.figures = tuple(figures)
        self.repaint_changed()

    def draw(self) -> list[Strip]:
        width, height = self.size.width, self.size.height
        if height <= 1:
            return [self._together(width)]
        lines: list[Strip] = []
        curves = sum(1 for figure in self.figures if figure.curve is not None)
        spare = height - len(self.figures)
        tall = min((spare - curves) // curves, 3) if curves else 0
        for figure in self.figures:
            columns = max(width - len(figure.name) - 3, 1)
            lines.append(
                self._line(
                    (figure.name, "name"),
                    (f" {figure.mark}", figure.part),
                    (figure.value.rjust(columns)[:columns], "value", figure.part),
                )
            )
            if figure.curve is not None and tall >= 1:
                rows = sparkline(figure.curve.y.tolist(), width, tall, low=0)
                lines += [self._line((row, "curve")) for row in rows]
                lines.append(self.blank_line())
        return lines

    def _together(self, width: int) -> Strip:
        line = self._line((" ",))
        for figure in self.figures:
            if figure.short:
                mark = f"{figure.mark} " if figure.mark.strip() else ""
                part = self._line(
                    (f"{figure.name} ", "name"), (mark, figure.part), (figure.value, "value", figure.part), ("  ",)
                )
                if line.cell_length + part.cell_length > width + 1:
                    break
                line = Strip.join((line, part))
        return line

    def _line(self, *pieces: tuple[str, ...]) -> Strip:
        """A line of pieces, each a text and the parts that it looks like."""
        return Strip([Segment(text, self.look(*parts)) for text, *parts in pieces])
