"""The lists of Cells: the named cells, and those that matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from charlstm.display import cell_name, plural
from charlstm.insight.cells import NamedCell
from charlstm.insight.lesions import TELLS, MeasuredLesions
from charlstm_tui.widgets.option_list import SideList

Cell = tuple[int, int]
"""Layer and cell, from 1."""


class CellRows(SideList):
    """A list each row of which is about a cell."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.listed: tuple[Cell, ...] = ()
        """The cell of each row."""

    def fill(self, rows: Sequence[tuple[Cell, Content]], chosen: Cell | None) -> None:
        """Show these rows, with the cursor on the one of the ``chosen`` cell."""
        index = self.highlighted
        self.listed = tuple(cell for cell, _ in rows)
        self.clear_options()
        self.add_options(Option(words) for _, words in rows)
        with self.prevent(OptionList.OptionHighlighted):  # the same rows again choose nothing
            if index is not None and self.listed[index : index + 1] == (chosen,):  # of several rows of the cell
                self.highlighted = index
            else:
                self.highlight(chosen)

    def highlight(self, cell: Cell | None) -> None:
        """Put the cursor on the first row of a cell, or on none."""
        self.highlighted = self.listed.index(cell) if cell in self.listed else None


class CellList(CellRows):
    """The named cells, the best first."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cells: tuple[NamedCell, ...] = ()
        """The cells that follow a feature."""

    def show(self, cells: Sequence[NamedCell], chosen: Cell | None) -> None:
        self.cells = tuple(cells)
        self.fill([(each.cell, self._words(each)) for each in cells], chosen)

    def _words(self, named: NamedCell) -> Content:
        """How well it follows its feature, as the command prints it, on how many spans that rests, and chance."""
        style = "" if named.above_chance else "$quiet"
        cell = cell_name(named.cell)
        if named.verdict == "too few to tell":
            few = f"{cell:<6} too few to tell: {plural(named.spans, 'span')}"
            return Content.styled(f"{named.feature}\n {few}", style)
        figures, chance = f" {cell:<6} {named.score_words:<16}", f"chance {named.chance:.2f}"
        if self.scrollable_content_region.width < len(figures) + len(chance) + 3:  # a blank, and one at each side
            chance = f"({named.chance:.2f})"
        return Content.assemble((named.feature, style), (f"  {named.spans_words}\n{figures} {chance}", "$quiet"))

    def on_resize(self) -> None:
        index = self.highlighted
        self.show(self.cells, None if index is None else self.listed[index])


class LesionList(CellRows):
    """How much the loss rises without each cell, the one that matters most first: ``2:187  +0.0139 ±0.0040  inside
    quotes``; grey where that cannot be told from chance."""

    DEFAULT_CSS = """
    LesionList { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def show(
        self, found: MeasuredLesions | None, feature: Callable[[Cell], str], bits: bool, chosen: Cell | None
    ) -> None:
        """Show what was measured, in nats or in ``bits``; ``feature`` says what a cell follows, or ""."""
        rows: list[tuple[Cell, Content]] = []
        if found is not None:
            nats = math.log(2) if bits else 1.0
            figures = zip(found.cells, found.means.tolist(), found.errors.tolist(), found.tells, strict=True)
            for cell, rise, error, tells in figures:
                words = f"{cell_name(cell):<6}{rise / nats:+.4f} ±{TELLS * error / nats:.4f}  "
                rows.append((cell, Content.assemble((words, "" if tells else "$quiet"), (feature(cell), "$quiet"))))
        self.fill(rows, chosen)
