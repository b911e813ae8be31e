"""Runs: a table of all of them, and their curves on one chart. The views are in ``table_view`` and ``overlay``."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from charlstm.display import visible
from charlstm_tui.actions import bindings
from charlstm_tui.base import ModeScreen
from charlstm_tui.runs.run_details import DetailsCache
from charlstm_tui.runs.table_view import TablePane, TableView
from charlstm_tui.widgets.row_list import RowList

OVERLAY = "runs-overlay"


class RunsScreen(ModeScreen):
    """The mode. Below its views stands a line for messages."""

    MODE = "runs"
    CSS_PATH = "screen.tcss"
    BINDINGS = bindings("runs")

    NOTE_SECONDS = 6.0
    """How long a message stays, unless the next action comes first; one about an error twice as long."""

    def __init__(self) -> None:
        super().__init__()
        self._details = DetailsCache()
        self.table = TableView(self._details, id="runs-list")
        self.use_views(self.table)
        self._note = Static(id="runs-note")
        self._note.display = False
        self._note_timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        yield from super().compose_body()
        yield self._note

    def zoom(self) -> None:
        """See :class:`ModeScreen`; the table keeps the titles of its columns."""
        if self.maximized is None and isinstance(self.focused, RowList):
            self.maximize(self.query_one(TablePane))
        else:
            super().zoom()

    # ---- from view to view
    async def do_overlay(self) -> None:
        """Show the curves of what is marked, or of the run at the cursor."""
        from charlstm_tui.runs.overlay import OverlayPane  # brings numpy, which the table does not need

        overlay = self.views.setdefault(OVERLAY, OverlayPane(self._details, id=OVERLAY))
        assert isinstance(overlay, OverlayPane)
        paths = self.table.to_overlay()
        await self.open_view(OVERLAY)
        overlay.paths = paths

    def do_overlay_close(self) -> None:
        self.leave_view()

    def do_overlay_compare(self) -> None:
        self.leave_view()
        self.table.do_compare()

    def handle_escape(self) -> bool:
        if super().handle_escape():
            return True
        was_said = self._note.display
        self._clear_note()
        return was_said

    # ---- messages
    async def action_do(self, name: str) -> None:
        """See :class:`ModeScreen`; and what was said of the last action goes with the next."""
        self._clear_note()
        await super().action_do(name)

    def show_error(self, sentence: str) -> None:
        self.show_message(sentence, error=True)

    def show_message(self, sentence: str, error: bool = False, stays: bool = False) -> None:
        """Say something at the foot of the screen, for some seconds or until the next message."""
        self._clear_note()
        self._note.update(Content(" " + visible(sentence, keep="")))
        self._note.set_class(error, "bad")
        self._note.display = bool(sentence)
        if not stays:
            self._note_timer = self.set_timer(self.NOTE_SECONDS * (2 if error else 1), self._clear_note)

    def _clear_note(self) -> None:
        if self._note_timer is not None:
            self._note_timer.stop()
            self._note_timer = None
        self._note.display = False
