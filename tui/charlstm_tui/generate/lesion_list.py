"""The cells that matter: how much the loss rises without each, the one that matters most first."""

from __future__ import annotations

import math
from collections.abc import Callable

from textual.content import Content
from textual.widgets.option_list import Option

from charlstm.display import cell_name
from charlstm.insight.lesions import TELLS, MeasuredLesions
from charlstm_tui.widgets.option_list import SideList


class LesionList(SideList):
    """A line for each cell: ``2:187  +0.0139 ±0.0040  inside quotes``; grey where that cannot be told from chance."""

    DEFAULT_CSS = """
    LesionList { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cells: tuple[tuple[int, int], ...] = ()

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """The cells that are listed."""
        return self._cells

    @property
    def listed(self) -> tuple[tuple[int, int], ...]:
        """The cell of each row."""
        return self._cells

    def show(self, found: MeasuredLesions | None, feature: Callable[[tuple[int, int]], str], bits: bool) -> None:
        """Show what was measured, in nats or in ``bits``; ``feature`` says what a cell is called and follows, or ""."""
        self.clear_options()
        self._cells = () if found is None else found.cells
        if found is None:
            return
        nats = math.log(2) if bits else 1.0
        figures = zip(found.cells, found.means.tolist(), found.errors.tolist(), found.tells, strict=True)
        for cell, rise, error, tells in figures:
            words = f"{cell_name(cell):<6}{rise / nats:+.4f} ±{TELLS * error / nats:.4f}  "
            self.add_option(Option(Content.assemble((words, "" if tells else "$quiet"), (feature(cell), "$quiet"))))
