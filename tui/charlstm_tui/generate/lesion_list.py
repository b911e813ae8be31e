"""The cells that matter: how much the loss rises without each, the one that matters most first."""

from __future__ import annotations

import math
from collections.abc import Callable

from textual.content import Content
from textual.widgets.option_list import Option

from charlstm.display import cell_name
from charlstm.insight.lesions import MeasuredLesions
from charlstm_tui.widgets.option_list import SideList


class LesionList(SideList):
    """A line for each cell: ``2:187  +0.0139  inside quotes``."""

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
        for (layer, cell), rise in zip(self._cells, [] if found is None else found.means.tolist(), strict=True):
            name = cell_name((layer, cell))
            rise /= math.log(2) if bits else 1
            self.add_option(
                Option(Content.assemble(f"{name:<6}", f"{rise:+.4f}  ", (feature((layer, cell)), "$quiet")))
            )
