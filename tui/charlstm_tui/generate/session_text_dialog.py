"""The text of a saved session that no model can go on with, to be read, copied and exported."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from charlstm.display import plural, visible
from charlstm_tui.actions import key_of
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Dialog
from charlstm_tui.formatting import home
from charlstm_tui.player.state import UnopenedSession
from charlstm_tui.save_dialog import Format

FORMATS = (
    Format(".txt", "the text"),
    Format(".md", "the text in Markdown"),
    Format(".html", "the text as a web page"),
)
"""What a text is exported as without its model."""


class SessionTextDialog(Dialog):
    """Returns whether the text is to be exported, or ``None``."""

    BINDINGS: ClassVar = [Binding("ctrl+s", "dismiss(True)", "export", priority=True)]

    def __init__(self, unopened: UnopenedSession) -> None:
        super().__init__()
        self._unopened = unopened

    def compose(self) -> ComposeResult:
        found = self._unopened.text
        title = f"“{found.title}” cannot be continued" if found.title else "This session cannot be continued"
        count = plural(len(found.text.split()), "word")
        keys = f"Ctrl+S export the text   {key_of('app.copy')} copy   ↑ ↓ scroll   Esc close"
        with Vertical(classes="dialog wide page"):
            yield Static(Content(visible(title, keep="")), classes="dialog-title")
            yield Static(Content(visible(self._unopened.reason)), classes="dialog-text")
            yield TextArea(visible(found.text), read_only=True, compact=True)
            yield Static(Content(visible(f"{count} in {home(found.path)}", keep="")), classes="dialog-about quiet")
            yield Static(Content(keys), classes="dialog-keys")

    def opened(self) -> None:
        self.query_one(TextArea).focus()

    def copyable(self) -> Copyable:
        return Copyable("the text", self._unopened.text.text)
