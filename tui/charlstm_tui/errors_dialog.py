"""The unexpected errors of this session with their tracebacks, as a text that can be selected and copied."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from charlstm.display import visible
from charlstm_tui.actions import key_of
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Dialog
from charlstm_tui.error_log import RECENT, log_path
from charlstm_tui.formatting import home


class ErrorsDialog(Dialog):
    """What is wrong in the configuration, and the last errors that no code expected, the newest at the end."""

    def __init__(self, config_problems: Sequence[str] = ()) -> None:
        super().__init__()
        wrong = "\n".join(("Wrong in the configuration:", *config_problems)) if config_problems else ""
        self._text = visible("\n\n".join(filter(None, (wrong, *RECENT.tracebacks))))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide page" if self._text else "dialog wide"):
            yield Static(Content("Errors of this session"), classes="dialog-title")
            if self._text:
                yield TextArea(self._text, read_only=True, compact=True)
                yield Static(Content(f"All errors are in {home(log_path())}"), classes="dialog-about quiet")
                yield Static(Content(f"↑ ↓ scroll   {key_of('app.copy')} copy   Esc close"), classes="dialog-keys")
            else:
                yield Static(Content(f"There are none. Those of earlier sessions are in {home(log_path())}"))
                yield Static(Content("Esc close"), classes="dialog-keys")

    def opened(self) -> None:
        for area in self.query(TextArea):
            area.move_cursor(area.document.end)

    def copyable(self) -> Copyable:
        return Copyable("all errors", self._text)
