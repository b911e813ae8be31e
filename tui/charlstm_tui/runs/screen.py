"""Runs: a table of all of them, and their curves on one chart. The views are in ``table_view`` and ``overlay``."""

from __future__ import annotations

from pathlib import Path

from charlstm_tui.actions import bindings
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.runs.run_details import DetailsCache
from charlstm_tui.runs.table_view import TablePane, TableView
from charlstm_tui.widgets.row_list import RowList

OVERLAY = "runs-overlay"


class RunsScreen(ModeScreen):
    """The mode."""

    MODE = "runs"
    CSS_PATH = "screen.tcss"
    BINDINGS = bindings("runs")

    def __init__(self) -> None:
        super().__init__()
        self._details = DetailsCache()
        self.table = TableView(self._details, id="runs-list")
        self.use_views(self.table)

    def zoom(self) -> None:
        """See :class:`ModeScreen`; the table keeps the titles of its columns."""
        if self.maximized is None and isinstance(self.focused, RowList):
            self.maximize(self.query_one(TablePane))
        else:
            super().zoom()

    # ---- from view to view
    async def do_overlay(self) -> None:
        """Show the curves of what is marked, or of the run at the cursor."""
        await self.show_curves(self.table.to_overlay())

    def entered(self) -> None:
        if paths := self.charlstm.curves_to_show:
            self.charlstm.curves_to_show = ()
            self.call_later(self.show_curves, paths)

    async def show_curves(self, paths: tuple[Path, ...]) -> None:
        """Show the curves of these runs."""
        from charlstm_tui.runs.overlay import OverlayPane  # brings numpy, which the table does not need

        if OVERLAY not in self.views:
            self.views[OVERLAY] = OverlayPane(self._details, id=OVERLAY)
        overlay = self.views[OVERLAY]
        assert isinstance(overlay, OverlayPane)
        await self.open_view(OVERLAY)
        overlay.paths = paths

    def do_overlay_close(self) -> None:
        self.leave_view()

    def do_overlay_compare(self) -> None:
        from charlstm_tui.runs.overlay import OverlayPane  # as above

        overlay = self.view
        assert isinstance(overlay, OverlayPane)
        self.leave_view()
        self.table.compare(overlay.paths)
