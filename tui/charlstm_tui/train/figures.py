"""The figures beside the chart: in a column, in one line where there is little space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from charlstm_tui.widgets.painted import Painted


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its name; ``mark`` is the sign of its curve in the chart, ``part`` how both look."""

    name: str
    value: str
    mark: str = " "
    part: str = "other"
    short: bool = False
    """Whether the figure is shown where all share one line."""


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
        return [
            self._line(
                (figure.name, "name"),
                (f" {figure.mark}", figure.part),
                (figure.value.rjust(columns)[:columns], "value", figure.part),
            )
            for figure in self.figures
            for columns in [max(width - len(figure.name) - 3, 1)]
        ]

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
