"""The figures beside the chart: in a column, in one line where there is little space, with a small curve each where
there is much."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from charlstm.runs.series import Curve
from charlstm_tui.widgets.bars import sparkline


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its name; ``mark`` is the sign of its curve in the chart, ``style`` both's colour, ``curve`` its
    values so far."""

    name: str
    value: str
    mark: str = " "
    style: str = "$foreground"
    curve: Curve | None = None
    short: bool = False
    """Whether it is shown when there is one line for all."""


class Figures(Widget):
    """A figure on each line, or the short ones on one line."""

    DEFAULT_CSS = "Figures { width: 18; height: 1fr; }"

    figures: reactive[tuple[Figure, ...]] = reactive(())

    def render(self) -> Content:
        width, height = self.size.width, self.size.height
        if height <= 1:
            return self._line(width)
        lines: list[Content] = []
        curves = sum(1 for figure in self.figures if figure.curve is not None)
        spare = height - len(self.figures)
        tall = min((spare - curves) // curves, 3) if curves else 0
        for figure in self.figures:
            columns = max(width - len(figure.name) - 3, 1)
            lines.append(
                Content.assemble(
                    (figure.name, "$quiet"),
                    (f" {figure.mark}", figure.style),
                    (figure.value.rjust(columns)[:columns], f"bold {figure.style}"),
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
                    (f"{figure.name} ", "$quiet"),
                    (f"{figure.mark} " if figure.mark.strip() else "", figure.style),
                    (figure.value, f"bold {figure.style}"),
                    "  ",
                )
                if line.cell_length + part.cell_length > width + 1:
                    break
                line = line + part
        return line
