"""The figures beside the chart: a column where there is room, a line where there is little; with a little curve each
where there is plenty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from charlstm.runs.series import Curve
from charlstm_tui.widgets.bars import sparkline


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its name; ``mark`` is the sign of its curve in the chart, ``style`` both's colour, ``curve`` how
    it went."""

    name: str
    value: str
    mark: str = " "
    style: str = "$foreground"
    curve: Curve | None = None
    short: bool = False
    """Whether it is worth its place when there is one line for all."""


class Figures(Widget):
    """Feed it with :meth:`show`."""

    DEFAULT_CSS = "Figures { width: 18; height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.figures: tuple[Figure, ...] = ()

    def show(self, figures: Sequence[Figure]) -> None:
        self.figures = tuple(figures)
        self.refresh()

    def render(self) -> Content:
        width, height = self.size.width, self.size.height
        if height <= 1:
            return self._line(width)
        lines: list[Content] = []
        curves = sum(1 for figure in self.figures if figure.curve is not None)
        spare = height - len(self.figures)
        tall = min((spare - curves) // curves, 3) if curves else 0
        for figure in self.figures:
            room = max(width - len(figure.name) - 3, 1)
            lines.append(
                Content.assemble(
                    (figure.name, "$foreground 60%"),
                    (f" {figure.mark}", figure.style),
                    (figure.value.rjust(room)[:room], f"bold {figure.style}"),
                )
            )
            if figure.curve is not None and tall >= 1:
                rows = sparkline(figure.curve.y.tolist(), width, tall, low=0)
                lines += [Content.styled(row, "$foreground 45%") for row in rows]
                lines.append(Content(""))
        return Content("\n").join(lines[:height])

    def _line(self, width: int) -> Content:
        line = Content(" ")
        for figure in self.figures:
            if figure.short:
                part = Content.assemble(
                    (f"{figure.name} ", "$foreground 60%"),
                    (f"{figure.mark} " if figure.mark.strip() else "", figure.style),
                    (figure.value, f"bold {figure.style}"),
                    "  ",
                )
                if line.cell_length + part.cell_length > width + 1:
                    break
                line = line + part
        return line
